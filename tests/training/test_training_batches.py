"""Batches of training images: the seed and the step alone determine their content."""

from dataclasses import dataclass
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from brainscore_itmaps.errors import DataError
from brainscore_itmaps.training.batches import (
    Example,
    Mix,
    TrainingDataset,
    batch_indices,
    batches,
    image_folder,
    random_crop,
)
from brainscore_itmaps.training.config import DataConfig


@dataclass(frozen=True)
class Numbered:
    """Images whose colour is their number."""

    count: int
    mapped: bool = True

    def __len__(self):
        return self.count

    def read(self, number):
        image = torch.full((3, 20, 20), float(number))
        return Example(image, image[0] if self.mapped else None, number)

    def name(self, number):
        return f"{'mapped' if self.mapped else 'plain'} {number}"


class Colours:
    mean, std, size = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 8


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_every_image_is_drawn_equally_often_and_the_share_is_kept(mapped, plain, share, batch_size):
    mix = Mix(Numbered(mapped), Numbered(plain, False), share, seed=3)
    steps = [mix.images_of_step(step, batch_size) for step in range(60)]
    assert all(len(step) == batch_size for step in steps)
    images = list(chain(*steps))
    with_map = [number for kind, number in images if kind]
    assert abs(len(with_map) - share * len(images)) <= 1
    for numbers, count in ((with_map, mapped), ([number for kind, number in images if not kind], plain)):
        times = np.bincount(numbers, minlength=count)
        assert times.max() - times.min() <= 1


def test_the_images_of_a_step_depend_on_the_seed_and_the_step_alone():
    mix = Mix(Numbered(50), Numbered(70, False), 0.2, seed=1)
    first = [mix.images_of_step(step, 10) for step in range(20)]
    assert mix.images_of_step(13, 10) == first[13]
    assert Mix(mix.mapped, mix.plain, 0.2, seed=2).images_of_step(13, 10) != first[13]
    assert first[0] != sorted(first[0])


def test_an_epoch_shows_every_image_without_a_map_once():
    mix = Mix(Numbered(30), Numbered(80, False), 0.2, seed=0)
    assert mix.steps_per_epoch(10) == 10
    assert Mix(Numbered(30), None, 0.2, seed=0).steps_per_epoch(10) == 3


def test_processes_and_parts_split_a_step_without_omission_or_repetition():
    mix = Mix(Numbered(50), None, 1, seed=0)
    alone = [index for batch in batch_indices(mix, 12, 1, range(1), 3, 5) for index in batch]
    processes = (range(2), range(2, 4))
    shared = [index for parts in processes for batch in batch_indices(mix, 12, 4, parts, 3, 5) for index in batch]
    assert sorted(shared) == sorted(alone)
    assert len(list(batch_indices(mix, 12, 4, range(2), 3, 5))) == 4


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_batches_are_the_same_from_any_step_on(workers):
    dataset = TrainingDataset(Mix(Numbered(20), Numbered(20, False), 0.5, 0), DataConfig(), Colours(), 20)
    complete = list(batches(dataset, batch_indices(dataset.mix, 4, 1, range(1), 0, 6), 0))
    rest = list(batches(dataset, batch_indices(dataset.mix, 4, 1, range(1), 3, 6), workers))
    for a, b in zip(complete[3:], rest, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.heatmaps, b.heatmaps)
        assert a.names == b.names
    batch = complete[0]
    assert batch.images.shape == (4, 3, 8, 8)
    assert batch.tokens.tolist() == [float(name.startswith("mapped")) for name in batch.names]
    torch.testing.assert_close(batch.images[:, 0, 0, 0] * 255, batch.labels.float())
    assert (batch.heatmaps[batch.tokens == 0] == 0).all()


def test_image_and_map_are_cropped_and_mirrored_alike():
    """The map is the image's red: it stays so in every crop."""
    image = torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(0))
    for seed in range(20):
        crop, heatmap = random_crop(image, image[0], 32, 0.08, True, seed)
        torch.testing.assert_close(heatmap.clamp(0, 1), crop[0])
    first, repeated, other = (random_crop(image, image[0], 32, 0.08, True, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, repeated)
    assert not torch.equal(first, other)


def test_a_map_of_another_size_covers_the_whole_image():
    image = torch.zeros(3, 256, 256)
    image[:, :, 128:] = 1
    heatmap = torch.zeros(64, 64)
    heatmap[:, 32:] = 1
    crop, crop_of_heatmap = random_crop(image, heatmap, 64, 1, False, 0)
    assert torch.corrcoef(torch.stack([crop[0].flatten(), crop_of_heatmap.flatten()]))[0, 1] > 0.99


def test_cropping_leaves_torchs_random_state_unchanged():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    random_crop(torch.rand(3, 9, 9, generator=torch.Generator()), torch.zeros(9, 9), 4, 0.5, True, 5)
    assert torch.rand(1) == expected


def test_a_folder_of_classes_is_read_in_the_order_of_its_names(tmp_path):
    for number, name in enumerate(["n02", "n01"]):
        (tmp_path / name).mkdir()
        Image.new("RGB", (10, 12), (number, 5, 250)).save(tmp_path / name / "a.png")
    folder = image_folder(tmp_path, 2)
    example = folder.read(0)
    assert example.label == 0
    assert example.heatmap is None
    assert example.image[:, 0, 0].tolist() == [1, 5, 250]
    assert folder.name(1).endswith("n02/a.png")
    with pytest.raises(DataError, match="has 2 classes, not 1000"):
        image_folder(tmp_path, 1000)
    with pytest.raises(DataError, match="not a folder with a subfolder"):
        image_folder(tmp_path / "nothing", 2)
    (tmp_path / "n01" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        folder.read(0)
