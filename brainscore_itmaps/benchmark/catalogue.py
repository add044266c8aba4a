"""The catalogue of benchmarks: the recordings, measure, regression and view of each."""

from dataclasses import dataclass, replace
from typing import Literal

Measure = Literal["predictivity", "alignment", "attribution", "rsa", "cka"]
View = Literal["whole", "screen", "fixation"]


@dataclass(frozen=True)
class BenchmarkSpec:
    """One benchmark of the catalogue.

    Attributes
    ----------
    identifier : str
        Name for ``--benchmark`` and for Brain-Score.
    recordings : tuple of str
        Names for :func:`brainscore_itmaps.load_recording`; the score is the mean over them.
    measure : "predictivity", "alignment", "attribution", "rsa" or "cka"
        What is compared with the recording: the map of each site; the map averaged over sites; with the map averaged
        over sites, the attribution map of the prediction; or, without a regression, the similarity of positions.
        Attribution is :data:`EXPERIMENTAL`.
    method : str
        Regression of :func:`brainscore_itmaps.predict_left_out`; empty for measures without a regression.
    view : "whole", "screen" or "fixation"
        Each image fills the model's field of view; or it is placed there at its size in degrees, and positions outside
        the field of view are not scored; or every position is shown in turn at the centre of the field of view.
    version : int
        Increased whenever scores change.
    citation : str
        BibTeX entry.
    parent : str
        What Brain-Score lists the benchmark under.
    transfer : bool
        Whether the regression is fitted to one array and predicts another
        (:class:`~brainscore_itmaps.benchmark.transfer.TransferBenchmark`).
    """

    identifier: str
    recordings: tuple[str, ...]
    measure: Measure = "predictivity"
    method: str = "pls"
    view: View = "whole"
    version: int = 2
    citation: str = ""
    parent: str = "IT"
    transfer: bool = False


ARCARO_2020 = """@article{arcaro2020neurons,
  title={The neurons that mistook a hat for a face},
  author={Arcaro, Michael J and Ponce, Carlos and Livingstone, Margaret},
  journal={eLife},
  volume={9},
  pages={e53798},
  year={2020},
  url={https://doi.org/10.7554/eLife.53798}
}"""

XU_2014 = """@article{xu2014predicting,
  title={Predicting human gaze beyond pixels},
  author={Xu, Juan and Jiang, Ming and Wang, Shuo and Kankanhalli, Mohan S and Zhao, Qi},
  journal={Journal of Vision},
  volume={14},
  number={1},
  pages={28},
  year={2014},
  url={https://doi.org/10.1167/14.1.28}
}"""

VARIANTS: dict[str, tuple[Measure, str, View]] = {
    "pls": ("predictivity", "pls", "whole"),
    "ridge": ("predictivity", "ridge_cv", "whole"),
    "alignment": ("alignment", "pls", "whole"),
    "screen-pls": ("predictivity", "pls", "screen"),
    "fixation-pls": ("predictivity", "pls", "fixation"),
    "attribution": ("attribution", "pls", "whole"),
    "rsa": ("rsa", "", "whole"),
    "cka": ("cka", "", "whole"),
}
"""Measure, regression and view of the benchmarks of one array, by the end of the benchmark's name."""

WITHOUT_REGRESSION: tuple[Measure, ...] = ("rsa", "cka")
"""Measures that compare features with maps directly, so that there are no predicted maps."""

ARRAYS = ("monkey1_PL", "monkey1_ML", "monkey2_ML")
GAZE = ("OSIE.gaze", "OSIE.gaze700")
SIMULATED = "it_maps_simulated"
SIMULATED_TEXTURES = "it_maps_textures_simulated"
WHY_EXPERIMENTAL = (
    "EXPERIMENTAL: attribution fails on the SIMULATED recording. Its raw rho with the recorded map is -0.082 for "
    "efficientnet_lite0, but 0.154 with random weights and 0.267 for nearness to the centre, while the map that "
    "efficientnet_lite0 predicts reaches 0.682"
)
EXPERIMENTAL = (
    f"{WHY_EXPERIMENTAL} (`brainscore score --model efficientnet_lite0 --benchmark it_maps_attribution_simulated`)"
)
"""What is said about the measure "attribution" wherever its scores are shown; the command prints these numbers."""
MARK = " (EXPERIMENTAL)"
"""What follows the name of a benchmark of attribution in titles and tables."""
HUMAN_ALIGNMENT = "ClickMe.alignment"
HUMAN_CITATION = """@inproceedings{fel2022harmonizing,
  title={Harmonizing the object recognition strategies of deep neural networks with humans},
  author={Fel, Thomas and Rodriguez, Ivan F and Linsley, Drew and Serre, Thomas},
  booktitle={Advances in Neural Information Processing Systems},
  volume={35},
  year={2022},
  url={https://arxiv.org/abs/2211.04533}
}"""
ALIGNMENT, TOLERANCE = "adversarial alignment", "perturbation tolerance"
"""Measures of attacks with and without human maps."""
ADVERSARIAL = "ClickMe.adversarial"
ADVERSARIAL_FOLDER = "adversarial"
MOST_IMAGES = 1000
"""Number of images that a benchmark of adversarial alignment attacks, as the published scripts do."""
OTHER_KINDS = (HUMAN_ALIGNMENT, ADVERSARIAL)
"""Benchmarks of this package without maps; :data:`~brainscore_itmaps.bridge.score.OTHER_KINDS` holds their classes."""


def _spec(identifier: str, recordings: tuple[str, ...], variant: str) -> BenchmarkSpec:
    measure, method, view = VARIANTS[variant]
    version = 1 if measure in WITHOUT_REGRESSION else 2
    return BenchmarkSpec(identifier, recordings, measure, method, view, version, ARCARO_2020)


def _gaze(recording: str, variant: str) -> BenchmarkSpec:
    measure, method, view = VARIANTS[variant]
    return BenchmarkSpec(f"{recording}-{variant}", (recording,), measure, method, view, 1, XU_2014, "behavior")


def _transfer(identifier: str, recordings: tuple[str, ...]) -> BenchmarkSpec:
    return replace(_spec(identifier, recordings, "alignment"), version=1, transfer=True)


def _simulated(variant: str) -> str:
    """Return the name of the simulated benchmark of a variant, ``it_maps_simulated`` for ``pls``."""
    return SIMULATED if variant == "pls" else f"it_maps_{variant.removesuffix('-pls')}_simulated"


CATALOGUE = {
    spec.identifier: spec
    for spec in (
        _spec("it_maps", ARRAYS, "pls"),
        _spec("it_maps_alignment", ARRAYS, "alignment"),
        *(_spec(f"Arcaro2020.{array}-{variant}", (array,), variant) for array in ARRAYS for variant in VARIANTS),
        *(_spec(_simulated(variant), (SIMULATED,), variant) for variant in VARIANTS),
        _spec(SIMULATED_TEXTURES, (SIMULATED_TEXTURES,), "pls"),
        _transfer("it_maps_transfer", ARRAYS),
        _transfer("it_maps_transfer_simulated", (SIMULATED,)),
        *(_gaze(recording, variant) for recording in GAZE for variant in ("pls", "alignment")),
    )
}


def folder_as_clickme(benchmark: str) -> str | None:
    """Return the folder that ``ClickMe.alignment:FOLDER`` names, whose maps are scored like ClickMe's; None for others.

    Examples
    --------
    >>> folder_as_clickme("ClickMe.alignment:photos"), folder_as_clickme("ClickMe.alignment")
    ('photos', None)
    """
    name, colon, folder = benchmark.partition(":")
    return folder if name == HUMAN_ALIGNMENT and colon else None


def attacked_folder(benchmark: str) -> str | None:
    """Return the folder that ``adversarial:FOLDER`` names, whose images are attacked; None for other benchmarks.

    Examples
    --------
    >>> attacked_folder("adversarial:photos"), attacked_folder("ClickMe.adversarial")
    ('photos', None)
    """
    name, colon, folder = benchmark.partition(":")
    return folder if name == ADVERSARIAL_FOLDER and colon else None


def is_adversarial(benchmark: str) -> bool:
    """Return whether a benchmark attacks images.

    Examples
    --------
    >>> is_adversarial("ClickMe.adversarial"), is_adversarial("adversarial:photos"), is_adversarial("it_maps")
    (True, True, False)
    """
    return benchmark == ADVERSARIAL or attacked_folder(benchmark) is not None


def mark_of(measure: str) -> str:
    """Return what follows the name of a benchmark of this measure: that attribution is experimental.

    Examples
    --------
    >>> mark_of("attribution"), mark_of("predictivity")
    (' (EXPERIMENTAL)', '')
    """
    return MARK if measure == "attribution" else ""


def list_benchmarks() -> list[str]:
    """List the benchmarks that this package registers; those of attribution are EXPERIMENTAL.

    Returns
    -------
    list of str
        Names for :func:`brainscore_itmaps.score`, which also takes the benchmarks of Brain-Score and folders of maps.

    Examples
    --------
    >>> "it_maps_simulated" in list_benchmarks()
    True
    """
    return [*CATALOGUE, *OTHER_KINDS]


def fixation_benchmarks(spec: BenchmarkSpec) -> list[str]:
    """List the fixation benchmarks of the recordings of a benchmark; these also score layers without maps.

    Examples
    --------
    >>> fixation_benchmarks(CATALOGUE["Arcaro2020.monkey1_PL-pls"])
    ['Arcaro2020.monkey1_PL-fixation-pls']
    """
    return [
        other.identifier
        for other in CATALOGUE.values()
        if other.view == "fixation" and {*other.recordings} <= {*spec.recordings}
    ]
