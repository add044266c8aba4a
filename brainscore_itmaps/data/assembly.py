"""A recording in Brain-Score's own containers."""

from itertools import product

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet

from brainscore_itmaps.data.recording import Recording


def stimulus_set(recording: Recording) -> StimulusSet:
    """The pictures of a recording, in the order of its maps.

    Returns
    -------
    StimulusSet
        One row per picture: ``stimulus_id`` (equal to ``image_id``), and its path. The identifier is the name of their
        folder, which holds a hash of how they were made.
    """
    stimuli = StimulusSet([{"stimulus_id": name, "image_id": name} for name in recording.names])
    stimuli.stimulus_paths = {path.stem: path for path in recording.images}
    stimuli.identifier = recording.images[0].parent.name
    return stimuli


def assembly(recording: Recording) -> NeuroidAssembly:
    """The maps of a recording: one presentation per picture and position, one neuroid per site, one time bin.

    Returns
    -------
    NeuroidAssembly, shape (image * y * x, site, 1)
        ``stimulus_id`` is unique, ``image_id`` names the picture; ``row``, ``col``, ``x_deg`` and ``y_deg`` the
        position. Without the time bin, ``values.reshape(image, y, x, site)`` gives the maps back.
    """
    images, rows, columns, sites = recording.maps.shape
    places = list(product(recording.names, range(rows), range(columns)))
    names, row, column = zip(*places, strict=True)
    presentation = {
        "stimulus_id": [f"{name}-r{r:02d}-c{c:02d}" for name, r, c in places],
        "image_id": list(names),
        "row": list(row),
        "col": list(column),
        "y_deg": recording.grid.y[list(row)],
        "x_deg": recording.grid.x[list(column)],
    }
    neuroid = {
        "neuroid_id": list(recording.sites),
        "region": ["IT"] * sites,
        "array": [recording.area] * sites,
        "subject": [recording.subject] * sites,
    }
    data = NeuroidAssembly(
        np.reshape(recording.maps, (images * rows * columns, sites, 1)),
        coords={name: ("presentation", values) for name, values in presentation.items()}
        | {name: ("neuroid", values) for name, values in neuroid.items()}
        | {"time_bin_start": ("time_bin", [recording.window[0]]), "time_bin_end": ("time_bin", [recording.window[1]])},
        dims=["presentation", "neuroid", "time_bin"],
    )
    data.attrs["identifier"] = recording.identifier
    data.attrs["stimulus_set_identifier"] = recording.images[0].parent.name
    data.attrs["stimulus_set"] = stimulus_set(recording)
    data.attrs["simulated"] = recording.simulated
    return data
