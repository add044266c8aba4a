"""Images and crops of each training step, determined by the seed and the number of the step alone.

Nothing is remembered from one step to the next, so that a run that goes on at any step, with any number of processes
that read, shows what it would have shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from brainscore_itmaps.errors import DataError, ItMapsError
from brainscore_itmaps.models.spec import ModelSpec
from brainscore_itmaps.training.config import DataConfig

LONGEST_RATIO = 4 / 3
Item = tuple[torch.Tensor, int, torch.Tensor, float, str]
"""What a batch holds of one image."""


class Example(NamedTuple):
    """An image to train on.

    Attributes
    ----------
    image : tensor, shape (3, y, x)
        From 0 to 255.
    heatmap : tensor, shape (y, x), or None
        Human map, where there is one.
    label : int
    """

    image: torch.Tensor
    heatmap: torch.Tensor | None
    label: int


class Source(Protocol):
    """Images that can be read by number."""

    def __len__(self) -> int:
        """Return the number of images."""

    def read(self, number: int) -> Example:
        """Read one example."""

    def name(self, number: int) -> str:
        """Return the name of an image for messages."""


class Batch(NamedTuple):
    """Images of one forward pass.

    Attributes
    ----------
    images : tensor, shape (image, 3, y, x)
        Preprocessed.
    labels : tensor, shape (image,)
    heatmaps : tensor, shape (image, y, x)
        Zeros where there is none.
    tokens : tensor, shape (image,)
        1 where there is one.
    names : list of str
    """

    images: torch.Tensor
    labels: torch.Tensor
    heatmaps: torch.Tensor
    tokens: torch.Tensor
    names: list[str]


@dataclass(frozen=True)
class Folder:
    """A folder of images with one folder per class, as ImageNet's.

    Attributes
    ----------
    samples : tuple of (str, int)
        Files and the places of their folders in the alphabet.
    """

    samples: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    def read(self, number: int) -> Example:
        """Read an image, without a human map."""
        file, label = self.samples[number]
        try:
            with Image.open(file) as image:
                return Example(torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1), None, label)
        except OSError as error:
            raise DataError(f"{file} cannot be read as an image.", "Remove it, or put a whole one there.") from error

    def name(self, number: int) -> str:
        """Return the name of an image for messages."""
        return self.samples[number][0]


def image_folder(folder: Path, classes: int) -> Folder:
    """List the images of a folder like ImageNet's.

    Raises
    ------
    DataError
        When it is none, or has another number of classes.
    """
    from torchvision.datasets import ImageFolder

    try:
        listed = ImageFolder(str(folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{folder} is not a folder with a folder of images for each class.", "Name one in data.images."
        ) from error
    if len(listed.classes) != classes:
        raise DataError(
            f"{folder} has {len(listed.classes)} classes, not {classes}.", "Say classes in the configuration."
        )
    return Folder(tuple(listed.samples))


@dataclass(frozen=True)
class Mix:
    """Images with and without human maps, in a given proportion.

    Attributes
    ----------
    mapped : Source
    plain : Source or None
    share : float
        Of images with a map; 1 where there are no others.
    seed : int
    """

    mapped: Source
    plain: Source | None
    share: float
    seed: int

    def steps(self, batch_size: int) -> float:
        """Count the steps of an epoch, which shows every image once (those with a map, if there are no others)."""
        if self.plain is None:
            return len(self.mapped) / batch_size
        return len(self.plain) / (batch_size * (1 - self.share))

    def chosen(self, step: int, batch_size: int) -> list[tuple[bool, int]]:
        """Choose the images of a step at random: whether each has a map, and its number.

        Each source goes round in an order of its own, another one at each round.
        """
        share = 1.0 if self.plain is None else self.share
        before, after = (round((step + more) * batch_size * share) for more in (0, 1))
        sources = [(True, self.mapped, before, after)]
        if self.plain is not None:
            sources.append((False, self.plain, step * batch_size - before, (step + 1) * batch_size - after))
        found = [
            (with_map, self._number(source, place, with_map))
            for with_map, source, start, end in sources
            for place in range(start, end)
        ]
        order = np.random.default_rng([self.seed, step, 2]).permutation(len(found))
        return [found[place] for place in order]

    def _number(self, source: Source, place: int, with_map: bool) -> int:
        turn, within = divmod(place, len(source))
        return int(_order(self.seed, turn, with_map, len(source))[within])


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, with_map: bool, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, turn, int(with_map)]).permutation(count)


class Place(NamedTuple):
    """The place of an image in a run: step, place in the step, and number of the image."""

    step: int
    slot: int
    with_map: bool
    number: int


@dataclass(frozen=True)
class TrainingDataset(Dataset[Item | ItMapsError]):
    """Images as a model sees them in training: cropped, mirrored, preprocessed.

    Attributes
    ----------
    mix : Mix
    config : DataConfig
    spec : ModelSpec
        Whose size, and mean and standard deviation of colours, are taken.
    classes : int
        That the model has.
    """

    mix: Mix
    config: DataConfig
    spec: ModelSpec
    classes: int

    def __getitem__(self, place: Place) -> Item | ItMapsError:
        """Read an image; its crop depends on the seed, the step and its place in the step.

        An error is given, not raised: torch would turn it into one of its own on the way out of a reading process.
        """
        try:
            return self._read(place)
        except ItMapsError as error:
            return error

    def _read(self, place: Place) -> Item:
        source = self.mix.mapped if place.with_map else self.mix.plain
        assert source is not None
        image, heatmap, label = source.read(place.number)
        if label >= self.classes:
            raise DataError(
                f"{source.name(place.number)} is of class {label}, counted from 0; the model has {self.classes} "
                "classes.",
                "Say classes in the configuration.",
            )
        image = image.float() / 255
        present = heatmap is not None
        heatmap = torch.zeros(image.shape[1:]) if heatmap is None else heatmap
        seed = int(np.random.SeedSequence([self.mix.seed, place.step, place.slot]).generate_state(1)[0])
        image, heatmap = cut(image, heatmap, self.spec.size, self.config.smallest_crop, self.config.flip, seed)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.spec.mean, self.spec.std))
        return (image - mean) / std, label, heatmap, float(present), source.name(place.number)


def cut(
    image: torch.Tensor, heatmap: torch.Tensor, size: int, smallest: float, flip: bool, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Crop and mirror an image and its map at random, both alike.

    Parameters
    ----------
    image : tensor, shape (3, y, x)
        From 0 to 1.
    heatmap : tensor, shape (y, x)
        Of the same size or of another: both show the whole image.
    size : int
        Of the result's sides.
    smallest : float
        Share of the area that is left at least; the sides' ratio goes from 3/4 to 4/3. 1: the whole image, squeezed.
    flip : bool
    seed : int
        Torch's own randomness is left alone.

    Returns
    -------
    tensors, shape (3, size, size) and (size, size)
    """
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import Compose, RandomHorizontalFlip, RandomResizedCrop, Resize
    from torchvision.tv_tensors import Image as Pixels

    bicubic = InterpolationMode.BICUBIC
    if heatmap.shape != image.shape[1:]:
        heatmap = Resize(image.shape[1:], antialias=True)(Pixels(heatmap[None]))[0]
    if smallest < 1:
        piece = RandomResizedCrop(size, (smallest, 1.0), (1 / LONGEST_RATIO, LONGEST_RATIO), bicubic, antialias=True)
    else:
        piece = Resize((size, size), bicubic, antialias=True)
    steps = Compose([piece, RandomHorizontalFlip(0.5 if flip else 0.0)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        image, heatmap = steps(Pixels(image), Pixels(heatmap[None]))
    return image.as_subclass(torch.Tensor).clamp(0, 1), heatmap.as_subclass(torch.Tensor)[0].clamp(min=0)


def places(mix: Mix, batch_size: int, parts: int, part_of: range, start: int, end: int) -> Iterator[list[Place]]:
    """List the images of the batches that a process shows, from one step to another.

    Parameters
    ----------
    mix : Mix
    batch_size : int
        Images of a step, over all processes.
    parts : int
        In which a step is shown by all processes together.
    part_of : range
        Those of this process.
    start, end : int
        Steps; the last one is left out.
    """
    size = batch_size // parts
    for step in range(start, end):
        chosen = mix.chosen(step, batch_size)
        for part in part_of:
            slots = range(part * size, (part + 1) * size)
            yield [Place(step, slot, *chosen[slot]) for slot in slots]


def batches(shown: TrainingDataset, order: Iterator[list[Place]], workers: int) -> Iterator[Batch]:
    """Read batches in a given order.

    Raises
    ------
    DataError
        When an image is damaged, or of a class that the model lacks.
    """
    for batch in DataLoader(shown, batch_sampler=order, num_workers=workers, collate_fn=_together):
        if isinstance(batch, ItMapsError):
            raise batch
        yield batch


def _together(items: Sequence[Item | ItMapsError]) -> Batch | ItMapsError:
    failed = next((item for item in items if isinstance(item, ItMapsError)), None)
    if failed is not None:
        return failed
    images, labels, heatmaps, tokens, names = zip(*items, strict=True)
    return Batch(torch.stack(images), torch.tensor(labels), torch.stack(heatmaps), torch.tensor(tokens), list(names))
