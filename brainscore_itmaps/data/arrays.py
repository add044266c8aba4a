"""Convert given maps and repeats to arrays of numbers, average repeats, and leave out sites with missing values."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import DataError

SITES_SHOWN = 8


def plain_array(values: Any) -> Any:
    """Convert an array of any library, or a list of them, to a NumPy array; a masked value becomes NaN.

    Parameters
    ----------
    values : array, masked array, torch tensor, pandas table or column, or list of these or of numbers

    Raises
    ------
    ValueError
        When the parts of a list have different shapes.

    Examples
    --------
    >>> plain_array([np.ma.array([1, 2], mask=[False, True]), [3.0, 4.0]]).tolist()
    [[1.0, nan], [3.0, 4.0]]
    """
    if isinstance(values, np.ma.MaskedArray):
        if not has_masked(values):
            return values.data
        kept = np.array(values.data, dtype=values.dtype if values.dtype.kind == "f" else np.float64)
        kept[values.mask] = np.nan
        return kept
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # a torch tensor
        tensor = values.detach().cpu()
        return (tensor.double() if tensor.is_floating_point() else tensor).numpy()
    if hasattr(values, "to_numpy") and not isinstance(values, np.ndarray):  # pandas, whose missing values are of a kind
        array = values.to_numpy()
        return array if array.dtype != object else values.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(values, list | tuple) and not all(isinstance(value, int | float | np.number) for value in values):
        return np.asarray([plain_array(value) for value in values])
    return np.asarray(values)


def has_masked(values: Any) -> bool:
    """Return whether an array has masked values.

    Examples
    --------
    >>> has_masked(np.ma.array([1, 2], mask=[False, True])), has_masked(np.array([1, 2]))
    (True, False)
    """
    return isinstance(values, np.ma.MaskedArray) and bool(np.any(values.mask))


def real_array(values: Any, identifier: str, name: str = "maps") -> NDArray[np.float64]:
    """Convert given maps or repeats to float64; missing values are NaN.

    Raises
    ------
    DataError
        When they are not one array of real numbers.

    Examples
    --------
    >>> real_array([[1, 2], [3, 4]], "lab.array1").dtype
    dtype('float64')
    """
    if hasattr(values, "dims") and hasattr(values, "coords"):
        raise DataError(
            f"{identifier}: the {name} are an array with named dimensions, which may be in any order.",
            "Use Recording.from_xarray, or give their .values as (image, y, x, site).",
        )
    try:
        array = plain_array(values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{identifier}: the {name} are not one array: {error}.", "Give the same number of sites everywhere."
        ) from error
    if array.dtype.kind not in "fiu":
        raise DataError(f"{identifier}: the {name} have type {array.dtype}, not real numbers.", "Give real numbers.")
    real: NDArray[np.float64] = array.astype(np.float64)
    return real


def given_repeats(repeats: Any, identifier: str) -> NDArray[np.float64]:
    """Convert given repeats to one array; images with fewer repeats than others are filled up with maps of NaN.

    Parameters
    ----------
    repeats : array, shape (image, repeat, y, x, site), or list of an array (repeat, y, x, site) for each image
        A map of NaN stands for a repeat that was not recorded.
    identifier : str
        Name of the recording, for errors.

    Raises
    ------
    DataError
        When the images have different positions or sites, or values are not real numbers.

    Examples
    --------
    >>> given_repeats([np.zeros((2, 5, 4, 3)), np.zeros((3, 5, 4, 3))], "lab.array1").shape
    (2, 3, 5, 4, 3)
    """
    if not isinstance(repeats, list | tuple) or not repeats:
        return real_array(repeats, identifier, "repeats")
    images = [real_array(image, identifier, "repeats") for image in repeats]
    shapes = {image.shape for image in images}
    if len(shapes) == 1:
        return np.stack(images)
    if any(image.ndim != 4 for image in images) or len({image.shape[1:] for image in images}) > 1:
        raise DataError(
            f"{identifier}: the repeats of the images have different shapes: {', '.join(map(str, sorted(shapes)))}.",
            "Give (repeat, y, x, site) for each image; only the number of repeats may differ.",
        )
    filled = np.full((len(images), max(len(image) for image in images), *images[0].shape[1:]), np.nan)
    for target, image in zip(filled, images, strict=True):
        target[: len(image)] = image
    return filled


def mean_over_repeats(repeats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average repeats (image, repeat, y, x, site) over those that were recorded; NaN where there are none.

    Examples
    --------
    >>> repeats = np.ones((2, 3, 5, 4, 1))
    >>> repeats[0, 1], repeats[0, 2] = 3, np.nan
    >>> mean_over_repeats(repeats)[0, 0, 0, 0].item()
    2.0
    """
    if not np.isnan(repeats).any():
        mean: NDArray[np.float64] = repeats.mean(axis=1)
        return mean
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the mean of nothing
        mean = np.nanmean(repeats, axis=1)
    return mean


def incomplete_repeats(repeats: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which repeats (image, repeat, site) have a value at some positions and none at others."""
    missing = np.isnan(repeats)
    incomplete: NDArray[np.bool_] = missing.any(axis=(2, 3)) & ~missing.all(axis=(2, 3))
    return incomplete


def without_nan_sites(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the sites of a recording with missing values, and add their names to ``dropped``.

    Parameters
    ----------
    fields : mapping
        Fields of a :class:`~brainscore_itmaps.data.recording.Recording` by name; nothing is left out if the arrays do
        not fit together, or every site has missing values.

    Examples
    --------
    >>> fields = {"maps": np.array([[[[1.0, np.nan]]]]), "repeats": None, "sites": ("a", "b"), "dropped": ()}
    >>> kept = without_nan_sites(fields)
    >>> kept["maps"].shape, kept["sites"], kept["dropped"]
    ((1, 1, 1, 1), ('a',), ('b',))
    """
    maps, repeats, sites = fields["maps"], fields["repeats"], fields["sites"]
    if maps is None or sites is None or maps.shape[-1] != len(sites):
        return dict(fields)
    missing = np.isnan(maps).any(axis=(0, 1, 2))
    if repeats is not None and repeats.ndim == 5 and repeats.shape[-1] == len(sites):
        missing |= incomplete_repeats(repeats).any(axis=(0, 1))
    if missing.all() or not missing.any():
        return dict(fields)
    return {
        **fields,
        "maps": maps[..., ~missing],
        "repeats": None if repeats is None else repeats[..., ~missing],
        "sites": tuple(site for site, absent in zip(sites, missing, strict=True) if not absent),
        "dropped": (*fields["dropped"], *(site for site, absent in zip(sites, missing, strict=True) if absent)),
    }
