"""How a result looks on the terminal."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from brainscore_itmaps.cli.terminal import NARROW, output, print_json, say
from brainscore_itmaps.files import ANOTHER_FOLDER, replacing

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.result import ArrayResult, Result


def print_result(result: "Result") -> None:
    """Print the score with what was run: one line an array, and their mean."""
    weights = f", {result.weights}," if result.weights.startswith("random") else ""
    lines = [_numbers(array) for array in result.arrays]
    if len(lines) > 1:
        lines.append(_numbers(result) | {"array": "mean", "layer": ""})
    lines[-1]["score"] = f"[bold]{lines[-1]['score']}[/]"
    shown = [name for name in lines[0] if name != "array" or len(lines) > 1]
    table = Table(title=f"{result.model}{weights} on {result.benchmark}", title_justify="left")
    if output().width < NARROW:
        table.show_header = False
        for line in lines:
            for name in shown:
                table.add_row(name, line[name])
            table.add_section()
    else:
        for name in shown:
            table.add_column(name, justify="left" if name in ("array", "layer") else "right", no_wrap=name != "layer")
        for number, line in enumerate(lines):
            if number and number == len(result.arrays):
                table.add_section()
            table.add_row(*(line[name] for name in shown))
    say(table)
    if any(len(array.layers) > 1 for array in result.arrays):
        print_layers(result)
    _print_facts(_facts(result))


def print_layers(result: "Result") -> None:
    """Print what every layer scores, not divided by a ceiling, and for how many pictures it was chosen."""
    table = Table(title="layers (times chosen), not ceiled", title_justify="left")
    table.add_column("layer")
    for array in result.arrays:
        table.add_column(_short(array.recording), justify="right")
    for number, layer in enumerate(result.arrays[0].layers):
        values = [array.layers[number] for array in result.arrays]
        table.add_row(layer.layer, *(f"{v.raw:.3f}{f' ({v.chosen})' if v.chosen else ''}" for v in values))
    say(table)


def write_and_print(
    told: dict[str, Any],
    file: Path,
    printed: Callable[[dict[str, Any]], None],
    *,
    as_json: bool,
    quiet: bool,
    fix: str = ANOTHER_FOLDER,
) -> None:
    """Write plain numbers as JSON, and print them as asked: a full disk costs the file, not the number."""
    try:
        with replacing(file, fix) as beside:
            print_json(told, beside)
    finally:
        if quiet:
            say(str(told["score"]))
        elif as_json:
            print_json(told)
        else:
            printed(told)
    if not (quiet or as_json):
        say(f"written    {file}")


def print_elsewhere(told: dict[str, Any]) -> None:
    """Print a score of a benchmark of Brain-Score's own."""
    table = Table(title=f"{told['model']} on {told['benchmark']}", title_justify="left")
    names = [name for name in ("raw", "ceiling", "score", "error") if told[name] is not None]
    for name in names:
        table.add_column(name, justify="right")
    table.add_row(*(f"{told[name]:.3f}" for name in names))
    say(table)
    _print_facts({"layer": told["comment"] or "as the model commits them"})


def _short(recording: str) -> str:
    """Name of an array in a column; in full, and whether it is simulated, it stands below the table."""
    return recording.removeprefix("Arcaro2020.").removesuffix("-simulated")


def _numbers(scored: "ArrayResult | Result") -> dict[str, str]:
    return {
        "array": _short(getattr(scored, "recording", "")),
        "layer": scored.layer,
        "raw": f"{scored.raw:.3f}",
        "ceiling": f"{scored.ceiling:.3f}",
        "score": f"{scored.score:.3f}",
        "95 % interval": f"{scored.interval[0]:.3f} to {scored.interval[1]:.3f}",
        "alignment": f"{scored.alignment:.3f}",
    }


def _facts(result: "Result") -> dict[str, str]:
    from brainscore_itmaps.benchmark.result import EXPLAINED

    accuracy = ""
    if result.imagenet_top1 is not None:
        accuracy = f", ImageNet top-1 {result.imagenet_top1:.1f} % ({result.imagenet_top1_source})"
    facts = {}
    for number, array in enumerate(result.arrays):
        images, rows, columns, sites = array.neural.shape
        what = "recording" if len(result.arrays) == 1 else f"array {number + 1}"
        named = "" if len(result.arrays) == 1 else f"{array.recording}: "
        facts[what] = (
            f"{named}{'SIMULATED, no animal was recorded: ' if array.simulated else ''}{images} pictures, "
            f"{rows} x {columns} positions, {sites} sites, {array.window[0]}-{array.window[1]} ms"
        )
    facts |= {
        "weights": result.weights + accuracy,
        "device": result.device,
        "score": result.formula,
        "ceiling": "; ".join(dict.fromkeys(array.ceiling_kind for array in result.arrays)),
        "interval": "bootstrap over images",
        "alignment": "mean over images of Spearman rho between predicted and recorded map, averaged over sites",
        "explained": f"{result.explained:.3f}: {EXPLAINED}",
        "view": result.field_of_view,
    }
    if any(len(array.layers) > 1 for array in result.arrays):
        facts["layer"] = (
            "the best on the very pictures that are scored, as published"
            if result.reference_compat
            else "chosen for each picture on the other pictures alone; in brackets, for how many"
        )
    for array in result.arrays:
        if array.saliency is not None:
            facts["controls"] = (
                f"attribution {array.saliency.rho.mean():.3f}; nearness to the centre "
                f"{array.saliency.centre_rho.mean():.3f}; random weights {array.saliency.random_rho.mean():.3f}"
            )
    if result.reference_compat:
        facts["compat"] = "the choices of the published code (docs/reference.md); not for use"
    for number, note in enumerate(result.notes):
        facts[f"note {number + 1}" if number else "note"] = note
    facts["cite"] = "; ".join(dict.fromkeys(array.citation for array in result.arrays))
    return facts


def _print_facts(facts: dict[str, str]) -> None:
    about = Table.grid("", Column(overflow="fold"), padding=(0, 2))
    for name, text in facts.items():
        about.add_row(name, text.replace("[", r"\["))
    say(about)
