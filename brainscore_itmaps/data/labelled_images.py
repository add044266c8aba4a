"""Read images with labels, and human maps where there are some: ClickMe, a folder, or the photographs of foolbox."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.class_folders import (
    IMAGENET_CLASSES,
    PHOTOGRAPHS,
    is_human_maps_folder,
)
from brainscore_itmaps.data.clickme import clickme_offsets, example_at
from brainscore_itmaps.data.human_maps import human_maps, list_images
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.images import read_image
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import OURS, Protocol
from brainscore_itmaps.text import short_repr

PHOTOGRAPH = re.compile(r"imagenet_\d+_(\d+)\.jpg")


@short_repr
class Labelled(NamedTuple):
    """An image with its label, and its human map if there is one.

    Attributes
    ----------
    name : str
    image : uint8 array, shape (y, x, rgb)
    label : int
        Class, counted from 0; -1 where it is unknown.
    heatmap : float32 array, shape (y, x), or None
        Importance over the whole image; y and x may differ from those of the image.
    """

    name: str
    image: NDArray[np.uint8]
    label: int
    heatmap: NDArray[np.float32] | None = None


@short_repr
@dataclass(frozen=True)
class LabelledImages:
    """Images with labels, which are read one by one.

    Attributes
    ----------
    name : str
        Of the folder or data set.
    names : tuple of str
        Of the images.
    reader : callable
        Takes the number of an image and returns it.
    has_maps : bool
        Whether every image has a human map.
    simulated : bool
        Whether the human maps are simulated.
    notes : tuple of str
        How images, labels and maps were read, as clauses.
    """

    name: str
    names: tuple[str, ...]
    reader: Callable[[int], Labelled] = field(repr=False)
    has_maps: bool = False
    simulated: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def read(self, number: int) -> Labelled:
        """Read one image.

        Raises
        ------
        DataError
            When it cannot be read; the message names it.
        """
        return self.reader(number)


def labelled_folder(
    folder: Path, classes: int = IMAGENET_CLASSES, known: Mapping[str, int] | None = None, progress: Report = silent
) -> LabelledImages:
    """List the images of a folder with their labels, and with their human maps if it has the subfolders for them.

    Parameters
    ----------
    folder : Path
        A subfolder for each class; or images without classes; or the subfolders ``images`` (as one of the former) and
        ``maps``, see :func:`~brainscore_itmaps.human_maps`; or ``photographs``, if there is no such
        folder, for those of the package foolbox.
    classes : int
        Number of classes of the model.
    known : mapping of str to int, optional
        Labels of the class folders.
    progress : callable
        Called with (step, maps checked, maps in all).

    Returns
    -------
    LabelledImages
        Its ``read`` returns an image with its label, and its human map if there is one.

    Raises
    ------
    DataError
        When there is no such folder, it has no images, or its classes are not those of the model.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as parent:
    ...     Path(parent, "7").mkdir()
    ...     Image.new("RGB", (40, 30)).save(Path(parent, "7", "a.png"))
    ...     found = labelled_folder(Path(parent), classes=10)
    ...     found.read(0).label, found.names, found.has_maps
    (7, ('7/a.png',), False)
    """
    if is_human_maps_folder(folder):
        maps = human_maps(folder, classes=classes, known=known, without_classes=True, progress=progress)
        names = tuple(file.relative_to(folder / "images").as_posix() for file in maps.images)

        def read_with_map(number: int) -> Labelled:
            example = maps.read(number)
            return Labelled(names[number], example.image, example.label, example.heatmap)

        return LabelledImages(maps.name, names, read_with_map, True, maps.simulated, maps.notes)
    if is_photographs(folder):
        files = photographs()
        labels: Sequence[int] = [int(PHOTOGRAPH.fullmatch(file.name)[1]) for file in files]  # type: ignore[index]
        names = tuple(file.name for file in files)
        notes: tuple[str, ...] = ("photographs of the package foolbox",)
    else:
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder} of images.", "Name an existing folder.")
        listed = list_images(folder, classes, known)
        files, labels, notes = [Path(file) for file in listed.files], listed.labels, listed.notes
        names = tuple(file.relative_to(folder).as_posix() for file in files)

    def read(number: int) -> Labelled:
        return Labelled(names[number], np.asarray(read_image(files[number])), labels[number])

    return LabelledImages(folder.resolve().name, names, read, notes=notes)


def labelled_shards(files: Sequence[Path], name: str, protocol: Protocol = OURS) -> LabelledImages:
    """List the images of shards of ClickMe, with their labels and human maps.

    Raises
    ------
    DataError
        When a file is missing or damaged.
    """
    records = [(file, offset) for file in files for offset in clickme_offsets(file)]
    first = {file: number for number, (file, _) in reversed(list(enumerate(records)))}
    names = tuple(f"{file.name} record {number - first[file]}" for number, (file, _) in enumerate(records))

    def read(number: int) -> Labelled:
        example = example_at(*records[number], protocol)
        return Labelled(
            names[number], np.clip(np.rint(example.image), 0, 255).astype(np.uint8), example.label, example.heatmap
        )

    return LabelledImages(name, names, read, has_maps=True)


def is_photographs(folder: Path) -> bool:
    """Return whether a name stands for the photographs of foolbox: there is no folder of that name.

    Examples
    --------
    >>> is_photographs(Path("photographs")), is_photographs(Path("images"))
    (True, False)
    """
    return str(folder) == PHOTOGRAPHS and not folder.exists()


def photographs() -> list[Path]:
    """List the 20 ImageNet photographs of the package foolbox, with their labels in their names.

    Raises
    ------
    DataError
        When foolbox is not installed.

    Examples
    --------
    >>> len(photographs())
    20
    """
    fix = "Install them: pip install 'brainscore_itmaps[embedded]'; or name a folder of images."
    try:
        folder = Path(str(distribution("foolbox").locate_file("foolbox/data")))
    except PackageNotFoundError as error:
        raise DataError("The photographs are inside the package foolbox, which is not installed.", fix) from error
    found = sorted(file for file in folder.glob("imagenet_*.jpg") if PHOTOGRAPH.fullmatch(file.name))
    if not found:
        raise DataError(f"The package foolbox has no photographs in {folder}.", fix)
    return found
