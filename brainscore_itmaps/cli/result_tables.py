"""Print a result: a table of scores, a table of layers, and how the numbers were computed."""

from typing import TYPE_CHECKING

from rich.table import Column
from rich.text import Text

from brainscore_itmaps.cli.terminal import say_facts, say_table
from brainscore_itmaps.errors import printable
from brainscore_itmaps.protocol import OURS, protocol_named
from brainscore_itmaps.text import ABSENT, interval_text, number_text

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.estimate import Estimate
    from brainscore_itmaps.benchmark.result import ArrayResult, Result


CHOICES = {
    "best": "best on the scored images themselves, as in the published code",
    "left_out": "chosen for each image on the other images; in brackets, for how many images",
}
"""How one of several layers was chosen, by the protocol's ``choose_layer``."""


def print_result(result: "Result") -> None:
    """Print the score and how it was computed: one line per array, and their mean."""
    weights = f", {result.weights}," if result.weights.kind == "random" else ""
    rows: list[dict[str, str | Text]] = [dict(_numbers(array)) for array in result.arrays]
    if len(rows) != 1:
        rows.append({**_numbers(result), "array": "mean", "layer": ""})
    rows[-1]["score"] = Text(str(rows[-1]["score"]), style="bold")
    columns = [name for name in rows[0] if name == "score" or any(str(row[name]) not in ("", ABSENT) for row in rows)]
    columns = [name for name in columns if name != "array" or len(rows) > 1]
    say_table(
        [Column(name, justify="left" if name in ("array", "layer") else "right") for name in columns],
        [[row[name] for name in columns] for row in rows],
        title=f"{result.model}{weights} on {result.title}",
        names="array" in columns,
        wrapping="layer",
        total=len(rows) > 1,
    )
    _print_note_on_controls(result)
    print_controls(result)
    if any(len(array.layers) > 1 for array in result.arrays):
        print_layers(result)
    say_facts(_facts(result))


def _print_note_on_controls(result: "Result") -> None:
    """Print that a control reaches the score, right below the score."""
    from brainscore_itmaps.benchmark.formulas import note_on_controls

    if note := note_on_controls(result):
        say_facts({"control": note})


def print_controls(result: "Result") -> None:
    """Print the numbers of the model, of each control, and of what the model adds to them; mark the best control."""
    if not result.controls:
        return
    best, scored = result.best_control, result.score == result.score
    rows: list[list[str | Text]] = [[result.model, *_values(result.estimate, "raw", result)]]
    for name, control in result.controls.items():
        cells = [f"{printable(name)} (best)" if name == best else printable(name), *_values(control, name, result)]
        rows.append([Text(cell, style="bold") if name == best else cell for cell in cells])
    rows += [[f"added: {printable(name)}", *_values(estimate, name, result)] for name, estimate in result.added.items()]
    columns = [Column("control"), *(Column(name, justify="right") for name in ("raw", "score", "95 % interval"))]
    shown = [0, 1, 2, 3] if scored else [0, 1, 3]
    say_table(
        [columns[index] for index in shown],
        [[row[index] for index in shown] for row in rows],
        title=f"the model and its controls{'' if scored else ' (intervals of raw)'}",
    )


def _values(estimate: "Estimate", name: str, result: "Result") -> list[str]:
    """Format raw value, score and interval; without a score, the interval of the raw value, if it is in the details."""
    absent = estimate.score != estimate.score
    ends = [result.details.get(f"{name}_{end}") for end in ("low", "high")] if absent else estimate.interval
    return [number_text(estimate.raw), number_text(estimate.score), _interval(*ends)]


def _interval(low: float | None, high: float | None) -> str:
    return ABSENT if low is None or high is None else interval_text(low, high)


def print_layers(result: "Result") -> None:
    """Print the raw score of every layer, and for how many images the layer was chosen."""
    rows = []
    for number, layer in enumerate(result.arrays[0].layers):
        values = [array.layers[number] for array in result.arrays]
        rows.append([layer.layer, *(f"{v.raw:.3f}{f' ({v.chosen})' if v.chosen else ''}" for v in values)])
    say_table(
        [Column("layer"), *(Column(_short(array.recording), justify="right") for array in result.arrays)],
        rows,
        title="raw values of layers (number of images for which a layer was chosen)",
    )


def _short(recording: str) -> str:
    """Shorten the name of an array for a column; the lines below the table contain the full name."""
    return recording.removeprefix("Arcaro2020.").removesuffix("-simulated")


def _numbers(scored: "ArrayResult | Result") -> dict[str, str]:
    numbers = {name: number_text(getattr(scored, name)) for name in ("raw", "ceiling", "score", "error", "alignment")}
    has_error = interval_text(*scored.interval) == ABSENT != numbers["error"]
    interval = {"error": numbers["error"]} if has_error else {"95 % interval": interval_text(*scored.interval)}
    return {
        "array": _short(getattr(scored, "recording", "")),
        "layer": scored.layer,
        **{name: numbers[name] for name in ("raw", "ceiling", "score")},
        **interval,
        "alignment": numbers["alignment"],
    }


def _facts(result: "Result") -> dict[str, str]:
    from brainscore_itmaps.benchmark.formulas import ADDED, note_on_controls, notes_of, text_of_null

    accuracy = ""
    if result.imagenet_top1 is not None:
        accuracy = f", ImageNet top-1 {result.imagenet_top1:.1f} % ({result.imagenet_top1_source})"
    run = {"weights": f"{result.weights}{accuracy}", "device": result.device, "score": result.formula}
    facts = _facts_of_maps(result, run) if result.arrays else run | _details(result)
    facts |= {name.replace("_", " "): ADDED[name] for name in result.added if name in ADDED}
    if null := text_of_null(result):
        facts["null"] = null
    if result.protocol != OURS.name:
        facts["protocol"] = f"{result.protocol}, see docs/published_code.md; for comparison only"
    first = note_on_controls(result)  # it is printed below the score
    for number, note in enumerate(note for note in notes_of(result) if note != first):
        facts[f"note {number + 1}" if number else "note"] = note
    if result.arrays:
        facts["cite"] = "; ".join(result.citations)
    return facts


def _details(result: "Result") -> dict[str, str]:
    reason = "" if number_text(result.score) == ABSENT else result.estimate.reason  # of a score, it is a note
    shown = {name: value for name, value in result.details.items() if not _in_table_of_controls(name, result)}
    facts = {"interval": reason} | shown
    texts = {name: f"{value:.3f}" if isinstance(value, float) else str(value) for name, value in facts.items()}
    for name in [name for name in texts if f"{name}_low" in texts]:
        texts[name] += f" (95 % interval {_interval(facts[f'{name}_low'], facts[f'{name}_high'])})"
        del texts[f"{name}_low"], texts[f"{name}_high"]
    return {name.replace("_", " "): text for name, text in texts.items() if text not in ("", "None", "nan")}


def _in_table_of_controls(name: str, result: "Result") -> bool:
    return bool(result.controls) and name.removesuffix("_low").removesuffix("_high") in (*result.controls, "raw")


def _facts_of_maps(result: "Result", run: dict[str, str]) -> dict[str, str]:
    from brainscore_itmaps.benchmark.estimate import EXPLAINED

    facts = {}
    for number, array in enumerate(result.arrays):
        images, rows, columns, _ = array.lengths
        label = "recording" if len(result.arrays) == 1 else f"array {number + 1}"
        prefix = "" if len(result.arrays) == 1 else f"{array.recording}: "
        facts[label] = (
            f"{prefix}{'SIMULATED, no animal was recorded: ' if array.simulated else ''}{images} images, "
            f"{rows} x {columns} positions, {_sites(array)}, {array.window[0]}-{array.window[1]} ms"
        )
    facts |= run | {
        "ceiling": "; ".join(dict.fromkeys(array.ceiling_kind for array in result.arrays if array.ceiling_kind)),
        "interval": _about_interval(result),
        "alignment": "mean over images of Spearman rho between predicted and recorded map, averaged over sites",
        "explained": f"{number_text(result.explained)}: {EXPLAINED}",
        "view": result.field_of_view,
    }
    undefined = () if result.has_maps else ("alignment", "explained")
    facts = {name: text for name, text in facts.items() if text and name not in undefined}
    if any(len(array.layers) > 1 for array in result.arrays):
        facts["layer"] = CHOICES[protocol_named(result.protocol).choose_layer]
    for array in result.arrays:
        if array.saliency is not None:
            random = f"random weights {array.saliency.random_rho.mean():.3f}"
            facts["controls"] = (
                f"attribution {array.saliency.rho.mean():.3f}; nearness to the centre "
                f"{array.saliency.centre_rho.mean():.3f}; {array.saliency.missing or random}"
            )
    return facts


def _sites(array: "ArrayResult") -> str:
    return f"{len(array.sites)} sites" if len(array.sites) > 1 else array.sites[0]


def _about_interval(result: "Result") -> str:
    """Describe the interval; if a score has none, say why; empty where there is no score."""
    reasons = [array.estimate.reason for array in result.arrays
               if number_text(array.score) != ABSENT == interval_text(*array.interval)]  # fmt: skip
    return "; ".join(dict.fromkeys(filter(None, [result.estimate.about_interval, *reasons])))
