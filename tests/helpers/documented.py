"""The commands and the Python code that the pages name, and whether the programs know these commands."""

import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import typer
from command_line import python

CHECKOUT = Path(__file__).parents[2]
PAGES = [CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((CHECKOUT / "docs").glob("*.md"))

ENVIRONMENT = "~/itmaps/bin/"
OTHERS = "apt-get|bash|chmod|lint-imports|mypy|openssl|pip|pre-commit|ruff|sphinx-build"
"""Programs that are not ours, whose options are not checked."""
COMMAND = re.compile(
    rf"((?:[A-Z_]+=\S+ )*)(?:{ENVIRONMENT})?(brainscore|python3?|pytest|nox|dask|{OTHERS})(?=\s|$)(?! \|)"
)
BLOCK = re.compile(
    r"^```(?P<language>[\w{}-]*)\n(?P<fenced>.*?)^```|(?<=\n\n)(?P<indented>(?:    [^\n]*\n)+)", re.M | re.S
)
INCOMPLETE = ("MissingParameter", "BadOptionUsage", "NoArgsIsHelpError")
"""Errors of commands that a sentence only mentions, such as `brainscore score`."""
PARSE_ONLY = """
import argparse, runpy, sys
parse = argparse.ArgumentParser.parse_args
argparse.ArgumentParser.parse_args = lambda *given: sys.exit(parse(*given) is None)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

REASONS = {
    "downloads; tests fetch from a local server": (
        "brainscore data fetch",
        "brainscore data fetch --sha256 HASH",
        "brainscore data fetch --url MIRROR",
        "brainscore data fetch osie",
        "brainscore data fetch osie --images 700",
        "brainscore data fetch osie --url MIRROR",
        "brainscore data fetch published",
        "brainscore data fetch published --url MIRROR",
        "brainscore data fetch clickme --split train",
        "brainscore data fetch clickme --split val",
        "brainscore data fetch clickme --split val --url MIRROR",
        "brainscore models fetch NAME",
        "brainscore models fetch harmonized_resnet50",
        "brainscore models fetch harmonized_resnet50 --sha256 ... --url https://...",
    ),
    "downloads timm's weights": (
        "brainscore models show timm:resnet50.tv_in1k",
        "brainscore score --model timm:resnet50.tv_in1k",
        "brainscore score --model resnet50_timm_baseline --benchmark ClickMe.alignment",
        "brainscore attack --model timm:resnet50.tv_in1k --images ClickMe",
    ),
    "requires ClickMe or a folder of images; tests/cli/test_cli_attack.py has one": (
        "brainscore attack --model efficientnet_lite0 --images FOLDER --random-seeds 1",
        "brainscore score --model efficientnet_lite0 --benchmark ClickMe.adversarial",
    ),
    "requires the real recordings; tests/study/test_verify_real.py runs it on made-up ones": (
        "brainscore verify-real --from Arcaro2020.zip --out verification",
        "brainscore verify-real --models timm:vgg16.tv_in1k --windows 131-170",
        "brainscore verify-real --source ResponseMaps.mat",
        "brainscore score --model NAME --benchmark Arcaro2020.monkey1_ML-pls --protocol followup "
        "--window followup_131_170 --layers all",
    ),
    "requires the files of OSIE; tests/data/test_osie.py has made-up ones": (
        "brainscore data fetch osie --from FOLDER",
        "brainscore data check OSIE.gaze --figure gaze.png",
        "brainscore score --model efficientnet_lite0 --benchmark OSIE.gaze-pls",
        "brainscore score --model efficientnet_lite0 --benchmark OSIE.gaze-pls --random-seeds 5",
        "brainscore score --model efficientnet_lite0 --benchmark OSIE.gaze-alignment",
        "python benchmarks/gaze_cost.py OSIE.gaze 2",
    ),
    "requires the recordings or a clone of Brain-Score; tests/bridge/test_contribute.py has a clone": (
        "brainscore data fetch",
        "brainscore data package monkey1_PL --out packaged",
        "brainscore data package monkey1_ML --out packaged",
        "brainscore data package monkey2_ML --out packaged",
        "brainscore contribute weights harmonized_resnet50 --out packaged",
        "brainscore contribute check it_maps",
        "brainscore contribute export it_maps --to vision --s3 s3.json",
        "brainscore contribute check --to vision --run",
    ),
    "requires the published tables; tests/helpers/made_up_tables.py makes some up": (
        "brainscore data fetch published --from FOLDER",
        "brainscore published",
        "brainscore published --robust",
        "brainscore published --out published",
        "brainscore published timm:resnet50.tv_in1k --window followup_131_170",
        "brainscore compare RESULTS --out comparison --published",
    ),
    "requires a recurrent model of your own; tests/features/test_places.py has one": (
        "brainscore score --model cornet.py:build --layers IT.output@1,IT.output@last",
    ),
    "trains for hours; tests/training trains small models": (
        "brainscore harmonize resnet18.toml --out runs/resnet18",
        "brainscore score --model runs/resnet18",
    ),
    "changes the installed Brain-Score; tests/bridge/test_install_matrix.py runs it": (
        "brainscore link",
        "brainscore unlink",
    ),
    "changes files of the shell": ("brainscore --install-completion",),
    "asks which shell it was started from; tests/cli/test_completion.py names the shell": (
        "brainscore --show-completion",
    ),
    "makes the environment; .ci/run runs it": ("python3 -m venv ~/itmaps",),
    "fails on purpose, to show what is printed": (
        "brainscore score --model efficientnet_lite --benchmark it_maps_simulated",
    ),
    "is a check of its own": (
        "python tests/helpers/site_links.py site",
        "python tests/mutations.py",
        "python tests/mutations.py tfrecords",
    ),
    "rewrites files of the checkout; tests compare these files": (
        "MPLBACKEND=Agg PYTHONPATH=tests/helpers:tests/reporting python -c '\nimport test_figures as t\n"
        'for kind, draw in t.FIGURES.items():\n    draw().savefig(t.BASELINES / f"{kind}.png", dpi=60)\'',
        "python -m brainscore_itmaps.bridge.from_zoo",
    ),
    "takes several minutes": (
        "python benchmarks/attack_convergence.py --figure docs/images/attack_convergence.png",
        "python benchmarks/many_images.py 2",
        "python benchmarks/pls.py",
        "python benchmarks/large_recordings.py",
        "python benchmarks/score_overhead.py 1",
        "python benchmarks/sweep_workers.py --times 1 --models 4",
        "python examples/run.py",
    ),
}
NOT_RUN = {command: reason for reason, commands in REASONS.items() for command in commands}
"""Commands that `run_docs.py` does not run, and why; `test_docs.py` parses them too."""
PROGRAMS_NOT_RUN = {
    **dict.fromkeys(("apt-get", "pip", "pre-commit"), "installs or builds; .ci/run runs the README's installation"),
    **dict.fromkeys(("bash", "lint-imports", "mypy", "nox", "pytest", "ruff", "sphinx-build"), "is a check of its own"),
    "dask": "runs until it is stopped",
}
"""Programs of which no command is run, and why."""
INSTEAD = {
    "models show NAME": "models show efficientnet_lite0",
    "models list --set NAME": "models list --set embedded",
    "results show NAME": "results show efficientnet_lite0--blocks.4--it_maps_simulated",
    "reproduce NAME": "reproduce efficientnet_lite0--blocks.4--it_maps_simulated",
    "harmonizer_shortcut.py": "harmonizer_shortcut.py --seeds 2 --epochs 1 --lambdas 3",
    "--batch 8 --steps 9": "--batch 2 --steps 1",
    "study_statistics.py": "study_statistics.py --studies 2",
    "interval_coverage.py": "interval_coverage.py --studies 2",
    "ceiling_truth.py": "ceiling_truth.py --seeds 1 --sites 16 --latents 3",
    "similarity_truth.py": "similarity_truth.py --seeds 1",
}
"""What `run_docs.py` runs instead of placeholders and of numbers that take long."""


class Part(NamedTuple):
    """Commands, or Python code, that stand together on a page: a block, or a piece of code in a sentence."""

    page: str
    commands: list[str]
    code: str = ""
    inline: bool = False


def parts(page: Path) -> Iterator[Part]:
    """List the parts of a page in their order, those in sentences last."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        if block["language"] == "python":
            yield Part(page.name, [], block["fenced"])
        elif block["language"] in ("", "bash", "sh", None):
            yield Part(page.name, commands_in(block["fenced"] or re.sub("^    ", "", block["indented"], flags=re.M)))
    for code in re.findall(r"`([^`]+)`", BLOCK.sub("", text)):
        if len(code.split()) > 1:
            yield Part(page.name, commands_in(" ".join(code.split()).replace(" ...", "")), inline=True)


def commands_in(text: str) -> list[str]:
    """List the commands in a text, without comments and the folder of the environment.

    A command with an open quote continues on the next lines.

    >>> commands_in("brainscore doctor  # a check\\ncd x && nox -s docs\\nsome output")
    ['brainscore doctor', 'nox -s docs']
    """
    found, lines = [], text.splitlines()
    while lines:
        for command in lines.pop(0).split(" && "):
            if COMMAND.match(command):
                while command.count("'") % 2:
                    command += "\n" + lines.pop(0)
                command = command.replace(ENVIRONMENT, "")
                found.append(re.sub(r"\s+#\s.*", "", command) if "\n" not in command else command)
    return found


def options_in(page: Path) -> set[str]:
    """List the options that sentences of a page name alone, such as `--layers all`."""
    pieces = re.findall(r"`([^`]+)`", BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {
        option for piece in pieces if not COMMAND.match(piece) for option in re.findall(r"(?:^|\s)(--[\w-]+)", piece)
    }


def reason_not_to_run(command: str) -> str:
    """Return why a command is only parsed; empty if it is run."""
    return NOT_RUN.get(command, "") or PROGRAMS_NOT_RUN.get(COMMAND.match(command)[2], "")


def all_commands(command, *path: str) -> dict[tuple[str, ...], object]:
    """List a command of typer and all commands below it, by the words that call them."""
    found = {path: command}
    for name, below in getattr(command, "commands", {}).items():
        found |= all_commands(below, *path, name)
    return found


def is_complete(command: str) -> bool:
    """Check that a program knows a command and its options, and return whether nothing is missing in it.

    Nothing is run. An unknown command, option, file or module raises an error.
    """
    program = COMMAND.match(command)[2]
    _, *words = shlex.split(command[COMMAND.match(command).end(1) :])
    check = {"brainscore": check_brainscore, "python": check_python, "python3": check_python}
    check |= {"pytest": check_pytest, "nox": check_nox, "dask": check_dask}
    return program not in check or check[program](words) is not False


def check_brainscore(words: list[str]) -> bool:
    """Parse a command of ours with all its values, as typer does before it calls our function."""
    from brainscore_itmaps.cli.app import app

    root = typer.main.get_command(app)
    for command in all_commands(root).values():
        command.callback = lambda **options: None
    for option in root.params:
        option.callback = option.callback and _end  # of --version, and of --install-completion, which changes files
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            root.main(words, prog_name="brainscore", standalone_mode=False)
    except Exception as error:
        if type(error).__name__ in INCOMPLETE or str(error) == "Missing command.":
            return False
        raise
    return True


def _end(context: object, parameter: object, value: bool) -> bool:
    """End, if the option is given, without doing what it does."""
    if value:
        raise typer.Exit
    return value


def check_python(words: list[str]) -> bool:
    """Check that a module or script exists and that it takes these arguments."""
    what, *arguments = [word for word in words if word != "-P"]
    if what == "-c":
        compile(arguments[0], "<command>", "exec")
        return True
    if what == "-m":
        name, *arguments = arguments
        complete = bool(arguments)
        found = find_spec(name)
        assert found, f"There is no module {name}."
        file = Path(found.origin)
        file = file.with_name("__main__.py") if file.name == "__init__.py" else file
    else:
        file, complete = CHECKOUT / what, True
    source = file.read_text(encoding="utf-8")
    if "argparse" in source and arguments and what != "-m":
        parsed = python("-c", PARSE_ONLY, file, *arguments)
        assert parsed.returncode == 0, parsed.stderr
    else:
        parameters = re.findall(r"\b(\w+): ", source) if what == "-m" else []  # fire's options
        unknown = [option for option in re.findall(r"--(\w+)", " ".join(arguments)) if option not in parameters]
        assert not unknown, f"{what} has no option {unknown}."
    return complete


def check_pytest(words: list[str]) -> None:
    """Check that the files, folders and tests exist."""
    for word in words:
        if "/" in word:
            file, _, test = word.partition("::")
            assert (CHECKOUT / file).exists(), word
            assert f"def {test}" in (CHECKOUT / file).read_text(encoding="utf-8") if test else True, word


def check_nox(words: list[str]) -> bool:
    """Check that the session exists."""
    option, session = words
    sessions = re.findall(r"^@nox.session\ndef (\w+)", (CHECKOUT / "noxfile.py").read_text(encoding="utf-8"), re.M)
    assert option == "-s"
    assert session in [*sessions, "SESSION"], session
    return session in sessions


def check_dask(words: list[str]) -> None:
    """Check that the options are in the help text of the command."""
    command, *arguments = words
    text = python("-m", "dask", command, "--help").stdout
    unknown = [option for option in arguments if option.startswith("--") and option not in text]
    assert not unknown, f"dask {command} has no option {unknown}."
