"""A recording as the files that Brain-Score's maintainers upload: assembly, stimuli, and their hashes."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

from brainscore_core.supported_data_standards.brainio.packaging import write_netcdf

from brainscore_itmaps.archives import add_member
from brainscore_itmaps.bridge.assembly import assembly, stimulus_set
from brainscore_itmaps.data.pictures import plain_name
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import csv_cell, replacing, write_json


def package(recording: Recording, folder: Path) -> dict[str, Any]:
    """Write the netCDF of the maps, the CSV and the zip of the pictures, and a JSON of their sha1.

    The files have the names and forms of Brain-Score's own packaging, which would upload them at once. The zip and the
    CSV are the same byte for byte whenever they are made.

    Parameters
    ----------
    recording : Recording
        The recording; its repeats, where it has them, are written as presentations of their own.
    folder : Path
        Made if need be; files in it are replaced.

    Returns
    -------
    dict
        What the JSON holds: identifiers, and for each file its name, size and sha1.

    Raises
    ------
    DataError
        When a spreadsheet would run the name of a picture as a formula: the CSV must hold the name unchanged.
    InstallationError
        When the folder cannot be written to.
    """
    if formulas := [name for name in recording.names if csv_cell(name) != name]:
        raise DataError(f"A spreadsheet would run the picture's name {formulas[0]} as a formula.", "Rename the file.")
    data, stimuli = assembly(recording, repeats=True), stimulus_set(recording)
    assembly_name = f"assy_{plain_name(recording.identifier).replace('.', '_')}"
    stimuli_name = f"stimulus_{stimuli.identifier.replace('.', '_')}"
    netcdf, csv, archive = (
        folder / name for name in (f"{assembly_name}.nc", f"{stimuli_name}.csv", f"{stimuli_name}.zip")
    )
    table = stimuli.assign(filename=[stimuli.stimulus_paths[name].name for name in stimuli["stimulus_id"]])
    with replacing(archive) as beside, zipfile.ZipFile(beside, "w") as opened:
        for name in stimuli["stimulus_id"]:
            path = stimuli.stimulus_paths[name]
            add_member(opened, path.name, path.read_bytes())
    with replacing(csv) as beside:
        table.to_csv(beside, index=False)
    with replacing(netcdf) as beside:
        write_netcdf(data, beside)
    about = {
        "identifier": recording.identifier,
        "simulated": recording.simulated,
        "stimulus_set_identifier": stimuli.identifier,
        "recording_sha256": recording.sha256,
        "citation": recording.citation,
        "files": [
            {"name": file.name, "size": file.stat().st_size, "sha1": _sha1(file)} for file in (netcdf, csv, archive)
        ],
    }
    write_json(folder / f"{assembly_name}.json", about)
    return about


def _sha1(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha1").hexdigest()
