"""`brainscore data`: download, list, remove and simulate recordings."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Column

from brainscore_itmaps.cli.data_import import import_table
from brainscore_itmaps.cli.data_show import check, info, orient, package
from brainscore_itmaps.cli.options import HELP_OPTIONS, InPanels, Offline, Panels, check_options, examples, panel_of
from brainscore_itmaps.cli.terminal import progress_bar, say, say_next, say_table, shown_size
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import check_writable
from brainscore_itmaps.settings import expanded

PANELS: Panels = {
    "Download": ("list", "fetch", "clean"),
    "Inspect a recording": ("info", "check", "orient"),
    "Make a recording": ("import", "simulate"),
    "Share a recording": ("package",),
}


class Commands(InPanels):
    """The commands for recordings, in the order of their panels."""

    panels = PANELS


data = typer.Typer(
    cls=Commands,
    help="Download, inspect, check and package recordings.",
    epilog=examples("brainscore data fetch", "brainscore data info it_maps_simulated"),
    context_settings=HELP_OPTIONS,
    no_args_is_help=True,
)


@data.callback()
def options(offline: Offline = False) -> None:
    """Set the options of all commands for recordings."""


@data.command(
    rich_help_panel=panel_of(PANELS, "fetch"),
    epilog=examples(
        "brainscore data fetch osie",
        "brainscore data fetch clickme --split val",
    ),
)
def fetch(
    what: Annotated[
        Literal["arcaro2020", "osie", "clickme", "published"],
        typer.Argument(
            help="Download the recordings of Arcaro 2020 (arcaro2020), photographs with the fixations of 15 people "
            "(osie), images with human importance maps (clickme), or tables of published scores (published)."
        ),
    ] = "arcaro2020",
    split: Annotated[
        Literal["train", "val"] | None,
        typer.Option(help="Download this split of ClickMe. The option is required for clickme and has no default."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(help="Download this many images of OSIE, 100 or 700. The default is 100."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Read the archive, or the folder of a split or with copies of the files, from this path. By default "
            "the files are downloaded.",
        ),
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(
            help="Require this SHA-256 of the archive, in hexadecimal digits. The default is the recorded SHA-256 of "
            "an earlier download, if there is one."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Download from this mirror: the address of the archive, of the folder above a split, or of a server "
            "with the paths of raw.githubusercontent.com (osie, published). The default is the authors' server."
        ),
    ] = None,
    offline: Offline = False,
) -> None:
    """Download recordings or human maps, verify the files, and record checksums where none are published."""
    from brainscore_itmaps.data import sources
    from brainscore_itmaps.settings import Settings, expanded

    check_options(file, url, sha256)
    if images is not None and what != "osie":
        raise UsageError("--images applies only to OSIE.", "Use `brainscore data fetch osie --images 700`.")
    if what == "osie":
        if split is not None or sha256 is not None:
            raise UsageError("OSIE has no splits, and its hashes are known.", "Leave out --split and --sha256.")
        _fetch_osie(100 if images is None else images, url, file)
        return
    if what == "published":
        if split is not None or sha256 is not None:
            raise UsageError("The tables have no splits, and known hashes.", "Leave out --split and --sha256.")
        _fetch_published(url, file)
        return
    if what == "clickme":
        if split is None or sha256 is not None:
            raise UsageError(
                "ClickMe is downloaded one split at a time, and no SHA-256 is published.",
                "Give --split val, without --sha256.",
            )
        _fetch_clickme(split, url, file)
        return
    if split is not None:
        raise UsageError("--split applies only to ClickMe.", "Use `brainscore data fetch clickme --split val`.")
    with progress_bar() as progress:
        file = expanded(file) if file is not None else None
        record = sources.fetch(url=url, file=file, sha256=sha256, progress=progress)
    home = Settings.from_environment().recordings
    if record.simulated:
        say("SIMULATED: this archive is a stand-in; no animal was recorded.")
    say(f"ready      {home / sources.ARCHIVE} ({shown_size(record.size)})")
    say(f"sha256     {record.sha256}")
    say(f"from       {record.origin}")
    say(f"recorded   {record.recorded} in {home / sources.LOCK}")
    say_next("data", "info", "monkey1_PL")


def _fetch_osie(images: int, url: str | None, folder: Path | None) -> None:
    from brainscore_itmaps.data.osie import LICENCE, RECORDINGS, fetch_osie, files_of, osie_folder

    say(f"note       {LICENCE}")
    with progress_bar() as progress:
        folder = expanded(folder) if folder is not None else None
        fetched = fetch_osie(images, url=url, folder=folder, progress=progress)
    files = files_of(images)
    size = shown_size(sum(file.size for file in files))
    new = f"{len(fetched)} of them new" if fetched else "all there already"
    say(f"ready      {osie_folder()} ({len(files)} files, {size}, verified; {new})")
    (recording,) = (name for name, number in RECORDINGS.items() if number == images)
    say_next("score", "--model", "efficientnet_lite0", "--benchmark", f"{recording}-pls")


def _fetch_published(url: str | None, folder: Path | None) -> None:
    from brainscore_itmaps.data.published import LICENCE, fetch_published, published_files, published_folder

    say(f"note       {LICENCE}")
    with progress_bar() as progress:
        folder = expanded(folder) if folder is not None else None
        fetched = fetch_published(url=url, folder=folder, progress=progress)
    size = shown_size(sum(file.size for file in published_files()))
    new = f"{len(fetched)} of them new" if fetched else "all there already"
    say(f"ready      {published_folder()} ({len(published_files())} files, {size}, verified; {new})")
    say_next("published")


def _fetch_clickme(split: str, url: str | None, folder: Path | None) -> None:
    from brainscore_itmaps.data.clickme_shards import LICENCE, fetch_clickme

    say(f"note       {LICENCE}")
    with progress_bar() as progress:
        folder = expanded(folder) if folder is not None else None
        record = fetch_clickme(split, url=url, folder=folder, progress=progress)
    say(f"ready      {record.folder} ({len(record.files)} shards, {record.records} images, {shown_size(record.size)})")
    say(f"recorded   {record.lock}")
    if split == "val":
        say_next("score", "--model", "efficientnet_lite0", "--benchmark", "ClickMe.alignment")
    else:
        say_next("data", "fetch", "clickme", "--split", "val")


@data.command(
    name="list",
    rich_help_panel=panel_of(PANELS, "list"),
    epilog=examples(
        "brainscore data list",
        "brainscore data info it_maps_simulated",
    ),
)
def list_recordings() -> None:
    """List the recordings and the files that are on this machine."""
    from brainscore_itmaps.data import osie, simulated, simulated_textures
    from brainscore_itmaps.data.arcaro2020 import ARRAYS
    from brainscore_itmaps.data.load import is_stored, list_stored_files
    from brainscore_itmaps.data.sources import recorded_archive
    from brainscore_itmaps.settings import Settings

    archive = recorded_archive()
    state = "not downloaded: brainscore data fetch"
    if archive is not None:
        state = "downloaded, a SIMULATED stand-in" if archive.simulated else "downloaded"
    rows = [
        (simulated.IDENTIFIER, simulated.WINDOW, "17 x 17", "inside the package, SIMULATED"),
        (simulated_textures.IDENTIFIER, simulated_textures.WINDOW, "17 x 17", "made when loaded, SIMULATED"),
    ]
    for array in ARRAYS.values():
        rows.append((array.name, array.windows["elife"], f"{array.positions} x {array.positions}", state))
    for gaze, images in osie.RECORDINGS.items():
        state = "downloaded" if is_stored(gaze) else f"not downloaded: {osie.fetch_command(images)}"
        rows.append((gaze, osie.WINDOW, f"{len(osie.GRID.y)} x {len(osie.GRID.x)}", state))
    cells = [[name, f"{start}-{stop} ms", grid, availability] for name, (start, stop), grid, availability in rows]
    say_table([Column(name) for name in ("recording", "window", "grid", "state")], cells, wrapping="state")
    say(f"folder     {Settings.from_environment().recordings}")
    for what, files in list_stored_files().items():
        if files:
            say(f"{what:<11}{shown_size(sum(size for _, size in files))} in {len(files)} file(s) or folder(s)")
    say_next("data", "info", simulated.IDENTIFIER)


@data.command(
    rich_help_panel=panel_of(PANELS, "clean"),
    epilog=examples(
        "brainscore data clean",
        "brainscore data clean --all",
    ),
)
def clean(
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Remove all downloads and the images stored for Brain-Score, too.",
        ),
    ] = False,
) -> None:
    """Remove files that can be made again without a download.

    The recorded checksum of the archive and the chosen orientations stay.
    """
    from brainscore_itmaps.data.load import remove_stored_files

    removed = remove_stored_files(everything)
    for path, size in removed:
        say(f"removed {path} ({shown_size(size)})")
    if not removed:
        say("There are no files to remove.")
    say_next("data", "list")


@data.command(
    rich_help_panel=panel_of(PANELS, "simulate"),
    epilog=examples(
        "brainscore data simulate --seed 1 --out simulated1.npz",
        "brainscore data simulate --official standin.zip --duration 300",
    ),
)
def simulate(
    out: Annotated[
        Path | None,
        typer.Option(help="Write the recording to this .npz file. The default is it_maps_simulated.npz."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Use this random seed, an integer. Seed 0 gives the recording inside the package."),
    ] = 0,
    textures: Annotated[
        Path | None,
        typer.Option(
            help="Write a SIMULATED recording over textures into this new folder instead. By default none is written."
        ),
    ] = None,
    human_maps: Annotated[
        Path | None,
        typer.Option(
            help="Write images of shapes with SIMULATED human maps, and a configuration for `brainscore harmonize`, "
            "into this new folder instead. By default none are written."
        ),
    ] = None,
    official: Annotated[
        Path | None,
        typer.Option(
            help="Write a SIMULATED archive in the layout of Arcaro 2020 to this .zip file instead. By default no "
            "archive is written."
        ),
    ] = None,
    duration: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2000,
            help="Simulate this many milliseconds. The default is 400. The option requires --official.",
        ),
    ] = None,
) -> None:
    """Make simulated data: the recording again, a similar one, one of textures, human maps, or a stand-in archive."""
    if sum(given is not None for given in (out, textures, human_maps, official)) > 1:
        raise UsageError("--out, --textures, --human-maps and --official exclude each other.", "Give only one of them.")
    if official is not None:
        _simulate_official(official, seed, duration or 400)
        return
    if duration is not None:
        raise UsageError("--duration requires --official.", "Leave out --duration, or add --official FILE.")
    if textures is not None:
        _simulate_textures(expanded(textures), seed)
        return
    if human_maps is not None:
        _simulate_human_maps(human_maps, seed)
        return
    out = out or Path("it_maps_simulated.npz")
    if out.suffix != ".npz":
        raise UsageError(f"{out} does not end in .npz.", "Choose a file name that ends in .npz.")
    check_writable(out)
    from brainscore_itmaps.data.simulated import EMBEDDED, Simulation
    from brainscore_itmaps.data.simulated import simulate as simulate_in_python

    simulation = simulate_in_python(seed)
    same = (simulation.counts == Simulation.load(EMBEDDED).counts).all()
    say(f"SIMULATED spike counts (image, repeat, y, x, site, 50-ms bin): {simulation.counts.shape}")
    say(f"The recording {'equals' if same else 'differs from'} the one inside the package (seed 0).")
    say(f"written    {simulation.save(out)}")
    say_next("data", "info", "it_maps_simulated")


def _simulate_textures(folder: Path, seed: int) -> None:
    from brainscore_itmaps.data.simulated_textures import simulate_textures

    recording, truth = simulate_textures(seed)
    say(f"SIMULATED maps over textures (image, y, x, site): {recording.maps.shape}; no animal was recorded.")
    say(f"reliability {truth.reliability.min():.2f} to {truth.reliability.max():.2f}")
    say(f"written    {recording.save(folder)}")
    say_next("data", "check", folder)


def _simulate_human_maps(folder: Path, seed: int) -> None:
    from brainscore_itmaps.data.simulated_human import COUNTS, SHAPES, write_simulated_human_maps

    config = write_simulated_human_maps(expanded(folder), seed)
    counts = ", ".join(f"{part}: {count * len(SHAPES)} images" for part, count in COUNTS.items())
    say(f"SIMULATED human maps of {', '.join(SHAPES)}; no person was asked. {counts}")
    say(f"written    {folder}")
    say_next("harmonize", config, "--out", Path("runs") / folder.name)


def _simulate_official(out: Path, seed: int, duration: int) -> None:
    if out.suffix != ".zip":
        raise UsageError(f"{out} does not end in .zip.", "Choose a file name that ends in .zip.")
    if out.exists():
        raise UsageError(f"{out} already exists and is not overwritten.", "Choose a new file name.")
    check_writable(out)
    from brainscore_itmaps.data.stand_in import write_stand_in

    with progress_bar() as progress:
        write_stand_in(out, seed=seed, duration=duration, progress=progress)
    say(f"SIMULATED archive in the layout of Arcaro 2020, {duration} ms; no animal was recorded.")
    say(f"written    {out} ({shown_size(out.stat().st_size)})")
    say_next("data", "info", "monkey1_PL", "--source", out, "--window", f"0-{duration}")


EXAMPLES: dict[Callable[..., None], tuple[str, str]] = {
    info: (
        "brainscore data info it_maps_simulated",
        "brainscore data info monkey1_ML --window 130-170",
    ),
    orient: (
        "brainscore data orient monkey1_ML --out orientations.png",
        "brainscore data orient monkey1_ML --choose flip_both",
    ),
    check: (
        "brainscore data check array1",
        "brainscore data check ~/recordings/array1",
    ),
    package: (
        "brainscore data package it_maps_simulated --out upload",
        "brainscore data package monkey1_ML --window elife --out upload",
    ),
}
"""The commands of :mod:`brainscore_itmaps.cli.data_show`, with their examples."""

data.command(
    name="import",
    rich_help_panel=panel_of(PANELS, "import"),
    epilog=examples(
        "brainscore data import maps.csv --images shown --identifier a --window 70-170",
        "brainscore data import b.tsv --images . --identifier b --window 0-99",
    ),
)(import_table)
for command, lines in EXAMPLES.items():
    data.command(epilog=examples(*lines), rich_help_panel=panel_of(PANELS, command.__name__))(command)
