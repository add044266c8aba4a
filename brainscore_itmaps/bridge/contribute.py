"""Check and export contributions to Brain-Score; nothing is ever uploaded or pushed."""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import requires, version
from pathlib import Path
from typing import Literal

from brainscore_itmaps.archives import add_member
from brainscore_itmaps.bridge.contribution import (
    METRICS,
    Known,
    Plan,
    S3Facts,
    folders_of,
    plan_of,
    weight_file,
    weights_folder,
)
from brainscore_itmaps.bridge.contribution_files import (
    HASH_LINE,
    HOST,
    check_clone,
    with_header,
    write_folders,
)
from brainscore_itmaps.bridge.contribution_rules import Checked, check_folders, check_zip
from brainscore_itmaps.bridge.contribution_run import download_folders, run_tests
from brainscore_itmaps.bridge.plugins import KINDS, host_folder
from brainscore_itmaps.bridge.quiet import quiet_brain_score
from brainscore_itmaps.errors import InstallationError, UsageError
from brainscore_itmaps.files import replacing
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

Route = Literal["pull-request", "zip"]
EVERYTHING = ("it_maps", *METRICS, *ZOO)
"""What is checked if no name is given: all but simulated data."""
PACKAGING = "data_packaging/"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    plan : Plan
    known : Known
    sizes : dict of str to int
        Bytes of each file, by its path below the package folder of the clone.
    checked : list of Checked
    """

    plan: Plan
    known: Known
    sizes: Mapping[str, int]
    checked: Sequence[Checked]


def check(names: Sequence[str] = (), to: Path | None = None, route: Route = "pull-request") -> list[Checked]:
    """Check contributions against the rules of a route, without importing torch.

    Parameters
    ----------
    names : sequence of str
        By default what lies in the clone; without a clone, everything but simulated data.
    to : Path, optional
        Clone of Brain-Score, or a zip file; by default folders are written into a temporary folder.
    route : "pull-request" or "zip"

    Raises
    ------
    UsageError
        When a name is unknown, or the clone holds nothing of this package.

    Examples
    --------
    >>> [line.rule for line in check(["efficientnet_lite0"]) if line.status == "FAIL"]  # computed by an export
    ['expected-values']
    """
    if to is not None and to.suffix == ".zip":
        return check_zip(to)
    if to is None:
        with temporary_clone(plan_of(names or EVERYTHING)) as (clone, folders):
            return check_folders(clone, folders, route)
    home = check_clone(to)
    if names:
        folders = [home / name for name in folders_of(plan_of(names), Known())]
        if missing := [folder for folder in folders if not folder.is_dir()]:
            raise UsageError(
                f"{to} has no folder {missing[0].relative_to(home)}.",
                f"Write it: brainscore contribute export {' '.join(names)} --to {to}.",
            )
    else:
        folders = exported_folders(home)
    if not folders:
        raise UsageError(f"{to} holds no exported folder.", f"Write one: brainscore contribute export NAME --to {to}.")
    return check_folders(to, folders, route)


def exported_folders(home: Path) -> list[Path]:
    """List the plugin folders below a package folder that an export wrote, edited or not.

    Examples
    --------
    >>> exported_folders(host_folder())
    []
    """
    found = []
    for kind in KINDS:
        for file in sorted((home / kind).glob("*/__init__.py")):
            with file.open(encoding="utf-8", errors="replace") as opened:
                if any(line.startswith(HASH_LINE) for _, line in zip(range(5), opened, strict=False)):
                    found.append(file.parent)
    return found


@contextmanager
def temporary_clone(plan: Plan) -> Iterator[tuple[Path, list[Path]]]:
    """Write a contribution beside links to the plugins of the installed Brain-Score, within a ``with`` block.

    Examples
    --------
    >>> with temporary_clone(plan_of(["itmaps_pls"])) as (clone, folders):
    ...     [folder.relative_to(clone / "brainscore_vision").as_posix() for folder in folders]
    ['metrics/itmaps']
    """
    folders = folders_of(plan, Known())
    with tempfile.TemporaryDirectory(prefix="itmaps-clone-") as temporary:
        clone = Path(temporary)
        (clone / "pyproject.toml").write_text(_pyproject(), encoding="utf-8")
        for kind in KINDS:
            (clone / HOST / kind).mkdir(parents=True)
            for folder in (host_folder() / kind).iterdir():
                if folder.is_dir() and not folder.name.startswith("itmaps_") and f"{kind}/{folder.name}" not in folders:
                    (clone / HOST / kind / folder.name).symlink_to(folder, target_is_directory=True)
        for name, files in folders.items():
            for path, text in files.items():
                (clone / HOST / name / path).parent.mkdir(parents=True, exist_ok=True)
                (clone / HOST / name / path).write_text(with_header(path, text), encoding="utf-8")
        yield clone, [clone / HOST / name for name in folders]


def _pyproject() -> str:
    """Write the dependencies of the installed Brain-Score as those of a clone."""
    needed = [line for line in requires("brainscore-vision") or [] if "extra ==" not in line]
    lines = "".join(f"    {line!r},\n" for line in needed)
    project = f"[project]\nname = 'brainscore_vision'\nversion = '{version('brainscore-vision')}'\n"
    return f"{project}dependencies = [\n{lines}]\n"


def export(
    names: Sequence[str],
    to: Path,
    s3: S3Facts,
    files: Path,
    *,
    draft: bool = False,
    metadata: bool = False,
    progress: Report = silent,
) -> Exported:
    """Write contributions into a clone of Brain-Score, or one model into a zip file for the web upload.

    Parameters
    ----------
    names : sequence of str
    to : Path
        A clone of Brain-Score; or a file that ends in ``.zip``.
    s3 : S3Facts
    files : Path
        Folder that gets the files for S3, as far as their recordings and weights are on this computer.
    draft : bool
        Write what is incomplete, too, and simulated data.
    metadata : bool
        Write a ``metadata.yaml`` for each model; a maintainer then merges the pull request by hand.
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    UsageError
        When a name is unknown, data are simulated, or another folder has the name.
    InstallationError
        When a rule of Brain-Score is broken; nothing is left in the clone.
    """
    plan = plan_of(names)
    if plan.simulated and not draft:
        raise UsageError(
            f"{plan.simulated[0]} is SIMULATED: no monkey was recorded, so it is not contributed.",
            "To see how a contribution looks, add --draft.",
        )
    zipped = to.suffix == ".zip"
    if zipped and (plan.metrics or plan.datasets or len(plan.models) != 1):
        raise UsageError(
            "The web upload takes one model in a zip file; benchmarks, data and metrics go by pull request.",
            "Name one model; or give a clone: --to CLONE.",
        )
    if not zipped:
        check_clone(to)
    with quiet_brain_score():
        from brainscore_itmaps.bridge.contribution_known import known_of

        known = known_of(plan, s3, files, progress)
        _copy_as_downloaded(plan, known, files)
    if not draft:
        _check_complete(plan, known)
    folders = folders_of(plan, known, metadata=metadata and not zipped)
    if zipped:
        return Exported(plan, known, *_write_zip(plan, folders, to, draft))
    written = write_folders(folders, to)
    try:
        checked = check_folders(to, written.folders, "pull-request")
        if not draft:
            check_passed(checked, "Nothing was written.")
    except BaseException:
        written.undo()
        raise
    written.keep()
    home = to / HOST
    sizes = {file.relative_to(home).as_posix(): file.stat().st_size
             for folder in written.folders for file in sorted(folder.rglob("*")) if file.is_file()}  # fmt: skip
    return Exported(plan, known, sizes, checked)


def check_passed(checked: Sequence[Checked], rest: str) -> None:
    """Check that no rule is broken.

    Raises
    ------
    InstallationError
        When one is; the message names the first.
    """
    failed = [line for line in checked if line.status == "FAIL"]
    if failed:
        more = f" {len(failed) - 1} more rules are broken." if len(failed) > 1 else ""
        raise InstallationError(f"{failed[0].where}: {failed[0].found}{more} {rest}", failed[0].cure)


def files_folder() -> Path:
    """Return the folder of files for S3.

    Examples
    --------
    >>> files_folder().name
    'contribute'
    """
    return Settings.from_environment().home / "contribute"


def run_tests_in(names: Sequence[str], to: Path | None, progress: Report = silent) -> list[Checked]:
    """Run Brain-Score's generic tests and the tests of folders in a clone.

    Raises
    ------
    UsageError
        When no clone is given.

    Examples
    --------
    >>> run_tests_in([], None)
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: Tests run in a clone of Brain-Score. Give one: --to CLONE.
    """
    if to is None or to.suffix == ".zip":
        raise UsageError("Tests run in a clone of Brain-Score.", "Give one: --to CLONE.")
    home = check_clone(to)
    folders = [home / name for name in folders_of(plan_of(names), Known())] if names else exported_folders(home)
    return run_tests(to, folders, files_folder(), progress)


def _copy_as_downloaded(plan: Plan, known: Known, files: Path) -> None:
    """Copy the files for S3 to where Brain-Score's functions find downloads when :func:`run_tests_in` runs them."""
    from brainscore_itmaps.bridge.assembly import put_in_brainio_cache

    folders = download_folders(files)
    weights = [weight_file(spec) for spec in plan.models]
    data = [{"name": name, "sha1": sha1} for name, sha1 in known.sha1.items() if name not in weights]
    put_in_brainio_cache({"files": data}, files, folders["BRAINIO_HOME"])
    for name in weights:
        if (files / name).is_file():
            with replacing(folders["BRAINSCORE_HOME"] / weights_folder(known)[1] / name) as partial:
                shutil.copyfile(files / name, partial)


EMBEDDED_SCORED = "efficientnet_lite0"
"""Model whose expected score stands in the text of a pull request."""


def expected_scores(exported: Exported) -> dict[str, dict[str, str]]:
    """Compute the scores of a model, for the text of a pull request; nothing for recordings that are not here."""
    from brainscore_itmaps.bridge.contribution_known import present_model
    from brainscore_itmaps.bridge.score import score

    scores: dict[str, dict[str, str]] = {}
    for part in exported.plan.benchmarks:
        if (
            part.identifier in exported.known.scores
            and not part.dataset.simulated
            and present_model(ZOO[EMBEDDED_SCORED])
        ):
            result = score(EMBEDDED_SCORED, part.ours, controls=False)
            low, high = result.interval
            numbers = f"raw {result.raw:.4f}, ceiling {result.ceiling:.4f}, score {result.score:.4f}"
            scores[part.identifier] = {EMBEDDED_SCORED: f"{numbers} ({low:.3f} to {high:.3f})"}
    return scores


def _check_complete(plan: Plan, known: Known) -> None:
    """Check that all files of a contribution are on S3, and that its expected values could be computed."""
    if missing := [name for name in plan.files if not (known.s3.versions.get(name) and known.sha1_of(name))]:
        packages = [name for dataset in plan.datasets for name in dataset.assemblies]
        write = [f"brainscore data package {name} --out FOLDER" for name in packages[:1]]
        write += [f"brainscore contribute weights {spec.identifier} --out FOLDER" for spec in plan.models[:1]]
        raise UsageError(
            f"{len(missing)} files are not known to be on S3: {', '.join(missing)}.",
            f"Write them (`{'`, `'.join(write)}`), let a maintainer of Brain-Score upload them, and give --s3 FILE "
            "with the bucket and the version_id and sha1 of each; or add --draft.",
        )
    for part in plan.benchmarks:
        if part.identifier not in known.scores:
            raise UsageError(
                f"The recordings of {part.identifier} are not on this computer, so its expected score is unknown.",
                "Download them: brainscore data fetch; or add --draft.",
            )


def _write_zip(
    plan: Plan, folders: Mapping[str, Mapping[str, str]], to: Path, draft: bool
) -> tuple[dict[str, int], list[Checked]]:
    """Write the zip file of one model, with explicit entries of its folders and the same bytes each time."""
    ((name, files),) = folders.items()
    top = plan.models[0].identifier
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in (f"{top}/", f"{top}/models/", f"{top}/{name}/"):
            archive.writestr(zipfile.ZipInfo(folder), "")
        for path, text in sorted(files.items()):
            if not path.startswith(PACKAGING):
                add_member(archive, f"{top}/{name}/{path}", with_header(path, text).encode())
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary, to.name)
        staged.write_bytes(content.getvalue())
        checked = check_zip(staged)
    if not draft:
        check_passed(checked, "Nothing was written.")
    with replacing(to) as partial:
        partial.write_bytes(content.getvalue())
    return {to.name: len(content.getvalue())}, checked
