"""Options and help texts that several commands share."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from brainscore_itmaps.cli.terminal import errors
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.settings import overridden

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""Context settings of the application and of each group; commands inherit them from their group."""


Panels = dict[str, tuple[str, ...]]
"""By the title of each panel of a help text, the commands in it, both in the order of the work."""


def panel_of(panels: Panels, command: str) -> str:
    """Return the title of the panel that shows a command.

    Examples
    --------
    >>> panel_of({"Score a model": ("score", "profile")}, "profile")
    'Score a model'
    """
    return next(title for title, commands in panels.items() if command in commands)


class InPanels(TyperGroup):
    """Group whose help text lists its commands in the order in which they were given to panels."""

    panels: ClassVar[Panels] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """List the names of the commands."""
        order = [command for commands in self.panels.values() for command in commands]
        return sorted(super().list_commands(ctx), key=order.index)


MODEL_OPTIONS = ("model", "weights", "arch", "state_key", "name", "seed", "batch_size", "device")
OUTPUT_OPTIONS = ("out", "figure", "report", "as_json", "quiet", "fresh", "offline")


class OptionsInPanels(TyperCommand):
    """Command whose help text shows three panels: the model, what is computed, and what is written."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        panels = dict.fromkeys(MODEL_OPTIONS, "Model") | dict.fromkeys(OUTPUT_OPTIONS, "Output and cache")
        for parameter in self.params:
            parameter.rich_help_panel = panels.get(str(parameter.name), "Evaluation")  # type: ignore[attr-defined]


def examples(first: str, second: str) -> str:
    """Return the epilog of a help text, which shows two complete command lines.

    Parameters
    ----------
    first, second : str
        Commands of at most 78 characters, so that a terminal with 80 columns shows each of them on one line.

    Examples
    --------
    >>> print(examples("brainscore data list", "brainscore data fetch"))
    Examples
    <BLANKLINE>
    brainscore data list
    <BLANKLINE>
    brainscore data fetch
    """
    return f"Examples\n\n{first}\n\n{second}"  # Typer 0.19 joins lines without an empty line between them


def _set_offline(context: typer.Context, offline: bool) -> bool:
    """Override the offline setting until the command ends."""
    context.with_resource(overridden(offline=offline or None))
    return offline


Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        callback=_set_offline,
        help="Download nothing. The environment variable ITMAPS_OFFLINE=1 has the same effect.",
    ),
]
"""Option that takes effect by itself: the functions that a command calls read the overridden settings."""


def check_options(file: Path | None, url: str | None, sha256: str | None) -> None:
    """Check that the options for a download are valid and can be combined.

    Examples
    --------
    >>> check_options(None, "https://example.org/archive.zip", "0" * 64)
    >>> check_options(Path("archive.zip"), "https://example.org/archive.zip", None)
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: --from and --url exclude each other. Give only one of them.
    """
    if file is not None and url is not None:
        raise UsageError("--from and --url exclude each other.", "Give only one of them.")
    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is not a download URL.", "Give a URL that begins with https://.")
    if sha256 is not None and not (len(sha256) == 64 and set(sha256.lower()) <= set("0123456789abcdef")):
        raise UsageError(f"{sha256!r} is not a SHA-256.", "Give 64 hexadecimal digits (0 to 9 and a to f).")


StateKey = Annotated[
    str | None,
    typer.Option(
        "--state-key",
        help="Read the weights under this key of a checkpoint file, such as state_dict_ema or state_dict.teacher. By "
        "default the weights that are complete for the architecture are read, and averaged ones only if there are no "
        "others; a note states the key, and the other keys.",
    ),
]


def _decoded(text: str | None) -> str | None:
    """Decode a text as UTF-8 where Python did not, because the locale is C or POSIX."""
    from brainscore_itmaps.data.images import decoded_name

    return None if text is None else decoded_name(text)


ModelLabel = Annotated[
    str | None,
    typer.Option(
        "--name",
        callback=_decoded,
        help="Show a checkpoint file or my_file.py:function under this name, followed by eight digits of the hash of "
        "its weights. The default is the name of the file.",
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        "--arch",
        help="Build this architecture for a checkpoint file in --model: a name of timm or of this package, or "
        "torchvision:NAME or hf:NAME. The option is required for such a file and has no default.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=2**63 - 1,
        metavar="INTEGER",
        help="Initialize random weights with this seed, an integer. The default is 0. The option requires "
        "--weights random.",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Compute this many images at once.")]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="Compute on this device, such as cpu, cuda, cuda:1 or mps. With auto, a GPU is used if there is one.",
    ),
]
ProtocolName = Annotated[
    Literal["ours", "published", "followup"],
    typer.Option(
        "--protocol",
        help="Use the analysis choices of this package (ours), of the published code (published), or of the published "
        "tables of the follow-up study (followup). Those of others are for comparison only.",
    ),
]
OldSpelling = Annotated[
    bool, typer.Option("--reference-compat", hidden=True, help="Use --protocol published instead of this option.")
]


def requested_protocol(protocol: str, reference_compat: bool) -> str:
    """Return the name of the protocol; print the new option to standard error if the old one was used.

    Examples
    --------
    >>> requested_protocol("ours", reference_compat=False)
    'ours'
    """
    if not reference_compat:
        return protocol
    errors().print("--reference-compat was renamed. Use --protocol published instead.", soft_wrap=True)
    return "published"
