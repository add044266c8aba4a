"""The documentation site: it builds without a warning, every link leads somewhere, and nothing needs a network."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documented import CHECKOUT
from site_links import check_site

import brainscore_itmaps as itmaps

SOURCES = ("docs", "examples", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINKED = ("README.md", "brainscore_itmaps", "tests", "benchmarks", "noxfile.py", "CITATION.cff")


def test_every_public_name_is_in_the_reference():
    text = (CHECKOUT / "docs/python.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^   ([\w.]+)$", text, re.MULTILINE))
    assert set(itmaps.__all__) - {"figures"} <= named
    assert set(itmaps.figures.__all__) <= named


def test_links_that_lead_nowhere_or_need_a_network_are_found(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static/macros.html").write_text('<a href="{{ none }}">')
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#here">1</a><a href="b.html#there">2</a><a href="c.html">3</a>'
        '<a href="#top">4</a><a href="https://example.org">5</a>'
        '<img src="https://example.org/6.png"><script src="7.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="here">')
    site = check_site(tmp_path)
    assert (site.pages, site.links, len(site.external)) == (2, 7, 2)
    assert site.wrong == [
        "a.html links to b.html#there",
        "a.html links to c.html",
        "a.html loads https://example.org/6.png",
        "a.html links to 7.js",
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_builds_without_a_warning_and_works_without_a_network(tmp_path):
    for name in SOURCES:
        source = CHECKOUT / name
        copied = shutil.copytree if source.is_dir() else shutil.copy
        copied(source, tmp_path / name, **({"ignore": shutil.ignore_patterns("generated")} if source.is_dir() else {}))
    for name in LINKED:
        (tmp_path / name).symlink_to(CHECKOUT / name)
    homes = {name: str(tmp_path / "home") for name in ("ITMAPS_HOME", "BRAINIO_HOME", "HOME")}
    path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", "site"]
    environment = os.environ | homes | {"PYTHONPATH": path, "MPLBACKEND": "Agg", "ITMAPS_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    site = check_site(tmp_path / "site")
    assert site.wrong == []
    pages = {str(file.relative_to(tmp_path / "site")) for file in (tmp_path / "site").rglob("*.html")}
    assert "index.html" in pages
    for page in sorted((CHECKOUT / "docs").glob("*.md")):
        assert f"docs/{page.stem}.html" in pages
    for notebook in sorted((CHECKOUT / "examples").glob("*.ipynb")):
        assert f"examples/{notebook.stem}.html" in pages
    for script in sorted((CHECKOUT / "docs/gallery").glob("plot_*.py")):
        page = f"docs/generated/gallery/{script.stem}.html"
        assert page in pages
        text = (tmp_path / "site" / page).read_text(encoding="utf-8")
        assert f"sphx_glr_{script.stem}_001.png" in text
        assert "&lt;Figure" not in text
    assert site.size < 40e6
    assert not [text for text in Path(tmp_path / "site").rglob("*.html") if str(tmp_path) in text.read_text("utf-8")]
