"""Install the plugin folders where Brain-Score searches for plugins, unless that would break Brain-Score.

Brain-Score searches only the installed ``brainscore_vision`` package. If that is a released wheel, the plugin folders
are installed into it. If it is an editable clone, they must not be: ``site-packages/brainscore_vision`` would hide the
clone as a package without ``__init__.py``. The same files are always installed as ``brainscore_itmaps.plugins``, too.
"""

import atexit
import json
import os
import shutil
import site
import sys
import sysconfig
import tempfile
from importlib.metadata import distributions
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
HOST = "brainscore_vision"


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


def installs_into_host():
    """Return whether to install the plugins into Brain-Score; ``ITMAPS_NATIVE_PLUGINS`` (0 or 1) overrides it."""
    if {"editable_wheel", "develop"} & set(sys.argv):
        return False
    detected = target_is_visible() and not host_is_editable()
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
        "study/*.json",
        "study/named/*.toml",
    ]
}
homes = ["brainscore_itmaps.plugins"] + ([HOST] if installs_into_host() else [])
for init in sorted(HERE.glob("plugins/*/*/__init__.py")):
    kind, name = init.parent.parts[-2:]
    for home in homes:
        package = f"{home}.{kind}.{name}"
        packages.append(package)
        package_dir[package] = f"plugins/{kind}/{name}"
        package_data[package] = ["**/*"]

# pip builds in the checkout: files of an earlier build in build/ would become part of the wheel
build_base = tempfile.mkdtemp(prefix="itmaps-build-")
atexit.register(shutil.rmtree, build_base, ignore_errors=True)

setup(
    packages=packages,
    package_dir=package_dir,
    package_data=package_data,
    exclude_package_data={"": ["*.pyc", "__pycache__/*", "*/__pycache__/*"]},
    options={"build": {"build_base": build_base}},
)
