"""The README and the pages of docs/: links lead somewhere, named files exist, and shown output is what is printed."""

import re
from itertools import count
from pathlib import Path

import pytest
from command_line import brainscore

CHECKOUT = Path(__file__).parents[1]
PAGES = [CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((CHECKOUT / "docs").glob("*.md"))


def prose(page):
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    seen = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        seen.add(next(each for number in count() if (each := f"{name}-{number}" if number else name) not in seen))
    return seen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not link.startswith("http")]
    for link in links:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_module_exists(page):
    folders = {path.parent for path in (CHECKOUT / "brainscore_itmaps").rglob("*.py")}
    rooms = "|".join(sorted(folder.name for folder in folders - {CHECKOUT / "brainscore_itmaps"}))
    named = re.findall(rf"`((?:{rooms}|tests|benchmarks|plugins|docs|brainscore_itmaps)/[\w/]+\.\w+)`", prose(page))
    missing = [name for name in named if not any((root / name).exists() for root in (CHECKOUT, *folders))]
    assert not missing


@pytest.mark.parametrize("file", sorted((CHECKOUT / "docs").glob("*.md")), ids=lambda file: file.name)
def test_the_readme_links_to_every_page(file):
    assert f"(docs/{file.name})" in (CHECKOUT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_the_tables_of_the_readme_are_those_that_the_commands_print(own_home, weights):
    printed = brainscore("score", "--model", "efficientnet_lite0", "--weights", weights).stdout
    rows = [line.strip() for line in printed.splitlines() if line.strip().startswith(("│", "┃"))]
    assert rows
    for row in rows:
        assert row in (CHECKOUT / "README.md").read_text(encoding="utf-8")
