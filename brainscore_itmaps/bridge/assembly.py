"""Convert a recording to Brain-Score's containers and back, and package it for Brain-Score's maintainers."""

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from itertools import compress, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from brainscore_core.supported_data_standards.brainio import fetch
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.packaging import write_netcdf
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from numpy.typing import NDArray

from brainscore_itmaps.archives import add_member
from brainscore_itmaps.data.arcaro2020 import ARRAYS, NAME
from brainscore_itmaps.data.arrays import mean_over_repeats
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import SET_BRAINIO_HOME, copy_to_brainio_home, plain_name
from brainscore_itmaps.data.osie import region_of
from brainscore_itmaps.data.recording import Recording, images_identifier
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import csv_cell, replacing, write_json


class RegisteredNames(NamedTuple):
    """Identifiers under which Brain-Score finds a recording.

    Attributes
    ----------
    data : str
        Of the assembly.
    stimuli : str
        Of the stimulus set.
    """

    data: str
    stimuli: str


def registered_names(recording: Recording) -> RegisteredNames:
    """Return the identifiers of a recording and of its images in Brain-Score; arrays of a monkey share images.

    Whatever is not the published recording itself (a simulated stand-in, another loader) says so: ``-simulated`` ends
    the name of the data, ``--simulated`` that of the images, because Brain-Score cuts off what follows two hyphens.

    Returns
    -------
    RegisteredNames
        Made of ASCII letters, digits, dots, hyphens and underscores.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> tuple(registered_names(recording))
    ('it_maps_simulated', 'it_maps_simulated.stimuli')
    >>> tuple(registered_names(replace(recording, identifier="Arcaro2020.monkey1_PL")))
    ('Arcaro2020.monkey1_PL', 'Arcaro2020.monkey1.stimuli')
    """
    data = re.sub("--+", "-", plain_name(recording.identifier))
    published, hyphen, kind = data.partition("-")
    array = ARRAYS.get(published.removeprefix(f"{NAME}."))
    if array is None or published != array.identifier:
        return RegisteredNames(data, f"{data}.stimuli")
    return RegisteredNames(data, f"{NAME}.{array.subject}.stimuli{2 * hyphen}{kind}")


def stimulus_set(recording: Recording) -> StimulusSet:
    """Build the stimulus set of a recording: its images, in the order of its maps.

    Returns
    -------
    StimulusSet
        One row per image: ``stimulus_id`` (equal to ``image_id``), and its path under Brain-Score's image home. The
        identifier is the registered one, two hyphens, and a hash of the images or of how they were made: Brain-Score
        caches activations by it.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> stimuli = stimulus_set(load_recording("it_maps_simulated"))
    >>> len(stimuli), list(stimuli.columns)
    (14, ['stimulus_id', 'image_id'])
    """
    paths = copy_to_brainio_home(recording.images, images_identifier(recording))
    stimuli = StimulusSet([{"stimulus_id": name, "image_id": name} for name in recording.names])
    stimuli.stimulus_paths = dict(zip(recording.names, paths, strict=True))
    stimuli.identifier = f"{registered_names(recording).stimuli}--{paths[0].parent.name.rpartition('-')[2]}"
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
        ``stimulus_id`` (equal to ``image_id``) is that of the stimulus set; ``row``, ``col``, ``x_deg`` and
        ``y_deg`` are the position. :func:`recording_from` is the inverse.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> recording.maps.shape  # (image, y, x, site)
    (14, 17, 17, 32)
    >>> assembly(recording).shape  # (image * y * x, site, 1)
    (4046, 32, 1)
    """
    stimuli = stimulus_set(recording)
    data = _assembly(recording, recording.names, repeats)
    data.attrs["stimulus_set_identifier"] = stimuli.identifier
    data.attrs["stimulus_set"] = stimuli
    return data


def _assembly(recording: Recording, identifiers: Sequence[str], repeats: bool) -> NeuroidAssembly:
    """Build the assembly of a recording, with an identifier for each image, and without its stimulus set."""
    values = recording.maps[:, None]
    if repeats and recording.repeats is not None:
        values = recording.repeats
    images, count, rows, columns, sites = values.shape
    flat = np.reshape(values, (images * count * rows * columns, sites, 1))
    recorded = ~np.isnan(flat).all(axis=(1, 2))  # without repeats that an image does not have
    positions = list(compress(product(identifiers, range(count), range(rows), range(columns)), recorded))
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
    data = NeuroidAssembly(
        flat[recorded],
        coords={name: ("presentation", coordinate) for name, coordinate in presentation.items()}
        | {name: ("neuroid", coordinate) for name, coordinate in neuroid.items()}
        | {"time_bin_start": ("time_bin", [recording.window[0]]), "time_bin_end": ("time_bin", [recording.window[1]])},
        dims=["presentation", "neuroid", "time_bin"],
    )
    # otherwise xarray writes the names of the coordinates in an order that differs between processes
    data.encoding["coordinates"] = " ".join(sorted([*presentation, *neuroid, "time_bin_start", "time_bin_end"]))
    data.attrs["identifier"] = registered_names(recording).data
    data.attrs["recording"] = recording.identifier
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
        Output of :func:`assembly`, also after :func:`package` wrote it and Brain-Score's loader read it.
    stimuli : StimulusSet, optional
        Stimulus set of the recording. By default it is read from ``data.attrs``.

    Raises
    ------
    DataError
        When a presentation is of an image that is not in the stimulus set.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> np.array_equal(recording_from(assembly(recording)).maps, recording.maps)
    True
    """
    stimuli = data.attrs["stimulus_set"] if stimuli is None else stimuli
    names = list(stimuli["stimulus_id"])
    values, y, x = values_by_position(data, names)
    repeated = hasattr(data, "repetition")  # a level of an index is not in data.coords
    return Recording(
        identifier=data.attrs["recording"],
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

    Raises
    ------
    DataError
        When a presentation is of another image.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> values_by_position(assembly(recording), recording.names)[0].shape
    (14, 1, 17, 17, 32)
    """
    image = pd.Index(images).get_indexer(data["stimulus_id"].values)
    if (image < 0).any():
        raise DataError(
            f"{data.attrs['identifier']} has presentations of images that are not in its stimulus set.",
            f"Load the stimulus set {data.attrs['stimulus_set_identifier']}.",
        )
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

    The files have the names, formats and identifiers that Brain-Score's own loader looks for. The files of a recording
    are identical, byte for byte, each time they are written. Arrays of a monkey share the CSV and the zip.

    Parameters
    ----------
    recording : Recording
        The recording. If it has repeats, each of them is written as a presentation.
    folder : Path
        Folder for the files. It is created if it is missing; existing files are overwritten.

    Returns
    -------
    dict
        Content of the JSON file: identifiers, and for each file (netCDF, CSV, zip) its name, size and SHA-1.

    Raises
    ------
    DataError
        When the CSV could not hold the name of an image: a spreadsheet would run it as a formula, or it is no text
        ("nan").
    InstallationError
        When the folder cannot be written to.
    """
    names, stimuli = registered_names(recording), stimulus_set(recording)
    paths = [stimuli.stimulus_paths[name] for name in recording.names]
    identifiers = _stimulus_ids(recording.names, [path.name for path in paths])
    data = _assembly(recording, identifiers, repeats=True)
    data.attrs["stimulus_set_identifier"] = names.stimuli
    assembly_name, stimuli_name = (
        f"{prefix}_{name.replace('.', '_')}" for prefix, name in zip(("assy", "stimulus"), names, strict=True)
    )
    netcdf, csv, archive = (
        folder / name for name in (f"{assembly_name}.nc", f"{stimuli_name}.csv", f"{stimuli_name}.zip")
    )
    table = pd.DataFrame(
        {"stimulus_id": identifiers, "image_id": identifiers, "filename": [path.name for path in paths]}
    )
    with replacing(archive) as partial_file, zipfile.ZipFile(partial_file, "w") as zip_file:
        for path in paths:
            add_member(zip_file, path.name, path.read_bytes())
    with replacing(csv) as partial_file:
        table.to_csv(partial_file, index=False, lineterminator="\n")
    with replacing(netcdf) as partial_file:
        write_netcdf(data, partial_file)
    description = {
        "identifier": names.data,
        "recording": recording.identifier,
        "simulated": recording.simulated,
        "stimulus_set_identifier": names.stimuli,
        "recording_sha256": recording.sha256,
        "citation": recording.citation,
        "files": [
            {"name": file.name, "size": file.stat().st_size, "sha1": _sha1(file)} for file in (netcdf, csv, archive)
        ],
    }
    write_json(folder / f"{assembly_name}.json", description)
    return description


def put_in_brainio_cache(description: Mapping[str, Any], folder: Path, home: Path | None = None) -> list[Path]:
    """Copy packaged files to where Brain-Score's loader stores its downloads, so that it needs no network for them.

    Parameters
    ----------
    description : dict
        Output of :func:`package`, or the content of its JSON file.
    folder : Path
        Folder of the packaged files.
    home : Path, optional
        Brain-Score's folder of downloads; by default ``BRAINIO_HOME``.

    Returns
    -------
    list of Path
        The copies: netCDF, CSV and zip, each in a folder named by its SHA-1. The name of the bucket plays no part.

    Raises
    ------
    DataError
        When a file is missing or is not the packaged one.
    InstallationError
        When Brain-Score's folder cannot be written to.

    Examples
    --------
    >>> put_in_brainio_cache({"files": []}, Path("upload"))
    []
    """
    copies = []
    for file in description["files"]:
        packaged = folder / file["name"]
        if not packaged.is_file() or _sha1(packaged) != file["sha1"]:
            raise DataError(f"{packaged} is missing, or is not the file that was packaged.", "Package it again.")
        copy = Path(home or fetch.get_local_data_path(), file["sha1"], file["name"])
        with replacing(copy, SET_BRAINIO_HOME) as partial_file:
            partial_file.write_bytes(packaged.read_bytes())
        copies.append(copy)
    return copies


def _stimulus_ids(names: Sequence[str], files: Sequence[str]) -> list[str]:
    """Return the names of images, or their file names if a name would be read from a CSV as a number or as missing."""
    if formulas := [name for name in names if csv_cell(name) != name]:
        raise DataError(f"A spreadsheet would run the image's name {formulas[0]} as a formula.", "Rename the file.")
    if changed := [file for file in files if not _stay_text([file])]:
        raise DataError(f"A table cannot hold the image's name {changed[0]} as a text.", "Rename the file.")
    return list(names if _stay_text(names) else files)


def _stay_text(texts: Sequence[str]) -> bool:
    """Return whether pandas reads texts from a CSV unchanged, alone or together."""
    table = pd.DataFrame({"text": texts}).to_csv(index=False)
    return list(pd.read_csv(io.StringIO(table))["text"]) == list(texts)


def _sha1(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha1").hexdigest()
