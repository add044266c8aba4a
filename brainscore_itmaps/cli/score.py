"""`brainscore score`: score one model on one benchmark."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, WHY_EXPERIMENTAL, WITHOUT_REGRESSION, is_adversarial
from brainscore_itmaps.bridge.names import check_names, has_maps, requested_window
from brainscore_itmaps.cli.completion import complete_benchmarks, complete_models
from brainscore_itmaps.cli.options import (
    Architecture,
    BatchSize,
    Device,
    ModelLabel,
    Offline,
    OldSpelling,
    ProtocolName,
    Seed,
    StateKey,
    requested_protocol,
)
from brainscore_itmaps.cli.report import write_report
from brainscore_itmaps.cli.result_tables import print_result
from brainscore_itmaps.cli.results import say_next_of
from brainscore_itmaps.cli.terminal import print_json, progress_bar, say, say_next
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import check_writable, replacing
from brainscore_itmaps.settings import Settings, expanded
from brainscore_itmaps.text import ABSENT

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.result import Result

DRAWABLE = (".png", ".svg", ".pdf")
CHANGE_FOLDER = "Name another folder with --out, or set ITMAPS_HOME."


def score(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            "--model_identifier",
            "--model-identifier",
            autocompletion=complete_models,
            help="Score this model: a name from `brainscore models list`, timm:NAME, torchvision:NAME or "
            "hf:ORGANISATION/NAME for any model of these libraries, a model identifier of Brain-Score, a checkpoint "
            "file with --arch, a folder written by `brainscore harmonize`, or my_file.py:function.",
        ),
    ],
    benchmark: Annotated[
        str,
        typer.Option(
            "--benchmark",
            "-b",
            "--benchmark_identifier",
            "--benchmark-identifier",
            autocompletion=complete_benchmarks,
            help="Score on this benchmark: the name of a benchmark of this package or of Brain-Score, or a folder of "
            "your own with a recording, or with images and human maps; adversarial:FOLDER attacks the images of a "
            "folder, see `brainscore attack`. Benchmarks with attribution in their names are "
            "EXPERIMENTAL: see --attribution.",
        ),
    ] = "it_maps_simulated",
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            "--layer",
            help="Read this layer, several layers separated by commas, or all layers (all). From several, the "
            "layer for each image is chosen on the other images. Write layers.3[0] for an element of a tuple, and "
            "IT.output@2 or IT.output@last for a call of a module that runs repeatedly. The default is the layer "
            "committed to IT.",
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            help="Average the responses over this window: milliseconds after stimulus onset, such as 130-170, or a "
            "name, such as tutorial. The default is the window of the benchmark."
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="Use pretrained weights, random weights, or the weights in this file: safetensors, a torch "
            "checkpoint, or the Keras .h5 file of a harmonized model. The result says so if they are random."
        ),
    ] = "pretrained",
    arch: Architecture = None,
    state_key: StateKey = None,
    name: ModelLabel = None,
    seed: Seed = None,
    batch_size: BatchSize = 14,
    device: Device = "auto",
    attribution: Annotated[
        Literal["gradient", "integrated_gradients", "smoothgrad"],
        typer.Option(
            help="Use this attribution method in benchmarks of attribution and human alignment. All methods except "
            f"gradient require captum. Benchmarks of attribution are {WHY_EXPERIMENTAL}."
        ),
    ] = "gradient",
    interval: Annotated[
        Literal["groups", "images", "fixed"],
        typer.Option(
            help="Compute the 95 % interval by fitting the regressions again without each of 7 groups of images, or "
            "without each image (several times slower), or from fixed predictions (too narrow)."
        ),
    ] = "groups",
    random_seeds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also score the model's architecture with random weights, with this many seeds, as a control.",
        ),
    ] = 0,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls/--no-controls",
            help="Also compute the scores of controls, such as luminance contrast and the mean map of the training "
            "images, what the model adds to them, and the null distribution of the raw value.",
        ),
    ] = True,
    protocol: ProtocolName = "ours",
    reference_compat: OldSpelling = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the JSON, CSV and NPZ files into this folder. The default is ITMAPS_HOME/results. A result of "
            "the same name is overwritten."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute everything again, and overwrite the values in the cache.")
    ] = False,
    offline: Offline = False,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Draw the images with their maps into this file (png, svg or pdf). By default no figure is drawn."
        ),
    ] = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Write an HTML page for browsing the maps into the folder of the result."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the score.")] = False,
) -> None:
    """Score a model on a benchmark: print a table, and write JSON, CSV and NPZ files.

    An interrupted run resumes when the same command is run again.
    """
    requested_layers = (
        layers if layers in (None, "all") else [name.strip() for name in str(layers).split(",") if name.strip()]
    )
    if requested_layers == []:
        raise UsageError("--layers is empty.", "Name layers, for example --layers blocks.3, or use --layers all.")
    check_names(model, benchmark, weights, arch, state_key, name)
    protocol_name = requested_protocol(protocol, reference_compat)
    if seed is not None and weights != "random":
        raise UsageError("--seed requires random weights.", "Add --weights random, or leave out --seed.")
    _check_map_options(benchmark, requested_layers is not None or window is not None, figure, report)
    folder = expanded(out or Settings.from_environment().home / "results")
    figure = expanded(figure) if figure is not None else None
    check_writable(folder / "result.json", CHANGE_FOLDER)
    if figure is not None:
        check_writable(figure)

    with progress_bar(visible=not quiet) as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.bridge.score import score as score_in_python

        result = score_in_python(
            model,
            benchmark,
            requested_layers,
            window=requested_window(window),
            weights=weights,
            seed=seed or 0,
            arch=arch,
            state_key=state_key,
            name=name,
            batch_size=batch_size,
            device=device,
            attribution=attribution,
            protocol=protocol_name,
            interval=interval,
            random_seeds=random_seeds,
            controls=controls,
            fresh=fresh,
            progress=progress,
        )
    files: list[Path] = []
    try:
        files += result.save(folder, CHANGE_FOLDER)
        if figure is not None:
            files.append(draw(result, benchmark, figure))
        if report:
            files.append(write_report(result, files[0].with_suffix(".html"), benchmark))
    finally:  # the score is printed even if the files cannot be written
        if quiet:
            say(ABSENT if result.score != result.score else str(result.score))
        elif as_json:
            print_json(result.to_dict())
        else:
            print_result(result)
            for file in files:
                say(f"written    {file}")
            if files:
                _say_next(result, files[0], report)


def _say_next(result: "Result", file: Path, has_page: bool) -> None:
    """Print the next command: the page of the result or, if there is one, a comparison with the results beside it."""
    if has_page:
        say_next("compare", file.parent, "--out", "comparison")
    else:
        say_next_of(result, file)


def _check_map_options(benchmark: str, layers_or_window: bool, figure: Path | None, report: bool) -> None:
    """Check that options for maps are used with a benchmark that has maps, and that the figure can be written."""
    spec = CATALOGUE.get(benchmark)
    if is_adversarial(benchmark) and not layers_or_window and figure is None:
        return  # its page shows attacked images
    if (layers_or_window or figure is not None or report) and not has_maps(benchmark):
        raise UsageError(
            f"{benchmark} has no layers or windows to choose, and no maps to draw.",
            "Leave out --layers, --window, --figure and --report.",
        )
    if (figure is not None or report) and spec is not None and spec.measure in WITHOUT_REGRESSION:
        raise UsageError(
            f"{benchmark} compares features with maps directly: it has no predicted maps to draw.",
            "Leave out --figure and --report.",
        )
    if figure is not None and figure.suffix.lower() not in DRAWABLE:
        raise UsageError(f"A figure cannot be written to {figure}.", f"Use {' or '.join(DRAWABLE)}.")
    if figure is not None and spec is not None and spec.view == "screen":
        raise UsageError(
            "--figure draws whole images, but this benchmark shows only a part of each image.", "Leave out --figure."
        )


def draw(result: "Result", benchmark: str, file: Path) -> Path:
    """Draw the images of the first array with their maps into a file, and return its path."""
    from brainscore_itmaps.benchmark.maps import maps_benchmark
    from brainscore_itmaps.reporting.maps import maps_figure

    with replacing(file) as partial_file:
        scored = maps_benchmark(benchmark).scored(result.request)
        maps_figure(result, next(iter(scored.values())).images).savefig(partial_file, dpi=150)
    return file
