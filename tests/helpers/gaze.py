"""Made-up fixations and images in the form of OSIE's files; nobody looked at them."""

from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from brainscore_itmaps.pinned_files import PinnedFile


def pinned(folder: Path, repository="lab/gaze", commit="4a467890fcb4") -> tuple[PinnedFile, ...]:
    """Pin all files in a folder, in the order of their paths."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        PinnedFile(
            repository,
            commit,
            path.relative_to(folder).as_posix(),
            path.stat().st_size,
            sha256(path.read_bytes()).hexdigest(),
        )
        for path in files
    )


def write_gaze(folder: Path, images: int, rng: np.random.Generator, fixations=None) -> Path:
    """Write images of 4 x 3 tiles, and 15 viewers who look near the brightest one, or at these fixations (x, y)."""
    (folder / "data" / "stimuli").mkdir(parents=True)
    (folder / "data" / "eye").mkdir()
    cells = np.empty((images, 1), dtype=object)
    for number in range(images):
        coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        name = f"{1001 + number}.jpg"
        Image.fromarray(coarse).resize((800, 600), Image.Resampling.NEAREST).save(folder / "data" / "stimuli" / name)
        row, column = np.unravel_index(coarse.sum(axis=2).argmax(), (3, 4))
        viewers = np.empty((15, 1), dtype=object)
        for viewer in range(15):
            count = 1 + int(rng.integers(1, 9))
            x, y = 200 * column + 100 + rng.normal(0, 40, count), 200 * row + 100 + rng.normal(0, 40, count)
            if fixations is not None:
                x, y = fixations
            x, y = np.clip(x, 0, 800), np.clip(y, 0, 600)
            x[0], y[0] = 400, 300
            viewers[viewer, 0] = {"fix_x": x, "fix_y": y, "fix_duration": np.full(len(x), 250, dtype=np.uint16)}
        cells[number, 0] = {"img": name, "subjects": viewers}
    savemat(folder / "data" / "eye" / "fixations.mat", {"fixations": cells}, do_compression=True)
    return folder
