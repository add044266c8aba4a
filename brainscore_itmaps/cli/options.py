"""Options and help texts that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from brainscore_itmaps.cli.terminal import errors
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.settings import overridden

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""Context settings of the application and of each group; commands inherit them from their group."""


def examples(first: str, second: str) -> str:
    """Make the epilog of a help text from two complete command lines.

    Parameters
    ----------
    first, second : str
        Commands of at most 78 characters, so that a terminal with 80 columns shows each of them on one line.
    """
    return f"Examples\n\n{first}\n\n{second}"  # Typer 0.19 joins lines without an empty line between them


def _hold(context: typer.Context, offline: bool) -> bool:
    """Keep the settings offline until the command ends."""
    context.with_resource(overridden(offline=offline or None))
    return offline


Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        callback=_hold,
        help="Download nothing. The environment variable ITMAPS_OFFLINE=1 has the same effect.",
    ),
]
"""The option that takes effect by itself: what a command calls reads it from the settings."""


def check_options(file: Path | None, url: str | None, sha256: str | None) -> None:
    """Check that the options for a download fit together."""
    if file is not None and url is not None:
        raise UsageError("--from and --url exclude each other.", "Give the file, or the mirror.")
    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is not an address of a download.", "Give one that begins with https://.")
    if sha256 is not None and not (len(sha256) == 64 and set(sha256.lower()) <= set("0123456789abcdef")):
        raise UsageError(f"{sha256!r} is not a sha256.", "It has 64 digits from 0 to 9 and a to f.")


ProtocolName = Annotated[
    Literal["ours", "published"],
    typer.Option(
        "--protocol",
        help="Use the analysis choices of this package (ours) or of the published code (published). The published "
        "choices are for comparison only.",
    ),
]
OldSpelling = Annotated[
    bool, typer.Option("--reference-compat", hidden=True, help="Use --protocol published instead of this option.")
]


def requested_protocol(protocol: str, reference_compat: bool) -> str:
    """Give the name of the protocol; answer the old spelling with the new one, on standard error."""
    if not reference_compat:
        return protocol
    errors().print("--reference-compat is now --protocol published; write that.", soft_wrap=True)
    return "published"
