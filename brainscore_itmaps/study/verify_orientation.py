"""Compare the maps of monkey 1 with the published figure of maps over images, in each of the eight orientations.

The lower row of the figure of the data (docs/assets/data.png in the repository of Linsley et al. 2023) shows three
images with a map of 17 x 17 positions over each. In the first, the largest response is on the face of a monkey among
branches; in the second, on the face of a monkey beside a man, and the second largest on the man's face. The figure
states neither the names of the images nor the array; ML is likely, because it responds to faces. Maps of monkey 2, of
9 x 9 positions, are not in the figure.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import ORIENTATIONS, orient_maps, unorient_maps
from brainscore_itmaps.data.recording import Recording

POSITIONS = 17
FIRST, SECOND = (5, 12), (3, 13)
"""Row and column, counted from 0 at the top left, of the largest response in the first and in the second image."""
SECOND_FACE = (4, 3)
"""Row and column of the man's face in the second image."""
MIRRORED = (POSITIONS - 1 - SECOND_FACE[1], POSITIONS - 1 - SECOND_FACE[0])
"""Where the man's face lies if rows and columns are exchanged and both are reversed.

Both peaks lie near the diagonal from the bottom left to the top right, so that they remain near their positions in that
case, and cannot show it alone.
"""
TOLERANCE = 1.5
"""Largest distance in positions between a peak and the published one: the figure can be read to about one position."""
MARGIN = 0.2
"""Smallest share of a map's range by which the second face exceeds its mirror position; in the figure, about 0.4."""
RULE = (
    "An orientation fits if the maps of two different images have their largest values at most "
    f"{TOLERANCE:g} positions from row {FIRST[0]}, column {FIRST[1]} and from row {SECOND[0]}, column {SECOND[1]} "
    "(counted from 0 at the top left), and the map of the second image is larger around "
    f"row {SECOND_FACE[0]}, column {SECOND_FACE[1]} (a second face) than around row {MIRRORED[0]}, column "
    f"{MIRRORED[1]} by at least {MARGIN:.0%} of its range. Agrees: only the used orientation fits. Differs: only "
    "another one fits. Undecided: several fit, or none."
)
DRAWS = 4000
NEAR_CENTRE = 3.0
"""Standard deviation, in positions, of random peaks near the centre."""
CHANCE = ("peaks anywhere", "peaks near the centre", "these maps, each turned and mirrored at random")
"""Random maps for which the shares of verdicts are estimated."""


@dataclass(frozen=True)
class OrientationFit:
    """The two images whose maps come nearest to the published figure in one orientation.

    Attributes
    ----------
    orientation : str
    images : tuple of two int
        Indices of the images, from 0.
    peaks : tuple of two (int, int)
        Row and column of the largest value of each of the two maps.
    distances : tuple of two float
        Distances in positions between these and the published peaks.
    second_face : float
        Map of the second image at the second face minus its mirror position, as a share of the map's range.
    fits : bool or None
        None for a simulated recording.
    """

    orientation: str
    images: tuple[int, int]
    peaks: tuple[tuple[int, int], tuple[int, int]]
    distances: tuple[float, float]
    second_face: float
    fits: bool | None


@dataclass(frozen=True)
class OrientationCheck:
    """The comparison of an array's maps with the published figure.

    Attributes
    ----------
    array, used : str
        Array, and the orientation in which it is read.
    fits : tuple of OrientationFit
        One for each orientation.
    decisive : bool
        Whether the array decides about the orientation; otherwise the comparison is for information.
    verdict : str
        "agrees", "undecided" or "differs"; empty for information only, and for a simulated recording.
    chance : dict of str to (float, float)
        Shares of sets of random maps with the verdicts "agrees" and "differs", for each of :data:`CHANCE`; empty for a
        simulated recording.
    command : str
        Command that records the orientation that fits; empty if the verdict is not "differs".
    """

    array: str
    used: str
    fits: tuple[OrientationFit, ...]
    decisive: bool
    verdict: str
    chance: dict[str, tuple[float, float]]
    command: str


def check_orientation(array: str, recording: Recording, source: str = "", decisive: bool = True) -> OrientationCheck:
    """Compare the maps of an array of monkey 1 with the published figure in all orientations.

    Parameters
    ----------
    array : str
        Name of the array.
    recording : Recording
        Maps of 17 x 17 positions, in the orientation ``recording.orientation``.
    source : str
        Source of the recording, for the printed command; empty for the downloaded archive.
    decisive : bool
        Whether the comparison has a verdict.
    """
    stored = unorient_maps(recording.maps.mean(axis=-1, keepdims=True), recording.orientation)
    judged = not recording.simulated
    oriented = {name: orient_maps(stored, name)[..., 0] for name in ORIENTATIONS}
    fits = tuple(nearest_images(maps, name, judged) for name, maps in oriented.items())
    fitting = [fit.orientation for fit in fits if fit.fits]
    verdict = orientation_verdict(recording.orientation, fitting) if judged and decisive else ""
    images = len(recording.maps)
    used = recording.orientation
    chances = (
        chance_of_peaks(images, used),
        chance_of_peaks(images, used, NEAR_CENTRE),
        chance_of_turned_maps(oriented, used),
    )
    chance = dict(zip(CHANCE, chances, strict=True)) if judged else {}
    command = ""
    if verdict == "differs":
        command = f"brainscore data orient {array} --choose {fitting[0]}"
        command += f" --source {shlex.quote(source)}" if source else ""
    return OrientationCheck(array, recording.orientation, fits, decisive, verdict, chance, command)


def orientation_verdict(used: str, fitting: Sequence[str]) -> str:
    """Return the verdict on the used orientation.

    Examples
    --------
    >>> [orientation_verdict("flip_both", fitting) for fitting in (["flip_both"], ["transpose"], [])]
    ['agrees', 'differs', 'undecided']
    >>> orientation_verdict("flip_both", ["flip_both", "transpose"])
    'undecided'
    """
    if len(fitting) != 1:
        return "undecided"
    return "agrees" if used in fitting else "differs"


def nearest_images(maps: NDArray[np.float64], orientation: str = "", judged: bool = True) -> OrientationFit:
    """Find the two images whose maps come nearest to the published figure.

    Parameters
    ----------
    maps : array, shape (image, y, x)
        Maps of 17 x 17 positions; constant maps, and those with values that are not finite, have no peak.
    orientation : str
        Name of the orientation of these maps.
    judged : bool
        Whether to state if the orientation fits.
    """
    peaks = [_peak(one) for one in maps]
    first, second = (np.array([_distance(peak, cell) for peak in peaks]) for cell in (FIRST, SECOND))
    faces = [_second_face(one) for one in maps]

    def badness(pair: tuple[int, int]) -> tuple[bool, float, float]:
        a, b = pair
        farther = float(max(first[a], second[b]))
        return (not (farther <= TOLERANCE and faces[b] >= MARGIN), farther, float(first[a] + second[b]))

    a, b = min(permutations(range(len(maps)), 2), key=badness)
    fits = not badness((a, b))[0]
    distances = (float(first[a]), float(second[b]))
    return OrientationFit(orientation, (a, b), (peaks[a], peaks[b]), distances, faces[b], fits if judged else None)


def chance_of_peaks(
    images: int, used: str, spread: float = np.inf, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Estimate how often maps with random peaks fit the published figure in the used orientation only, and in another.

    Which of two mirrored orientations has the second face is random, too. Maps without a second face fit none, so that
    this is an upper limit.

    Parameters
    ----------
    images : int
        Number of maps.
    used : str
        Orientation that is used.
    spread : float
        Standard deviation of the peaks around the centre, in positions; by default they lie anywhere.
    draws, seed : int
        Number of sets of maps, and the seed.

    Examples
    --------
    >>> chance_of_peaks(14, "flip_both")[0] > chance_of_peaks(14, "flip_both", spread=2.0)[0]
    True
    """
    rng = np.random.default_rng(seed)
    centre = (POSITIONS - 1) // 2
    cells = rng.integers(0, POSITIONS, (draws, images, 2))
    if np.isfinite(spread):
        cells = np.clip(np.rint(rng.normal(centre, spread, cells.shape)), 0, POSITIONS - 1).astype(int)
    mirrored = {pair: rng.random((draws, images)) < 0.5 for pair in _mirrored_pairs()}  # which has the second face
    index = np.arange(POSITIONS**2).reshape(1, POSITIONS, POSITIONS, 1)
    near = []
    for name in ORIENTATIONS:
        moved = np.argsort(orient_maps(index, name).ravel())[cells[..., 0] * POSITIONS + cells[..., 1]]
        rows, columns = np.divmod(moved, POSITIONS)
        first, second = (np.hypot(rows - y, columns - x) <= TOLERANCE for y, x in (FIRST, SECOND))
        pair = next(pair for pair in mirrored if name in pair)
        second &= mirrored[pair] if name == pair[0] else ~mirrored[pair]
        near.append((first, second))
    return _shares(np.array(near), used)


def chance_of_turned_maps(
    oriented: Mapping[str, NDArray[np.float64]], used: str, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Estimate how often maps fit in the used orientation only, and in another, if each is turned at random.

    The peaks and the second faces of the maps are kept, but they point in different directions.

    Parameters
    ----------
    oriented : mapping of str to array, shape (image, y, x)
        The maps in each orientation.
    used : str
        Orientation that is used.
    draws, seed : int
        Number of sets of maps, and the seed.
    """
    near = np.zeros((len(ORIENTATIONS), 2, len(next(iter(oriented.values())))), bool)  # (orientation, cell, image)
    for number, name in enumerate(ORIENTATIONS):
        for image, one in enumerate(oriented[name]):
            first, second = (_distance(_peak(one), cell) <= TOLERANCE for cell in (FIRST, SECOND))
            near[number, :, image] = first, second and _second_face(one) >= MARGIN
    composed = _composed()
    images = np.arange(near.shape[-1])
    turns = np.random.default_rng(seed).integers(0, len(ORIENTATIONS), (draws, len(images)))
    turned = np.array([near[composed[turns, number], :, images] for number in range(len(ORIENTATIONS))])
    return _shares(turned.transpose(0, 3, 1, 2), used)  # (orientation, cell, draw, image)


def _shares(near: NDArray[np.bool_], used: str) -> tuple[float, float]:
    """Compute the shares of draws in which only the used orientation fits, and in which only another one fits.

    Parameters
    ----------
    near : array, shape (orientation, cell, draw, image)
        Whether the map of an image fits a cell. An orientation fits with different images for the two cells.
    """
    first, second = near[:, 0], near[:, 1]
    fits = first.sum(axis=-1) * second.sum(axis=-1) > (first & second).sum(axis=-1)  # (orientation, draw)
    only = fits & (fits.sum(axis=0) == 1)
    index = list(ORIENTATIONS).index(used)
    return float(only[index].mean()), float(np.delete(only, index, axis=0).any(axis=0).mean())


def _composed() -> NDArray[np.int64]:
    """Return the orientation that equals two in succession, by their indices: the first one, and the second one."""
    index = np.arange(POSITIONS**2).reshape(1, POSITIONS, POSITIONS, 1)
    once = [orient_maps(index, name) for name in ORIENTATIONS]
    return np.array([
        [next(number for number, other in enumerate(once) if (orient_maps(first, name) == other).all())
         for name in ORIENTATIONS]
        for first in once
    ])  # fmt: skip


def _mirrored_pairs() -> list[tuple[str, str]]:
    """List the pairs of orientations that differ by exchanged rows and columns with both reversed."""
    names = list(ORIENTATIONS)
    mirrored = _composed()[:, names.index("transpose_flip_both")]
    return [(names[one], names[other]) for one, other in enumerate(mirrored) if one < other]


def _peak(values: NDArray[np.float64]) -> tuple[int, int]:
    """Return row and column of the largest value of a map; (-1, -1) if it has none."""
    if not _has_peak(values):
        return (-1, -1)
    row, column = divmod(int(values.argmax()), values.shape[1])
    return (row, column)


def _has_peak(values: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).all() and np.ptp(values) > 0)


def _distance(peak: tuple[int, int], cell: tuple[int, int]) -> float:
    return float("inf") if peak[0] < 0 else float(np.hypot(peak[0] - cell[0], peak[1] - cell[1]))


def _second_face(values: NDArray[np.float64]) -> float:
    """Compute the map at the second face minus its mirror position, as a share of the map's range."""
    if not _has_peak(values):
        return float("nan")
    return (_around(values, SECOND_FACE) - _around(values, MIRRORED)) / float(np.ptp(values))


def _around(values: NDArray[np.float64], cell: tuple[int, int]) -> float:
    """Average a map over 3 x 3 positions."""
    return float(values[cell[0] - 1 : cell[0] + 2, cell[1] - 1 : cell[1] + 2].mean())
