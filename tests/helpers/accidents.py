"""Kill commands at random times, and fill the disk under them; each must continue and end as without the accident.

``python tests/helpers/accidents.py KILLS DISKS SEED [COMMAND ...]`` prints the counts of each command; so does ``nox -s
accidents``. After an accident, every result that is there must be readable, and no traceback may be printed. The second
run must end well, with the same files as an unbroken run, and without hidden leftovers.
"""

import gc
import hashlib
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from command_server import IMPORTED, become
from contribution import clone_of_brain_score
from PIL import Image
from shards import write_shard
from studies import planted

from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.data.stand_in import write_stand_in
from brainscore_itmaps.files import sha256
from brainscore_itmaps.settings import overridden

MODEL = ("--model", "timm:test_resnet", "--weights", "random")
LONGEST = 240
"""Seconds that a command may take."""


def images(folder, number, side=40):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(number):
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((side, side), 3).save(folder / f"image-{index}.png")
    return sorted(folder.glob("*.png"))


def score(data):
    rng = np.random.default_rng(0)
    with overridden(home=data / "home", brainio_home=data / "brainio"):
        maps = rng.normal(size=(8, 7, 7, 1)) + 0.1 * rng.normal(size=(8, 7, 7, 4))
        made = Recording.from_arrays(
            maps, images(data / "images", 8), identifier="lab.simulated", window=(0, 9), simulated=True
        )
        made.save(data / "recording")
    return ("score", *MODEL, "--benchmark", data / "recording", "--device", "cpu", "--out")


def sweep(data):
    file = data / "study.toml"
    file.write_text('benchmarks = ["it_maps_simulated"]\nrandom_seeds = 0\ncontrols = false\n'
                    '[[model]]\nname = "timm:test_resnet"\nweights = "random"\nseed = 1\n'
                    '[[model]]\nname = "timm:test_resnet"\nweights = "random"\nseed = 2\n'
                    "[cluster]\nworkers = 1\nthreads = 1\n")  # fmt: skip
    return ("sweep", file, "--out")


def compare(data):
    for result in planted()[:6]:
        result.save(data / "results")
    return ("compare", data / "results", "--out")


def report(data):
    file, *_ = planted()[0].save(data / "results")
    return ("report", file, "--out")


def harmonize(data):
    write_shard(data / "train" / "train-0.tfrecords", 12)
    file = data / "run.toml"
    file.write_text(f'model = "test_resnet"\nweights = "random"\nclasses = 4\nepochs = 2\nbatch_size = 4\n'
                    f'checkpoint_every = 1\n[data]\nclickme = "{data / "train"}"\nsize = 64\n')  # fmt: skip
    return ("harmonize", file, "--device", "cpu", "--out")


def attack(data):
    images(data / "images", 3)
    return ("attack", *MODEL, "--images", data / "images", "--steps", "3", "--out")


def fetch(data):
    write_stand_in(data / "Arcaro2020.zip", seed=1, duration=20)
    return ("data", "fetch", "--from", data / "Arcaro2020.zip")


def contribute(data):
    clone_of_brain_score(data / "clone")
    return ("contribute", "export", "efficientnet_lite0", "itmaps_pls", "--to")


COMMANDS = {each.__name__: each for each in (score, sweep, compare, report, harmonize, attack, fetch, contribute)}
SIZES = {
    "score": (2_000, 20_000, 60_000),
    "sweep": (2_000, 40_000, 200_000),
    "compare": (2_000, 30_000, 150_000),
    "report": (2_000, 100_000, 400_000),
    "harmonize": (1_000, 50_000, 1_000_000),
    "attack": (2_000, 20_000, 60_000),
    "fetch": (2_000, 100_000, 1_000_000),
    "contribute": (500, 3_000, 20_000),
}
"""Sizes of files at which the disk is full."""


class Place:
    """A folder with a home of its own, in which a command runs."""

    def __init__(self, name, arguments, data, root):
        import shutil

        self.name, self.root = name, root
        root.mkdir()
        for folder in ("home", "brainio"):
            if (data / folder).is_dir():
                shutil.copytree(data / folder, root / folder)
        self.out = root / ("out.html" if name == "report" else "out")
        if name == "contribute":
            shutil.copytree(data / "clone", self.out)
        self.arguments = [*arguments] if name == "fetch" else [*arguments, self.out]

    def run(self, kill_after=None, limit=None):
        """Run the command; returns its exit code and what it printed to standard error."""
        streams = {name: self.root / name for name in ("stdout", "stderr")}
        for file in streams.values():
            file.write_text("")
        environment = os.environ | {"ITMAPS_HOME": str(self.root / "home"), "BRAINIO_HOME": str(self.root / "brainio")}
        command = {"arguments": ["-m", "brainscore_itmaps", *map(str, self.arguments)], "environment": environment,
                   "folder": str(self.root), **{name: str(file) for name, file in streams.items()}}  # fmt: skip
        process = os.fork()
        if process == 0:
            os.setsid()
            if limit:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            code = 1
            try:
                become(command)
                code = 0
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            except BaseException:  # noqa: BLE001 - printed by Python in a real command
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        start = time.monotonic()
        while True:
            ended, status = os.waitpid(process, os.WNOHANG)
            waited = time.monotonic() - start
            if ended:
                return os.waitstatus_to_exitcode(status), streams["stderr"].read_text()
            if (kill_after is not None and waited > kill_after) or waited > LONGEST:
                os.killpg(process, signal.SIGKILL)
                os.waitpid(process, 0)
                time.sleep(0.2)  # workers notice
                return -signal.SIGKILL, streams["stderr"].read_text()
            time.sleep(0.005)

    def results(self):
        """Read every result that is there: an error here is a result that is half there."""
        files = [file for file in self.root.rglob("*.json") if ".writing-" not in str(file)]
        records = [file for file in files if '"format": "brainscore_itmaps result"' in file.read_text()[:200]]
        return {file.name: (result.raw, result.score) for file in records for result in [Result.load(file)]}

    def written(self):
        """Return what must be the same after an accident."""
        if self.name in ("score", "sweep", "attack"):
            return self.results()
        if self.name == "harmonize":
            return sha256(self.out / "model.safetensors")
        if self.name == "report":
            return len(self.out.read_text()) > 1000 and self.out.read_text().rstrip().endswith("</html>")
        home = {"fetch": self.root / "home", "compare": self.out, "contribute": self.out}[self.name]
        endings = {"compare": (".csv", ".parquet"), "fetch": (".zip",), "contribute": (".py", ".md", ".txt")}[self.name]
        files = [file for file in sorted(home.rglob("*")) if file.suffix in endings and "/.git/" not in str(file)]
        return {str(file.relative_to(home)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def leftovers(self):
        names = (".writing-*", ".itmaps-*")
        return [str(path) for name in names for path in (*self.root.rglob(name),)]


def try_command(name, kills, disks, rng):
    """Returns counts, and sentences about what went wrong."""
    counts, wrong = {"killed": 0, "full disks": 0, "unreadable": 0, "second runs": 0}, []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        arguments = COMMANDS[name](data)
        unbroken = Place(name, arguments, data, Path(folder) / "unbroken")
        start = time.monotonic()
        code, text = unbroken.run()
        seconds = time.monotonic() - start
        if code:
            return counts, [f"{name} ends with {code}: {text[-500:]}"]
        expected = unbroken.written()
        accidents = [("killed", float(rng.uniform(0.15, 1) * seconds), None) for _ in range(kills)]
        accidents += [("full disks", None, size) for size in SIZES[name][:disks]]
        for number, (kind, kill_after, limit) in enumerate(accidents):
            place = Place(name, arguments, data, Path(folder) / f"{number}")
            code, text = place.run(kill_after, limit)
            if "Traceback" in text or "Exception ignored" in text:
                wrong.append(f"{name}, {kind} {kill_after or limit}: {text[-1500:]}")
            if code == 0 and kind == "killed":
                continue  # it ended before
            counts[kind] += code != 0
            try:
                place.results()
            except Exception as error:  # noqa: BLE001 - what is looked for
                counts["unreadable"] += 1
                wrong.append(f"{name}, {kind} {kill_after or limit}: {error}")
            code, text = place.run()
            counts["second runs"] += 1
            if code or place.written() != expected or place.leftovers():
                wrong.append(f"{name}, second run after {kind} {kill_after or limit}: {code}, "
                             f"{place.written() == expected}, {place.leftovers()}, {text[-500:]}")  # fmt: skip
    return counts, wrong


def save_alternately(kills, rng):
    """Kill a process that saves two results of one name in turn; returns counts of what is there afterwards."""
    from dataclasses import replace

    first = planted()[0]
    second = replace(first, notes=("the other one",))
    counts = {"killed": 0, "first": 0, "second": 0, "unreadable": 0, "leftovers": 0}
    with tempfile.TemporaryDirectory() as folder:
        file, *_ = first.save(folder)
        for _ in range(kills):
            process = os.fork()
            if process == 0:
                while True:
                    second.save(folder)
                    first.save(folder)
            time.sleep(float(rng.uniform(0.02, 0.6)))
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            counts["killed"] += 1
            try:
                notes = Result.load(file).notes
                counts["first" if notes == first.notes else "second"] += 1
            except Exception as error:  # noqa: BLE001 - what is looked for
                counts["unreadable"] += 1
                print(error, file=sys.stderr)
        first.save(folder)
        counts["leftovers"] = len(list(Path(folder).glob(".*")))
    return counts


def main(kills, disks, seed, names):
    for module in (*IMPORTED, "accelerate", "brainscore_itmaps.training.loop"):
        importlib.import_module(module)
    gc.freeze()
    counts = save_alternately(8 * kills, np.random.default_rng(seed))
    print(f"saving two results in turn: {json.dumps(counts)}", flush=True)
    bad = counts["unreadable"] + counts["leftovers"]
    for name in names or COMMANDS:
        counts, wrong = try_command(name, kills, disks, np.random.default_rng([seed, len(name)]))
        print(f"{name}: {json.dumps(counts)}, {len(wrong)} wrong", flush=True)
        print(*wrong, sep="\n", file=sys.stderr)
        bad += len(wrong)
    return bad


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4]), sys.argv[4:]) > 0)
