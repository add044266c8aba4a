"""`brainscore score`: one network on one benchmark."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from brainscore_itmaps.bridge.names import refuse_unknown
from brainscore_itmaps.cli.terminal import output, progress_bar
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import refuse_unwritable, replacing
from brainscore_itmaps.settings import Settings

DRAWABLE = (".png", ".svg", ".pdf")


def score(
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="efficientnet_lite0, timm:<any timm name>, or a model identifier of Brain-Score's."
        ),
    ],
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="Name of a benchmark.")] = "it_maps_simulated",
    layer: Annotated[str | None, typer.Option(help="Layer to read out; by default the one committed to IT.")] = None,
    weights: Annotated[
        Literal["pretrained", "random"], typer.Option(help="Random weights are said to be random in the result.")
    ] = "pretrained",
    seed: Annotated[int, typer.Option(help="Seed of random weights.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the JSON and NPZ files.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw pictures with their maps into this file (png, svg or pdf).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the score alone.")] = False,
) -> None:
    """Score a network: ceiled neural predictivity of its IT layer, as a table, a JSON and an NPZ file."""
    refuse_unknown(model, benchmark)
    if figure is not None and figure.suffix not in DRAWABLE:
        raise UsageError(f"Cannot draw a {figure.suffix or 'file without ending'}.", f"Use {' or '.join(DRAWABLE)}.")
    folder = out or Settings.from_environment().home / "results"
    refuse_unwritable(folder)
    if figure is not None:
        refuse_unwritable(figure.parent)
    with progress_bar(shown=not quiet) as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.bridge.score import score as score_in_python

        result = score_in_python(model, benchmark, layer=layer, weights=weights, seed=seed, progress=progress)
    files = list(result.save(folder))
    if figure is not None:
        from brainscore_itmaps.data.load import load_recording
        from brainscore_itmaps.reporting.figures import maps_figure

        with replacing(figure) as beside:
            maps_figure(result, load_recording(result.recording).images).savefig(beside, dpi=150)
        files.append(figure)
    if quiet:
        print(result.score)
        return

    console = output()
    table = Table(title=f"{result.model} on {result.benchmark}", title_justify="left")
    for column in ("layer", "raw", "ceiling", "score", "95 % interval", "alignment"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    table.add_row(
        result.layer,
        f"{result.raw:.3f}",
        f"{result.ceiling:.3f}",
        f"[bold]{result.score:.3f}[/]",
        f"{result.interval[0]:.3f} to {result.interval[1]:.3f}",
        f"{result.alignment:.3f}",
    )
    console.print(table)
    images, rows, columns, sites = result.neural.shape
    lines = {
        "recording": f"{'SIMULATED, no animal was recorded: ' if result.simulated else ''}{images} pictures, "
        f"{rows} x {columns} positions, {sites} sites, {result.window[0]}-{result.window[1]} ms",
        "weights": result.weights,
        "score": result.formula,
        "ceiling": result.ceiling_kind,
        "interval": "bootstrap over images",
        "alignment": "mean over images of Spearman rho between predicted and recorded map, averaged over sites",
        "view": result.field_of_view,
        "cite": result.citation,
    }
    if result.undefined_sites:
        lines["undefined"] = f"{result.undefined_sites} constant maps, left out of their image's median"
    about = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        about.add_row(name, text.replace("[", r"\["))
    console.print(about)
    for file in files:
        console.print(f"written    {file}", soft_wrap=True)
