"""Puts our plugin folders where Brain-Score's own search finds them, unless that would break the host.

Brain-Score searches only inside the installed ``brainscore_vision`` package. Beside a released wheel our folders go
in there. Beside an editable clone they must not: ``site-packages/brainscore_vision`` would then hide the clone as a
package without ``__init__.py``. The same files always travel as ``brainscore_itmaps.plugins`` too, for the bridge.
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


def folders():
    """Where packages of the environment lie."""
    return [sysconfig.get_path("purelib"), site.getusersitepackages()]


def host_is_editable():
    """Is the Brain-Score of the environment we are being installed into an editable clone?"""
    for found in distributions(path=folders()):
        if (found.metadata["Name"] or "").lower().replace("-", "_") == HOST:
            origin = json.loads(found.read_text("direct_url.json") or "{}")
            if origin.get("dir_info", {}).get("editable"):
                return True
    return any(any(Path(folder).glob(f"__editable__*{HOST}*")) for folder in folders())


def target_is_visible():
    """Do we see the environment we are being installed into? pip shows it even to an isolated build; uv does not."""
    seen = {(found.metadata["Name"] or "").lower().replace("-", "_") for found in distributions(path=folders())}
    return bool({"pip", HOST} & seen)


def native():
    """Map the plugins into Brain-Score? ``ITMAPS_NATIVE_PLUGINS=0`` or ``1`` overrides what is detected."""
    if {"editable_wheel", "develop"} & set(sys.argv):
        return False
    detected = target_is_visible() and not host_is_editable()
    return {"0": False, "1": True}.get(os.environ.get("ITMAPS_NATIVE_PLUGINS", ""), detected)


packages = find_packages(include=["brainscore_itmaps", "brainscore_itmaps.*"])
package_dir = {}
package_data = {
    "brainscore_itmaps": [
        "py.typed",
        "data/*.json",
        "data/*.npz",
        "models/*.json",
        "models/*.csv",
        "reporting/templates/*",
        "study/*.json",
        "study/named/*.toml",
    ]
}
homes = ["brainscore_itmaps.plugins"] + ([HOST] if native() else [])
for init in sorted(HERE.glob("plugins/*/*/__init__.py")):
    kind, name = init.parent.parts[-2:]
    for home in homes:
        package = f"{home}.{kind}.{name}"
        packages.append(package)
        package_dir[package] = f"plugins/{kind}/{name}"
        package_data[package] = ["**/*"]

# pip builds inside the checkout: files left in build/ by an earlier build would be packed into the next wheel
build_base = tempfile.mkdtemp(prefix="itmaps-build-")
atexit.register(shutil.rmtree, build_base, ignore_errors=True)

setup(
    packages=packages,
    package_dir=package_dir,
    package_data=package_data,
    exclude_package_data={"": ["*.pyc", "__pycache__/*", "*/__pycache__/*"]},
    options={"build": {"build_base": build_base}},
)
