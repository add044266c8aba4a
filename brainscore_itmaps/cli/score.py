"""`brainscore score`: one network on one benchmark."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Column, Table

from brainscore_itmaps.bridge.names import refuse_unknown
from brainscore_itmaps.cli.terminal import NARROW, output, progress_bar, say
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import refuse_unwritable, replacing
from brainscore_itmaps.settings import Settings

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.result import Result

DRAWABLE = (".png", ".svg", ".pdf")
WHERE_RESULTS_GO = "Name another folder with --out, or set ITMAPS_HOME."


def score(
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="efficientnet_lite0, timm:<any timm name>, or a model identifier of Brain-Score's."
        ),
    ],
    benchmark: Annotated[
        str, typer.Option("--benchmark", "-b", help="Name of a benchmark, or a folder with a recording of your own.")
    ] = "it_maps_simulated",
    layer: Annotated[str | None, typer.Option(help="Layer to read out; by default the one committed to IT.")] = None,
    weights: Annotated[
        Literal["pretrained", "random"], typer.Option(help="Random weights are said to be random in the result.")
    ] = "pretrained",
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of random weights; 0 by default.")
    ] = None,
    reference_compat: Annotated[
        bool, typer.Option("--reference-compat", help="Make the choices of the published code, for comparison.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the JSON and NPZ files.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw pictures with their maps into this file (png, svg or pdf).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the score alone.")] = False,
) -> None:
    """Score a network: ceiled neural predictivity of its IT layer, as a table, a JSON and an NPZ file."""
    refuse_unknown(model, benchmark, layer, weights)
    if seed is not None and weights != "random":
        raise UsageError("--seed is the seed of random weights.", "Add --weights random, or leave --seed out.")
    if figure is not None and figure.suffix.lower() not in DRAWABLE:
        raise UsageError(f"Cannot draw a {figure.suffix or 'file without ending'}.", f"Use {' or '.join(DRAWABLE)}.")
    folder = (out or Settings.from_environment().home / "results").expanduser()
    figure = figure.expanduser() if figure is not None else None
    refuse_unwritable(folder / "result.json", WHERE_RESULTS_GO)
    if figure is not None:
        refuse_unwritable(figure)

    with progress_bar(shown=not quiet) as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.bridge.score import score as score_in_python

        result = score_in_python(
            model,
            benchmark,
            layer=layer,
            weights=weights,
            seed=seed or 0,
            reference_compat=reference_compat,
            progress=progress,
        )
    files: list[Path] = []
    try:
        files += result.save(folder, WHERE_RESULTS_GO)
        if figure is not None:
            files.append(draw(result, benchmark, figure))
    finally:  # a full disk costs the files, not the number
        if quiet:
            say(str(result.score))
        else:
            print_result(result)
            for file in files:
                say(f"written    {file}")


def draw(result: "Result", benchmark: str, file: Path) -> Path:
    """Draw pictures with their maps."""
    from brainscore_itmaps.bridge.score import recording_of
    from brainscore_itmaps.reporting.figures import maps_figure

    with replacing(file) as beside:
        maps_figure(result, recording_of(benchmark).images).savefig(beside, dpi=150)
    return file


def print_result(result: "Result") -> None:
    """Print the score with what was run."""
    weights = f", {result.weights}," if result.weights.startswith("random") else ""
    numbers = {
        "layer": result.layer,
        "raw": f"{result.raw:.3f}",
        "ceiling": f"{result.ceiling:.3f}",
        "score": f"[bold]{result.score:.3f}[/]",
        "95 % interval": f"{result.interval[0]:.3f} to {result.interval[1]:.3f}",
        "alignment": f"{result.alignment:.3f}",
    }
    table = Table(title=f"{result.model}{weights} on {result.benchmark}", title_justify="left")
    if output().width < NARROW:
        table.show_header = False
        for name, number in numbers.items():
            table.add_row(name, number)
    else:
        for name in numbers:
            table.add_column(name, justify="left" if name == "layer" else "right")
        table.add_row(*numbers.values())
    say(table)
    images, rows, columns, sites = result.neural.shape
    accuracy = ""
    if result.imagenet_top1 is not None:
        accuracy = f", ImageNet top-1 {result.imagenet_top1:.1f} % ({result.imagenet_top1_source})"
    lines = {
        "recording": f"{'SIMULATED, no animal was recorded: ' if result.simulated else ''}{images} pictures, "
        f"{rows} x {columns} positions, {sites} sites, {result.window[0]}-{result.window[1]} ms",
        "weights": result.weights + accuracy,
        "score": result.formula,
        "ceiling": result.ceiling_kind,
        "interval": "bootstrap over images",
        "alignment": "mean over images of Spearman rho between predicted and recorded map, averaged over sites",
        "view": result.field_of_view,
        "cite": result.citation,
    }
    if result.reference_compat:
        lines["compat"] = "the choices of the published code (docs/reference.md); not for use"
    if result.undefined_sites:
        lines["undefined"] = f"{result.undefined_sites} constant maps, left out of their image's median"
    about = Table.grid("", Column(overflow="fold"), padding=(0, 2))
    for name, text in lines.items():
        about.add_row(name, text.replace("[", r"\["))
    say(about)
