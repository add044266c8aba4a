"""`brainscore verify-real`: check the real recordings, and compare our numbers with published numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from brainscore_itmaps.cli.terminal import print_json, progress_bar, say, say_table
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import check_writable, replacing

if TYPE_CHECKING:
    from brainscore_itmaps.study.verify import Verification


VERDICTS = {True: "agrees", False: "differs", None: ""}


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

    names = [name.strip() for name in models.split(",") if name.strip()] if models is not None else None
    if names == []:
        raise UsageError("--models is empty.", "Name models, for example --models timm:resnet50.tv_in1k.")
    for name in names or []:
        check_names(name, None)
    with progress_bar() as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.study.verify import MODELS, verify

        verification = verify(names or MODELS, device=device, progress=progress)
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
    """Replace NaN, which stands for unpublished values, by None, for valid JSON."""
    numbers = payload["numbers"]
    assert isinstance(numbers, tuple | list)
    return payload | {"numbers": [n | {"published": None if n["published"] != n["published"] else n["published"]}
                               for n in numbers]}  # fmt: skip


def _print(verification: "Verification") -> None:
    from brainscore_itmaps.study.verify import CLOSE, SAME

    simulated = verification.simulated
    if simulated:
        say("SIMULATED: no animal was recorded. Published values are those of the real recordings.")
    say(f"archive    sha256 {verification.sha256}")
    rows = [[check.array, check.what, check.expected, check.found, check.rule, VERDICTS[check.agrees]]
            for check in verification.checks]  # fmt: skip
    columns = [Column(name) for name in ("array", "property", "published", "found", "rule", "")]
    shown = slice(None, 4 if simulated else None)
    say_table(columns[shown], [row[shown] for row in rows], title="structure", names=2)
    numbers = []
    for number in verification.numbers:
        is_published = number.published == number.published
        difference = f"{number.ours - number.published:+.3f}" if is_published and number.ours is not None else ""
        numbers.append(
            [
                number.model.removeprefix("timm:") or "ceiling",
                number.array,
                number.window.removeprefix("followup_").replace("_", "-"),
                number.published_layer or ("best block" if number.model else ""),
                f"{number.published:.3f}" if is_published else "",
                "" if number.ours is None else f"{number.ours:.3f}",
                difference,
                number.verdict,
            ]
        )
    columns = [Column(name) for name in ("model", "array", "window", "layer")]
    columns += [Column(name, justify="right") for name in ("published", "ours", "difference")] + [Column("")]
    shown = slice(None, 6 if simulated else None)
    title = "not divided by noise ceilings; analysis choices of the published code"
    say_table(columns[shown], [number_row[shown] for number_row in numbers], title=title, names=4)
    if not simulated:
        say(f"verdicts   same: differs by at most {SAME:g}; close: by at most {CLOSE:g}")
    for reason in dict.fromkeys(f"{number.model}: {number.reason}" for number in verification.numbers if number.reason):
        say(f"not run    {reason}")
    for reason in verification.reasons:
        say(f"possible   {reason}")
    for source in dict.fromkeys(number.source for number in verification.numbers):
        say(f"source     {source}")
