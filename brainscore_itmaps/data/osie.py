"""Download where people look on the photographs of OSIE (Xu et al. 2014), and read it as a recording."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.recording import GAZE, Recording
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.pinned_files import PinnedFile, fetch_files, missing_files, named, read_manifest
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

REPOSITORY = "NUS-VIP/predicting-human-gaze-beyond-pixels"
COMMIT = "4a467890fcb40a2fec04cdded552760942bac7a4"
LICENCE = "OSIE: MIT licence, copyright 2014 NUS VIP - Visual Information Processing Lab."
CITATION = (
    "Xu, Jiang, Wang, Kankanhalli & Zhao (2014), Predicting human gaze beyond pixels, Journal of Vision 14(1):28, "
    "https://doi.org/10.1167/14.1.28"
)
FETCH = "brainscore data fetch osie"
RUN = f"Run `{FETCH}`."
RECORDINGS = {"OSIE.gaze": 100, "OSIE.gaze700": 700}
"""Number of images of each recording: the first ones of the data set."""
VIEWERS = 15
WINDOW = (0, 3000)
"""Milliseconds of free viewing."""
PIXELS = (600, 800)
EXTENT = (25.3, 33.7)
"""Height and width of every image, in pixels and in degrees of visual angle (Xu et al. 2014)."""
GRID = Grid.even((13, 17), EXTENT)
"""Positions every 50 pixels, 2.1 degrees apart, from edge to edge."""
SPREAD = 1.0
"""Standard deviation of the Gaussian around a fixation, degrees."""

MANIFEST = read_manifest((files("brainscore_itmaps.data") / "osie.csv").read_text("utf-8"), REPOSITORY, COMMIT)


def files_of(images: int) -> tuple[PinnedFile, ...]:
    """List the file of fixations and the first images.

    Examples
    --------
    >>> [file.path for file in files_of(2)]
    ['data/eye/fixations.mat', 'data/stimuli/1001.jpg', 'data/stimuli/1002.jpg']
    """
    return MANIFEST[: images + 1]


def osie_folder() -> Path:
    """Return the folder of the downloaded files.

    Examples
    --------
    >>> from brainscore_itmaps.settings import overridden
    >>> with overridden(home=Path("home")):
    ...     osie_folder().as_posix()
    'home/osie'
    """
    return Settings.from_environment().home / "osie"


def fetch_osie(
    images: int = 100,
    *,
    url: str | None = None,
    folder: Path | None = None,
    offline: bool | None = None,
    progress: Report = silent,
) -> list[PinnedFile]:
    """Download the fixations and the first images that are missing, and verify each against its published sha256.

    Parameters
    ----------
    images : int
        100 (8 MB) or 700 (50 MB).
    url, folder, offline, progress
        Server, folder of copies, offline mode and callback of :func:`~brainscore_itmaps.pinned_files.fetch_files`.

    Returns
    -------
    list of PinnedFile
        The files that were downloaded or copied; empty if all were there.

    Raises
    ------
    UsageError
        When there is no recording of so many images.
    DataError, InstallationError
        As in :func:`~brainscore_itmaps.pinned_files.fetch_files`.
    """
    if images not in RECORDINGS.values():
        choices = ", ".join(f"{name} {number}" for name, number in RECORDINGS.items())
        raise UsageError(f"There is no recording of {images} images.", f"Choose a number of images: {choices}.")
    return fetch_files(files_of(images), osie_folder(), what="OSIE", command=fetch_command(images), url=url,
                       source=folder, offline=offline, progress=progress)  # fmt: skip


def load_osie(name: str, source: Path | None = None, progress: Report = silent) -> Recording:
    """Load a recording of gaze; files that are missing are downloaded first.

    Parameters
    ----------
    name : str
        A name of :data:`RECORDINGS`.
    source : Path, optional
        Folder with the files at their paths in the repository. By default the downloaded files.
    progress : callable
        Called with (step, files done, files in all).

    Returns
    -------
    Recording
        Maps of shape (image, 13, 17, 1) in fixations per square degree and viewer, and repeats of shape (image, 15, 13,
        17, 1): each viewer is a repeat of the one site ``gaze``.

    Raises
    ------
    DataError
        When the source lacks files, or has files with another content.
    DataError, InstallationError
        As in :func:`fetch_osie`.
    """
    images = RECORDINGS[name]
    pinned = files_of(images)
    folder = source or osie_folder()
    if source is None:
        fetch_osie(images, progress=progress)
    elif changed := missing_files(pinned, source):
        raise DataError(
            f"{len(changed)} of {len(pinned)} files of OSIE are missing or changed in {source}: {named(changed)}.",
            f"Leave out the source, and run `{fetch_command(images)} --from FOLDER`, which finds unchanged copies.",
        )
    return read_gaze(folder / pinned[0].path, [folder / file.path for file in pinned[1:]], name)


def fetch_command(images: int) -> str:
    """Return the command that downloads the files of a recording.

    Examples
    --------
    >>> fetch_command(700)
    'brainscore data fetch osie --images 700'
    """
    return FETCH if images == RECORDINGS["OSIE.gaze"] else f"{FETCH} --images {images}"


def read_gaze(fixations: Path, images: Sequence[Path], identifier: str) -> Recording:
    """Read the fixations on some images as a recording.

    Parameters
    ----------
    fixations : Path
        ``fixations.mat``: a cell array of images, with the fixations of each viewer in pixels.
    images : sequence of Path
        Images of 800 x 600 pixels, named as in ``fixations``.
    identifier : str

    Returns
    -------
    Recording
        See :func:`load_osie`.

    Raises
    ------
    DataError
        When the file has no fixations on an image, another number of viewers, or other variables, or an image has
        another size.
    """
    by_image = read_fixations(fixations)
    if absent := [image.name for image in images if image.name not in by_image]:
        raise DataError(f"{fixations} has no fixations on {absent[0]} (and {len(absent) - 1} more).", RUN)
    for image in images:
        with Image.open(image) as opened:
            if opened.size != PIXELS[::-1]:
                raise DataError(f"{image} has {opened.width} x {opened.height} pixels, not 800 x 600.", RUN)
    repeats = np.stack([[gaze_density(viewer, GRID) for viewer in by_image[image.name]] for image in images])
    return Recording.from_arrays(
        None,
        list(images),
        identifier=identifier,
        window=WINDOW,
        repeats=repeats[..., None],
        grid=GRID,
        sites=[GAZE],
        subject=f"{VIEWERS} viewers",
        area=GAZE,
        citation=CITATION,
    )


def read_fixations(file: Path) -> dict[str, list[NDArray[np.float64]]]:
    """Read the fixations of all viewers on all images.

    Parameters
    ----------
    file : Path

    Returns
    -------
    dict of str to list of array, shape (fixation, 2)
        For each image, an array for each of the 15 viewers: y and x in pixels, in the order in which they looked.

    Raises
    ------
    DataError
        When the file is not that of OSIE.
    """
    from scipy.io import loadmat

    try:
        cells = loadmat(file, simplify_cells=True)["fixations"]
        by_image = {
            str(cell["img"]): [
                np.column_stack([np.atleast_1d(viewer[axis]).astype(np.float64) for axis in ("fix_y", "fix_x")])
                for viewer in cell["subjects"]
            ]
            for cell in cells
        }
    except (KeyError, TypeError, ValueError, IndexError, NotImplementedError, OSError) as error:
        raise DataError(f"{file} is not the file of fixations of OSIE: {error!r}.", RUN) from error
    if unequal := [image for image, viewers in by_image.items() if len(viewers) != VIEWERS]:
        raise DataError(f"{file} has {len(by_image[unequal[0]])} viewers of {unequal[0]}, not {VIEWERS}.", RUN)
    return by_image


def gaze_density(fixations: ArrayLike, grid: Grid) -> NDArray[np.float64]:
    """Compute the density of a viewer's fixations at the positions of a grid.

    The first fixation is left out: it is nearer to the centre of the screen, where every trial starts, than later ones.
    Durations are not used.

    Parameters
    ----------
    fixations : array, shape (fixation, 2)
        y and x in pixels, in order.
    grid : Grid

    Returns
    -------
    array, shape (y, x)
        Sum of Gaussians of 1 degree standard deviation: fixations per square degree.

    Examples
    --------
    >>> density = gaze_density([[300, 400], [100, 200], [100, 200]], GRID)
    >>> np.argwhere(density == density.max()).tolist(), bool(np.isclose(density.max(), 2 / (2 * np.pi)))
    ([[2, 4]], True)
    """
    later = np.asarray(fixations, dtype=np.float64)[1:]
    degrees = (later / PIXELS - 0.5) * EXTENT  # (fixation, 2): below and to the right of the centre

    vertical, horizontal = (
        np.exp(-((positions[:, None] - fixated) ** 2) / (2 * SPREAD**2))
        for positions, fixated in zip((grid.y, grid.x), degrees.T, strict=True)
    )
    density: NDArray[np.float64] = vertical @ horizontal.T / (2 * np.pi * SPREAD**2)
    return density


def region_of(recording: str) -> str:
    """Return the region of the sites of a recording with this identifier for Brain-Score: IT, or gaze.

    Examples
    --------
    >>> region_of("OSIE.gaze"), region_of("Arcaro2020.monkey1_PL")
    ('gaze', 'IT')
    """
    return GAZE if recording in RECORDINGS else "IT"
