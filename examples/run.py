"""Run the notebooks of this folder from an empty cache, without downloads, and save their outputs.

``python examples/run.py`` runs all of them in place, and prints the time of each. ``--out FOLDER`` writes the notebooks
into another folder; words select those whose names begin with them. A cell that fails ends the run.
"""

import argparse
import os
import re
import tempfile
import time
from contextlib import chdir
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
HOMES = ["ITMAPS_HOME", "BRAINIO_HOME", "RESULTCACHING_HOME", "BRAINSCORE_HOME", "XDG_CACHE_HOME", "IPYTHONDIR"]
HOMES += ["JUPYTER_RUNTIME_DIR", "TMPDIR"]
OFFLINE = {"ITMAPS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "BS_INSTALL_DEPENDENCIES": "no"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""Metadata of every notebook: no version and no time, so that another run changes nothing else."""
PROGRESS = re.compile(r"\w+: done in .*")


def run(file: Path) -> nbformat.NotebookNode:
    """Run a notebook with folders of its own, which are removed at the end."""
    notebook = nbformat.read(file, as_version=4)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):  # sockets of the kernel are relative to this folder
        homes = {name: f"{folder}/{number}" for number, name in enumerate(HOMES)}
        for home in homes.values():
            Path(home).mkdir()
        os.environ |= homes | OFFLINE
        NotebookClient(
            notebook,
            timeout=240,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            config=Config({"KernelManager": {"transport": "ipc"}}),  # no ports
        ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_progress(output)]
    return notebook


def is_progress(output: nbformat.NotebookNode) -> bool:
    """Return whether an output is the line that says how long a call took; it is another one in each run."""
    return bool(PROGRESS.fullmatch(output.get("data", {}).get("text/plain", "")))


def main() -> None:
    """Run the notebooks that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="beginnings of the names of notebooks; default: all")
    parser.add_argument("--out", type=Path, default=HERE, help="write the notebooks into this folder")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    files = [file for file in sorted(HERE.glob("*.ipynb")) if file.name.startswith(tuple(options.words or [""]))]
    total = 0.0
    for file in files:
        start = time.perf_counter()
        notebook = run(file)
        total += (seconds := time.perf_counter() - start)
        nbformat.write(notebook, out / file.name)
        size = (out / file.name).stat().st_size / 1000
        print(f"{file.name}: {seconds:.0f} s, {size:.0f} kB", flush=True)
    print(f"{len(files)} notebooks: {total:.0f} s")


if __name__ == "__main__":
    main()
