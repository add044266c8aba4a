"""Damage files of every kind in many ways; each must end in one of our errors, or be read.

``python tests/helpers/fuzz.py NUMBER SEED [READER ...]`` prints how the mutants of each reader ended. Run by
``tests/test_fuzz.py`` in a process of its own, and with 10,000 mutants a reader by ``nox -s fuzz``.

Where files have hashes, a mutant that is read must give the value that was written.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from fuzz_recordings import damaged
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from shards import write_shard
from studies import planted

from brainscore_itmaps import load_recording
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.saved import load_summary
from brainscore_itmaps.cache import Expected, ResultCache
from brainscore_itmaps.data.clickme import read_clickme
from brainscore_itmaps.data.human_maps import read_map
from brainscore_itmaps.data.matfiles import numbers, shapes
from brainscore_itmaps.data.published_tables import ACCURACIES, read_columns
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ItMapsError
from brainscore_itmaps.images import read_image, unusual_features, upright_size
from brainscore_itmaps.models.checkpoint import read_weights
from brainscore_itmaps.models.keras_weights import keras_file
from brainscore_itmaps.models.runs import read_run
from brainscore_itmaps.study.config import read_study
from brainscore_itmaps.study.plan import plan
from brainscore_itmaps.study.table import tidy_table
from brainscore_itmaps.training.checkpoint import EPOCHS, STEPS, Log, resume_from_checkpoint, save_checkpoint
from brainscore_itmaps.training.config import read_config

SECONDS = 30
"""Longest time that reading one mutant may take."""
HOSTILE = (b"NaN", b"Infinity", b"-1", b"1e999", b"true", b"null", b"[]", b"{}", b'""', b"[[[[", b"\x00", b"\xff\xfe",
           b"99999999999999999999", b"$\\frac{$", b"../..", b"~nobody/x", b"[" * 3000, b"{\"a\":" * 3000)  # fmt: skip


@dataclass
class Target:
    """Files that are damaged, what reads them, and whether a mutant that is read must give the same value."""

    files: list
    read: object
    exact: bool = False


def mutate(content, rng, is_text):
    """Damage bytes; of a text, often put a value in the place of another."""
    if not is_text or rng.random() < 0.3:
        return damaged(content, rng)
    content = bytearray(content)
    for _ in range(rng.integers(1, 3)):
        starts = [at for at, byte in enumerate(content[:20_000]) if byte in b":=, \n["] or [0]
        start = int(rng.choice(starts)) + 1
        end = start + 1
        while end < len(content) and content[end] not in b",\n]}" and end < start + 40:
            end += 1
        content[start:end] = HOSTILE[rng.integers(len(HOSTILE))]
    return bytes(content)


def result(folder):
    file, _, npz, *_ = planted()[0].save(folder)
    return Target([file, npz], lambda: astuple(Result.load(file).estimate)[:5], exact=True)


def listed_result(folder):
    file, *_ = planted()[0].save(folder)
    return Target([file], lambda: (load_summary(file).raw, load_summary(file).score), exact=True)


def compared_result(folder):
    file, *_ = planted()[0].save(folder)
    other = folder / "other.json"
    other.write_text(json.dumps({"model": "vgg16", "benchmark": "V4", "score": 0.5, "interval": [0.4, 0.6], "raw": 0.3,
                                 "weights": "pretrained"}))  # fmt: skip
    return Target([file, other], lambda: len(tidy_table([folder]).rows))


def cache_entry(folder):
    cache, expected = ResultCache(folder), {"r": Expected((30,)), "score": Expected(())}
    values = {"r": np.linspace(0, 1, 30), "score": 0.5}
    cache.computed("ab12", lambda: values, expected)
    (file,) = folder.rglob("*.npz")

    def read():
        entry = cache.computed("ab12", lambda: values, expected)
        return entry["r"].tolist(), float(entry["score"])

    return Target([file], read, exact=True)


def study(folder):
    file = folder / "study.toml"
    file.write_text('title = "trial"\nmodels = ["set:embedded"]\nbenchmarks = ["it_maps_simulated"]\n'
                    'windows = ["own", "100-150"]\nbatch_size = 14\nrandom_seeds = 1\n\n[[model]]\n'
                    'name = "timm:test_vit"\nweights = "random"\nseed = 2\n\n[cluster]\nworkers = 2\n'
                    'memory = "4GB"\n')  # fmt: skip
    return Target([file], lambda: bool(plan(read_study(file), folder / "out")))


def harmonize(folder):
    file = folder / "run.toml"
    file.write_text('model = "timm:test_resnet"\npreset = "published"\nepochs = 2\nbatch_size = 8\nseed = 0\n\n'
                    '[data]\nclickme = "shards"\nshare = 0.2\n\n[loss]\nlambda_harmonization = 1.5\n\n'
                    '[optimiser]\nlr = 0.1\ndrops = [1, 2]\n')  # fmt: skip
    return Target([file], lambda: bool(read_config(file)))


def checkpoint(folder):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Linear(4, 2))
    optimiser = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 6)).sum().backward()
    optimiser.step()
    save_checkpoint(folder, 5, module, optimiser, "hash")
    log = Log(folder, 0)
    for step in range(5):
        log.write(STEPS, {"step": step, "loss": 0.5})
    log.write(EPOCHS, {"step": 5, "top1": 0.25})
    written = {name: value.clone() for name, value in module.state_dict().items()}

    def read():
        step = resume_from_checkpoint(folder, module, optimiser, "hash", steps=20)
        last = Log(folder, step).last(STEPS)
        return (
            step,
            all(torch.equal(value, written[name]) for name, value in module.state_dict().items()),
            "step" in last,
        )

    return Target(sorted(file for file in folder.rglob("*") if file.is_file() and file.name[0] != "."), read)


def weights(folder):
    module = torch.nn.Linear(6, 4)
    torch.save({"state_dict": module.state_dict()}, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, folder / "new.pt")
    save_file(module.state_dict(), folder / "it.safetensors")
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text(json.dumps({"model": "timm:test_vit", "sha256": "ab", "classes": 4}))
    files = [folder / name for name in ("old.pt", "new.pt", "it.safetensors", "run/config.json")]

    def read(file):
        return bool(read_run(file.parent) if file.name == "config.json" else read_weights(file, module))

    return Target(files, read)


def hdf5(folder):
    with h5py.File(folder / "it.mat", "w") as file:
        file.create_dataset("maps", data=np.arange(40.0).reshape(8, 5), compression="gzip", chunks=True)
        file.create_dataset("group/names", data=[b"a", b"b"])
        file.attrs["layer_names"] = [b"conv"]
    with h5py.File(folder / "it.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"kernel:0"]
        group.create_dataset("kernel:0", data=np.ones((3, 3), np.float32))
    savemat(folder / "old.mat", {"maps": np.arange(40.0).reshape(8, 5)})

    def read(file):
        if file.suffix == ".h5":
            with keras_file(file) as opened:
                return bool([opened.read(name) for name in opened.shapes])
        return bool([numbers(file, name) for name in shapes(file)])

    return Target([folder / name for name in ("it.mat", "it.h5", "old.mat")], read)


def images(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    for name, options in (("a.png", {}), ("b.jpg", {"quality": 90}), ("c.gif", {}), ("d.tif", {}), ("e.bmp", {}),
                          ("f.webp", {})):  # fmt: skip
        Image.fromarray(pixels).save(folder / name, **options)
    np.save(folder / "g.npy", pixels[..., 0])

    def read(file):
        if file.suffix == ".npy":
            return bool(read_map(file).size)
        upright_size(file), unusual_features(file)
        return bool(read_image(file).size)

    return Target(sorted(folder.glob("*.*")), read)


def recording(folder):
    rng, files = np.random.default_rng(0), []
    for number in range(6):
        files.append(folder / f"image-{number}.png")
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(files[-1])
    made = Recording.from_arrays(rng.normal(size=(6, 5, 4, 3)), files, identifier="lab.simulated", window=(0, 9),
                                 simulated=True)  # fmt: skip
    saved = made.save(folder / "mine")
    return Target([saved / "maps.npz", saved / "recording.json"], lambda: bool(load_recording(saved).maps.size))


def tfrecord(folder):
    file = write_shard(folder / "val-0.tfrecords", 2)
    return Target([file], lambda: len(list(read_clickme([file]))))


def table(folder, ending):
    rng, files = np.random.default_rng(0), []
    for number in range(4):
        files.append(folder / f"image-{number}.png")
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(files[-1])
    rows = [(image, y, x, "s", float(rng.normal())) for image in range(4) for y in range(3) for x in range(3)]
    frame = pd.DataFrame(rows, columns=["image", "y", "x", "site", "value"]).assign(
        image=lambda made: "image-" + made.image.astype(str)
    )
    file = folder / f"maps.{ending}"
    frame.to_csv(file, index=False) if ending == "csv" else frame.to_parquet(file)
    return Target([file], lambda: bool(Recording.from_table(file, folder, identifier="lab", window=(0, 9), extent=9)))


def csv(folder):
    return table(folder, "csv")


def parquet(folder):
    return table(folder, "parquet")


def published(folder):
    file = folder / "table.csv"
    rows = [f"model_{n},{60 + n},0.8,cnn,plain,{0.05 * n:.2f},0.01" for n in range(9)]
    file.write_text("\n".join([",".join(ACCURACIES), *rows]) + "\n")
    return Target([file], lambda: len(read_columns(file, ACCURACIES)))


READERS = {made.__name__: made for made in (
    result, listed_result, compared_result, cache_entry, study, harmonize, checkpoint, weights, hdf5, images, recording,
    tfrecord, csv, parquet, published,
)}  # fmt: skip


def too_long(*_):
    raise TimeoutError


def fuzz(name, number, seed):
    """Read mutants of one kind; returns how each ended, and prints the first of each kind that should not be."""
    rng, ended, seen = np.random.default_rng([seed, *map(ord, name)]), Counter(), set()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        target = READERS[name](folder)
        takes_file = target.read.__code__.co_argcount == 1
        originals = {file: file.read_bytes() for file in target.files}
        whole = None if takes_file else target.read()
        for count in range(number):
            file = target.files[count % len(target.files)]
            is_text = file.suffix in (".json", ".toml", ".csv", ".yaml")
            content = mutate(originals[file], rng, is_text)
            file.parent.mkdir(parents=True, exist_ok=True)
            for other, bytes_of in originals.items():
                if not other.is_file() or other.stat().st_size != len(bytes_of) or target.exact or len(originals) > 1:
                    other.write_bytes(bytes_of)
            file.write_bytes(content)
            signal.alarm(SECONDS)
            try:
                value = target.read(file) if takes_file else target.read()
                how = "read"
                if target.exact and value != whole and repr(value) != repr(whole):
                    how = "ANOTHER VALUE"
            except ItMapsError:
                how = "error of ours"
            except TimeoutError:
                how = "TOO LONG"
            except BaseException as error:  # noqa: BLE001 - what is looked for
                how = f"{type(error).__name__.upper()}"
                where = traceback.extract_tb(error.__traceback__)[-1]
                if (how, where.filename, where.lineno) not in seen:
                    seen.add((how, where.filename, where.lineno))
                    print("".join(traceback.format_exception(error)[-12:])[-3000:], file=sys.stderr)
            finally:
                signal.alarm(0)
            if how.isupper() and ended[how] < 3:
                kept = (
                    Path(os.environ.get("FUZZ_KEPT", tempfile.gettempdir()))
                    / f"mutant-{name}-{seed}-{count}{file.suffix}"
                )
                kept.write_bytes(content)
                print(f"{how}: mutant {count} of {name}, seed {seed}, of {file.name}, is in {kept}", file=sys.stderr)
            ended[how] += 1
    return ended


def main(number, seed, names):
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, too_long)
    wrong = 0
    for name in names or READERS:
        start = time.perf_counter()
        ended = fuzz(name, number, seed)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        told = ", ".join(f"{how} {times}" for how, times in sorted(ended.items()))
        print(f"{name}: {number} mutants in {time.perf_counter() - start:.0f} s, {memory:.1f} GB: {told}", flush=True)
        wrong += sum(times for how, times in ended.items() if how.isupper())
    return wrong


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]) > 0)
