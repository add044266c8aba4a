"""Convert a recording to Brain-Score's containers and back, and package it for Brain-Score's maintainers."""

import hashlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from itertools import compress, product
from pathlib import Path
from typing import Any

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from numpy.typing import NDArray

from brainscore_itmaps.archives import add_member
from brainscore_itmaps.data.arrays import mean_over_repeats
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import copy_to_brainio_home, plain_name
from brainscore_itmaps.data.osie import region_of
from brainscore_itmaps.data.recording import Recording, images_identifier
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import csv_cell, replacing, write_json

MARKER = "--"
"""Separates the registered identifier of a stimulus set from what distinguishes its images."""


def stimulus_set(recording: Recording) -> StimulusSet:
    """Build the stimulus set of a recording: its images, in the order of its maps.

    Returns
    -------
    StimulusSet
        One row per image: ``stimulus_id`` (equal to ``image_id``), and its path under Brain-Score's image home. The
        identifier is the registered one, two hyphens, and a hash of the images or of how they were made, from which
        Brain-Score's cache finds the registered one.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> stimuli = stimulus_set(load_recording("it_maps_simulated"))
    >>> len(stimuli), list(stimuli.columns), stimuli.identifier.partition("--")[0]
    (14, ['stimulus_id', 'image_id'], 'it_maps_simulated.stimuli')
    """
    paths = copy_to_brainio_home(recording.images, images_identifier(recording))
    stimuli = StimulusSet([{"stimulus_id": name, "image_id": name} for name in recording.names])
    stimuli.stimulus_paths = dict(zip(recording.names, paths, strict=True))
    registered, _, digest = paths[0].parent.name.rpartition("-")
    stimuli.identifier = f"{registered}{MARKER}{digest}"
    return stimuli


def assembly(recording: Recording, repeats: bool = False) -> NeuroidAssembly:
    """Build the assembly of a recording: a presentation per image and position, a neuroid per site, one time bin.

    Parameters
    ----------
    recording : Recording
        The recording.
    repeats : bool
        Whether each repeat is a presentation of its own, numbered by ``repetition``, if the recording has repeats.

    Returns
    -------
    NeuroidAssembly, shape (image * y * x, site, 1), or (image * repeat * y * x, site, 1)
        ``stimulus_id`` and ``image_id`` name the image; ``row``, ``col``, ``x_deg`` and ``y_deg`` the position.
        :func:`recording_from` is the inverse.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> recording.maps.shape  # (image, y, x, site)
    (14, 17, 17, 32)
    >>> assembly(recording).shape  # (image * y * x, site, 1)
    (4046, 32, 1)
    """
    values = recording.maps[:, None]
    if repeats and recording.repeats is not None:
        values = recording.repeats
    images, count, rows, columns, sites = values.shape
    flat = np.reshape(values, (images * count * rows * columns, sites, 1))
    recorded = ~np.isnan(flat).all(axis=(1, 2))  # without repeats that an image does not have
    positions = compress(product(recording.names, range(count), range(rows), range(columns)), recorded)
    names, repetition, row, column = zip(*positions, strict=True)
    presentation = {
        "stimulus_id": list(names),
        "image_id": list(names),
        "row": list(row),
        "col": list(column),
        "y_deg": recording.grid.y[list(row)],
        "x_deg": recording.grid.x[list(column)],
    }
    if repeats and recording.repeats is not None:
        presentation["repetition"] = list(repetition)
    neuroid = {
        "neuroid_id": list(recording.sites),
        "region": [region_of(recording.identifier)] * sites,
        "array": [recording.area] * sites,
        "subject": [recording.subject] * sites,
    }
    stimuli = stimulus_set(recording)
    data = NeuroidAssembly(
        flat[recorded],
        coords={name: ("presentation", coordinate) for name, coordinate in presentation.items()}
        | {name: ("neuroid", coordinate) for name, coordinate in neuroid.items()}
        | {"time_bin_start": ("time_bin", [recording.window[0]]), "time_bin_end": ("time_bin", [recording.window[1]])},
        dims=["presentation", "neuroid", "time_bin"],
    )
    data.attrs["identifier"] = recording.identifier
    data.attrs["stimulus_set_identifier"] = stimuli.identifier
    data.attrs["stimulus_set"] = stimuli
    data.attrs["simulated"] = int(recording.simulated)  # netCDF stores neither booleans nor lists of names
    data.attrs["sha256"] = recording.sha256
    data.attrs["citation"] = recording.citation
    data.attrs["orientation"] = recording.orientation
    data.attrs["dropped"] = "\n".join(recording.dropped)
    extent = recording.grid.extent
    data.attrs["degrees"] = list(extent) if isinstance(extent, tuple) else extent
    data.attrs["stretched"], data.attrs["outside"] = int(recording.stretched), int(recording.outside)
    return data


def recording_from(data: NeuroidAssembly, stimuli: StimulusSet | None = None) -> Recording:
    """Convert an assembly back to its recording; presentations may be in any order.

    Parameters
    ----------
    data : NeuroidAssembly
        Output of :func:`assembly`, also after it was written to netCDF and read again.
    stimuli : StimulusSet, optional
        Stimulus set of the recording. By default it is read from ``data.attrs``.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> np.array_equal(recording_from(assembly(recording)).maps, recording.maps)
    True
    """
    stimuli = data.attrs["stimulus_set"] if stimuli is None else stimuli
    names = [str(name) for name in stimuli["stimulus_id"]]
    values, y, x = values_by_position(data, names)
    repeated = hasattr(data, "repetition")  # a level of an index is not in data.coords
    return Recording(
        identifier=data.attrs["identifier"],
        maps=mean_over_repeats(values) if repeated else values[:, 0],
        images=tuple(Path(stimuli.stimulus_paths[name]) for name in names),
        grid=Grid(y=y, x=x, extent=data.attrs["degrees"]),
        window=(int(data["time_bin_start"].values[0]), int(data["time_bin_end"].values[0])),
        subject=str(data["subject"].values[0]),
        area=str(data["array"].values[0]),
        sites=tuple(str(site) for site in data["neuroid_id"].values),
        sha256=data.attrs["sha256"],
        citation=data.attrs["citation"],
        simulated=bool(data.attrs["simulated"]),
        repeats=values if repeated else None,
        orientation=data.attrs["orientation"],
        dropped=tuple(data.attrs["dropped"].splitlines()),
        stretched=bool(data.attrs.get("stretched", True)),
        outside=bool(data.attrs.get("outside", False)),
    )


def values_by_position(
    data: NeuroidAssembly, images: Sequence[str]
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Arrange the presentations of an assembly, which may be in any order, by image, repeat and position.

    Parameters
    ----------
    data : NeuroidAssembly
    images : sequence of str
        Stimulus ids.

    Returns
    -------
    array, shape (image, repeat, y, x, site)
        One repeat if the assembly has none; NaN for repeats that an image does not have.
    array, shape (y,)
        Degrees below the centre of the image.
    array, shape (x,)
        Degrees to the right of it.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> values_by_position(assembly(recording), recording.names)[0].shape
    (14, 1, 17, 17, 32)
    """
    number = {name: index for index, name in enumerate(images)}
    image = np.array([number[str(name)] for name in data["image_id"].values])
    row, column = data["row"].values.astype(int), data["col"].values.astype(int)
    repetition = data["repetition"].values.astype(int) if hasattr(data, "repetition") else np.zeros_like(row)
    shape = (len(images), repetition.max() + 1, row.max() + 1, column.max() + 1, data.sizes["neuroid"])
    values = np.full(shape, np.nan, dtype=data.dtype)
    values[image, repetition, row, column] = data.transpose("presentation", "neuroid", "time_bin").values[..., 0]
    y, x = np.empty(shape[2]), np.empty(shape[3])
    y[row], x[column] = data["y_deg"].values, data["x_deg"].values
    return values, y, x


def package(recording: Recording, folder: Path) -> dict[str, Any]:
    """Write the netCDF file of the maps, the CSV and the zip of the images, and a JSON file with their SHA-1.

    Brain-Score's own functions load them, once they are uploaded: the names are derived from the registered
    identifiers. All files of a recording are identical, byte for byte, each time they are written.

    Parameters
    ----------
    recording : Recording
        The recording. If it has repeats, each of them is written as a presentation.
    folder : Path
        Folder for the files. It is created if it is missing; existing files are overwritten.

    Returns
    -------
    dict
        Content of the JSON file: identifiers, and for each file its name, size and SHA-1.

    Raises
    ------
    DataError
        When a spreadsheet would run the name of an image as a formula, because the CSV must hold names unchanged.
    InstallationError
        When the folder cannot be written to.
    """
    if formulas := [name for name in recording.names if csv_cell(name) != name]:
        raise DataError(f"A spreadsheet would run the image's name {formulas[0]} as a formula.", "Rename the file.")
    data, stimuli = assembly(recording, repeats=True), stimulus_set(recording)
    assembly_name = f"assy_{plain_name(recording.identifier).replace('.', '_')}"
    stimuli_identifier = stimuli.identifier.partition(MARKER)[0]
    data.attrs["stimulus_set_identifier"] = stimuli_identifier
    stimuli_name = f"stimulus_{stimuli_identifier.replace('.', '_')}"
    netcdf, csv, archive = (
        folder / name for name in (f"{assembly_name}.nc", f"{stimuli_name}.csv", f"{stimuli_name}.zip")
    )
    table = stimuli.assign(filename=[stimuli.stimulus_paths[name].name for name in stimuli["stimulus_id"]])
    with replacing(archive) as partial_file, zipfile.ZipFile(partial_file, "w") as zip_file:
        for name in stimuli["stimulus_id"]:
            path = stimuli.stimulus_paths[name]
            add_member(zip_file, path.name, path.read_bytes())
    with replacing(csv) as partial_file:
        table.to_csv(partial_file, index=False)
    with replacing(netcdf) as partial_file:
        _write_netcdf(data, partial_file)
    description = {
        "identifier": recording.identifier,
        "simulated": recording.simulated,
        "stimulus_set_identifier": stimuli_identifier,
        "recording_sha256": recording.sha256,
        "citation": recording.citation,
        "files": [
            {"name": file.name, "size": file.stat().st_size, "sha1": _sha1(file)} for file in (netcdf, csv, archive)
        ],
    }
    write_json(folder / f"{assembly_name}.json", description)
    return description


def _write_netcdf(data: NeuroidAssembly, file: Path) -> None:
    """Write an assembly in the format of Brain-Score's packaging, with the same bytes in every process.

    By itself, xarray lists the coordinates in the order of a set, which differs between processes.
    """
    flat = data.reset_index(list(data.indexes))
    del flat.attrs["stimulus_set"]
    dataset = flat.to_dataset(name="data", promote_attrs=True)
    coordinates = " ".join(sorted(map(str, flat.coords)))
    dataset["data"].encoding = {"zlib": True, "complevel": 9, "coordinates": coordinates}
    dataset.to_netcdf(file, mode="w")


def copy_to_download_cache(folder: Path, sha1: Mapping[str, str], home: Path) -> None:
    """Copy packaged files to where Brain-Score would download them to, so that its functions load them offline.

    Parameters
    ----------
    folder : Path
        Folder of the files; those that it lacks are left out.
    sha1 : mapping of str to str
        SHA-1 of each file, by name.
    home : Path
        Brain-Score's folder of downloads, ``BRAINIO_HOME``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     _ = Path(home, "a.csv").write_text("1")
    ...     copy_to_download_cache(Path(home), {"a.csv": "356a192b"}, Path(home, "brainio"))
    ...     Path(home, "brainio", "356a192b", "a.csv").is_file()
    True
    """
    for name, digest in sha1.items():
        if (folder / name).is_file() and not (home / digest / name).is_file():
            with replacing(home / digest / name) as partial_file:
                shutil.copyfile(folder / name, partial_file)


def _sha1(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha1").hexdigest()
