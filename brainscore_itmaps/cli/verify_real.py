"""`brainscore verify-real`: check the real recordings, and compare our numbers with the published ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from brainscore_itmaps.cli.terminal import print_json, progress_bar, say
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import check_writable, replacing

if TYPE_CHECKING:
    from brainscore_itmaps.study.verify import Verification


def verify_real(
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            "--networks",
            help="Run these models, separated by commas. The default is four models with published numbers.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write everything to this JSON file, too. By default no file is written.")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="Compute on this device, such as cpu, cuda or mps. With auto, a GPU is used if there is one."
        ),
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Check the real recordings, and print our numbers, the published ones, and possible reasons for differences."""
    if out is not None:
        check_writable(out.expanduser())
    from brainscore_itmaps.bridge.names import check_names

    asked = [name.strip() for name in models.split(",") if name.strip()] if models is not None else None
    if asked == []:
        raise UsageError("--models names none.", "For example --models timm:resnet50.tv_in1k.")
    for name in asked or []:
        check_names(name, None)
    with progress_bar() as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.study.verify import MODELS, verify

        verification = verify(asked or MODELS, device=device, progress=progress)
    payload = _finite(verification.to_dict())
    if out is not None:
        with replacing(out.expanduser()) as partial_file:
            print_json(payload, partial_file)
    if as_json:
        print_json(payload)
    else:
        _print(verification)
        if out is not None:
            say(f"written    {out}")


def _finite(payload: dict[str, object]) -> dict[str, object]:
    """Replace NaN by null, which is what JSON has for unpublished values."""
    numbers = payload["numbers"]
    assert isinstance(numbers, tuple | list)
    return payload | {"numbers": [n | {"published": None if n["published"] != n["published"] else n["published"]}
                               for n in numbers]}  # fmt: skip


def _print(found: "Verification") -> None:
    if found.simulated:
        say("SIMULATED: this archive is a stand-in, no animal was recorded. Nothing can agree with published numbers.")
    say(f"archive    sha256 {found.sha256}")
    checks = Table("array", "what", "published", "here", "", title="structure", title_justify="left")
    for check in found.checks:
        checks.add_row(check.array, check.what, check.expected, check.found, "agrees" if check.agrees else "DIFFERS")
    say(checks)
    table = Table(
        Column("model", overflow="fold"),
        "array",
        "window",
        Column("layer", overflow="fold"),
        *(Column(name, justify="right") for name in ("published", "ours", "difference")),
        "",
        title="not divided by ceilings; choices of the published code",
        title_justify="left",
    )
    for each in found.numbers:
        known = each.published == each.published
        table.add_row(
            each.model.removeprefix("timm:") or "ceiling",
            each.array,
            each.window.removeprefix("followup_").replace("_", "-"),
            each.published_layer or ("best block" if each.model else ""),
            f"{each.published:.3f}" if known else "",
            "" if each.ours is None else f"{each.ours:.3f}",
            f"{each.ours - each.published:+.3f}" if known and each.ours is not None else "",
            each.verdict,
        )
    say(table)
    for reason in dict.fromkeys(f"{each.model}: {each.reason}" for each in found.numbers if each.reason):
        say(f"not run    {reason}")
    for reason in found.reasons:
        say(f"may be     {reason}")
    for source in dict.fromkeys(each.source for each in found.numbers):
        say(f"source     {source}")
