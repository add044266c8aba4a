"""`--protocol`, and its spelling in 0.1."""

from typing import Annotated, Literal

import typer

from brainscore_itmaps.cli.terminal import errors

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


def protocol_asked(protocol: str, reference_compat: bool) -> str:
    """Give the name of the protocol; answer the old spelling with the new one, on standard error."""
    if not reference_compat:
        return protocol
    errors().print("--reference-compat is now --protocol published; write that.", soft_wrap=True)
    return "published"
