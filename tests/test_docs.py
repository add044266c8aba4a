"""The README and the pages of docs/: links lead somewhere, named files exist, and shown output is what is printed."""

import re
from itertools import count

import pytest
import typer
from command_line import brainscore
from documented import (
    CHECKOUT,
    COMMAND,
    INSTEAD,
    NOT_RUN,
    PAGES,
    PROGRAMS_NOT_RUN,
    all_commands,
    commands_in,
    is_complete,
    options_in,
    parts,
)

from brainscore_itmaps.cli.app import app


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
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for link in links:
        if link.startswith(("http", "generated/")):  # tests/test_site.py follows those to generated pages
            continue
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_programs_know_every_command_that_a_page_names(page):
    for part in parts(page):
        for command in part.commands:
            complete = is_complete(command)
            assert complete or part.inline, f"Something is missing in: {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_a_page_names_exists(page):
    parameters = [each for command in all_commands(typer.main.get_command(app)).values() for each in command.params]
    options = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    assert options_in(page) <= options


@pytest.mark.parametrize(
    "command",
    [
        "brainscore scores --model a",
        "brainscore score --modell a",
        "brainscore score --model a --seed one",
        "brainscore data fetch --form FILE",
        "python benchmarks/none.py",
        "python benchmarks/pls.py --rounds 5",
        "python benchmarks/harmonizer_cost.py --batch two",
        "python -m brainscore_itmaps.nothing",
        "python -m brainscore_vision score --model=a",
        "pytest tests/test_docs.py::test_nothing",
        "pytest tests/nothing",
        "nox -s nothing",
        "dask scheduler --nothing",
    ],
)
def test_an_unknown_command_option_or_file_is_found(command):
    assert commands_in(command) == [command]
    with pytest.raises(Exception, match=r"(?i)no such|not a valid|invalid|valid integer|has no|no module|nothing"):
        is_complete(command)


def test_commands_are_found_in_blocks_and_in_sentences(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Run `brainscore score\n--model a`, or `--fresh` alone.\n\n    cd b && brainscore doctor  # check\n\n"
        "```\npython -c '\nprint(1)'\noutput\n```\n\n```toml\npytest = 1\n```\n\n```python\nprint(2)\n```\n"
    )
    found = [(part.commands, part.code, part.inline) for part in parts(page)]
    assert found == [
        (["brainscore doctor"], "", False),
        (["python -c '\nprint(1)'"], "", False),
        ([], "print(2)\n", False),
        (["brainscore score --model a"], "", True),
    ]
    assert options_in(page) == {"--fresh"}


def test_reasons_and_replacements_belong_to_commands_of_the_pages():
    named = {command for page in PAGES for part in parts(page) for command in part.commands}
    assert set(NOT_RUN) <= named
    assert set(PROGRAMS_NOT_RUN) <= {COMMAND.match(command)[2] for command in named}
    assert all(any(text in command for command in named) for text in INSTEAD)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_the_tables_of_the_readme_are_those_that_the_commands_print(own_home, weights):
    printed = brainscore("score", "--model", "efficientnet_lite0", "--weights", weights).stdout
    first, _, controls = printed.partition("the model and its controls")
    shown = {"README.md": first + controls, "docs/start.md": first} if weights == "pretrained" else {"README.md": first}
    for page, text in shown.items():
        rows = [line.strip() for line in text.splitlines() if line.strip().startswith(("│", "┃"))]
        assert rows
        for row in rows:
            assert row in (CHECKOUT / page).read_text(encoding="utf-8")
