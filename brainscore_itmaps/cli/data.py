"""`brainscore data`: the files of recordings: bring them, list them, remove them, simulate them."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from brainscore_itmaps.cli.data_show import check, info, orient, package
from brainscore_itmaps.cli.fetch_options import Offline, refuse_options
from brainscore_itmaps.cli.terminal import NARROW, output, progress_bar, say, shown_size
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import refuse_unwritable

data = typer.Typer(help="Recordings.", no_args_is_help=True)


@data.callback()
def options(offline: Offline = False) -> None:
    """Recordings: bring them, look at them, check your own."""


@data.command()
def fetch(
    what: Annotated[
        Literal["arcaro2020", "clickme"], typer.Argument(help="The recordings, or pictures with human maps.")
    ] = "arcaro2020",
    split: Annotated[Literal["train", "val"] | None, typer.Option(help="Of ClickMe.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--from", help="An archive, or the folder of a split, that is on disk; nothing is downloaded."),
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="What the archive's sha256 must be.")] = None,
    url: Annotated[str | None, typer.Option(help="A mirror of the archive, or of the folder above a split.")] = None,
    offline: Offline = False,
) -> None:
    """Bring the recordings of Arcaro 2020, or ClickMe; check them whole, and record what they are."""
    from brainscore_itmaps.data import sources
    from brainscore_itmaps.settings import Settings

    refuse_options(file, url, sha256)
    if what == "clickme":
        if split is None or sha256 is not None:
            raise UsageError("ClickMe is fetched split by split, and no hash is published.", "Say --split val.")
        _fetch_clickme(split, url, file)
        return
    if split is not None:
        raise UsageError("--split is for ClickMe.", "Say `brainscore data fetch clickme --split val`.")
    with progress_bar() as progress:
        file = file.expanduser() if file is not None else None
        held = sources.fetch(url=url, file=file, sha256=sha256, progress=progress)
    home = Settings.from_environment().recordings
    if held.simulated:
        say("SIMULATED: this archive is a stand-in; no animal was recorded.")
    say(f"in order   {home / sources.ARCHIVE} ({shown_size(held.size)})")
    say(f"sha256     {held.sha256}")
    say(f"from       {held.origin}")
    say(f"recorded   {held.recorded} in {home / sources.LOCK}")


def _fetch_clickme(split: str, url: str | None, folder: Path | None) -> None:
    from brainscore_itmaps.data.clickme_shards import LICENCE, fetch_clickme

    say(f"note       {LICENCE}")
    with progress_bar() as progress:
        folder = folder.expanduser() if folder is not None else None
        held = fetch_clickme(split, url=url, folder=folder, progress=progress)
    say(f"in order   {held.folder} ({len(held.files)} shards, {held.records} pictures, {shown_size(held.size)})")
    say(f"recorded   {held.lock}")


@data.command(name="list")
def list_recordings() -> None:
    """List the recordings, and what of them is on this machine."""
    from brainscore_itmaps.data.arcaro2020 import ARRAYS
    from brainscore_itmaps.data.kept import kept_files
    from brainscore_itmaps.data.simulated import IDENTIFIER, WINDOW
    from brainscore_itmaps.data.sources import held_archive
    from brainscore_itmaps.settings import Settings

    held = held_archive()
    state = "not here: brainscore data fetch"
    if held is not None:
        state = "here, a SIMULATED stand-in" if held.simulated else "here"
    rows = [(IDENTIFIER, WINDOW, "17 x 17", "inside the package, SIMULATED")]
    for array in ARRAYS.values():
        rows.append((array.name, array.windows["elife"], f"{array.positions} x {array.positions}", state))
    table = Table("recording", "window", "grid", "state")
    for name, (start, stop), grid, where in rows:
        if output().width < NARROW:
            say(f"{name}: {start}-{stop} ms, {grid}, {where}")
        else:
            table.add_row(name, f"{start}-{stop} ms", grid, where)
    if table.row_count:
        say(table)
    say(f"folder     {Settings.from_environment().recordings}")
    for what, files in kept_files().items():
        if files:
            say(f"{what:<11}{shown_size(sum(size for _, size in files))} in {len(files)} place(s)")


@data.command()
def clean(
    everything: Annotated[
        bool, typer.Option("--all", help="Also the archive and the pictures handed to Brain-Score.")
    ] = False,
) -> None:
    """Remove what can be made again without a network; the record of the archive's hash and your choices stay."""
    from brainscore_itmaps.data.kept import remove_kept

    removed = remove_kept(everything)
    for path, size in removed:
        say(f"removed {path} ({shown_size(size)})")
    if not removed:
        say("nothing to remove")


@data.command()
def simulate(
    out: Annotated[Path | None, typer.Option(help="File to write; it_maps_simulated.npz.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; 0 gives the recording inside the package.")] = 0,
    official: Annotated[
        Path | None,
        typer.Option(help="Write a SIMULATED zip of the layout of the Arcaro 2020 archive instead."),
    ] = None,
    duration: Annotated[int | None, typer.Option(min=1, max=2000, help="Milliseconds, with --official; 400.")] = None,
) -> None:
    """Make the simulated recording again, or another one like it; or a stand-in for the official archive."""
    if official is not None:
        if out is not None:
            raise UsageError("--out and --official exclude each other.", "Give one file.")
        _simulate_official(official, seed, duration or 400)
        return
    if duration is not None:
        raise UsageError("--duration is for --official.", "Leave it out, or add --official FILE.")
    out = out or Path("it_maps_simulated.npz")
    if out.suffix != ".npz":
        raise UsageError(f"{out} does not end in .npz.", "The file is a numpy archive; name it so.")
    refuse_unwritable(out)
    from brainscore_itmaps.data.simulated import EMBEDDED, Simulation
    from brainscore_itmaps.data.simulated import simulate as simulate_in_python

    simulation = simulate_in_python(seed)
    same = (simulation.counts == Simulation.load(EMBEDDED).counts).all()
    say(f"SIMULATED spike counts (image, repeat, y, x, site, 50-ms bin): {simulation.counts.shape}")
    say(f"{'the same as' if same else 'not the same as'} the recording inside the package (seed 0)")
    say(f"written {simulation.save(out)}")


def _simulate_official(out: Path, seed: int, duration: int) -> None:
    if out.suffix != ".zip":
        raise UsageError(f"{out} does not end in .zip.", "The file is a zip archive; name it so.")
    if out.exists():
        raise UsageError(f"{out} is there already.", "Name a new file, so that no recording is lost.")
    refuse_unwritable(out)
    from brainscore_itmaps.data.stand_in import write_stand_in

    with progress_bar() as progress:
        write_stand_in(out, seed=seed, duration=duration, progress=progress)
    say(f"SIMULATED archive in the layout of Arcaro 2020, {duration} ms; no animal was recorded")
    say(f"written {out} ({shown_size(out.stat().st_size)})")


for command in (info, orient, check, package):
    data.command()(command)
