"""`brainscore score`: one network on one benchmark."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.bridge.names import has_maps, refuse_unknown, window_asked
from brainscore_itmaps.cli.fetch_options import Offline
from brainscore_itmaps.cli.protocol_options import OldSpelling, ProtocolName, protocol_asked
from brainscore_itmaps.cli.report import write_report
from brainscore_itmaps.cli.score_print import print_result
from brainscore_itmaps.cli.terminal import print_json, progress_bar, say
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
            "--model",
            "-m",
            "--model_identifier",
            "--model-identifier",
            help="A name of `brainscore models list`, timm:<any timm name>, a model identifier of Brain-Score's, "
            "a file of weights with --arch, or my_file.py:function.",
        ),
    ],
    benchmark: Annotated[
        str,
        typer.Option(
            "--benchmark",
            "-b",
            "--benchmark_identifier",
            "--benchmark-identifier",
            help="Name of a benchmark (ours or Brain-Score's), or a folder with a recording of your own.",
        ),
    ] = "it_maps_simulated",
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            "--layer",
            help="Layer to read, by default the one committed to IT; several with commas between them, or all: then "
            "one is chosen for every picture on the other pictures.",
        ),
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Milliseconds after onset, as 130-170, or a window's name, as tutorial.")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="pretrained; random, which the result says; or a file: safetensors, a torch state_dict, or for a "
            "harmonized network its Keras .h5 file."
        ),
    ] = "pretrained",
    arch: Annotated[
        str | None, typer.Option(help="Architecture of a file of weights: a name of timm's, or of ours.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of random weights; 0 by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures shown at once.")] = 14,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.")] = "auto",
    attribution: Annotated[
        Literal["gradient", "integrated_gradients", "smoothgrad"],
        typer.Option(help="For benchmarks of attribution and human alignment; all but the first need captum."),
    ] = "gradient",
    protocol: ProtocolName = "ours",
    reference_compat: OldSpelling = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the JSON, CSV and NPZ files.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute anew what was computed before.")] = False,
    offline: Offline = False,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw pictures with their maps into this file (png, svg or pdf).")
    ] = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Also write a page with the maps to browse, an HTML file beside the others."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the score alone.")] = False,
) -> None:
    """Score a network: as a table, a JSON, a CSV and an NPZ file. What is interrupted goes on when it is run again."""
    chosen = layers if layers in (None, "all") else [name.strip() for name in str(layers).split(",") if name.strip()]
    if chosen == []:
        raise UsageError("--layers names none.", "For example --layers blocks.3, or --layers all.")
    refuse_unknown(model, benchmark, weights, arch)
    chosen_protocol = protocol_asked(protocol, reference_compat)
    if seed is not None and weights != "random":
        raise UsageError("--seed is the seed of random weights.", "Add --weights random, or leave --seed out.")
    _check_maps_asked(benchmark, chosen is not None or window is not None, figure, report)
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
            chosen,
            window=window_asked(window),
            weights=weights,
            seed=seed or 0,
            arch=arch,
            batch_size=batch_size,
            device=device,
            attribution=attribution,
            protocol=chosen_protocol,
            fresh=fresh,
            progress=progress,
        )
    files: list[Path] = []
    try:
        files += result.save(folder, WHERE_RESULTS_GO)
        if figure is not None:
            files.append(draw(result, benchmark, figure))
        if report:
            files.append(write_report(result, files[0].with_suffix(".html"), benchmark))
    finally:  # a full disk costs the files, not the number
        if quiet:
            say(str(result.score))
        elif as_json:
            print_json(result.to_dict())
        else:
            print_result(result)
            for file in files:
                say(f"written    {file}")


def _check_maps_asked(benchmark: str, part: bool, figure: Path | None, report: bool) -> None:
    """Refuse layers, a window, a figure or a page of what has no maps, and a figure of another kind of file."""
    spec = CATALOGUE.get(benchmark)
    if (part or figure is not None or report) and not has_maps(benchmark):
        raise UsageError(
            f"{benchmark} has no layers or windows to choose, and no maps to draw.",
            "Leave out --layers, --window, --figure and --report.",
        )
    if figure is not None and figure.suffix.lower() not in DRAWABLE:
        raise UsageError(f"Cannot draw a {figure.suffix or 'file without ending'}.", f"Use {' or '.join(DRAWABLE)}.")
    if figure is not None and spec is not None and spec.view == "screen":
        raise UsageError("--figure draws whole pictures, of which this shows a part.", "Leave out --figure.")


def draw(result: "Result", benchmark: str, file: Path) -> Path:
    """Draw pictures with their maps."""
    from brainscore_itmaps.benchmark.maps import maps_benchmark
    from brainscore_itmaps.reporting.maps import maps_figure

    with replacing(file) as beside:
        maps_figure(result, maps_benchmark(benchmark).recordings(result.request)[0].images).savefig(beside, dpi=150)
    return file
