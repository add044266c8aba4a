"""All combinations of installing this package and Brain-Score, in scratch environments.

A scratch environment sees the libraries of the environment that runs the tests, through links, but neither package.
Brain-Score's wheel and its clone are built from the files of the installed package.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

import pytest

from brainscore_itmaps.bridge.plugins import host_folder, plugin_folders

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
EXPECTED = re.compile(r"0\.60\d+")
NATIVE = ("-m", "brainscore_vision", "score", "--model_identifier=efficientnet_lite0",
          "--benchmark_identifier=it_maps_simulated")  # fmt: skip
NOT_LIBRARIES = ("brainscore_vision", "brainscore_itmaps", "__editable__", "__pycache__", "docs", "migrations",
                 "scripts", "tests")  # fmt: skip


class Environment:
    """Scratch environment in which commands are run."""

    def __init__(self, folder, libraries):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        (self.site / "libraries.pth").write_text(f"{libraries}\n")

    def run(self, *arguments, code=0, **environment):
        done = subprocess.run(
            [self.python, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=os.environ | self.home() | environment,
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    def pip(self, *arguments, **environment):
        return self.run("-m", "pip", *arguments, **environment)

    def install(self, *what, **environment):
        return self.pip(
            "install", "-q", "--no-compile", "--no-deps", "--no-index", "--no-build-isolation", *what, **environment
        )

    def brainscore(self, *arguments, code=0):
        done = subprocess.run(
            [self.folder / "bin" / "brainscore", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=os.environ | self.home(),
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def home(self):
        """Return environment variables with an empty cache, so that no score of another environment is reused."""
        return {"ITMAPS_HOME": tempfile.mkdtemp(dir=self.folder), "PYTHONDONTWRITEBYTECODE": ""}

    def our_score(self):
        return self.brainscore("score", "--model", "efficientnet_lite0", "--benchmark", "it_maps_simulated", "-q")

    def native_score(self):
        return re.search(r"array\(([\d.]+)\)", self.run(*NATIVE).stdout)[1]

    def files(self):
        """Return the files in site-packages with their contents, except caches."""
        return {
            file: file.read_bytes()
            for file in sorted(self.site.rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("conda_score--")
        }


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libraries")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(NOT_LIBRARIES) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def environment(tmp_path, libraries):
    return Environment(tmp_path / "environment", libraries)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Source of Brain-Score as in a clone, without plugins of this package."""
    folder = tmp_path_factory.mktemp("clone")
    ignore = shutil.ignore_patterns("__pycache__", "itmaps_*", "conda_score--*")
    shutil.copytree(host_folder(), folder / "brainscore_vision", ignore=ignore)
    version = importlib.metadata.version("brainscore_vision")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "brainscore_vision"\nversion = "{version}"\n'
        '[tool.setuptools.packages.find]\ninclude = ["brainscore_vision*"]\n'
    )
    return folder


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory):
    return lay_out_wheel(clone, tmp_path_factory.mktemp("wheel"), importlib.metadata.version("brainscore_vision"))


def lay_out_wheel(clone, folder, version):
    file, info = folder / f"brainscore_vision-{version}-py3-none-any.whl", f"brainscore_vision-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        names = [f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        for source in sorted((clone / "brainscore_vision").rglob("*")):
            if source.is_file():
                names.append(str(source.relative_to(clone)))
                archive.write(source, names[-1])
        archive.writestr(names[0], f"Metadata-Version: 2.1\nName: brainscore_vision\nVersion: {version}\n")
        archive.writestr(names[1], "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(names[2], "".join(f"{name},,\n" for name in names))
    return file


@pytest.fixture
def checkout(tmp_path):
    """Copy of the source of this package, so that builds change nothing in the checkout."""
    folder = tmp_path / "checkout"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("brainscore_itmaps", "plugins"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder)
    return folder


def test_our_wheel_beside_brain_score_s_wheel(environment, wheel, clone, checkout, tmp_path):
    environment.install(wheel)
    before = environment.files()
    environment.install(checkout)
    ours = environment.our_score()
    assert EXPECTED.match(ours)
    assert float(environment.native_score()) == pytest.approx(float(ours), abs=1e-6)
    folders = sum(map(len, plugin_folders().values()))
    assert re.search(rf"{folders} folders installed in\s+Brain-Score", environment.brainscore("doctor"))

    newer = ".".join([*importlib.metadata.version("brainscore_vision").split(".")[:2], "99"])
    environment.install(lay_out_wheel(clone, tmp_path, newer))  # an upgrade of Brain-Score keeps the plugins
    assert newer in environment.pip("show", "brainscore_vision").stdout
    assert float(environment.native_score()) == pytest.approx(float(ours), abs=1e-6)
    environment.brainscore("doctor")

    environment.install("--force-reinstall", wheel)
    environment.pip("uninstall", "-y", "-q", "brainscore_itmaps")
    assert environment.files() == before
    assert "alexnet" in environment.run(
        "-c",
        "from brainscore_core.plugin_management.import_plugin import ImportPlugin\n"
        "print(ImportPlugin('brainscore_vision', 'models', 'alexnet').locate_plugin())",
    ).stdout  # fmt: skip


MERGED = {
    "models/itmaps_embedded": "model_registry['efficientnet_lite0'] = lambda: 'of the host'\n",  # a folder of our name
    "models/merged": 'model_registry["harmonized_vgg16"] = lambda: 1\n',  # one of seven identifiers
    "metrics/itmaps": "".join(
        f"metric_registry['{name}'] = lambda: 1\n"
        for name in ("itmaps_pls", "itmaps_ridge", "itmaps_alignment", "itmaps_site_ceiling")
    ),  # all identifiers of a folder
}


def test_a_brain_score_that_already_holds_our_plugins_keeps_every_byte(environment, clone, checkout, tmp_path):
    merged = tmp_path / "merged"
    shutil.copytree(clone, merged)
    for name, text in MERGED.items():
        (merged / "brainscore_vision" / name).mkdir(parents=True)
        (merged / "brainscore_vision" / name / "__init__.py").write_text(text)
        (merged / "brainscore_vision" / name / "test.py").write_text("host = True\n")
    version = importlib.metadata.version("brainscore_vision")
    environment.install(lay_out_wheel(merged, tmp_path, version))
    before = environment.files()
    for _ in range(2):  # the second time over the first installation
        environment.install("--force-reinstall", checkout)
        after = environment.files()
        assert {file: after[file] for file in before} == before
        host = environment.site / "brainscore_vision"
        assert not (host / "metrics" / "itmaps_metrics").exists()
        text = (host / "models" / "itmaps_harmonized" / "__init__.py").read_text()
        assert "harmonized_vgg16" not in text
        assert "model_registry['harmonized_resnet50']" in text
        assert (host / "benchmarks" / "itmaps_simulated" / "__init__.py").is_file()
        located = environment.run(
            "-c",
            "from brainscore_core.plugin_management.import_plugin import ImportPlugin\n"
            "for kind, name in (('models', 'efficientnet_lite0'), ('models', 'harmonized_vgg16'), ('models',"
            " 'harmonized_resnet50'), ('metrics', 'itmaps_pls'), ('benchmarks', 'it_maps')):\n"
            "    print(ImportPlugin('brainscore_vision', kind, name).locate_plugin())",
        ).stdout
        assert located.split() == ["itmaps_embedded", "merged", "itmaps_harmonized", "itmaps", "itmaps_arcaro2020"]
    printed = " ".join(environment.brainscore("doctor").split())
    assert "metrics/itmaps_metrics is left out" in printed
    assert EXPECTED.match(environment.our_score())
    environment.pip("uninstall", "-y", "-q", "brainscore_itmaps")
    assert environment.files() == before


def test_a_brain_score_that_registers_our_names_later_is_diagnosed_and_fixed_as_doctor_says(
    environment, wheel, clone, checkout, tmp_path
):
    environment.install(wheel)
    environment.install(checkout)
    merged = tmp_path / "merged"
    shutil.copytree(clone, merged)
    (merged / "brainscore_vision" / "models" / "merged").mkdir()
    init = merged / "brainscore_vision" / "models" / "merged" / "__init__.py"
    init.write_text(MERGED["models/merged"])
    newer = ".".join([*importlib.metadata.version("brainscore_vision").split(".")[:2], "99"])
    environment.install(lay_out_wheel(merged, tmp_path, newer))
    printed = " ".join(environment.brainscore("doctor", code=5).split())
    assert "harmonized_vgg16 is registered twice" in printed
    environment.install("--force-reinstall", checkout)
    environment.brainscore("doctor")


def test_our_editable_install_beside_brain_score_s_wheel(environment, wheel, checkout):
    environment.install(wheel)
    before = environment.files()
    environment.install("-e", checkout)
    ours = environment.our_score()
    assert EXPECTED.match(ours)
    assert "No registrations found" in environment.run(*NATIVE, code=1).stderr
    assert "attach them while they run" in " ".join(environment.brainscore("doctor").split())

    environment.brainscore("link")
    assert float(environment.native_score()) == pytest.approx(float(ours), abs=1e-6)
    assert "linked into" in environment.brainscore("doctor")
    environment.brainscore("unlink")
    environment.pip("uninstall", "-y", "-q", "brainscore_itmaps")
    assert environment.files() == before
    assert (checkout / "plugins/models/itmaps_embedded/__init__.py").is_file()


def test_both_editable(environment, clone, checkout, tmp_path):
    clone_copy = tmp_path / "clone"
    shutil.copytree(clone, clone_copy)
    environment.install("-e", clone_copy)
    environment.install("-e", checkout)
    ours = environment.our_score()
    assert EXPECTED.match(ours)
    assert "editable clone" in environment.brainscore("doctor")
    assert EXPECTED.match(
        environment.run(
            "-c",
            "from brainscore_itmaps.bridge.plugins import attach; attach()\n"
            "from brainscore_vision import load_benchmark, load_model\n"
            "print(float(load_benchmark('it_maps_simulated')(load_model('efficientnet_lite0'))))",
        ).stdout
    )
    environment.brainscore("link")
    assert float(environment.native_score()) == pytest.approx(float(ours), abs=1e-6)
    environment.brainscore("unlink")
    assert not list(clone_copy.rglob("itmaps_*"))


def test_a_hidden_clone_is_diagnosed_and_fixed_as_doctor_says(environment, clone, checkout):
    environment.install("-e", clone)
    environment.install(checkout, ITMAPS_NATIVE_PLUGINS="1")
    printed = environment.brainscore("doctor", code=5)
    assert "without __init__.py hides" in " ".join(printed.split())
    assert EXPECTED.match(environment.our_score())  # attaching does not use that folder

    shutil.rmtree(environment.site / "brainscore_vision")
    environment.install("--force-reinstall", checkout)
    assert not (environment.site / "brainscore_vision").exists()
    assert EXPECTED.match(environment.our_score())
    assert "attach them while they run" in " ".join(environment.brainscore("doctor").split())


def test_an_earlier_build_leaves_nothing_in_the_next_wheel(environment, checkout, tmp_path):
    def built(native, folder):
        environment.pip(
            "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, checkout,
            ITMAPS_NATIVE_PLUGINS=native,
        )  # fmt: skip
        (file,) = folder.glob("*.whl")
        assert ("1inside" in file.name) == (native == "1")
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()

    with_host = built("1", tmp_path / "first")
    assert "brainscore_vision/models/itmaps_embedded/__init__.py" in with_host
    assert not any(name.endswith(".pyc") or name.startswith("tests") for name in with_host)
    assert "brainscore_vision/__init__.py" not in with_host
    without = built("0", tmp_path / "second")
    assert not any(name.startswith("brainscore_vision/") for name in without)
    assert "brainscore_itmaps/plugins/models/itmaps_embedded/__init__.py" in without
    assert "brainscore_itmaps/data/it_maps_simulated.npz" in without
