"""Write a result as one HTML file that contains everything it shows."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, GAZE
from brainscore_itmaps.benchmark.estimate import EXPLAINED
from brainscore_itmaps.benchmark.formulas import note_on_controls, notes_of
from brainscore_itmaps.benchmark.result import ArrayResult, Result
from brainscore_itmaps.models.names import is_weight_file
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.reporting.citations import citations_of
from brainscore_itmaps.reporting.controls import controls_figure, tables_of_controls
from brainscore_itmaps.reporting.drawing import bounded_by_sites, name_of, units_of
from brainscore_itmaps.reporting.embedded import EmbeddedFigure, Images, embed_figure, maps_data
from brainscore_itmaps.reporting.maps import sheet_figure
from brainscore_itmaps.reporting.profiles import layer_profile_figure, site_histogram_figure
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import interval_text, number_text

TEMPLATES = "templates"
BESIDE = 4.5
"""Width of figures beside tables or maps, in inches: their columns are this wide in a window of 1280 pixels."""
PUNCTUATION = re.compile(r"([_./:,-])(?=\S)")


def report(result: Result, images: Sequence[Images]) -> str:
    """Write one result as an HTML page: numbers, a browser of images and maps, figures, the command and citations.

    The page loads nothing from the network, and without JavaScript only the browser is missing.

    Parameters
    ----------
    result : Result
    images : sequence of sequences of Path or None
        For each array, its images in the order of the maps; None where an image is not on this machine.

    Returns
    -------
    str
        HTML.
    """
    return render_page(
        "report.html",
        title=f"{name_of(result)} on {result.title}",
        simulated=result.simulated,
        experimental=result.experimental,
        score="not given" if np.isnan(result.score) else number_text(result.score),
        interval=interval_text(*result.interval),
        raw=number_text(result.raw),
        ceiling=number_text(result.ceiling),
        formula=f"Score: {result.formula}.",
        table=_table_of_arrays(result),
        notes=[note for note in notes_of(result) if note != result.experimental],
        verdict=note_on_controls(result),
        beside=tables_of_controls(result, name_of(result), result.measure),
        beside_figure=_figure_of_controls(result),
        arrays=[
            {
                "name": array.recording,
                "beside": tables_of_controls(array, name_of(result), result.measure)
                if len(result.arrays) > 1
                else None,
                "kind": "simulated" if array.simulated else "recorded",
                "units": units_of(array),
                "figures": _figures(result, array, paths),
            }
            for array, paths in zip(result.arrays, images, strict=True)
        ],
        command=command_of(result),
        details=list(_details(result)),
        citations=citations_of(
            (array.citation for array in result.arrays),
            [result.model],
            maps=not result.benchmark.startswith(GAZE[0]),
            version=result.versions.get("brainscore_itmaps"),
        ),
        data=maps_data(result.arrays, images),
        js=Markup(read_template("report.js")),
    )


def render_page(template: str, **values: Any) -> str:
    """Render the template of a page with these values and the style sheet."""
    environment = Environment(
        loader=PackageLoader("brainscore_itmaps.reporting", TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template(template).render(css=Markup(read_template("report.css")), **values) + "\n"


def _breakable(text: object) -> Markup:
    """Escape a name, and let lines break after its punctuation."""
    return Markup(PUNCTUATION.sub(r"\1<wbr>", str(escape(text))))  # of escaped text


def read_template(name: str) -> str:
    """Read a file of the folder of templates.

    Examples
    --------
    >>> read_template("page.html")[:15]
    '<!doctype html>'
    """
    return (files("brainscore_itmaps.reporting") / TEMPLATES / name).read_text(encoding="utf-8")


def _figures(result: Result, array: ArrayResult, images: Images) -> list[EmbeddedFigure]:
    stem = array.recording
    kind = "simulated" if array.simulated else "recorded"
    of_array = replace(result, arrays=(array,))
    bounded = bounded_by_sites(result)
    return [
        embed_figure(
            sheet_figure(result, array, images),
            f"Each image with its {kind} and its predicted map, averaged over sites",
            f"{stem}-maps.csv",
            _rows_of_maps(array),
            vector=False,
        ),
        embed_figure(
            layer_profile_figure(of_array, width=BESIDE),
            "Predictivity of each layer, with the noise ceiling",
            f"{stem}-layers.csv",
            [("layer", *array.images), *((layer.layer, *layer.image_r) for layer in array.layers)],
        ),
        embed_figure(
            site_histogram_figure(of_array, width=BESIDE),
            "Predictivity of the sites, averaged over images",
            f"{stem}-sites.csv",
            [
                ("image", "site", "site_r", "site_ceiling"),
                *(
                    (name, site, _cell(array.site_r[image, index]), _cell(array.site_ceiling[image, index], bounded))
                    for image, name in enumerate(array.images)
                    for index, site in enumerate(array.sites)
                ),
            ],
        ),
    ]


def _figure_of_controls(result: Result) -> EmbeddedFigure | None:
    if not result.controls:
        return None
    rows = result.control_rows()
    cells = [["" if value != value else value for value in row.values()] for row in rows]
    text = "The model and its controls, with 95 % intervals over images"
    figure = controls_figure(result, width=BESIDE)
    return embed_figure(figure, text, f"{result.benchmark}-controls.csv", [[*rows[0]], *cells])


def _cell(value: float, defined: bool = True) -> str:
    """Format a number for a CSV; an undefined one as an empty cell."""
    return repr(float(value)) if defined and np.isfinite(value) else ""


def _rows_of_maps(array: ArrayResult) -> Iterator[tuple[Any, ...]]:
    yield "image", "degrees_y", "degrees_x", "simulated" if array.simulated else "recorded", "predicted"
    neural, predicted = array.neural.mean(axis=-1), array.predicted.mean(axis=-1)
    for image, row, column in np.ndindex(neural.shape):
        index = (image, row, column)
        position = array.degrees_y[row], array.degrees_x[column]
        yield array.images[image], *position, f"{neural[index]:.6g}", f"{predicted[index]:.6g}"


def _table_of_arrays(result: Result) -> dict[str, Any]:
    scored: list[ArrayResult | Result] = list(result.arrays)
    names = [array.recording for array in result.arrays]
    if len(scored) > 1:
        scored, names = [*scored, result], [*names, "mean"]
    return {
        "header": ("array", "layer", "raw", "ceiling", "score", "95 % interval", "explained", "alignment"),
        "rows": [
            (
                name,
                each.layer if isinstance(each, ArrayResult) else "",
                *(number_text(value) for value in (each.raw, each.ceiling, each.score)),
                interval_text(*each.interval),
                *(number_text(value) for value in (each.explained, each.alignment)),
            )
            for name, each in zip(names, scored, strict=True)
        ],
    }


def command_of(result: Result) -> str:
    """Return the command that computes the result again; what the result does not contain is in capital letters."""
    request = result.request
    benchmark = request.benchmark or result.benchmark
    if benchmark not in CATALOGUE and not expanded(benchmark).is_dir():
        benchmark = "FOLDER-OF-THE-RECORDING"
    model, *others = options_of_model(result)[1:]
    words = ["brainscore", "score", "--model", model, "--benchmark", benchmark, *others]
    layers = list(dict.fromkeys(layer.layer for array in result.arrays for layer in array.layers))
    words += ["--layers", ",".join(layers)]
    words += ["--window", request.window_label] if request.window is not None else []
    words += ["--attribution", request.attribution] if request.attribution != "gradient" else []
    words += ["--interval", request.interval] if request.interval != "groups" else []
    words += [] if request.controls else ["--no-controls"]
    words += ["--random-seeds", str(request.random_seeds)] if request.random_seeds else []
    words += ["--protocol", result.protocol] if result.protocol != OURS.name else []
    return shlex.join(words)


def options_of_model(result: Result) -> list[str]:
    """Return the options of a command that name the model of a result and its weights.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.estimate import Estimate
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights("random", seed=3))
    >>> options_of_model(Result(request=ScoreRequest(), reading=reading, benchmark="V4", estimate=Estimate()))
    ['--model', 'resnet', '--weights', 'random', '--seed', '3']
    """
    request, weights = result.request, result.weights
    model = "FILE.py:FUNCTION" if request.model.weights.kind == "module" else request.model.name or result.model
    words = ["--model", model]
    words += ["--weights", "random", "--seed", str(weights.seed)] if weights.kind == "random" else []
    words += ["--weights", str(weights.path)] if request.model.weights.kind == "file" else []
    if is_weight_file(model):
        words += ["--arch", request.model.arch or "ARCHITECTURE"]
    words += ["--state-key", request.model.state_key] if request.model.state_key else []
    words += ["--name", request.model.label] if request.model.label else []
    return words


def details_of_model(result: Result) -> Iterator[tuple[str, str]]:
    """Yield names and texts of what identifies the model of a result: weights, their hash, ImageNet accuracy.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.estimate import Estimate
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights("random", seed=3))
    >>> list(details_of_model(Result(request=ScoreRequest(), reading=reading, benchmark="V4", estimate=Estimate())))
    [('model', 'resnet'), ('weights', 'random (seed 3)')]
    """
    yield "model", result.model
    yield "weights", str(result.weights)
    if result.weights_sha256:
        yield "sha256 of weights", result.weights_sha256
    if result.imagenet_top1 is not None:
        yield "ImageNet top-1", f"{result.imagenet_top1:.1f} % ({result.imagenet_top1_source})"


def _details(result: Result) -> Iterator[tuple[str, str]]:
    yield from details_of_model(result)
    yield "layer", result.layer
    yield "view", result.field_of_view
    yield "benchmark", f"{result.title}, version {result.benchmark_version}"
    for array in result.arrays:
        images, rows, columns, sites = array.lengths
        yield (
            array.recording,
            f"{images} images, {rows} x {columns} positions, {sites} sites, {array.window[0]}-{array.window[1]} ms; "
            f"sha256 {array.recording_sha256}",
        )
    yield "ceiling", "; ".join(dict.fromkeys(array.ceiling_kind for array in result.arrays if array.ceiling_kind))
    if result.estimate.about_interval:
        yield "interval", result.estimate.about_interval
    yield "explained", EXPLAINED
    yield "device", result.device
    yield "versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield "written", result.written
