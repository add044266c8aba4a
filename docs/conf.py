"""Build the documentation site from the pages, the docstrings, the command line, the notebooks and the gallery.

Run in a clone, with the extra `docs`: ``sphinx-build -W -c docs . site``. Sources are the files of the clone, so that
the links between pages, notebooks and code are the same on the site as in the clone. The site needs no network, and
works when its files are opened without a server.
"""

import re
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from matplotlib.figure import Figure
from numpydoc.xref import DEFAULT_LINKS
from sphinx_gallery.scrapers import figure_rst

HERE = Path(__file__).parent
GENERATED = HERE / "generated"
GALLERY_DPI = 150

project = "brainscore_itmaps"
author = "the brainscore_itmaps developers"
version = release = installed_version(project)
copyright = f"2026, {author}. Version {release}, MIT licence"

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
root_doc = "docs/index"
include_patterns = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**", "examples/*.ipynb"]
exclude_patterns = [
    "docs/gallery/**",
    "docs/templates/**",
    "docs/root/**",
    "**.ipynb_checkpoints",
    "docs/generated/gallery/*.ipynb",
]
templates_path = [str(HERE / "templates")]
default_role = "literal"  # `name` in a docstring
nitpicky = True
suppress_warnings = ["config.cache"]  # a function in sphinx_gallery_conf cannot be pickled

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
nb_execution_mode = "off"  # tests run the notebooks; the site shows what is saved in them

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings state types, with shapes
numpydoc_show_class_members = False
autodoc_preserve_defaults = True
numpydoc_xref_param_type = True  # types in docstrings are links, if they are these
numpydoc_xref_ignore = "all"
DEFAULT_LINKS.clear()  # to other sites
numpydoc_xref_aliases = {
    "ArrayResult": "brainscore_itmaps.benchmark.result.ArrayResult",
    "Attack": "brainscore_itmaps.features.attack.Attack",
    "AttackRequest": "brainscore_itmaps.AttackRequest",
    "AttackSettings": "brainscore_itmaps.features.attack.AttackSettings",
    "Ceiling": "brainscore_itmaps.metrics.ceiling.Ceiling",
    "Comparison": "brainscore_itmaps.study.compare.Comparison",
    "Estimate": "brainscore_itmaps.benchmark.estimate.Estimate",
    "Grid": "brainscore_itmaps.Grid",
    "HumanAlignment": "brainscore_itmaps.benchmark.human.HumanAlignment",
    "HumanMaps": "brainscore_itmaps.data.human_maps.HumanMaps",
    "Interval": "brainscore_itmaps.metrics.inference.Interval",
    "LabelledImages": "brainscore_itmaps.data.labelled_images.LabelledImages",
    "LayerFeatures": "brainscore_itmaps.features.grid.LayerFeatures",
    "LayerResult": "brainscore_itmaps.benchmark.result.LayerResult",
    "LeftOut": "brainscore_itmaps.metrics.folds.LeftOut",
    "LossTerms": "brainscore_itmaps.training.loss.LossTerms",
    "Model": "brainscore_itmaps.models.model.Model",
    "Null": "brainscore_itmaps.benchmark.result.Null",
    "Profile": "brainscore_itmaps.benchmark.profile.Profile",
    "Recording": "brainscore_itmaps.Recording",
    "Reproduction": "brainscore_itmaps.bridge.reproduce.Reproduction",
    "Result": "brainscore_itmaps.Result",
    "SweepSummary": "brainscore_itmaps.study.sweep.SweepSummary",
    "brainscore_itmaps.metrics.inference.Comparison": "brainscore_itmaps.metrics.inference.Comparison",
}


def save_last_figure(block: Any, variables: dict[str, Any], settings: Any) -> str:
    """Save the figure that a block of the gallery ends with; figures of this package are unknown to pyplot."""
    figure = variables["example_globals"].get("___")
    if not isinstance(figure, Figure):
        return ""
    variables["example_globals"]["___"] = None
    file = next(variables["image_path_iterator"])
    figure.savefig(file, dpi=GALLERY_DPI)
    return figure_rst([file], settings["src_dir"])


sphinx_gallery_conf = {
    "examples_dirs": "docs/gallery",
    "gallery_dirs": "docs/generated/gallery",
    "filename_pattern": r"plot_",
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 3600,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "image_scrapers": (save_last_figure,),
    "ignore_repr_types": r"matplotlib|brainscore_itmaps\.reporting",
    "reset_modules": ("matplotlib",),
    "remove_config_comments": True,
    "notebook_images": False,
    "backreferences_dir": None,
}

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["root"]  # index.html, which leads to the first page
html_sidebars = {"docs/index": [], "docs/start": []}
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "show_prev_next": True,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}


def write_commands() -> None:
    """Write the page of all commands with their options, as the command line itself describes them."""
    page = GENERATED / "commands.md"
    page.parent.mkdir(exist_ok=True)
    words = ["-m", "typer", "brainscore_itmaps.cli.app", "utils", "docs", "--name", "brainscore"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd=HERE.parent)
    text = re.sub(r"^# .*$", "# Commands", done.stdout, count=1, flags=re.MULTILINE)
    text = re.sub(r"^Examples\n((?:\nbrainscore .*\n)+)", _as_block, text, flags=re.MULTILINE)
    first = dict(re.findall(r"^##+ `(brainscore .*)`\n\n(.*)$", text, flags=re.MULTILINE))
    listed, group = [], "brainscore"
    for line in text.splitlines():
        if found := re.match(r"##+ `(.*)`", line):
            group = found[1]
        if found := re.match(r"\* `([a-z][\w-]*)`: ", line):  # a command of the group, with the beginning of a sentence
            command = f"{group} {found[1]}"
            line = f"* [`{command}`](#{command.replace(' ', '-')}): {first[command]}"
        listed.append(line)
    page.write_text("\n".join(listed) + "\n", encoding="utf-8")


def _as_block(found: re.Match[str]) -> str:
    commands = found[1].split("\n\n")
    return "**Examples**:\n\n```console\n" + "".join(f"$ {command.strip()}\n" for command in commands) + "```\n"


def named_in_code(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Show a name without a page of its own as text, if the code has it; otherwise Sphinx warns."""
    target = node["reftarget"]
    module = (node.source or "").rpartition("docstring of ")[2]
    while module:
        if any(_exists(name) for name in (f"{module}.{target}", target)):
            return text
        module = module.rpartition(".")[0]
    return None


def _exists(name: str) -> bool:
    try:
        resolve_name(name)
    except (AttributeError, ImportError, ValueError):
        return False
    return True


def setup(app: Any) -> None:
    """Write the page of commands, and check names that have no page."""
    write_commands()
    app.connect("missing-reference", named_in_code)
