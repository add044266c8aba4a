"""What commands that download may be asked for."""

from pathlib import Path
from typing import Annotated

import typer

from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.settings import overridden


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


def refuse_options(file: Path | None, url: str | None, sha256: str | None) -> None:
    """Refuse what cannot be meant of a file that is to be fetched."""
    if file is not None and url is not None:
        raise UsageError("--from and --url exclude each other.", "Give the file, or the mirror.")
    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is no address that can be downloaded from.", "Give one that begins with https://.")
    if sha256 is not None and not (len(sha256) == 64 and set(sha256.lower()) <= set("0123456789abcdef")):
        raise UsageError(f"{sha256!r} is not a sha256.", "It has 64 digits from 0 to 9 and a to f.")
