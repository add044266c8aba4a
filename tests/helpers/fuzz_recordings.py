"""Damage recordings of the published layout in many ways; each must end in a recording or in one of our errors.

Run by ``test_fuzz.py`` in a process of its own, because what reads HDF5 is a C library.
"""

import io
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

from brainscore_itmaps import load_recording
from brainscore_itmaps.errors import ItMapsError

NAMES = [f"img_{number:02d}.png" for number in range(14)]
MAT = "red_062419_data.mat"


def seeds(rng):
    """The same small recording (monkey 2, 2 ms) in every form: three kinds of .mat, and zips of them."""
    responses = rng.normal(size=(9, 9, 2, 32, 14)).astype(np.float32).round(1)
    variables = {"imageRF": responses, "UniqueNames": np.array([[f"C:\\stim\\{name}" for name in NAMES]], dtype=object)}
    mats = {}
    for kind, compress in (("compressed", True), ("plain", False)):
        encoded = io.BytesIO()
        savemat(encoded, variables, do_compression=compress)
        mats[kind] = encoded.getvalue()
    encoded = io.BytesIO()
    with h5py.File(encoded, "w") as file:
        file.create_dataset("imageRF", data=responses.T, compression="gzip", chunks=True)
        references = [
            file.create_dataset(f"#refs#/{name}", data=np.array([[ord(letter)] for letter in name], np.uint16)).ref
            for name in NAMES
        ]
        file.create_dataset("UniqueNames", data=np.array(references, dtype=h5py.ref_dtype)[:, None])
    mats["hdf5"] = encoded.getvalue()
    zips = {}
    for kind in ("compressed", "plain"):
        encoded = io.BytesIO()
        with zipfile.ZipFile(encoded, "w", zipfile.ZIP_DEFLATED if kind == "plain" else zipfile.ZIP_STORED) as archive:
            for name, content in images(rng).items():
                archive.writestr(f"Arcaro2020/Red/red_naturalface/{name}", content)
            archive.writestr(f"Arcaro2020/Red/{MAT}", mats[kind])
        zips[f"zip of {kind}"] = encoded.getvalue()
    return mats, zips


def images(rng):
    encoded = {}
    for name in NAMES:
        content = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(content, "PNG")
        encoded[name] = content.getvalue()
    return encoded


def damaged(content, rng):
    """Flip bits, overwrite, cut, repeat or insert; headers, where the structure is, more often than the rest."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        spread = len(content) if rng.random() < 0.4 else min(len(content), 2000)
        at = int(rng.integers(0, max(spread, 1)))
        if rng.random() < 0.3:  # a zip and an HDF5 file end with their tables
            at = max(len(content) - 1 - at, 0)
        match rng.integers(0, 6):
            case 0:
                content[at : at + 1] = bytes([rng.integers(0, 256)])
            case 1:
                content[at : at + 1] = bytes([content[at] ^ (1 << rng.integers(0, 8))]) if content else b""
            case 2:
                content[at : at + 4] = int(rng.choice([0, 1, 255, 2**31 - 1, 2**32 - 1])).to_bytes(4, "little")
            case 3:
                del content[at : at + int(rng.integers(1, 64))]
            case 4:
                content[at:at] = rng.bytes(int(rng.integers(1, 64)))
            case 5:
                content = content[: max(at, 1)] if rng.random() < 0.3 else content
    return bytes(content)


def main(count, seed):
    """Try ``count`` mutants; print how each kind ended."""
    rng = np.random.default_rng(seed)
    mats, zips = seeds(rng)
    ended = Counter()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "red"
        (folder / "red_naturalface").mkdir(parents=True)
        for name, content in images(rng).items():
            (folder / "red_naturalface" / name).write_bytes(content)
        kinds = [*mats.items(), *zips.items()]
        for number in range(count):
            kind, content = kinds[number % len(kinds)]
            mutant = damaged(content, rng)
            source = folder if kind in mats else Path(root) / "mutant.zip"
            (folder / MAT if kind in mats else source).write_bytes(mutant)
            try:
                load_recording("monkey2_ML", (0, 2), source)
                ended[kind, "a recording"] += 1
            except ItMapsError as error:
                ended[kind, type(error).__name__] += 1
            except BaseException:
                Path("mutant").write_bytes(mutant)
                print(f"mutant {number} of {kind}, seed {seed}, is in the file mutant", flush=True)
                raise
    for (kind, how), times in sorted(ended.items()):
        print(f"{kind}: {how}: {times}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
