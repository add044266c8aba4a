"""What a built documentation site consists of, and whether its links work without a network.

Run ``python tests/helpers/site_links.py site`` after ``sphinx-build -W -c docs . site``. It prints the number of pages
and of links, the size, every broken link, and every file that a page loads over a network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
"""Elements that make a browser load something, with the attribute that says what."""


class Page(HTMLParser):
    """The anchors, links and loaded files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a start tag names, links to or loads."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and values.get(LOADED[tag]) and values.get("rel") not in ("canonical", "search"):
            self.loaded.append(values[LOADED[tag]])


class Site(NamedTuple):
    """Numbers of a site, and what is wrong with it."""

    pages: int
    links: int
    external: set[str]
    size: int
    wrong: list[str]


def check_site(folder: Path) -> Site:
    """Follow every link of a built site to its file and its anchor, and find what is loaded over a network."""
    files = [file for file in sorted(folder.rglob("*.html")) if file.relative_to(folder).parts[0] != "_static"]
    pages = {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in files}
    wrong, external, links = [], set(), 0
    for file, page in pages.items():
        where = file.relative_to(folder.resolve())
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            links += 1
            if parts.scheme in ("http", "https") or parts.netloc:
                external.add(link)
                if link in page.loaded:
                    wrong.append(f"{where} loads {link}")
            elif parts.scheme in ("", "file"):
                target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
                anchor = unquote(parts.fragment)
                known = pages[target].anchors if target in pages else set()
                if not target.exists() or (anchor and target in pages and anchor not in known | {"", "top"}):
                    wrong.append(f"{where} links to {link}")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Site(len(pages), links, external, size, wrong)


def main(folder: Path) -> int:
    """Print what a site consists of, and return the number of broken links."""
    site = check_site(folder)
    print(f"{site.pages} pages, {site.size / 1e6:.1f} MB, {site.links} links, {len(site.external)} of other sites")
    for text in sorted(set(site.wrong)):
        print(text)
    print(f"{len(site.wrong)} broken links, or files loaded over a network")
    return len(site.wrong)


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 255))
