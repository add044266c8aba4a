"""Write a small data set of shapes with SIMULATED human maps, and the configuration of a training run on it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from brainscore_itmaps.data.class_folders import IMAGES, MAPS
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import new_folder

SIDE = 64
"""Side of the images, in pixels; maps have a quarter of it."""
SHAPES = ("bar", "disc", "ring")
TRAIN, HELD_OUT = "train_simulated", "held_out_simulated"
COUNTS = {TRAIN: 8, HELD_OUT: 4}
"""Number of images of each shape."""
CONFIG = "harmonize.toml"
TOML = """# A tiny run on SIMULATED human maps, to try the commands: the maps are blurred shapes, no person was asked.
model = "test_resnet"       # a very small model of timm
weights = "random"
classes = 3
epochs = 4
batch_size = 6

[data]
human_images = "{folder}/train_simulated/images"   # a subfolder for each class: bar, disc, ring
human_maps = "{folder}/train_simulated/maps"       # a map for each image, of the same name
held_out = "{folder}/held_out_simulated"           # a folder with the subfolders images and maps
size = 64

[optimiser]
lr = 1e-3
"""


def write_simulated_human_maps(folder: Path, seed: int = 0) -> Path:
    """Write images of shapes with SIMULATED human maps, to train on and to measure on, and ``harmonize.toml``.

    The map of an image is its blurred shape. The data serve to try the commands: no result on them says anything about
    people.

    Parameters
    ----------
    folder : Path
        New folder.
    seed : int

    Returns
    -------
    Path
        The configuration.

    Raises
    ------
    UsageError
        When the folder exists.
    InstallationError
        When it cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as parent:
    ...     config = write_simulated_human_maps(Path(parent, "shapes"))
    ...     sorted(file.name for file in config.parent.iterdir())
    ['harmonize.toml', 'held_out_simulated', 'train_simulated']
    """
    if folder.exists():
        raise UsageError(f"{folder} already exists and is not overwritten.", "Choose a new folder.")
    rng = np.random.default_rng(seed)
    with new_folder(folder) as new:
        for part, count in COUNTS.items():
            for shape in SHAPES:
                for subfolder in (IMAGES, MAPS):
                    (new / part / subfolder / shape).mkdir(parents=True)
                for number in range(count):
                    image, heatmap = _example(shape, rng)
                    Image.fromarray(image).save(new / part / IMAGES / shape / f"{number}.png")
                    Image.fromarray(heatmap).save(new / part / MAPS / shape / f"{number}.png")
        (new / CONFIG).write_text(TOML.format(folder=folder.as_posix()), encoding="utf-8")
    return folder / CONFIG


def _example(shape: str, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a shape in a random colour at a random position on a noisy background, and its blurred outline."""
    y, x = np.mgrid[:SIDE, :SIDE] - rng.uniform(16, SIDE - 16, 2)[:, None, None]
    radius = np.hypot(y, x)
    inside = {
        "bar": (abs(y) < 5) & (abs(x) < 14),
        "disc": radius < 10,
        "ring": (radius > 7) & (radius < 13),
    }[shape]
    background = gaussian_filter(rng.uniform(0, 255, (SIDE, SIDE, 3)), (3, 3, 0))
    image = np.where(inside[..., None], rng.uniform(150, 255, 3), background)
    heatmap = gaussian_filter(inside.astype(float), 4).reshape(SIDE // 4, 4, SIDE // 4, 4).mean(axis=(1, 3))
    return np.rint(image).astype(np.uint8), np.rint(255 * heatmap / heatmap.max()).astype(np.uint8)
