"""What was computed is kept, found again, and never mistaken for something else."""

import importlib.metadata
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import python
from edited import rewrite_entry
from PIL import Image
from sources import fresh, model_source

from brainscore_itmaps import Grid, Recording, cache, load_model
from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.layers import FeatureScore, expected_score
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.cache import Expected, ResultCache
from brainscore_itmaps.data.recording import recording_content
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.npz import read_npz

SPEC = BenchmarkSpec("own", ("own",))
ARRAYS = {"maps": np.arange(60.0).reshape(3, 4, 5), "components": np.array([3, 25, 7]), "score": 0.25}

DRIVER = """
import json, os, signal, sys
from pathlib import Path

import brainscore_itmaps.benchmark.source as source
import brainscore_itmaps.models.load, timm
from brainscore_itmaps import score

FOLDER, LAYERS = sys.argv[1], ["blocks.0", "blocks.2", "blocks.4"]
read = source.record_at_grid

def scored(home, log, out, die_at=None):
    os.environ["ITMAPS_HOME"] = home

    def logged(model, images, layers, *rest, **options):
        told("reading " + " ".join(layers))
        return read(model, images, layers, *rest, **options)

    def told(line):
        with open(log, "a") as file:
            file.write(line + chr(10))

    def progress(step, done, total):
        told(f"{step} {done}/{total}")
        if die_at is not None and step.startswith(die_at):
            os.kill(os.getpid(), signal.SIGKILL)

    source.record_at_grid = logged
    score("timm:test_vit", FOLDER, layers=LAYERS, weights="random", device="cpu", progress=progress).save(out)

def child(*what, ready=None):
    # nothing has been computed yet in this process: no threads that a fork would lose
    number = os.fork()
    if number:
        return number
    if ready is not None:
        os.read(ready, 1)
    scored(*what)
    os._exit(0)

def ended(number):
    return os.waitpid(number, 0)[1]
"""


def keys_of(home):
    return sorted(file.stem for file in home.rglob("*.npz"))


def driven(script, *arguments):
    done = python("-c", DRIVER + script, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def home(own_home) -> Path:
    return own_home.parent / "kept"


@pytest.fixture
def small(images, rng, own_home):
    """Six images, 4 x 4 positions, four sites."""
    maps = rng.normal(size=(6, 4, 4, 1)) + 0.5 * rng.normal(size=(6, 4, 4, 4))
    return Recording.from_arrays(maps, images, identifier="own", window=(0, 9))


EXPECTED = {"maps": Expected((3, 4, 5)), "components": Expected((3,), "i", low=0), "score": Expected((), high=1)}


def forbidden():
    raise AssertionError("computed what is cached")


def test_what_is_computed_is_found_again(home):
    held = ResultCache(home)
    first = held.computed("ab12", lambda: ARRAYS | {"nothing": None}, EXPECTED)
    again = held.computed("ab12", forbidden, EXPECTED)
    for found in (first, again):
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == np.asarray(array).dtype
    another = {"maps": Expected((2,))}
    assert ResultCache(home, fresh=True).computed("ab12", lambda: {"maps": np.ones(2)}, another)["maps"].tolist() == [
        1,
        1,
    ]
    assert held.computed("ab12", forbidden, another)["maps"].tolist() == [1, 1]


def test_without_more_being_said_finite_numbers_are_believed(home):
    held = ResultCache(home)
    held.computed("ab12", lambda: ARRAYS)
    np.testing.assert_array_equal(held.computed("ab12", forbidden)["maps"], ARRAYS["maps"])
    for broken in (np.inf, np.nan):
        held.computed("cd34", lambda broken=broken: {"a": np.full(3, broken)})
        assert held.computed("cd34", lambda: {"a": np.ones(3)})["a"].tolist() == [1, 1, 1]
        (home / "cd" / "cd34.npz").unlink()


def test_several_entries_are_computed_in_one_call_and_only_where_they_are_missing(home):
    held, asked = ResultCache(home), []

    def compute(missing):
        asked.append(missing)
        return ((name, {"a": np.full(2, len(name))}) for name in missing)

    expected = {name: {"a": Expected((2,), "fi")} for name in ("one", "three", "seven")}
    held.computed_all({"three": "k3"}, compute, expected)
    found = held.computed_all({"one": "k1", "three": "k3", "seven": "k7"}, compute, expected)
    assert asked == [["three"], ["one", "seven"]]
    assert {name: entry["a"][0] for name, entry in found.items()} == {"one": 3, "three": 5, "seven": 5}
    held.computed_all({"one": "k1", "seven": "k7"}, lambda missing: forbidden(), expected)


def test_a_file_that_was_cut_short_is_as_nothing(home):
    held = ResultCache(home)
    held.computed("ab12", lambda: ARRAYS, EXPECTED)
    (file,) = home.rglob("*.npz")
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert held._read("ab12", EXPECTED) is None
    file.write_bytes(whole)
    assert held._read("ab12", EXPECTED) is not None


def test_a_file_with_any_wrong_byte_gives_what_was_kept_or_nothing(home):
    held, expected = ResultCache(home), {"a": Expected((30,)), "b": Expected(())}
    held.computed("ab12", lambda: {"a": np.arange(30.0) % 3, "b": 3.0}, expected)
    (file,) = home.rglob("*.npz")
    whole, troubles = file.read_bytes(), {}
    for place in range(len(whole)):
        for flipped in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= flipped
            file.write_bytes(damaged)
            found = held._read("ab12", expected)
            if found is None:
                continue
            if found.keys() != {"a", "b"} or (found["a"] != np.arange(30.0) % 3).any() or found["b"] != 3:
                troubles.setdefault("gives something else", []).append(place)
    assert troubles == {}


def test_an_entry_that_was_edited_or_renamed_is_computed_again(home):
    """Well-formed, of the same shapes and in range: only its hash tells."""
    held = ResultCache(home)
    held.computed("ab12", lambda: ARRAYS, EXPECTED)
    (file,) = home.rglob("*.npz")
    whole = file.read_bytes()
    entry = read_npz(file)
    np.savez(file, **entry | {"maps": entry["maps"] / 2})
    assert held._read("ab12", EXPECTED) is None
    file.write_bytes(whole)
    other = held._file("cd34")
    other.parent.mkdir()
    other.write_bytes(whole)
    assert held._read("cd34", EXPECTED) is None
    assert held._read("ab12", EXPECTED) is not None


def test_a_folder_in_a_file_s_place_is_as_nothing(home):
    held = ResultCache(home)
    held.computed("ab12", lambda: ARRAYS, EXPECTED)
    (file,) = home.rglob("*.npz")
    file.unlink()
    file.mkdir()
    assert held._read("ab12", EXPECTED) is None


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("maps", np.full((3, 4, 5), np.inf)),
        ("maps", np.full((3, 4, 5), np.nan)),
        ("maps", np.zeros((3, 4, 4))),
        ("maps", np.zeros((3, 20))),
        ("maps", np.zeros((3, 4, 5), complex)),
        ("components", np.zeros(3)),
        ("components", np.array([3, -1, 7])),
        ("score", 1.5),
        ("another", np.zeros(1)),
        ("score", None),
    ],
)
def test_an_entry_of_another_type_shape_or_range_is_not_believed(home, name, changed):
    held = ResultCache(home)
    held.computed("ab12", lambda: ARRAYS | {name: changed}, EXPECTED)
    assert held._read("ab12", EXPECTED) is None
    found = held.computed("ab12", lambda: ARRAYS, EXPECTED)
    np.testing.assert_array_equal(found["maps"], ARRAYS["maps"])


def test_every_array_of_a_layer_s_score_is_checked_when_it_is_read(small, home):
    """One value of each, out of range, not finite, or one too many."""
    score_of = passes(load_model("timm:test_vit", weights="random"), small, layers=["blocks.0", "blocks.1"])[1]
    assert score_of.arrays
    files, expected = sorted(home.rglob("*.npz")), expected_score(small, groups=len(small.images))
    for file in files:
        whole = file.read_bytes()
        entry = read_npz(file)
        if "predicted" not in entry:
            continue
        for name in entry.keys() & expected.keys():
            for broken in (np.full(entry[name].shape, np.inf), entry[name][:-1]):
                rewrite_entry(file, lambda entry, name=name, broken=broken: {name: broken})
                assert ResultCache(home)._read(file.stem, expected) is None, name
        file.write_bytes(whole)
        assert ResultCache(home)._read(file.stem, expected) is not None
    assert set(FeatureScore.__dataclass_fields__) == expected.keys()


def test_everything_that_a_number_depends_on_is_in_its_key():
    told = {"layer": "a", "recording": "b", "method": "pls", "protocol": "ours"}
    keys = {cache.key_of(**told)}
    for name, other in (("layer", "c"), ("recording", "a"), ("method", "ridge"), ("protocol", "published")):
        keys.add(cache.key_of(**told | {name: other}))
    keys.add(cache.key_of(**told, view="screen"))
    assert len(keys) == 6
    assert cache.key_of(**dict(reversed(told.items()))) in keys  # whatever the order


@pytest.mark.parametrize("package", ["numpy", "pillow", "scipy", "timm", "torch", "torchvision"])
def test_versions_of_packages_are_in_every_key(monkeypatch, package):
    installed, before = cache.package_versions, cache.key_of(layer="a")
    assert installed((package, "no-such-package")) == {
        package: importlib.metadata.version(package),
        "no-such-package": "not installed",
    }

    def another(packages):
        return installed(packages) | ({package: "0.0.1"} if package in packages else {})

    monkeypatch.setattr(cache, "package_versions", another)
    assert cache.key_of(layer="a") != before
    monkeypatch.setattr(cache, "package_versions", installed)
    assert cache.key_of(layer="a") == before
    monkeypatch.setattr(cache, "SCHEME", cache.SCHEME + 1)
    assert cache.key_of(layer="a") != before


def test_a_recording_s_content_is_its_numbers_and_images_not_its_name(small, tmp_path, rng):
    content = recording_content(small)
    renamed = replace(small, identifier="other", subject="other", citation="other", sha256="other", window=(5, 7))
    assert recording_content(renamed) == content
    copies = []
    for image in small.images:
        copies.append(tmp_path / f"copy-{image.name}")
        copies[-1].write_bytes(image.read_bytes())
    assert recording_content(replace(small, images=tuple(copies))) == content

    maps = small.maps.copy()
    maps[2, 1, 3, 0] = np.nextafter(maps[2, 1, 3, 0], np.inf)
    Image.new("RGB", (9, 9)).save(tmp_path / "black.png")
    others = [
        replace(small, maps=maps),
        replace(small, maps=small.maps.astype(np.float32)),
        replace(small, repeats=np.stack([small.maps] * 2, axis=1)),
        replace(small, grid=Grid.even(4, 8.0)),
        replace(small, grid=replace(small.grid, extent=20.0)),
        replace(small, grid=replace(small.grid, x=small.grid.x / 2)),
        replace(small, images=(*small.images[:5], tmp_path / "black.png")),
        replace(small, images=small.images[::-1]),
        replace(small, maps=small.maps.reshape(6, 2, 8, 4), grid=Grid(np.arange(2.0), np.arange(8.0), 16.0)),
    ]
    assert len({content, *map(recording_content, others)}) == len(others) + 1


def test_content_of_an_array_is_its_kind_shape_and_numbers(rng):
    array = rng.normal(size=(3, 4))
    assert cache.array_content(array) == cache.array_content(np.asfortranarray(array))
    others = [array.T, array.reshape(4, 3), array.astype(np.float32), -array, array[:, ::-1]]
    assert len({cache.array_content(each) for each in [array, *others]}) == 6


def test_cleaning_removes_what_is_kept_and_says_how_much_that_was(home, own_home):
    own_home.mkdir(parents=True)
    (own_home / "orientation.json").write_text("{}")
    held, sizes = ResultCache(home), {"maps": Expected((2,))}
    assert cache.clean_cache(home) == cache.cache_size(home) == 0
    for number in range(3):
        held.computed(cache.key_of(number=number), lambda: {"maps": np.zeros(2)}, sizes)
    size = sum(file.stat().st_size for file in home.rglob("*.npz"))
    assert cache.cache_size(home) == size > 0
    assert cache.clean_cache(home) == size
    assert not home.exists()
    assert held._read(cache.key_of(number=1), sizes) is None
    assert (own_home / "orientation.json").exists()  # recordings are not ours to remove
    held.computed(cache.key_of(number=1), lambda: {"maps": np.zeros(2)}, sizes)
    assert held._read(cache.key_of(number=1), sizes) is not None


def passes(model, recording, held=None, layers="blocks.1", seed=0, **changes):
    """How many images a score shows to a model, after the places of the layer's units were verified."""
    source, shown = model_source(model, layers, **changes), []
    hook = model.module.register_forward_pre_hook(lambda module, given: shown.append(len(given[0])))
    result = evaluate(source, [recording], SPEC, ScoreRequest(seed=seed), held)
    hook.remove()
    return sum(shown), result


def test_a_score_is_looked_up_where_nothing_changed_and_computed_where_something_did(small, home, monkeypatch):
    model = load_model("timm:test_vit", weights="random")
    count, first = passes(model, small)
    assert count == 6
    count, again = passes(load_model("timm:test_vit", weights="random"), small, batch_size=2)
    assert count == 0
    assert again.to_dict() | {"written": ""} == first.to_dict() | {"written": ""}
    np.testing.assert_array_equal(again.arrays[0].predicted, first.arrays[0].predicted)
    count, anew = passes(model, small, fresh())
    assert count == 6
    assert anew.score == first.score
    assert passes(model, small, seed=3)[0] == 0  # only the interval changes

    other = load_model("timm:test_vit", weights="random", seed=1)
    coarser = replace(model, spec=replace(model.spec, interpolation="nearest"))
    assert passes(other, small)[0] == passes(coarser, small)[0] == passes(model, small, layers="blocks.2")[0] == 6
    assert passes(model, replace(small, maps=small.maps + 1))[0] == 6
    monkeypatch.setattr(cache, "package_versions", lambda packages: dict.fromkeys(packages, "0.0.1"))
    assert passes(model, small)[0] == 6


def test_of_several_layers_only_the_missing_ones_are_read(small, home):
    model = load_model("timm:test_vit", weights="random")
    source, read = model_source(model, ["blocks.0", "blocks.1"]), []

    def told(recording, layers, held, progress):
        read.append(list(layers))
        return source.read(recording, layers, held, progress)

    whole = replace(source, read=told)
    request = ScoreRequest(controls=False)  # what a chosen layer adds to them may need it again
    evaluate(whole, [small], SPEC, request)
    more = replace(whole, layers=("blocks.0", "blocks.3", "blocks.1"))
    result = evaluate(more, [small], SPEC, request)
    assert read == [["blocks.0", "blocks.1"], ["blocks.3"]]
    assert [value.layer for value in result.arrays[0].layers] == ["blocks.0", "blocks.3", "blocks.1"]
    again = evaluate(more, [small], SPEC, request, cache=fresh())
    assert read[-1] == ["blocks.0", "blocks.3", "blocks.1"]
    assert again.to_dict() | {"written": ""} == result.to_dict() | {"written": ""}


def test_damaged_files_are_computed_anew(small, home):
    model = load_model("timm:test_vit", weights="random")
    _, first = passes(model, small, layers=["blocks.0", "blocks.1"])
    for file in home.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:-30])
    count, again = passes(model, small, layers=["blocks.0", "blocks.1"])
    assert count == 6
    assert again.to_dict() | {"written": ""} == first.to_dict() | {"written": ""}
    assert passes(model, small, layers=["blocks.0", "blocks.1"])[0] == 0


@pytest.mark.parametrize("layers", ["blocks.1", ["blocks.0", "blocks.1"]])
def test_fresh_ignores_and_overwrites_the_cache(small, home, layers):
    model = load_model("timm:test_vit", weights="random")
    _, first = passes(model, small, layers=layers)
    for file in home.rglob("*.npz"):  # by somebody who wants another number, and knows how entries are hashed
        rewrite_entry(file, lambda entry: {name: array / 2 for name, array in entry.items() if array.dtype.kind == "f"})
    assert passes(model, small, layers=layers)[1].raw != first.raw
    for held in (fresh(), None):
        _, again = passes(model, small, held, layers=layers)
        assert again.to_dict() | {"written": ""} == first.to_dict() | {"written": ""}


def test_models_of_the_same_weights_that_compute_differently_are_told_apart(small, home):
    """As somebody changes a stride, a dilation or what comes after a layer: the parameters stay the same."""
    weight = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scores = []
    for dilation, after in ((1, torch.nn.ReLU()), (4, torch.nn.ReLU()), (1, torch.nn.Identity())):
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=8, dilation=dilation, bias=False), after)
        module[0].weight.data = weight
        spec = replace(ZOO["efficientnet_lite0"], size=64)
        model = Model("own", spec, module.eval(), Weights("module", sha256="0"))
        scores.append(passes(model, small, layers="1")[1].score)
    assert len(set(scores)) == 3


@pytest.mark.slow
def test_eight_processes_at_once_give_one_result_and_score_each_layer_once(small, tmp_path):
    folder = small.save(tmp_path / "own")
    driven(
        """
ready, go = os.pipe()
place = Path(sys.argv[2])
what = [(str(place / "home"), str(place / f"log-{n}"), str(place / f"out-{n}")) for n in range(8)]
children = [child(*each, ready=ready) for each in what]
os.write(go, b"x" * 8)
assert [ended(number) for number in children] == [0] * 8
""",
        folder,
        tmp_path,
    )
    logs = [(tmp_path / f"log-{number}").read_text().splitlines() for number in range(8)]
    reading = [line for log in logs for line in log if line.startswith("reading")]
    assert reading.count("reading blocks.0 blocks.2 blocks.4") == 1
    assert len(reading) <= 2  # another process may compute what the chosen layers add to controls, and reads them again
    scoring = [log for log in logs if any(line.startswith("layer ") for line in log)]
    assert len(scoring) == 1
    for number, block in enumerate((0, 2, 4), 1):
        assert scoring[0].count(f"layer {number} of 3, blocks.{block} 1/25") == 1
    results = [saved(tmp_path / f"out-{number}") for number in range(8)]
    assert all(result == results[0] for result in results)
    assert not list((tmp_path / "home").rglob(".*.npz"))


def saved(folder):
    """Bytes of the NPZ and the CSV, and what the JSON says but for the time."""
    (npz,), (told,), *tables = ([*folder.glob(f"*.{ending}")] for ending in ("npz", "json", "csv"))
    return (
        npz.read_bytes(),
        [table.read_bytes() for table in sorted(tables[0])],
        json.loads(told.read_text()) | {"written": ""},
    )


def test_a_run_that_is_killed_goes_on_where_it_was_and_writes_the_same_bytes(small, tmp_path):
    folder = small.save(tmp_path / "own")
    driven(
        """
place = Path(sys.argv[2])
def run(home, log, die_at=None):
    return ended(child(str(place / home), str(place / log), str(place / f"out-{log}"), die_at))

assert run("broken", "killed", die_at="layer 2 of 3") == signal.SIGKILL
kept = sorted((place / "broken").rglob("*.npz"))
times = {file: file.stat().st_mtime_ns for file in kept}
assert len(kept) == 4, kept  # the places of three layers, and the score of the first, with what the choice is made on
assert run("broken", "resumed") == 0
assert {file: file.stat().st_mtime_ns for file in kept} == times
assert run("whole", "unbroken") == 0
""",
        folder,
        tmp_path,
    )
    killed, resumed, unbroken = ((tmp_path / log).read_text().splitlines() for log in ("killed", "resumed", "unbroken"))
    assert "reading blocks.0 blocks.2 blocks.4" in killed
    assert not (tmp_path / "out-killed").exists()
    assert "reading blocks.2 blocks.4" in resumed
    assert not [line for line in resumed if line.startswith("layer ") and "blocks.0" in line]
    assert "reading blocks.0 blocks.2 blocks.4" in unbroken
    assert not [line for line in resumed if line.startswith("waiting")]  # the lock of a dead process is free
    assert saved(tmp_path / "out-resumed") == saved(tmp_path / "out-unbroken")
    assert keys_of(tmp_path / "broken") == keys_of(tmp_path / "whole")
