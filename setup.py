"""Install the plugin folders where Brain-Score searches for plugins, unless that would break Brain-Score.

Brain-Score searches only the installed ``brainscore_vision`` package. If that is a released wheel, the plugin folders
are installed into it. If it is an editable clone, they must not be: ``site-packages/brainscore_vision`` would hide the
clone as a package without ``__init__.py``. The same files are always installed as ``brainscore_itmaps.plugins``, too.

What Brain-Score holds or registers itself, because it was merged there, is never installed into it. A wheel with
folders for Brain-Score has ``1inside`` in its name; one for publishing must not: ``ITMAPS_NATIVE_PLUGINS=0``.
"""

import atexit
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import distributions
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
HOST = "brainscore_vision"
INSIDE = "1inside"
"""Build tag of wheels that hold plugin folders for Brain-Score's package."""

sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True  # in the checkout
from brainscore_itmaps.bridge.host import installed_folders, shares, without_lines  # noqa: E402


def package_folders():
    """Return the folders with the packages of the environment."""
    return [sysconfig.get_path("purelib"), site.getusersitepackages()]


def host_is_editable():
    """Return whether Brain-Score is installed as an editable clone in the target environment."""
    for distribution in distributions(path=package_folders()):
        if (distribution.metadata["Name"] or "").lower().replace("-", "_") == HOST:
            origin = json.loads(distribution.read_text("direct_url.json") or "{}")
            if origin.get("dir_info", {}).get("editable"):
                return True
    return any(any(Path(folder).glob(f"__editable__*{HOST}*")) for folder in package_folders())


def target_is_visible():
    """Return whether this build can see the target environment: pip shows it even to an isolated build, uv does not."""
    installed = distributions(path=package_folders())
    names = {(distribution.metadata["Name"] or "").lower().replace("-", "_") for distribution in installed}
    return bool({"pip", HOST} & names)


def wheel_is_kept():
    """Return whether pip unpacked the source by itself: it keeps such a wheel for other environments."""
    return any(part.startswith(("pip-install-", "pip-req-build-", "pip-wheel-")) for part in HERE.parts)


def installs_into_host():
    """Return whether to install the plugins into Brain-Score; ``ITMAPS_NATIVE_PLUGINS`` (0 or 1) overrides it."""
    if {"editable_wheel", "develop"} & set(sys.argv):
        return False
    detected = target_is_visible() and not host_is_editable() and not wheel_is_kept()
    return {"0": False, "1": True}.get(os.environ.get("ITMAPS_NATIVE_PLUGINS", ""), detected)


packages = find_packages(include=["brainscore_itmaps", "brainscore_itmaps.*"])
package_dir = {}
package_data = {
    "brainscore_itmaps": [
        "py.typed",
        "data/*.csv",
        "data/*.json",
        "data/*.npz",
        "models/*.json",
        "models/*.csv",
        "reporting/templates/*",
        "bridge/templates/*",
        "study/*.json",
        "study/named/*.toml",
    ]
}


def host_folder():
    """Return the folder of Brain-Score's package in the target environment; it may be missing."""
    folders = [Path(folder, HOST) for folder in package_folders()]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def add_package(package, folder, files):
    """Add a plugin folder as a package, from a path relative to this file."""
    packages.append(package)
    package_dir[package] = os.path.relpath(folder, HERE)
    package_data[package] = files


def folder_of(share):
    """Return the folder to install into Brain-Score: without the identifiers that it registers, in a copy."""
    if not share.left_out:
        return share.folder
    copy = Path(build_base, "plugins", share.folder.parent.name, share.folder.name)
    # without the tests and the metadata, which are those of all identifiers
    shutil.copytree(share.folder, copy, ignore=shutil.ignore_patterns("test.py", "metadata.yaml", "__pycache__"))
    init = copy / "__init__.py"
    init.write_text(without_lines(init.read_text(encoding="utf-8"), share.left_out), encoding="utf-8")
    return copy


class BuildWithCommit(build_py):
    """Write the commit of the checkout into the wheel, for the headers of contributions."""

    def run(self):
        """Build, and write the commit if the checkout has one."""
        super().run()
        try:
            command = ["git", "-C", str(HERE), "rev-parse", "HEAD"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return
        if (HERE / ".git").exists() and done.returncode == 0 and not getattr(self, "editable_mode", False):
            Path(self.build_lib, "brainscore_itmaps", "commit.txt").write_text(done.stdout, encoding="utf-8")


# pip builds in the checkout: files of an earlier build in build/ would become part of the wheel
build_base = tempfile.mkdtemp(prefix="itmaps-build-")
atexit.register(shutil.rmtree, build_base, ignore_errors=True)

inside = installs_into_host()
folders = sorted(init.parent for init in HERE.glob("plugins/*/*/__init__.py"))
for folder in folders:
    add_package(f"brainscore_itmaps.plugins.{folder.parent.name}.{folder.name}", folder, ["**/*"])
found = shares(folders, host_folder(), installed_folders(distributions(path=package_folders()))) if inside else []
for share in found:
    if share.text:
        print(f"brainscore_itmaps: {share.text}")
    if not share.reason:
        add_package(f"{HOST}.{share.folder.parent.name}.{share.folder.name}", folder_of(share), ["**/*"])
print(
    "brainscore_itmaps: this wheel holds plugin folders for Brain-Score's package: install it here, do not publish it"
    if inside
    else "brainscore_itmaps: this wheel holds no folders for Brain-Score's package, and can be published"
)

setup(
    cmdclass={"build_py": BuildWithCommit},
    packages=packages,
    package_dir=package_dir,
    package_data=package_data,
    exclude_package_data={"": ["*.pyc", "__pycache__/*", "*/__pycache__/*"]},
    options={"build": {"build_base": build_base}} | ({"bdist_wheel": {"build_number": INSIDE}} if inside else {}),
)
