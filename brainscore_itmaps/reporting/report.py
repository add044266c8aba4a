"""Write a result as one HTML file that needs no other file."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.result import EXPLAINED, ArrayResult, Result
from brainscore_itmaps.models.names import WEIGHT_SUFFIXES
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.reporting.drawing import bounded_by_sites, name_of
from brainscore_itmaps.reporting.embedded import Drawn, Images, drawn, maps_data
from brainscore_itmaps.reporting.maps import UNITS, sheet_figure
from brainscore_itmaps.reporting.profiles import layer_profile_figure, site_histogram_figure

TEMPLATES = "templates"


def report(result: Result, images: Sequence[Images]) -> str:
    """Write one result as a page: numbers, a browser of images and maps, figures, how to run it again, citations.

    Nothing is fetched when it is opened, and all but the browser is there without JavaScript.

    Parameters
    ----------
    result : Result
    images : sequence of sequences of Path or None
        Of each array, in the order of its maps; None where an image is not at hand.

    Returns
    -------
    str
        HTML.
    """
    return filled(
        "report.html",
        title=f"{name_of(result)} on {result.benchmark}",
        simulated=result.simulated,
        score=f"{result.score:.3f}",
        interval=_between(result.interval),
        formula=f"Score: {result.formula}.",
        table=_table_of_arrays(result),
        notes=result.notes,
        arrays=[
            {
                "name": array.recording,
                "kind": "simulated" if array.simulated else "recorded",
                "figures": _figures(result, array, own),
            }
            for array, own in zip(result.arrays, images, strict=True)
        ],
        units=UNITS,
        command=command_of(result),
        run=list(_run(result)),
        citations=list(dict.fromkeys(array.citation for array in result.arrays)),
        data=maps_data(result.arrays, images, UNITS),
        js=Markup(text_of("report.js")),
    )


def filled(template: str, **given: Any) -> str:
    """Fill a page's template, with our style sheet."""
    environment = Environment(
        loader=PackageLoader("brainscore_itmaps.reporting", TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(template).render(css=Markup(text_of("report.css")), **given) + "\n"


def text_of(name: str) -> str:
    """Read a file among the templates."""
    return (files("brainscore_itmaps.reporting") / TEMPLATES / name).read_text(encoding="utf-8")


def _figures(result: Result, array: ArrayResult, images: Images) -> list[Drawn]:
    stem = array.recording
    kind = "simulated" if array.simulated else "recorded"
    one = replace(result, arrays=(array,))
    bounded = bounded_by_sites(result)
    return [
        drawn(
            sheet_figure(result, array, images),
            f"Every image with its {kind} and its predicted map, averaged over sites",
            f"{stem}-maps.csv",
            _rows_of_maps(array),
            vector=False,
        ),
        drawn(
            layer_profile_figure(one),
            "Each layer that was tried, with the noise ceiling",
            f"{stem}-layers.csv",
            [("layer", *array.images), *((layer.layer, *layer.image_r) for layer in array.layers)],
        ),
        drawn(
            site_histogram_figure(one),
            "How well each site is predicted, averaged over images",
            f"{stem}-sites.csv",
            [
                ("image", "site", "site_r", "site_ceiling"),
                *(
                    (name, site, _cell(array.site_r[image, place]), _cell(array.site_ceiling[image, place], bounded))
                    for image, name in enumerate(array.images)
                    for place, site in enumerate(array.sites)
                ),
            ],
        ),
    ]


def _cell(value: float, known: bool = True) -> str:
    """Format a number for a CSV; an undefined one as an empty cell."""
    return repr(float(value)) if known and np.isfinite(value) else ""


def _rows_of_maps(array: ArrayResult) -> Iterator[tuple[Any, ...]]:
    yield "image", "degrees_y", "degrees_x", "simulated" if array.simulated else "recorded", "predicted"
    neural, predicted = array.neural.mean(axis=-1), array.predicted.mean(axis=-1)
    for image, row, column in np.ndindex(neural.shape):
        place = (image, row, column)
        position = array.degrees_y[row], array.degrees_x[column]
        yield array.images[image], *position, f"{neural[place]:.6g}", f"{predicted[place]:.6g}"


def _table_of_arrays(result: Result) -> dict[str, Any]:
    shown: list[ArrayResult | Result] = list(result.arrays)
    names = [array.recording for array in result.arrays]
    if len(shown) > 1:
        shown, names = [*shown, result], [*names, "mean"]
    return {
        "header": ("array", "layer", "raw", "ceiling", "score", "95 % interval", "explained", "alignment"),
        "rows": [
            (
                name,
                told.layer if isinstance(told, ArrayResult) else "",
                *(f"{value:.3f}" for value in (told.raw, told.ceiling, told.score)),
                _between(told.interval),
                *(f"{value:.3f}" for value in (told.explained, told.alignment)),
            )
            for name, told in zip(names, shown, strict=True)
        ],
    }


def _between(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}"


def command_of(result: Result) -> str:
    """Return the command that scores this again, as far as the result contains it."""
    request, weights = result.request, result.weights
    model, benchmark = request.model.name or result.model, request.benchmark or result.benchmark
    if request.model.weights.kind == "module":
        model = "FILE.py:FUNCTION"
    if benchmark not in CATALOGUE and not Path(benchmark).expanduser().is_dir():
        benchmark = "FOLDER-OF-THE-RECORDING"
    words = ["brainscore", "score", "--model", model, "--benchmark", benchmark]
    words += ["--weights", "random", "--seed", str(weights.seed)] if weights.kind == "random" else []
    words += ["--weights", str(weights.path)] if request.model.weights.kind == "file" else []
    if Path(model).suffix in WEIGHT_SUFFIXES:
        words += ["--arch", request.model.arch or "ARCHITECTURE"]
    layers = list(dict.fromkeys(layer.layer for array in result.arrays for layer in array.layers))
    words += ["--layers", ",".join(layers)]
    words += ["--window", request.window_label] if request.window is not None else []
    words += ["--attribution", request.attribution] if request.attribution != "gradient" else []
    words += ["--protocol", result.protocol] if result.protocol != OURS.name else []
    return shlex.join(words)


def _run(result: Result) -> Iterator[tuple[str, str]]:
    yield "model", result.model
    yield "weights", str(result.weights)
    if result.weights_sha256:
        yield "sha256 of weights", result.weights_sha256
    if result.imagenet_top1 is not None:
        yield "ImageNet top-1", f"{result.imagenet_top1:.1f} % ({result.imagenet_top1_source})"
    yield "layer", result.layer
    yield "view", result.field_of_view
    yield "benchmark", f"{result.benchmark}, version {result.benchmark_version}"
    for array in result.arrays:
        images, rows, columns, sites = array.neural.shape
        yield (
            array.recording,
            f"{images} images, {rows} x {columns} positions, {sites} sites, {array.window[0]}-{array.window[1]} ms; "
            f"sha256 {array.recording_sha256}",
        )
    yield "ceiling", "; ".join(dict.fromkeys(array.ceiling_kind for array in result.arrays))
    yield "interval", f"bootstrap over images, seed {result.request.seed}"
    yield "explained", EXPLAINED
    yield "device", result.device
    yield "versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield "written", result.written
