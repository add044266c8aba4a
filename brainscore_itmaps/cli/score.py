"""`brainscore score`: one network on one benchmark."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, HUMAN_ALIGNMENT
from brainscore_itmaps.bridge.names import is_elsewhere, refuse_unknown, window_asked
from brainscore_itmaps.cli.report import write_report
from brainscore_itmaps.cli.score_human import score_human
from brainscore_itmaps.cli.score_print import print_elsewhere, print_result, write_and_print
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
    reference_compat: Annotated[
        bool, typer.Option("--reference-compat", help="Make the choices of the published code, for comparison.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the JSON, CSV and NPZ files.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute anew what was computed before.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing.")] = False,
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
    elsewhere = is_elsewhere(benchmark)
    chosen = layers if layers in (None, "all") else [name.strip() for name in str(layers).split(",") if name.strip()]
    refuse_unknown(model, benchmark, weights, elsewhere, arch)
    if seed is not None and weights != "random":
        raise UsageError("--seed is the seed of random weights.", "Add --weights random, or leave --seed out.")
    if figure is not None and figure.suffix.lower() not in DRAWABLE:
        raise UsageError(f"Cannot draw a {figure.suffix or 'file without ending'}.", f"Use {' or '.join(DRAWABLE)}.")
    if figure is not None and (spec := CATALOGUE.get(benchmark)) is not None and spec.view == "screen":
        raise UsageError("--figure draws whole pictures, of which this shows a part.", "Leave out --figure.")
    folder = (out or Settings.from_environment().home / "results").expanduser()
    figure = figure.expanduser() if figure is not None else None
    refuse_unwritable(folder / "result.json", WHERE_RESULTS_GO)
    if figure is not None:
        refuse_unwritable(figure)
    if offline:
        os.environ |= {"ITMAPS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    if benchmark == HUMAN_ALIGNMENT:
        if chosen is not None or window is not None or figure is not None or report:
            raise UsageError(
                f"{HUMAN_ALIGNMENT} has no layers or windows, and no page yet.",
                "Leave out --layers, --window, --figure and --report.",
            )
        score_human(
            model,
            folder,
            weights=weights,
            seed=seed or 0,
            arch=arch,
            device=device,
            batch_size=batch_size,
            attribution=attribution,
            reference_compat=reference_compat,
            as_json=as_json,
            quiet=quiet,
        )
        return
    if elsewhere:
        if chosen is not None or window is not None or figure is not None or reference_compat or report:
            raise UsageError(
                f"{benchmark} is a benchmark of Brain-Score's own: it reads the layers and windows that it wants.",
                "Leave out --layers, --window, --figure, --report and --reference-compat.",
            )
        score_on_theirs(model, benchmark, weights, seed or 0, arch, folder, as_json, quiet)
        return

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
            reference_compat=reference_compat,
            fresh=fresh,
            progress=progress,
        )
    files: list[Path] = []
    try:
        files += result.save(folder, WHERE_RESULTS_GO)
        if figure is not None:
            files.append(draw(result, benchmark, figure))
        if report:
            files.append(write_report([result], files[0].with_suffix(".html"), benchmark))
    finally:  # a full disk costs the files, not the number
        if quiet:
            say(str(result.score))
        elif as_json:
            print_json(result.to_dict())
        else:
            print_result(result)
            for file in files:
                say(f"written    {file}")


def score_on_theirs(
    model: str,
    benchmark: str,
    weights: str,
    seed: int,
    arch: str | None,
    folder: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score on a benchmark of Brain-Score's own, and write what it says of itself."""
    with progress_bar(shown=not quiet) as progress:
        progress("scoring through Brain-Score", 0, 1)
        from brainscore_itmaps.bridge.elsewhere import described
        from brainscore_itmaps.bridge.score import score_elsewhere

        told = described(score_elsewhere(model, benchmark, weights, seed, arch), model, benchmark)
    stem = re.sub(r"[^\w.-]+", "-", f"{model}--{benchmark}")
    file = folder / f"{stem}.json"
    write_and_print(told, file, print_elsewhere, as_json=as_json, quiet=quiet, fix=WHERE_RESULTS_GO)


def draw(result: "Result", benchmark: str, file: Path) -> Path:
    """Draw pictures with their maps."""
    from brainscore_itmaps.bridge.score import recordings_of
    from brainscore_itmaps.reporting.maps import maps_figure

    with replacing(file) as beside:
        maps_figure(result, recordings_of(benchmark)[0].images).savefig(beside, dpi=150)
    return file
