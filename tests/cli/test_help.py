"""The help texts of all commands: their form, their words and their examples."""

import re
import shlex

import pytest
import typer
from typer.testing import CliRunner

from brainscore_itmaps.cli.app import PANELS, app
from brainscore_itmaps.cli.data import PANELS as DATA_PANELS

COLUMNS = 80
NOT_THE_TERM = re.compile(r"\b(networks?|pictures?|anew|goes on|went on|brought|bring)\b", re.IGNORECASE)
"""Words with a standard term."""


def walk(command, *path):
    """List a command and all commands below it, each with the words that call it."""
    below = [walk(subcommand, *path, name) for name, subcommand in getattr(command, "commands", {}).items()]
    return [(path, command), *(pair for subcommand in below for pair in subcommand)]


ALL = walk(typer.main.get_command(app))
every_command = pytest.mark.parametrize(("path", "command"), ALL, ids=["-".join(path) or "app" for path, _ in ALL])


def help_of(*arguments):
    invoked = CliRunner().invoke(app, arguments, prog_name="brainscore", env={"COLUMNS": str(COLUMNS)})
    assert invoked.exit_code == 0, invoked.output
    return invoked.output


def examples_of(*path):
    lines = [line.strip() for line in help_of(*path, "--help").splitlines() if line.strip()]
    assert lines[-3] == "Examples"
    return lines[-2:]


def own_texts(command):
    """Texts of a command, its options and its arguments, also of those that are hidden."""
    return [command.help, *(parameter.help for parameter in command.params)]


def test_all_commands_are_found():
    called = {" ".join(path) for path, _ in ALL}
    assert {"", "score", "verify-real", "data", "data list", "models fetch", "results clean"} <= called
    assert len(called) == len(ALL) == 36


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize(("path", "panels"), [((), PANELS), (("data",), DATA_PANELS)], ids=["app", "data"])
def test_commands_are_in_panels_by_task_in_the_order_of_the_work(path, panels, columns):
    done = CliRunner().invoke(app, [*path, "--help"], prog_name="brainscore", env={"COLUMNS": str(columns)})
    titles = re.findall(r"╭─ ([\w ]+) ─", done.output)
    assert titles == ["Options", *panels]
    for title, commands in panels.items():
        panel = done.output.partition(f"╭─ {title} ─")[2].partition("╰")[0]
        assert re.findall(r"│ ([\w-]+) ", panel) == list(commands)
    assert sum(map(len, panels.values())) == len([called for called, _ in ALL if len(called) == len(path) + 1
                                                  and called[: len(path)] == path])  # fmt: skip


@every_command
def test_the_short_option_shows_the_same_help_which_ends_with_two_examples(path, command):
    text = help_of(*path, "-h")
    assert text == help_of(*path, "--help")
    assert text.splitlines()[1].split()[1:][: len(path) + 1] == ["brainscore", *path]
    examples = examples_of(*path)
    assert len(set(examples)) == 2
    assert all(line.startswith("brainscore ") for line in examples)
    assert shlex.split(examples[0])[1 : len(path) + 1] == list(path)


@every_command
def test_help_texts_are_sentences_in_the_words_of_the_field(path, command):
    assert not any(text is None for text in own_texts(command))
    for text in own_texts(command):
        assert re.fullmatch(r"[A-Z].*\.", text, re.DOTALL), text
        assert not NOT_THE_TERM.search(text), text
        assert text.count("`") % 2 == 0, text


@every_command
def test_options_without_a_default_say_in_words_what_happens(path, command):
    for parameter in command.params:
        takes_a_value = not getattr(parameter, "is_flag", False)
        if takes_a_value and parameter.default is None and not parameter.required:
            assert re.search(r"default", parameter.help), parameter.name


@every_command
def test_examples_are_parsed_by_the_command_that_they_call(path, command, monkeypatch):
    root = typer.main.get_command(app)
    parsed = []
    for called, leaf in walk(root):
        if not hasattr(leaf, "commands"):
            monkeypatch.setattr(leaf, "callback", lambda called=called, **options: parsed.append(called))
        elif not called:
            monkeypatch.setattr(leaf, "callback", lambda **options: None)  # --debug would hold for later tests
    examples = examples_of(*path)
    for line in examples:
        assert len(line) <= COLUMNS - 2
        root.main(shlex.split(line)[1:], prog_name="brainscore", standalone_mode=False)
    assert len(parsed) == 2
    for called, line in zip(parsed, examples, strict=True):
        assert " ".join(called) in line


def test_an_example_with_a_wrong_option_would_be_found():
    with pytest.raises(Exception, match="No such option"):
        typer.main.get_command(app).main(["score", "--modell", "x"], prog_name="brainscore", standalone_mode=False)
