"""Find the images of a result on this machine."""

from pathlib import Path

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, SIMULATED
from brainscore_itmaps.benchmark.maps import maps_benchmark
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.data.sources import recorded_archive
from brainscore_itmaps.errors import ItMapsError


def images_of(result: Result, benchmark: str | None = None, asked: bool = False) -> list[list[Path | None]]:
    """Find the images of each array on this machine, if they lie under the maps as a whole; download nothing.

    Parameters
    ----------
    result : Result
    benchmark : str, optional
        A benchmark, or the folder of the recording that was scored; by default what the result names.
    asked : bool
        A recording that cannot be read is an error.

    Returns
    -------
    list of lists
        Image files in the order of the maps; None for a missing image.
    """
    benchmark = benchmark or result.request.benchmark or result.benchmark
    spec = CATALOGUE.get(benchmark)
    here = has_images(benchmark)
    whole = spec is None or spec.view != "screen"
    try:
        loaded = maps_benchmark(benchmark).recordings(ScoreRequest()) if whole and here else ()
        found = {recording.identifier: recording for recording in loaded}
    except (ItMapsError, OSError):  # removed, or changed: the maps are in the result
        if asked:
            raise
        found = {}
    shown = []
    for array in result.arrays:
        recording = found.get(array.recording) or found.get(array.recording.removesuffix("-reference"))
        fits = recording is not None and tuple(recording.names) == array.images
        images: list[Path | None] = list(recording.images) if fits and recording else [None] * len(array.images)
        shown.append(images)
    return shown


def has_images(benchmark: str) -> bool:
    """Return whether the recordings of a benchmark are on this machine."""
    spec = CATALOGUE.get(benchmark)
    return spec is None or spec.recordings == (SIMULATED,) or recorded_archive() is not None
