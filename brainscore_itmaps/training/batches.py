"""Images, crops and batches of each training step, determined by the seed and the step number alone.

No state is carried from one step to the next: a run that resumes at any step, with any number of worker processes,
reads the same batches as an uninterrupted run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from brainscore_itmaps.data.class_folders import read_class_folders
from brainscore_itmaps.data.human_maps import HumanMaps
from brainscore_itmaps.errors import DataError, ItMapsError
from brainscore_itmaps.features.attribution import LUMINANCE
from brainscore_itmaps.images import read_image
from brainscore_itmaps.models.spec import ModelSpec
from brainscore_itmaps.text import short_repr
from brainscore_itmaps.training.config import DataConfig

LONGEST_RATIO = 4 / 3
Item = tuple[torch.Tensor, int, torch.Tensor, float, str]
"""Image, label, human map, token (1 if there is a human map) and name of one image in a batch."""


@short_repr
class Example(NamedTuple):
    """A training image with its label and, if available, its human importance map.

    Attributes
    ----------
    image : tensor, shape (3, y, x)
        RGB values from 0 to 255.
    heatmap : tensor, shape (y, x), or None
        Human importance map.
    label : int
        Class, counted from 0.
    """

    image: torch.Tensor
    heatmap: torch.Tensor | None
    label: int


class ImageSource(Protocol):
    """A numbered collection of training images."""

    def __len__(self) -> int:
        """Return the number of images."""

    def read(self, number: int) -> Example:
        """Read one image with its label and human map."""

    def name(self, number: int) -> str:
        """Return the name of an image, as error messages show it."""


@short_repr
class Batch(NamedTuple):
    """The images of one forward pass.

    Attributes
    ----------
    images : tensor, shape (image, 3, y, x)
        Preprocessed images.
    labels : tensor, shape (image,)
    heatmaps : tensor, shape (image, y, x)
        Human maps; zeros for an image without a human map.
    tokens : tensor, shape (image,)
        1 for an image with a human map, 0 for an image without.
    names : list of str
        Names of the images, for error messages.
    """

    images: torch.Tensor
    labels: torch.Tensor
    heatmaps: torch.Tensor
    tokens: torch.Tensor
    names: list[str]


@short_repr
@dataclass(frozen=True)
class Folder:
    """A folder of images without human maps, with one subfolder per class, as in ImageNet.

    Attributes
    ----------
    samples : tuple of (str, int)
        Path and class of each image.
    classes : dict of str to int
        Label of each subfolder.
    notes : tuple of str
        What was left out, and how classes were numbered, as clauses.
    """

    samples: tuple[tuple[str, int], ...]
    classes: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    def read(self, number: int) -> Example:
        """Read an image and its label.

        Raises
        ------
        DataError
            When the image cannot be read; the message names it.
        """
        file, label = self.samples[number]
        return Example(_as_tensor(np.asarray(read_image(file))), None, label)

    def name(self, number: int) -> str:
        """Return the path of an image."""
        return self.samples[number][0]


def image_folder(folder: Path, classes: int) -> Folder:
    """List the images of a folder that has one subfolder per class, as in ImageNet.

    Subfolders that are named by numbers are the classes of these numbers; others are numbered in alphabetical order.
    Hidden and empty subfolders are left out, see :func:`~brainscore_itmaps.data.class_folders.read_class_folders`.

    Parameters
    ----------
    folder : Path
    classes : int
        Number of classes of the model.

    Returns
    -------
    Folder

    Raises
    ------
    DataError
        When the folder does not exist, has no subfolders with images, or its classes are not those of the model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from brainscore_itmaps.training.batches import image_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         Path(folder, name).mkdir()
    ...         Image.new("RGB", (40, 30)).save(Path(folder, name, "1.png"))
    ...     images = image_folder(Path(folder), classes=2)
    ...     images.read(1).image.shape, images.read(1).label
    (torch.Size([3, 30, 40]), 1)
    """
    listed = read_class_folders(folder, classes)
    return Folder(tuple(zip(listed.files, listed.labels, strict=True)), listed.classes, listed.notes)


@dataclass(frozen=True)
class MappedFolder:
    """Images with human maps from two folders, as a source of training images.

    Attributes
    ----------
    maps : HumanMaps
    """

    maps: HumanMaps

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.maps)

    def read(self, number: int) -> Example:
        """Read one image with its label and human map."""
        example = self.maps.read(number)
        return Example(_as_tensor(example.image), torch.from_numpy(example.heatmap), example.label)

    def name(self, number: int) -> str:
        """Return the path of an image."""
        return str(self.maps.images[number])


def _as_tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    """Convert an image (y, x, rgb) to a tensor (rgb, y, x) of its own memory."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)


@dataclass(frozen=True)
class Mix:
    """Images with and without human maps, mixed in a fixed proportion.

    Attributes
    ----------
    mapped : ImageSource
        Images with human maps.
    plain : ImageSource or None
        Images without human maps.
    share : float
        Share of images with a human map in every batch; ignored if ``plain`` is None.
    seed : int
    """

    mapped: ImageSource
    plain: ImageSource | None
    share: float
    seed: int

    def steps_per_epoch(self, batch_size: int) -> float:
        """Compute the number of steps in an epoch, which shows every image of ``plain`` (else of ``mapped``) once."""
        if self.plain is None:
            return len(self.mapped) / batch_size
        return len(self.plain) / (batch_size * (1 - self.share))

    def images_of_step(self, step: int, batch_size: int) -> list[tuple[bool, int]]:
        """Draw the images of a step at random.

        Each source is read in a random order, and in another random order after all of its images were read.

        Returns
        -------
        list of (bool, int)
            For each image, whether it is from ``mapped``, and its number in that source.
        """
        share = 1.0 if self.plain is None else self.share
        first, end = (round((step + more) * batch_size * share) for more in (0, 1))  # draws from the images with maps
        sources = [(True, self.mapped, first, end)]
        if self.plain is not None:
            sources.append((False, self.plain, step * batch_size - first, (step + 1) * batch_size - end))
        images = [
            (with_map, self._image_number(source, draw, with_map))
            for with_map, source, start, stop in sources
            for draw in range(start, stop)
        ]
        order = np.random.default_rng([self.seed, step, 2]).permutation(len(images))
        return [images[index] for index in order]

    def _image_number(self, source: ImageSource, draw: int, with_map: bool) -> int:
        """Return the number of the image that a source gives at a draw, counted from the start of the run."""
        cycle, index = divmod(draw, len(source))
        return int(_permutation(self.seed, cycle, with_map, len(source))[index])


@lru_cache(maxsize=4)
def _permutation(seed: int, cycle: int, with_map: bool, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, cycle, int(with_map)]).permutation(count)


class SampleIndex(NamedTuple):
    """The index of an image in a run.

    Attributes
    ----------
    step : int
    slot : int
        Position in the batch of the step.
    with_map : bool
        Whether the image is from the source with human maps.
    number : int
        Number of the image in its source.
    """

    step: int
    slot: int
    with_map: bool
    number: int


@dataclass(frozen=True)
class TrainingDataset(Dataset[Item | ItMapsError]):
    """Training images as the model's input: cropped, mirrored and normalised.

    Attributes
    ----------
    mix : Mix
    config : DataConfig
    spec : ModelSpec
        Model that sets the size, and the mean and standard deviation of the colour channels.
    classes : int
        Number of classes of the model.
    """

    mix: Mix
    config: DataConfig
    spec: ModelSpec
    classes: int

    def __getitem__(self, index: SampleIndex) -> Item | ItMapsError:
        """Read and preprocess an image, with a crop that depends on the seed, the step and the slot.

        An error is returned, not raised: torch would replace its type when a worker process passes it on.
        """
        try:
            return self._read(index)
        except ItMapsError as error:
            return error

    def _read(self, index: SampleIndex) -> Item:
        source = self.mix.mapped if index.with_map else self.mix.plain
        assert source is not None
        image, heatmap, label = source.read(index.number)
        if label >= self.classes:
            raise DataError(
                f"{source.name(index.number)} is of class {label}, counted from 0; the model has {self.classes} "
                "classes.",
                "Set classes in the configuration to the number of classes of the images.",
            )
        image = image.float() / 255
        has_heatmap = heatmap is not None
        heatmap = torch.zeros(image.shape[1:]) if heatmap is None else heatmap
        seed = int(np.random.SeedSequence([self.mix.seed, index.step, index.slot]).generate_state(1)[0])
        image, heatmap = random_crop(image, heatmap, self.spec.size, self.config.smallest_crop, self.config.flip, seed)
        if len(self.spec.mean) == 1:
            image = (image * torch.tensor(LUMINANCE)[:, None, None]).sum(dim=0, keepdim=True)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.spec.mean, self.spec.std))
        return (image - mean) / std, label, heatmap, float(has_heatmap), source.name(index.number)


def random_crop(
    image: torch.Tensor, heatmap: torch.Tensor, size: int, smallest_share: float, flip: bool, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply the same random crop, resize and mirroring to an image and its human map.

    Parameters
    ----------
    image : tensor, shape (3, y, x)
        RGB values from 0 to 1.
    heatmap : tensor, shape (y, x)
        Map of the whole image; it is resized to the image first if its shape differs.
    size : int
        Height and width of the crop in pixels.
    smallest_share : float
        Smallest area of a crop as a share of the image's area; the aspect ratio is drawn between 3/4 and 4/3. With 1,
        the whole image is resized without keeping its aspect ratio.
    flip : bool
        Mirror left and right with probability 0.5.
    seed : int
        Seed of the crop and the mirroring; torch's global random state is unchanged.

    Returns
    -------
    image : tensor, shape (3, size, size)
    heatmap : tensor, shape (size, size)

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.training.batches import random_crop
    >>> image, heatmap = torch.rand(3, 60, 80), torch.rand(30, 40)
    >>> crop, crop_of_heatmap = random_crop(image, heatmap, size=32, smallest_share=0.25, flip=True, seed=0)
    >>> crop.shape, crop_of_heatmap.shape
    (torch.Size([3, 32, 32]), torch.Size([32, 32]))
    """
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import Compose, RandomHorizontalFlip, RandomResizedCrop, Resize
    from torchvision.tv_tensors import Image as Pixels

    bicubic = InterpolationMode.BICUBIC
    if heatmap.shape != image.shape[1:]:
        heatmap = Resize(image.shape[1:], antialias=True)(Pixels(heatmap[None]))[0]
    crop: RandomResizedCrop | Resize
    if smallest_share < 1:
        ratio = (1 / LONGEST_RATIO, LONGEST_RATIO)
        crop = RandomResizedCrop(size, (smallest_share, 1.0), ratio, bicubic, antialias=True)
    else:
        crop = Resize((size, size), bicubic, antialias=True)
    transform = Compose([crop, RandomHorizontalFlip(0.5 if flip else 0.0)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        image, heatmap = transform(Pixels(image), Pixels(heatmap[None]))
    return image.as_subclass(torch.Tensor).clamp(0, 1), heatmap.as_subclass(torch.Tensor)[0].clamp(min=0)


def batch_indices(
    mix: Mix, batch_size: int, parts: int, parts_here: range, start: int, end: int
) -> Iterator[list[SampleIndex]]:
    """Generate the image indices of each batch that this process reads, from step ``start`` up to ``end``.

    Parameters
    ----------
    mix : Mix
    batch_size : int
        Images per step, over all processes.
    parts : int
        Number of batches that the images of a step are split into, over all processes.
    parts_here : range
        Batches of each step that this process reads.
    start, end : int
        First step, and the step after the last one.

    Examples
    --------
    >>> from brainscore_itmaps.training.batches import Folder, Mix, batch_indices
    >>> mix = Mix(Folder((("a.jpg", 0), ("b.jpg", 0), ("c.jpg", 1))), None, share=1.0, seed=0)
    >>> first, second = batch_indices(mix, batch_size=4, parts=2, parts_here=range(2), start=0, end=1)
    >>> [index.slot for index in second]
    [2, 3]
    """
    size = batch_size // parts
    for step in range(start, end):
        images = mix.images_of_step(step, batch_size)
        for part in parts_here:
            slots = range(part * size, (part + 1) * size)
            yield [SampleIndex(step, slot, *images[slot]) for slot in slots]


def batches(dataset: TrainingDataset, indices: Iterator[list[SampleIndex]], workers: int) -> Iterator[Batch]:
    """Read the batches of the given indices, in worker processes if ``workers`` is above 0.

    Raises
    ------
    DataError
        When an image is damaged, or its class is not one of the model's.
    """
    for batch in DataLoader(dataset, batch_sampler=indices, num_workers=workers, collate_fn=_collate):
        if isinstance(batch, ItMapsError):
            raise batch
        yield batch


def _collate(items: Sequence[Item | ItMapsError]) -> Batch | ItMapsError:
    """Stack images into a batch, or return the first error among them."""
    error = next((item for item in items if isinstance(item, ItMapsError)), None)
    if error is not None:
        return error
    images, labels, heatmaps, tokens, names = zip(*items, strict=True)
    return Batch(torch.stack(images), torch.tensor(labels), torch.stack(heatmaps), torch.tensor(tokens), list(names))
