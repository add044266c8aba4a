"""The `brainscore` command: its groups, its common options and the printing of errors."""

import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.text import Text

from brainscore_itmaps.cli.attack import attack
from brainscore_itmaps.cli.compare import compare
from brainscore_itmaps.cli.contribute import contribute
from brainscore_itmaps.cli.data import data
from brainscore_itmaps.cli.doctor import doctor, link, unlink
from brainscore_itmaps.cli.harmonize import harmonize
from brainscore_itmaps.cli.models import models
from brainscore_itmaps.cli.options import HELP_OPTIONS, InPanels, OptionsInPanels, Panels, examples, panel_of
from brainscore_itmaps.cli.profile import profile
from brainscore_itmaps.cli.published import published
from brainscore_itmaps.cli.report import report
from brainscore_itmaps.cli.results import reproduce, results
from brainscore_itmaps.cli.score import score
from brainscore_itmaps.cli.sweep import sweep
from brainscore_itmaps.cli.terminal import errors
from brainscore_itmaps.cli.verify_real import verify_real
from brainscore_itmaps.errors import InstallationError, ItMapsError, printable
from brainscore_itmaps.progress import LongWork

_debug = ContextVar("debug", default=False)
PANELS: Panels = {
    "Score a model": ("score", "profile"),
    "Look at results": ("results", "report", "reproduce"),
    "Recordings and models": ("data", "models", "verify-real"),
    "Compare many models": ("sweep", "compare", "published"),
    "Train and attack": ("harmonize", "attack"),
    "Share and check": ("contribute", "doctor", "link", "unlink"),
}


class Commands(InPanels):
    """Group of commands that escapes control characters of arguments in error messages."""

    panels = PANELS

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the options before the command."""
        with _printable_messages():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Parse the arguments of a command, and run it."""
        with _printable_messages():
            return super().invoke(ctx)


@contextmanager
def _printable_messages() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(vars(error).get("message"), str):  # a usage error
            error.message = printable(error.message)  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    cls=Commands,
    help="Score vision models on spatially resolved maps of macaque IT activity.",
    epilog=examples(
        "brainscore score --model efficientnet_lite0 --benchmark it_maps_simulated",
        "brainscore models list",
    ),
    context_settings=HELP_OPTIONS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
EXAMPLES: dict[Callable[..., None], tuple[str, str]] = {
    score: (
        "brainscore score --model efficientnet_lite0 --benchmark it_maps_simulated",
        "brainscore score --model best.pth.tar --arch resnet50 --state-key model_ema",
    ),
    profile: (
        "brainscore profile --model efficientnet_lite0 --over blur",
        "brainscore profile --model efficientnet_lite0 --over components --values 5,25",
    ),
    attack: (
        "brainscore attack --model efficientnet_lite0 --images photographs --most 3",
        "brainscore attack --model timm:resnet18 --images ClickMe --random-seeds 1",
    ),
    report: (
        "brainscore report efficientnet_lite0--blocks.4--it_maps_simulated",
        "brainscore report efficientnet_lite0--blocks.4--it_maps_simulated --out a.html",
    ),
    reproduce: (
        "brainscore reproduce efficientnet_lite0--blocks.4--it_maps_simulated",
        "brainscore reproduce efficientnet_lite0--blocks.4--it_maps_simulated --offline",
    ),
    sweep: (
        "brainscore sweep embedded --dry-run",
        "brainscore sweep embedded --out studies/embedded --workers 2 --memory 4GB",
    ),
    compare: (
        "brainscore compare studies/embedded --out studies/embedded/comparison",
        "brainscore compare studies/embedded --out comparison --no-maps",
    ),
    published: (
        "brainscore published --out published",
        "brainscore published timm:resnet50.tv_in1k timm:vgg16.tv_in1k",
    ),
    verify_real: (
        "brainscore verify-real --from Arcaro2020.zip --out verification",
        "brainscore verify-real --models timm:resnet50.tv_in1k,timm:vgg16.tv_in1k",
    ),
    harmonize: (
        "brainscore harmonize resnet18.toml",
        "brainscore harmonize resnet18.toml --out runs/resnet18 --device cpu",
    ),
    doctor: ("brainscore doctor", "brainscore --debug doctor"),
    link: ("brainscore link", "brainscore doctor"),
    unlink: ("brainscore unlink", "brainscore doctor"),
}
"""The commands that belong to no group, with their examples."""

for command, lines in EXAMPLES.items():
    name = command.__name__.replace("_", "-")
    settings = {"allow_extra_args": True} if command is report else {}  # report refuses them with its own message
    cls = OptionsInPanels if command in (score, profile, attack) else None
    in_panel = app.command(
        name, cls=cls, epilog=examples(*lines), context_settings=settings, rich_help_panel=panel_of(PANELS, name)
    )
    in_panel(command)
for name, group in {"data": data, "models": models, "results": results, "contribute": contribute}.items():
    app.add_typer(group, name=name, rich_help_panel=panel_of(PANELS, name))


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"brainscore_itmaps {version('brainscore_itmaps')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the Python traceback when a command fails.")] = False,
) -> None:
    """Set the options of all commands."""
    _debug.set(debug)


def _show_warning(
    message: Warning | str, category: type[Warning], file: str, line: int, to: Any = None, source: str | None = None
) -> None:
    """Write a warning about long work as a line, and others as Python does."""
    text = (
        str(message)
        if issubclass(category, LongWork)
        else warnings.formatwarning(message, category, file, line, source)
    )
    errors().print(printable(text).rstrip(), soft_wrap=True)


def run() -> None:
    """Run a command; print an error as one sentence and exit with its code."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        app(prog_name="brainscore")
    except (ItMapsError, OSError) as error:
        if _debug.get():
            errors().print(traceback.format_exc(), soft_wrap=True)
        if isinstance(error, OSError):  # such as a disk error or an invalid file name
            what, fix = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.", ""
        else:
            what, fix = error.args[0], f" {error.fix}"
        line = Text.assemble(("error:", "bold red"), f" {printable(what)}", (printable(fix), "bold"))
        errors().print(line, soft_wrap=True)
        sys.exit(getattr(error, "exit_code", InstallationError.exit_code))
