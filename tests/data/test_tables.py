"""Maps brought as tables and as arrays with named dimensions."""

import unicodedata
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from recordings import assert_same

from brainscore_itmaps.bridge.assembly import assembly
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_home")
NAMES = [f"image-{number}" for number in range(6)]
Y, X, SITES = [-6.5, -1.25, 0.0, 4.0], [-5.0, -2.5, 0.0, 2.5, 5.0], ["a", "b", "c"]


@pytest.fixture
def recording(images, rng):
    grid = Grid(Y, X, 16.0)
    return Recording.from_arrays(
        rng.normal(size=(6, 4, 5, 3)), images, identifier="lab", window=(0, 9), grid=grid, sites=SITES
    )


@pytest.fixture
def table(recording):
    rows = pd.DataFrame(product(NAMES, Y, X, SITES), columns=["image", "y", "x", "site"])
    return rows.assign(value=recording.maps.ravel())


def read(table, images, **options):
    return Recording.from_table(table, images, **({"identifier": "lab", "window": (0, 9), "extent": 16} | options))


def german(table):
    return table.to_csv(index=False, sep=";", decimal=",", float_format="%.17g", lineterminator="\r\n")


def english(table):
    return table.to_csv(index=False, float_format="%.17g")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", lambda table: english(table).encode()),
        ("t.csv", lambda table: english(table).encode("utf-8-sig")),
        ("t.csv", lambda table: german(table).encode("utf-16")),
        ("t.txt", lambda table: ("sep=;\r\n" + german(table)).encode("utf-8-sig")),
        ("t.tsv", lambda table: table.to_csv(index=False, sep="\t", float_format="%.17g").encode()),
        ("t.csv", lambda table: table.to_csv(index=False, quoting=1, float_format="%.17g").encode()),
        ("t.csv", lambda table: english(table.rename(columns=str.upper).assign(note="")).encode()),
        ("t.parquet", lambda table: table.to_parquet()),
        ("t.parquet", lambda table: table.convert_dtypes().to_parquet()),
    ],
)
def test_a_table_gives_the_recording_of_its_arrays(recording, table, images, tmp_path, name, write):
    file = tmp_path / name
    file.write_bytes(write(table))
    assert_same(read(file, images), recording)
    assert_same(read(str(file), tmp_path), recording)


def test_a_data_frame_may_have_any_order_of_rows_and_other_names_of_columns(recording, table, images):
    shuffled = pd.concat([table[:1], table[1:].sample(frac=1, random_state=1)])
    found = read(shuffled.rename(columns={"value": "rate"}), images, columns={"value": "rate"})
    order = [NAMES.index(name) for name in found.names]
    sites = [SITES.index(site) for site in found.sites]
    np.testing.assert_array_equal(found.maps, recording.maps[order][..., sites])
    with pytest.raises(UsageError, match=r"no column 'value'; it has image, y, x, site, rate.*--column value=NAME"):
        read(table.rename(columns={"value": "rate"}), images)


def test_rows_that_are_missing_or_repeated_are_named(recording, table, images):
    with pytest.raises(DataError, match=r"1 of 360 values have no row: image-0 at y -6\.5, x -5, site b\."):
        read(table.drop(1), images)
    dropped = read(table.drop(1), images, drop_nan_sites=True)
    assert (dropped.sites, dropped.dropped) == (("a", "c"), ("b",))
    np.testing.assert_array_equal(dropped.maps, recording.maps[..., [0, 2]])
    with pytest.raises(
        DataError, match=r"2 values have several rows: image-0 at y -6\.5, x -5, site a; .*named repeat"
    ):
        read(pd.concat([table, table[:2]]), images)
    table.loc[7, "value"] = np.nan
    with pytest.raises(DataError, match=r"1 site\(s\) have values that are not finite \(b\)"):
        read(table, images)
    assert read(table, images, drop_nan_sites=True).dropped == ("b",)


def test_repeats_may_differ_in_number_and_have_any_labels(images, rng, tmp_path):
    counts = (2, 3, 4, 2, 2, 3)
    given = [rng.normal(size=(count, 4, 5, 3)) for count in counts]
    rows = [
        (name, f"trial {10 * at + repeat}", y, x, site, given[at][repeat, j, k, s])
        for at, name in enumerate(NAMES)
        for repeat in range(counts[at])
        for (j, y), (k, x), (s, site) in product(enumerate(Y), enumerate(X), enumerate(SITES))
    ]
    table = pd.DataFrame(rows, columns=["image", "repeat", "y", "x", "site", "value"])
    expected = Recording.from_arrays(
        None, images, repeats=given, identifier="lab", window=(0, 9), grid=Grid(Y, X, 16.0), sites=SITES
    )
    assert_same(read(table, images), expected)
    with pytest.raises(DataError, match=r"1 of .* values have no row: image-0 at"):
        read(table.drop(4), images)


def test_positions_that_differ_by_rounding_are_one_position(recording, table, images):
    noisy = table.assign(x=table.x + np.where(np.arange(len(table)) % 2, 1e-9, 0))
    np.testing.assert_array_equal(read(noisy, images).maps, recording.maps)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,y,x,site,value\nface,0,5,0,a,1,5\n", "row 2 of .* has 7 cells, but there are 5 columns.*semicolons"),
        ('image,y,x,site,value\nface,0,0,a,"1,234"\n', "'1,234' in the column of value is ambiguous"),
        ('image,y,x,site,value\nface,0,0,a,"1,5"\nface,0,1,a,1.5\n', "'1,5' in the column of value is ambiguous"),
        ("image;y;x;site;value\nface;0;0;a;1.234,5\n", "is ambiguous"),
        ("image,y,x,site,value\nface,0,0,a,1_0\n", "'1_0' in the column of value is not a number"),
        ("image,y,x,site,value\nface,,0,a,1\n", "some rows have no position"),
        ("image,y,x,site,value\n,0,0,a,1\n", "some rows have no image"),
        ("image,y,x,site,value\n", "has no rows"),
        ("", "is empty"),
        ("image,y,x,site\n", "has no column 'value'"),
        (b"image,y,x,site,value\n\xc4pfel,0,0,a,1\n", "is neither UTF-8 nor UTF-16 text.*CSV UTF-8"),
        ("image,y,x,site,value\n".encode("utf-16-le"), "is not a text table"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused(tmp_path, text, message):
    file = tmp_path / "table.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((DataError, UsageError), match=message):
        read(file, tmp_path)


def test_names_of_images_match_files_in_any_unicode_form(recording, table, images, tmp_path):
    folder = tmp_path / "shown"
    folder.mkdir()
    for file, name in zip(images, ("Äpfel", *NAMES[1:]), strict=True):
        file.rename(folder / unicodedata.normalize("NFD", f"{name}.PNG"))
    renamed = table.replace({"image": {"image-0": unicodedata.normalize("NFC", "äpfel.png")}})
    np.testing.assert_array_equal(read(renamed, folder).maps, recording.maps)
    with pytest.raises(DataError, match=r"1 of 6 images are not in .*: hat"):
        read(table.replace({"image": {"image-0": "hat"}}), folder)


def test_a_named_array_may_have_its_dimensions_in_any_order(recording, images):
    array = xr.DataArray(
        recording.maps[:, ::-1],
        coords={"image": NAMES, "y": Y[::-1], "x": X, "site": SITES},
        dims=["image", "y", "x", "site"],
    )
    for given in (array, array.transpose("site", "x", "image", "y"), array.rename(image="stimulus", site="neuroid")):
        found = Recording.from_xarray(given, images, identifier="lab", window=(0, 9), extent=16)
        assert_same(found, recording)
    bare = xr.DataArray(recording.maps, dims=["image", "y", "x", "site"])
    even = Recording.from_xarray(bare, images, identifier="lab", window=(0, 9))
    assert (even.grid, even.sites) == (Grid.even((4, 5)), ("site-00", "site-01", "site-02"))
    repeated = xr.concat([array, array + 1], dim="repeat")
    found = Recording.from_xarray(repeated, images, identifier="lab", window=(0, 9), extent=16)
    np.testing.assert_array_equal(found.repeats, np.stack([recording.maps, recording.maps + 1], axis=1))
    with pytest.raises(UsageError, match=r"the dimensions image \(6\), y \(4\), column \(5\), site \(3\) are not"):
        Recording.from_xarray(array.rename(x="column"), images, identifier="lab", window=(0, 9))
    with pytest.raises(UsageError, match="is not an array with named dimensions"):
        Recording.from_xarray(recording.maps, images, identifier="lab", window=(0, 9))
    with pytest.raises(UsageError, match="of a Dataset, give one variable"):
        Recording.from_xarray(array.to_dataset(name="rate"), images, identifier="lab", window=(0, 9))
    with pytest.raises(UsageError, match="grid cannot be given beside a table or a named array"):
        Recording.from_xarray(array, images, identifier="lab", window=(0, 9), grid=recording.grid)
    with pytest.raises(DataError, match=r"Use Recording\.from_xarray"):
        Recording.from_arrays(array, images, identifier="lab", window=(0, 9))


def test_an_assembly_of_brain_score_is_a_named_array(recording):
    found = Recording.from_xarray(assembly(recording), recording.images, identifier="lab", window=(0, 9), extent=16)
    assert_same(found, recording)


def test_an_assembly_brings_the_size_and_the_files_of_its_images(recording):
    small = replace(recording, grid=Grid(Y, X, 13.0))
    data = assembly(small)
    assert_same(Recording.from_xarray(data, data.attrs["stimulus_set"], identifier="lab", window=(0, 9)), small)
    assert Recording.from_xarray(data, small.images, identifier="lab", window=(0, 9), extent=14).grid.extent == 14
