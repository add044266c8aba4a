"""`brainscore data info`, `orient`, `check` and `package`: inspect one recording."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainscore_itmaps.cli.completion import complete_recordings
from brainscore_itmaps.cli.options import Offline, OldSpelling, ProtocolName, requested_protocol
from brainscore_itmaps.cli.terminal import option_words, progress_bar, say, say_facts, say_next, shown_size, wrapped
from brainscore_itmaps.errors import DataError, UsageError, nearest
from brainscore_itmaps.files import check_writable, replacing
from brainscore_itmaps.settings import expanded

if TYPE_CHECKING:
    from brainscore_itmaps.data.arcaro2020 import Array
    from brainscore_itmaps.data.recording import Recording

Name = Annotated[
    str,
    typer.Argument(
        metavar="ARRAY",
        autocompletion=complete_recordings,
        help="Read this array: monkey1_PL, monkey1_ML, monkey2_ML, OSIE.gaze, OSIE.gaze700, it_maps_simulated, "
        "it_maps_textures_simulated, or the folder of a recording of your own.",
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        help="Average the responses over this window: milliseconds after stimulus onset, such as 100-250, or a name, "
        "such as elife or tutorial. The default depends on the array and the protocol."
    ),
]
Source = Annotated[
    Path | None,
    typer.Option(
        help="Read the recording from this archive, folder or response-map file. The default is the downloaded archive."
    ),
]
MAPS_SHOWN, IMAGES_SHOWN = 6, 32
"""Number of constant maps, and of names of images, that are printed."""


def info(
    array: Name,
    window: Window = None,
    source: Source = None,
    protocol: ProtocolName = "ours",
    reference_compat: OldSpelling = False,
    offline: Offline = False,
) -> None:
    """Describe the contents and the source of a recording."""
    import numpy as np

    from brainscore_itmaps.data.arcaro2020 import ARRAYS
    from brainscore_itmaps.data.grid import shown_extent
    from brainscore_itmaps.data.images import some_of
    from brainscore_itmaps.data.load import recording_folder
    from brainscore_itmaps.data.notes import unit_of
    from brainscore_itmaps.data.recording import constant_maps
    from brainscore_itmaps.data.sources import recorded_archive
    from brainscore_itmaps.metrics.predictivity import site_agreement

    recording = _load(array, window, source, requested_protocol(protocol, reference_compat))
    lines = {}
    if recording.simulated:
        lines["SIMULATED"] = "no animal was recorded"
    own = recording_folder(array)
    published_array = ARRAYS.get(f"{recording.subject}_{recording.area}") if own is None else None
    lines["array"] = f"{recording.area} of {recording.subject}"
    if published_array is not None:
        lines["array"] += f", {published_array.hemisphere} hemisphere, {published_array.hardware}"
    images, rows, columns, sites = recording.maps.shape
    dropped = f"; left out because values are missing: {', '.join(recording.dropped)}" if recording.dropped else ""
    names = " to ".join(dict.fromkeys((recording.sites[0], recording.sites[-1])))
    lines["sites"] = f"{sites}, {names}{dropped}"
    step = f", {np.diff(recording.grid.x)[0]:g} degree(s) apart" if columns > 1 else ""
    edges = ", edges included" if recording.grid.reaches_edges else ""
    lines["grid"] = f"{rows} x {columns} positions{step}, over {shown_extent(recording.grid.extent)} degrees{edges}"
    start, stop = recording.window
    lines["window"] = f"{start}-{stop} ms after stimulus onset{_window_names(published_array, recording)}"
    if recording.repeats is not None:
        counts = np.unique((~np.isnan(recording.repeats).any(axis=(2, 3))).sum(axis=1))
        lines["repeats"] = " to ".join(dict.fromkeys((str(counts[0]), str(counts[-1]))))
    maps = recording.maps
    unit = unit_of(array) or "the units of the file"
    lines["maps"] = f"{maps.dtype}, from {maps.min():.4g} to {maps.max():.4g}, mean {maps.mean():.4g}, in {unit}"
    if sites > 1:
        lines["sites agree"] = (
            f"r {np.nanmean(site_agreement(maps)):.2f} between a site's map and the mean of the others, on average"
        )
    if constant := constant_maps(recording):
        lines["constant"] = f"{len(constant)} maps, whose correlations are undefined: " + some_of(
            [f"{site} on {image}" for site, image in constant], MAPS_SHOWN
        )
    lines["orientation"] = recording.orientation
    lines["images"] = f"{images}: {some_of(recording.names, IMAGES_SHOWN)}"
    lines["folder"] = str(recording.images[0].parent)
    lines["sha256"] = f"{recording.sha256} of the source"
    if source is None and published_array is not None:
        record = recorded_archive(rehash=True)
        if record is None or record.sha256 != recording.sha256:
            raise DataError("The archive has changed since it was recorded.", "Run `brainscore data fetch`.")
        lines["archive"] = (
            f"{shown_size(record.size)}, verified: unchanged since {record.recorded}, from {record.origin}"
        )
    elif source is not None:
        lines["source"] = str(source)
    lines["cite"] = recording.citation
    say(recording.identifier)
    say_facts(lines)
    if own is None and published_array is not None:
        say_next("data", "orient", array, *option_words(source=source))
    else:
        say_next("data", "check", array)


def orient(
    array: Name,
    out: Annotated[
        Path | None,
        typer.Option(help="Draw into this file (png, svg or pdf). The default is ARRAY-orientations.png."),
    ] = None,
    choose: Annotated[
        str | None,
        typer.Option(
            help="Record this orientation and use it whenever the recording is loaded. By default none is recorded, "
            "and the maps are drawn."
        ),
    ] = None,
    window: Window = None,
    source: Source = None,
    offline: Offline = False,
) -> None:
    """Draw the maps over the images in all eight orientations, or record the one that puts responses on faces."""
    from brainscore_itmaps.data.grid import ORIENTATIONS, check_orientation
    from brainscore_itmaps.data.load import SIMULATIONS, choose_orientation, recording_folder
    from brainscore_itmaps.data.osie import RECORDINGS as GAZE

    if choose is not None:
        check_orientation(choose)
        if out is not None:
            raise UsageError("--choose records an orientation and draws no figure.", "Leave out --out, or --choose.")
    file = expanded(out or Path(f"{array}-orientations.png"))
    if choose is None:
        _check_figure(file)
    recording = _load(array, window, source)
    if array in (*SIMULATIONS, *GAZE) or recording_folder(array) is not None:
        reason = "is simulated in its right orientation" if array in SIMULATIONS else "has the axes of its images"
        raise UsageError(f"{array} {reason}.", "Choose an array of Arcaro 2020.")
    if choose is not None:
        written = choose_orientation(recording, choose)
        _say_simulated(recording)
        say(f"{choose} now applies to all arrays of {recording.subject} in this source; recorded in {written}")
        say_next("data", "info", array, *option_words(source=source))
        return
    from brainscore_itmaps.reporting.maps import orientation_figure

    with replacing(file) as partial_file:
        orientation_figure(recording, width=16.4).savefig(partial_file, dpi=110)
    _say_simulated(recording)
    say(f"written    {file}")
    say(f"current    {recording.orientation}")
    say(f"choose     brainscore data orient {array} --choose NAME, where NAME is the row that puts responses on faces:")
    say(f"           {', '.join(ORIENTATIONS)}")
    say_next("data", "info", array, *option_words(window=window, source=source))


def check(
    folder: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_recordings,
            help="Check this folder, which holds recording.json, maps.npz and images/, or a recording of this package.",
        ),
    ],
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Draw the positions and the maps over the images into this file (png, svg or pdf), to see whether "
            "each map lies where it should. By default no figure is drawn."
        ),
    ] = None,
    drop_nan_sites: Annotated[
        bool,
        typer.Option("--drop-nan-sites", help="Leave out sites with missing values. By default they are a problem."),
    ] = False,
) -> None:
    """Check a recording, usually one of your own, and print each problem in a sentence.

    The exit code is 0 for a valid recording and 3 for an invalid one.
    """
    from brainscore_itmaps.data.load import RECORDINGS
    from brainscore_itmaps.data.notes import notes_on_recording
    from brainscore_itmaps.data.recording import check_folder, misplaced_recording

    if figure is not None:
        _check_figure(expanded(figure))
    path = expanded(folder)
    if folder not in RECORDINGS and not path.exists():
        raise DataError(f"There is no folder or recording named {folder!r}.", nearest(folder, RECORDINGS))
    checked = check_folder(path, drop_nan_sites=drop_nan_sites) if folder not in RECORDINGS else None
    recording, troubles = checked or (_load(folder, None, None), [])
    for trouble in troubles:
        say(trouble)
    if recording is None:
        if figure is not None and (misplaced := misplaced_recording(path)) is not None:
            _draw_registration(misplaced, expanded(figure))
        raise typer.Exit(DataError.exit_code)
    images, rows, columns, sites = recording.maps.shape
    kind = "SIMULATED, " if recording.simulated else ""
    shape = f"{images} images, {rows} x {columns} positions, {sites} {'site' if sites == 1 else 'sites'}"
    say(f"{recording.identifier}: {kind}{shape}. No problems were found.")
    for note in notes_on_recording(recording):
        say(wrapped("Note: ", note, "      "))
    if figure is not None:
        _draw_registration(recording, expanded(figure))
    say_next("score", "--model", "efficientnet_lite0", "--benchmark", _benchmark_of(folder))


def _benchmark_of(name: str) -> str:
    """Return a benchmark of a recording, which is given by its name or folder."""
    from brainscore_itmaps.benchmark.catalogue import CATALOGUE

    names = (spec.identifier for spec in CATALOGUE.values() if name in spec.recordings and spec.identifier != name)
    return name if name in CATALOGUE else next(names, name)


def _check_figure(file: Path) -> None:
    """Check that a figure can be written to a file, before anything is computed."""
    if file.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"A figure cannot be written to {file}.", "Use .png or .svg or .pdf.")
    check_writable(file)


def _draw_registration(recording: "Recording", file: Path) -> None:
    from brainscore_itmaps.reporting.maps import registration_figure

    with replacing(file) as partial_file:
        registration_figure(recording).savefig(partial_file, dpi=110)
    say(f"drawn      {file}")


def package(
    array: Name,
    out: Annotated[Path, typer.Option(help="Write the files into this folder.")],
    window: Window = None,
    source: Source = None,
    offline: Offline = False,
) -> None:
    """Write the netCDF, CSV and zip files that Brain-Score's maintainers would upload, and print their SHA-1."""
    check_writable(expanded(out) / "x.json")
    recording = _load(array, window, source)
    from brainscore_itmaps.bridge.assembly import package as package_in_python

    description = package_in_python(recording, expanded(out))
    if recording.simulated:
        say("SIMULATED: do not upload these files; no animal was recorded.")
    for file in description["files"]:
        say(f"sha1 {file['sha1']}  {out / file['name']} ({shown_size(file['size'])})")
    say_next("data", "list")


def _load(array: str, window: str | None, source: Path | None, protocol: str = "ours") -> "Recording":
    from brainscore_itmaps.bridge.names import requested_window
    from brainscore_itmaps.data.load import load_recording

    with progress_bar() as progress:
        return load_recording(array, requested_window(window), source, protocol=protocol, progress=progress)


def _say_simulated(recording: "Recording") -> None:
    if recording.simulated:
        say("SIMULATED: no animal was recorded.")


def _window_names(array: "Array | None", recording: "Recording") -> str:
    names = [name for name, window in array.windows.items() if window == recording.window] if array else []
    return f" ({', '.join(names)})" if names else ""
