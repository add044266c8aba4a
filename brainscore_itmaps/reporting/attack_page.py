"""Write a result of attacks as one HTML file: numbers, controls, how many images withstand which length, and images."""

import io
import shlex
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.benchmark.catalogue import MOST_IMAGES, attacked_folder
from brainscore_itmaps.benchmark.formulas import notes_of
from brainscore_itmaps.benchmark.result import AttackedImages, Result
from brainscore_itmaps.errors import UsageError, check_type
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.reporting.citations import citations_of
from brainscore_itmaps.reporting.controls import describe_control
from brainscore_itmaps.reporting.drawing import (
    CYCLE,
    MAP_COLOURS,
    SIMULATED,
    WIDTH,
    Figure,
    check_width,
    fit_height,
    legend_below,
    name_of,
    style,
    write_title,
)
from brainscore_itmaps.reporting.embedded import QUALITY, EmbeddedFigure, data_url, embed_figure
from brainscore_itmaps.reporting.report import details_of_model, options_of_model, render_page
from brainscore_itmaps.text import interval_text, number_text

CLICKME = "ClickMe"
"""What stands for ClickMe's held-out images in place of a folder."""
SIDE = 224
"""Side of an image on the page, in pixels."""
LENGTHS = {
    "tolerance": "perturbation tolerance: median length (L2) of the smallest perturbation that was found",
    "tolerance_mean": "mean length over the images that were fooled",
    "tolerance_8_bit": "median length after enlarging until it fools in 8 bits",
}
ALIGNMENTS = {
    "own_map": "rho with the human map of the image",
    "other_map": "rho with the human map of another image",
    "partial": "partial rho given another image's map and nearness to the centre",
    "partial_with_gradient": "partial rho given noise and the model's own gradient, too",
    "partial_with_random": "partial rho given the perturbations with random weights, too",
}


def attack_page(result: Result) -> str:
    """Write a result of attacks as an HTML page that loads nothing from the network.

    Parameters
    ----------
    result : Result
        Of a benchmark that attacks images.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    UsageError
        When no images were attacked.
    """
    attacked = _attacked(result)
    details = result.details
    return render_page(
        "attack.html",
        title=f"{name_of(result)} under attack, {result.benchmark}",
        simulated=result.simulated or any("SIMULATED" in note for note in result.notes),
        measure=result.measure,
        raw=number_text(result.raw),
        interval=interval_text(*_interval_of_raw(result)),
        reason=result.estimate.reason,
        formula=result.formula.removeprefix("none; "),
        lengths={"header": ("length", "", "95 % interval"), "rows": list(_rows(LENGTHS, details))},
        alignments={"header": ("alignment", "", "95 % interval"), "rows": list(_rows(ALIGNMENTS, details))},
        controls={"header": ("model and controls", "raw", "95 % interval", "rho with own map"),
                  "rows": list(_rows_of_controls(result))},
        notes=[note for note in notes_of(result) if not note.startswith("No score of ")],  # the header says why
        figure=_embedded_curve(result),
        images=[_row_of_image(attacked, number) for number in range(len(attacked.images))],
        with_maps=bool(attacked.heatmaps.size),
        count=len(attacked.names),
        command=command_of_attack(result),
        details=list(_details(result)),
        citations=citations_of(
            result.citations, [result.model], version=result.versions.get("brainscore_itmaps")
        ),
    )  # fmt: skip


def robustness_figure(result: Result, *, width: float = WIDTH) -> Figure:
    """Draw the share of correctly classified images that withstand perturbations up to each length.

    Parameters
    ----------
    result : Result
        Of a benchmark that attacks images.
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Raises
    ------
    UsageError
        When no images were attacked.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> from brainscore_itmaps import AttackRequest, score
    >>> few = AttackRequest(steps=2)
    >>> with TemporaryDirectory() as folder:
    ...     Image.linear_gradient("L").convert("RGB").save(f"{folder}/grey.png")
    ...     result = score("timm:test_resnet", f"adversarial:{folder}", weights="random", attack=few, controls=False)
    >>> robustness_figure(result, width=3.5).axes[0].get_ylabel()
    'images that withstand, %'
    """
    width, height = check_width(width), 2.2
    check_type(result, Result, "a result", "Give a result of itmaps.attack.")
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        axis = figure.subplots()
        for number, (label, curve) in enumerate(_curves(_attacked(result)).items()):
            axis.step(curve[0], 100 * curve[1], where="post", color=CYCLE[number], label=label,
                      linestyle=("-", "--")[number])  # fmt: skip
        axis.set_xlabel("length of the perturbation (L2, pixels from 0 to 1)")
        axis.set_ylabel("images that withstand, %")
        axis.set_ylim(0, 102)
        axis.set_xlim(left=0)
        legend_below(figure, [axis])
        write_title(figure, [name_of(result), result.benchmark, *([SIMULATED] if result.simulated else [])])
        fit_height(figure, height)
    return figure


def _attacked(result: Result) -> AttackedImages:
    if result.attacked is None:
        raise UsageError(
            f"{result.benchmark} attacks no images.", "Score the model on ClickMe.adversarial or adversarial:FOLDER."
        )
    return result.attacked


def _curves(attacked: AttackedImages) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Compute the share of images that withstand each length, with float and with 8-bit pixels."""
    correct, curves = attacked.correct.astype(bool), {}
    for label, norms in (("smallest perturbation", attacked.norms), ("in 8 bits", attacked.norms_8_bit)):
        of_correct = norms[correct]
        lengths = np.sort(of_correct[np.isfinite(of_correct)])
        share = 1 - np.arange(len(lengths) + 1) / max(len(of_correct), 1)
        curves[label] = np.append(0, lengths), share
    return curves


def _interval_of_raw(result: Result) -> tuple[float, float]:
    published = result.protocol != OURS.name
    name = "raw" if "raw_low" in result.details else "tolerance_mean" if published else "tolerance"
    return result.details.get(f"{name}_low", np.nan), result.details.get(f"{name}_high", np.nan)


def _embedded_curve(result: Result) -> EmbeddedFigure:
    rows: list[tuple[Any, ...]] = [("pixels", "length", "share_that_withstands")]
    for label, (lengths, shares) in _curves(_attacked(result)).items():
        rows += [(label, length, share) for length, share in zip(lengths, shares, strict=True)]
    text = "Share of the correctly classified images that withstand perturbations up to each length"
    return embed_figure(robustness_figure(result), text, f"{result.file_stem}-withstand.csv", rows)


def _rows(texts: dict[str, str], details: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, text in texts.items():
        if (value := details.get(name)) is not None and value == value:
            ends = details.get(f"{name}_low"), details.get(f"{name}_high")
            interval = "" if None in ends else interval_text(*ends)  # type: ignore[arg-type]
            yield text, number_text(value), interval


def _rows_of_controls(result: Result) -> Iterator[tuple[str, str, str, str]]:
    details = result.details
    if not result.controls:
        return
    for name, raw in {"raw": result.raw, **{name: control.raw for name, control in result.controls.items()}}.items():
        interval = interval_text(details.get(f"{name}_low", np.nan), details.get(f"{name}_high", np.nan))
        own = details.get("own_map" if name == "raw" else f"own_map_{name}", np.nan)
        yield name_of(result) if name == "raw" else describe_control(name), number_text(raw), interval, number_text(own)
    yield describe_control("other_image"), "", "", number_text(details.get("own_map_other_image", np.nan))


def _row_of_image(attacked: AttackedImages, number: int) -> dict[str, Any]:
    """Collect the pictures and numbers of one image."""
    image, adversarial = attacked.images[number], attacked.adversarial[number]
    size = np.abs(adversarial - image).max(axis=2)
    pictures = [("image", _picture(image))]
    if attacked.heatmaps.size:
        pictures.append(("human map", _picture(_coloured(attacked.heatmaps[number]))))
    pictures.append((f"perturbation, up to {size.max():.2g}", _picture(_coloured(size))))
    pictures.append(("attacked image", _picture(adversarial)))
    norm = attacked.norms[number]
    if not attacked.correct[number]:
        said = f"classified wrongly without an attack, as {attacked.decided[number]}"
    elif np.isnan(norm):
        said = "not fooled"
    else:
        said = f"length {norm:.3f}; in 8 bits {number_text(attacked.norms_8_bit[number])}; from class "
        said += f"{attacked.labels[number]} to {attacked.decided[number]}"
        if np.isfinite(attacked.own_map[number]):
            said += f"; rho with its map {attacked.own_map[number]:.3f}, with another {attacked.other_map[number]:.3f}"
    return {"name": attacked.names[number], "said": said, "pictures": pictures}


def _coloured(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Colour a map from its smallest to its largest value."""
    low, high = float(values.min()), float(values.max())
    colours: NDArray[np.float64] = mpl.colormaps[MAP_COLOURS]((values - low) / max(high - low, 1e-12))[..., :3]
    return colours


def _picture(pixels: NDArray[np.floating[Any]]) -> str:
    image = Image.fromarray((255 * np.clip(pixels, 0, 1)).round().astype(np.uint8)).resize((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return data_url(buffer.getvalue(), "image/jpeg")


def command_of_attack(result: Result) -> str:
    """Return the command that computes the result again; what the result does not contain is in capital letters."""
    request, asked = result.request, result.request.attack
    folder = attacked_folder(request.benchmark or result.benchmark)
    words = ["brainscore", "attack", *options_of_model(result), "--images", CLICKME if folder is None else folder]
    words += ["--steps", str(asked.steps)] if asked.steps is not None else []
    words += ["--restarts", str(asked.restarts)] if asked.restarts else []
    words += ["--decision", asked.decision] if asked.decision else []
    words += ["--most", str(asked.most)] if asked.most != MOST_IMAGES else []
    words += ["--random-seeds", str(request.random_seeds)] if request.random_seeds else []
    words += [] if request.controls else ["--no-controls"]
    words += ["--protocol", result.protocol] if result.protocol != OURS.name else []
    return shlex.join(words)


def _details(result: Result) -> Iterator[tuple[str, str]]:
    yield from details_of_model(result)
    yield "benchmark", f"{result.benchmark}, version {result.benchmark_version}"
    for name in ("images", "wrongly_classified", "not_fooled", "noise_fools", "decision", "steps", "restarts"):
        yield name.replace("_", " "), str(result.details.get(name, ""))
    yield "interval", "bootstrap over images"
    yield "view", result.field_of_view
    yield "device", result.device
    yield "versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield "written", result.written
