"""Run what the pages of the documentation name: commands and Python code, without a network, in temporary folders.

Run from the checkout: ``python tests/run_docs.py [words of the pages to try]``; some minutes. Each block of a page, and
each command in a sentence, begins with the same SIMULATED files (`prepare`). The exit code is the number of failures.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

from command_line import brainscore
from documented import CHECKOUT, INSTEAD, PAGES, Part, is_complete, parts, reason_not_to_run
from keras_files import layout, write_keras
from shards import write_shard

HOMES = ("HOME", "ITMAPS_HOME", "BRAINIO_HOME", "RESULTCACHING_HOME", "BRAINSCORE_HOME")
os.environ |= {"HF_HUB_OFFLINE": "1", "ITMAPS_OFFLINE": "1", "BS_INSTALL_DEPENDENCIES": "no", "MPLBACKEND": "Agg"}
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
os.environ["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])


def enter(folder: Path) -> None:
    """Make this folder the home of every program that is started from now on."""
    os.environ |= {name: str(folder / name) for name in HOMES}


def prepare(folder: Path) -> None:
    """Write the files that the pages take for granted: SIMULATED recordings and maps, made-up weights, results."""
    import numpy as np
    import timm
    import torch
    from safetensors.torch import save_file

    import brainscore_itmaps as itmaps
    from brainscore_itmaps.data.clickme_shards import fetch_clickme
    from brainscore_itmaps.data.stand_in import write_stand_in

    enter(folder)
    for name in ("HOME", "code", "work/FOLDER", "work/docs/images", "work/brainscore_itmaps/data"):
        (folder / name).mkdir(parents=True)
    with chdir(folder / "work"):
        write_stand_in(Path("FILE"), duration=300)
        os.link("FILE", folder / "code" / "Arcaro2020.zip")
        assert brainscore("data", "fetch", "--from", "FILE").returncode == 0
        for number in range(18):
            write_shard(Path(f"FOLDER/val-{number}.tfrecords"), 6, seed=number)
        fetch_clickme("val", folder=Path("FOLDER"))
        state = timm.create_model("resnet50").state_dict()
        save_file(state, "weights.safetensors")
        torch.save({"epoch": 3, "state_dict": state, "state_dict_ema": state}, "best.pth.tar")
        write_keras(Path("resnet50v2_harmonized.h5"), layout("resnet50"))
        code = next(part.code for part in parts(CHECKOUT / "docs/models.md") if "def build()" in part.code)
        Path("my_file.py").write_text(code)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (6, 96, 96, 3), dtype=np.uint8)
        maps = rng.random((6, 9, 9, 1)) + rng.random((6, 9, 9, 5))
        itmaps.Recording.from_arrays(maps, images, identifier="array1", window=(70, 170)).save("array1")
        made = {'to_csv("maps.csv"': "recordings", 'save("wide")': "recordings", "FOLDER/maps": "clickme"}
        for word, page in made.items():
            code = next(part.code for part in parts(CHECKOUT / f"docs/{page}.md") if word in part.code)
            subprocess.run([sys.executable, "-c", code], check=True)
        for name, weights in {"A": "pretrained", "B": "random"}.items():
            result = itmaps.score("efficientnet_lite0", weights=weights)
            result.save(folder / "ITMAPS_HOME" / "results")
            result.save(name)


def run(command: str) -> subprocess.CompletedProcess:
    """Run a command of a page, or what stands for it."""
    for named, instead in INSTEAD.items():
        command = command.replace(named, instead)
    if command.startswith("brainscore "):
        return brainscore(*shlex.split(command)[1:])
    command = command.replace("python benchmarks/", f"python {CHECKOUT}/benchmarks/")
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)


def run_part(part: Part, folder: Path) -> list[str]:
    """Run a part of a page in a folder, print a line for each command, and return those that failed."""
    enter(folder)
    failed = []
    with chdir(folder / ("code" if part.code else "work")):
        for command in part.commands or [part.code]:
            if not part.code and (reason_not_to_run(command) or not is_complete(command)):
                continue
            began = time.perf_counter()
            if part.code:
                ended = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
            else:
                ended = run(command)
            shown = f"Python code, {len(command.splitlines())} lines" if part.code else command
            word = "failed" if ended.returncode else "ran"
            print(f"{word:6} {time.perf_counter() - began:6.1f} s  {part.page}: {shown}", flush=True)
            if ended.returncode:
                print(ended.stdout[-2000:], ended.stderr[-2000:], sep="\n", flush=True)
                failed.append(shown)
    return failed


def main(words: list[str]) -> int:
    """Run the parts of the pages whose names contain one of these words, by default of all pages."""
    failed, done = [], set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder / "prepared")
        for part in (part for page in PAGES for part in parts(page)):
            key = (*part.commands, part.code)
            if (words and not any(word in part.page for word in words)) or key in done or not any(key):
                continue
            done.add(key)
            shutil.copytree(folder / "prepared", folder / "part", copy_function=os.link)
            failed += run_part(part, folder / "part")
            shutil.rmtree(folder / "part")
    print(f"{len(failed)} failed: {failed}" if failed else "all ran")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
