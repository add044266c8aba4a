"""The rules of a contribution: a complete one keeps all of them, and each rule, broken once, is named."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from contribution import NAMES, clone_of_brain_score, contributed

from brainscore_itmaps.bridge.contribute import export
from brainscore_itmaps.bridge.contribution import S3Facts
from brainscore_itmaps.bridge.contribution_rules import RULES, check_folders, check_zip

BENCHMARK, DATA, MODEL, LITE = "benchmarks/arcaro2020", "data/arcaro2020", "models/harmonized_vgg16", (
    "models/efficientnet_lite0"
)  # fmt: skip


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    clone = clone_of_brain_score(tmp_path_factory.mktemp("complete") / "clone")
    contributed(clone)
    return clone


@pytest.fixture
def clone(complete, tmp_path):
    shutil.copytree(complete, tmp_path / "clone", symlinks=True)
    return tmp_path / "clone"


def checked(clone, route="pull-request", names=None):
    home = clone / "brainscore_vision"
    folders = [home / name for name in names or ("metrics/itmaps", DATA, BENCHMARK, LITE, MODEL)]
    return check_folders(clone, folders, route)


def failed(clone, route="pull-request", names=None):
    return {line.rule for line in checked(clone, route, names) if line.status != "ok"}


def edit(clone, name, old, new):
    file = clone / "brainscore_vision" / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def write(clone, name, text):
    file = clone / "brainscore_vision" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def remove(clone, name):
    (clone / "brainscore_vision" / name).unlink()


METADATA = "schema_version: '2.0'\ndomain: vision\nmodels: {}\n"
BROKEN = {  # rule: what breaks it, its arguments
    "only-plugin-folders": (write, "submission/new.py", "x = 1\n"),
    "init-file": (remove, f"{MODEL}/__init__.py"),
    "one-test-file": (write, f"{MODEL}/data_packaging/test_more.py", "x = 1\n"),
    "tests-test": (write, f"{MODEL}/test.py", "def test_nothing():\n    pass\n"),
    "expected-values": (edit, f"{BENCHMARK}/test.py", "EXPECTED = {", "EXPECTED = None and {"),
    "registry-lines": (edit, f"{MODEL}/__init__.py", "] = lambda:", "]  =  lambda:"),
    "identifier-taken": (write, "models/other/__init__.py", 'model_registry["harmonized_vgg16"] = lambda: 1\n'),
    "identifier-form": (edit, f"{BENCHMARK}/__init__.py", "['Arcaro2020.IT-pls']", "['it_maps']"),
    "one-benchmark": (edit, f"{BENCHMARK}/__init__.py", "lambda: arcaro2020_it_pls()",
                      "lambda: arcaro2020_it_pls()\nbenchmark_registry['Arcaro2020.V4-pls'] = lambda: 1"),
    "self-contained": (edit, f"{MODEL}/model.py", "import functools", "import functools\nimport brainscore_itmaps"),
    "requirements-used": (write, f"{MODEL}/requirements.txt", "numpy<2\npillow\nsafetensors\ntimm\nflask\n"),
    "numpy-below-2": (edit, f"{MODEL}/requirements.txt", "numpy<2", "numpy"),
    "upstream-pins": (edit, f"{MODEL}/requirements.txt", "pillow", "pillow\npandas>=3"),
    "pytorch-only": (edit, f"{MODEL}/model.py", "import functools", "import functools\nimport keras"),
    "no-weights-or-data": (write, f"{MODEL}/weights.pth", "x"),
    "s3-facts": (edit, f"{DATA}/__init__.py", "csv_version_id='version'", "csv_version_id=''"),
    "weights-checked": (edit, f"{MODEL}/leaderboard_model.py", "hashlib", "others"),
    "stimulus-identifier": (edit, f"{DATA}/__init__.py", "identifier='Arcaro2020.monkey1.stimuli'",
                            "identifier='Arcaro2020.monkey1.stimuli-1a2b'"),
    "bibtex": (edit, f"{BENCHMARK}/benchmark.py", "url=", "note="),
    "version": (edit, f"{BENCHMARK}/benchmark.py", "version=1", "version='1'"),
    "parent": (edit, f"{BENCHMARK}/benchmark.py", "parent='Arcaro2020.IT'", "parent=None"),
    "packaging-script": (remove, f"{DATA}/data_packaging/package_recordings.py"),
    "licence-file": (remove, "metrics/itmaps/LICENSE"),
    "header": (edit, "metrics/itmaps/pls.py", "NOISE = ", "NOISE = 2 * "),
    "no-simulated-data": (edit, f"{DATA}/__init__.py", "data_registry['Arcaro2020.monkey1_PL']",
                          "data_registry['monkey_simulated']"),
    "model-layers": (edit, f"{MODEL}/model.py", "'V2': ", "'V3': "),
    "metadata-valid": (write, f"{MODEL}/metadata.yaml", METADATA + "unknown: 1\n"),
    "metadata-automerge": (write, f"{MODEL}/metadata.yaml", METADATA),
    "zip-no-metadata": (write, f"{MODEL}/metadata.yaml", METADATA),
    "zip-no-spaces": (write, f"{MODEL}/a file.py", "x = 1\n"),
    "zip-one-identifier": (edit, f"{MODEL}/__init__.py", "lambda: get_model('harmonized_vgg16')",
                           "lambda: get_model('harmonized_vgg16')\nmodel_registry['b'] = lambda: 1"),
    "zip-no-hyphen": (edit, f"{BENCHMARK}/__init__.py", "pls'] = ", "pls'] = "),
}  # fmt: skip


def test_a_complete_contribution_keeps_every_rule(clone):
    assert failed(clone) == set()
    assert failed(clone, "zip", [MODEL]) == failed(clone, "zip", [LITE]) == set()


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_a_rule_that_is_broken_once_is_named_with_its_source_and_a_next_step(rule, clone):
    breaks, *arguments = BROKEN[rule]
    route = "zip" if rule.startswith("zip-") else "pull-request"
    names = [BENCHMARK] if rule == "zip-no-hyphen" else [MODEL] if route == "zip" else None
    if rule != "zip-no-hyphen":
        assert rule not in failed(clone, route, names)
    breaks(clone, *arguments)
    lines = [line for line in checked(clone, route, names) if line.rule == rule and line.status != "ok"]
    assert lines
    assert all(line.found.endswith(".") and line.cure.endswith(".") and line.source for line in lines), lines
    assert {line.status for line in lines} == {"note" if rule == "metadata-automerge" else "FAIL"}


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("models/harmonized_vgg16/model.py", "import functools", "import functools\nimport flask", "flask"),
        ("models/harmonized_vgg16/model.py", "from .leaderboard_model", "from .gone", ".gone, which is missing"),
        ("benchmarks/arcaro2020/benchmark.py", "metrics.itmaps.leaderboard ", "metrics.gone ", "the clone lacks"),
    ],
)
def test_an_import_that_a_clone_lacks_is_named(name, old, new, found, clone):
    edit(clone, name, old, new)
    (line,) = [line for line in checked(clone) if line.rule == "self-contained" and line.status == "FAIL"]
    assert found in line.found


@pytest.mark.parametrize(
    "line",
    [
        "model_registry.update(harmonized_vgg16=1)",
        "# model_registry['harmonized_vgg16'] = lambda: get_model('harmonized_vgg16')",
        "model_registry['harmonized_vgg16'] = lambda: get_model(['harmonized_vgg16'][0])",
        "model_registry['harmonized_vgg16'] = get_model",
        "    model_registry['harmonized_vgg16'] = lambda: get_model('harmonized_vgg16')",
    ],
)
def test_a_registration_that_one_of_the_parsers_misreads_is_named(line, clone):
    write(clone, f"{MODEL}/__init__.py", f"{line}\n")
    assert "registry-lines" in failed(clone)


def test_what_upstream_deleted_or_ignores_is_no_change_of_ours(clone):
    remove(clone, "models/pixels/__init__.py")
    assert "only-plugin-folders" not in failed(clone)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory, complete):
    folder = tmp_path_factory.mktemp("zip")
    export(["efficientnet_lite0"], folder / "lite0.zip", S3Facts(), folder / "files")
    return folder / "lite0.zip"


def test_the_zip_of_a_model_keeps_every_rule_and_is_the_same_each_time(zipped, tmp_path):
    assert {line.rule for line in check_zip(zipped) if line.status != "ok"} == set()
    export(["efficientnet_lite0"], tmp_path / "again.zip", S3Facts(), tmp_path / "files")
    assert (tmp_path / "again.zip").read_bytes() == zipped.read_bytes()
    with zipfile.ZipFile(zipped) as archive:
        names = archive.namelist()
    assert "efficientnet_lite0/models/efficientnet_lite0/" in names  # an entry of its own
    assert not any("packaging" in name or name.endswith(".yaml") for name in names)


def rewritten(zipped, file, change):
    with zipfile.ZipFile(zipped) as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as other:
        for info in archive.infolist():
            change(other, info, archive.read(info))
    return file


def other_top(archive, info, content):
    archive.writestr(info.filename, content)
    archive.writestr(info.filename.replace("efficientnet_lite0/models", "second/models"), content)


def without_entries(archive, info, content):
    if not info.is_dir():
        archive.writestr(info.filename, content)


def large(archive, info, content):
    archive.writestr(info.filename, content)
    if info.filename.endswith("test.py"):
        archive.writestr(info.filename.replace("test.py", "large.txt"), b"0" * 51_000_000)


def no_plugin(archive, info, content):
    archive.writestr(info.filename.replace("/models/", "/networks/"), content)


def outside(archive, info, content):
    archive.writestr(f"../{info.filename}", content)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (other_top, "zip-one-folder"),
        (without_entries, "zip-folder-entries"),
        (large, "zip-size"),
        (no_plugin, "zip-plugin"),
        (outside, "zip-readable"),
    ],
)
def test_a_zip_that_breaks_a_rule_of_the_upload_is_told(change, rule, zipped, tmp_path):
    lines = check_zip(rewritten(zipped, tmp_path / "changed.zip", change))
    assert rule in {line.rule for line in lines if line.status == "FAIL"}
    assert not list(tmp_path.parent.glob("efficientnet_lite0*"))


def test_checking_imports_neither_torch_nor_xarray_nor_brain_score(complete):
    code = (
        "import sys; from pathlib import Path; from brainscore_itmaps.bridge.contribute import check\n"
        f"lines = check((), Path({str(complete)!r})) + check(['it_maps', 'harmonized_vgg16'])\n"
        "print(len(lines) > 100, [name for name in ('torch', 'xarray', 'pandas', 'numpy', 'brainscore_vision') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True []\n", done.stderr


def test_names_in_a_clone_are_those_that_were_exported(complete):
    from brainscore_itmaps.bridge.contribute import exported_folders

    found = [f"{folder.parent.name}/{folder.name}" for folder in exported_folders(complete / "brainscore_vision")]
    assert found == [DATA, "metrics/itmaps", BENCHMARK, LITE, MODEL]
    assert Path(complete, "brainscore_itmaps").is_dir()
    assert len(NAMES) == 4
