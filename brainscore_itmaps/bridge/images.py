"""Find the images of a result on this machine."""

from pathlib import Path

from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.data.load import is_stored
from brainscore_itmaps.errors import ItMapsError


def images_of(result: Result, benchmark: str | Path | None = None, required: bool = False) -> list[list[Path | None]]:
    """Find the images of each array on this machine if the maps cover whole images; download nothing.

    Parameters
    ----------
    result : Result
    benchmark : str or Path, optional
        Benchmark, or folder of the recording that was scored. By default the result names it.
    required : bool
        Whether a recording that cannot be read is an error.

    Returns
    -------
    list of lists
        Image files in the order of the maps; None for a missing image.
    """
    from brainscore_itmaps.benchmark.maps import maps_benchmark  # imports torch, which a comparison without maps spares

    benchmark = benchmark or result.request.benchmark or result.benchmark
    spec = CATALOGUE.get(str(benchmark))
    available = has_images(benchmark) and (spec is None or spec.view != "screen")
    try:
        recordings = maps_benchmark(benchmark).scored(ScoreRequest()) if available else {}
    except (ItMapsError, OSError):  # the recording was removed or changed; the result itself contains the maps
        if required:
            raise
        recordings = {}
    images_of_arrays = []
    for array in result.arrays:
        recording = recordings.get(array.recording) or recordings.get(array.recording.removesuffix("-reference"))
        same = recording is not None and tuple(recording.names) == array.images
        images: list[Path | None] = list(recording.images) if same and recording else [None] * len(array.images)
        images_of_arrays.append(images)
    return images_of_arrays


def has_images(benchmark: str | Path) -> bool:
    """Return whether the recordings of a benchmark are on this machine.

    Examples
    --------
    >>> has_images("it_maps_simulated")
    True
    """
    spec = CATALOGUE.get(str(benchmark))
    return spec is None or all(map(is_stored, spec.recordings))
