"""The text of a pull request, and the letters that ask the authors for a licence."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from brainscore_itmaps.bridge.contribution import Known, Plan
from brainscore_itmaps.bridge.contribution_files import commit
from brainscore_itmaps.bridge.extraction import PACKAGE
from brainscore_itmaps.models.spec import PackagedWeights

FIELD_OF_VIEW = (
    "Images are shown whole, without `place_on_screen`: the recorded positions reach from edge to edge of the image, "
    "and a model registered at 8 degrees would be shown only the centre of its 16 degrees."
)
RECORDINGS_LETTER = """Subject: Licence of the recordings of Arcaro, Ponce & Livingstone (2020)

Dear Dr Arcaro, dear Dr Ponce, dear Dr Livingstone,

we would like to add your recordings of eLife 9:e53798 (14 images, three arrays in two monkeys) to Brain-Score
(brain-score.org), as the benchmark Arcaro2020.IT-pls. Brain-Score would store the response maps in its netCDF format,
and the images as PNG files, in a public bucket, with your paper as the citation.

The public archive of the recordings states no licence. May Brain-Score store and redistribute the maps and the images?
If so, under which licence, for example CC BY 4.0, and who should be named? Is any of the 14 images under a licence of
its own?

With kind regards
"""
WEIGHTS_LETTER = """Subject: Licence of the weights of the harmonized models

Dear Dr Fel, dear Dr Linsley, dear Dr Serre,

we would like to add the harmonized models of arXiv 2211.04533 and 2306.03779 to Brain-Score (brain-score.org):
{models}.
Their weights would be converted from Keras to PyTorch, without training, and stored in a public bucket, with your
papers as the citation.

The files of the weights state no licence. May Brain-Score store and redistribute the converted weights? If so, under
which licence, for example MIT, and who should be named?

With kind regards
"""


def letters(plan: Plan) -> list[str]:
    """Return the letters that ask for licences: of the recordings, and of weights whose licence is not stated.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.contribution import plan_of
    >>> [letter.splitlines()[0] for letter in letters(plan_of(["harmonized_vgg16"]))]
    ['Subject: Licence of the weights of the harmonized models']
    >>> letters(plan_of(["efficientnet_lite0"]))
    []
    """
    unstated = [spec.title for spec in plan.models if spec.weights is not None and spec.weights.licence == "not stated"]
    recordings = any(not dataset.simulated for dataset in plan.datasets)
    return [RECORDINGS_LETTER] * recordings + [WEIGHTS_LETTER.format(models=", ".join(unstated))] * bool(unstated)


def pull_request(plan: Plan, known: Known, scores: Mapping[str, Mapping[str, str]]) -> str:
    """Write the text of a pull request; empty if simulated data are part of it.

    Parameters
    ----------
    plan : Plan
    known : Known
    scores : mapping of str to mapping of str to str
        Expected score of models, by model, for each benchmark.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.contribution import plan_of
    >>> print(pull_request(plan_of(["efficientnet_lite0"]), Known(), {}).splitlines()[0])
    # Add efficientnet_lite0
    """
    if plan.simulated:
        return ""
    added = [part.identifier for part in plan.benchmarks] or [
        *(spec.identifier for spec in plan.models),
        *plan.metrics,
        *(dataset.folder for dataset in plan.datasets),
    ]
    lines = [f"# Add {', '.join(added[:3])}" + (f" and {len(added) - 3} more" if len(added) > 3 else ""), ""]
    for part in plan.benchmarks:
        lines += [
            f"- Benchmark `{part.identifier}` (version 1, below `{part.parent}`, whose row a maintainer adds first): "
            "prediction of spatially resolved maps of IT activity by a model's IT layer. PLS with 25 components is "
            "fitted to all images but one; Pearson's r over positions, median over sites, mean over images, divided by "
            f"the noise ceiling of each array, mean over {len(part.dataset.assemblies)} arrays.",
            f"- {FIELD_OF_VIEW}",
            "- Scores above 1, which chance can give, are cut to 1; `attrs['uncut']` keeps them.",
        ]
    lines += [f"- Metric `{name}`" for name in plan.metrics]
    lines += [
        f"- Data `{assembly}` with the images `{stimuli}`"
        for dataset in plan.datasets
        for assembly, stimuli in dataset.assemblies.values()
    ]
    lines += [
        f"- Model `{spec.identifier}`: {spec.architecture} of timm, {_weights(spec.weights)}" for spec in plan.models
    ]
    if plan.files:
        lines += ["", "Files on S3", ""]
        lines += [f"- `{name}`: sha1 {known.sha1_of(name)}, version {known.s3.versions.get(name, '')}"
                  for name in plan.files]  # fmt: skip
    if known.scores or scores:
        lines += ["", "Expected scores", ""]
        for identifier, values in known.scores.items():
            lines.append(f"- `{identifier}`, the model of one convolution in the test: raw {values['raw']:.4f}, "
                         f"ceiling {values['ceiling']:.4f}, score {values['score']:.4f}")  # fmt: skip
        lines += [
            f"- `{identifier}`, {model}: {text}" for identifier, each in scores.items() for model, text in each.items()
        ]
    lines += [
        "",
        "Code",
        "",
        f"- Written by `brainscore contribute export` of brainscore-itmaps {version(PACKAGE)}, commit {commit()}; the "
        "folders import nothing of that package. MIT License.",
        *licences(plan),
    ]
    return "\n".join(lines) + "\n"


def licences(plan: Plan) -> list[str]:
    """Say which licences the recordings and weights state.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.contribution import plan_of
    >>> licences(plan_of(["efficientnet_lite0"]))
    ['- Weights of efficientnet_lite0: Apache-2.0.']
    """
    lines = ["- The archive of the recordings states no licence; its authors must be asked before a merge."] * any(
        not dataset.simulated for dataset in plan.datasets
    )
    for spec in plan.models:
        licence = spec.weights.licence if spec.weights is not None else "not stated"
        unstated = "their files state no licence; their authors must be asked before a merge"
        lines.append(f"- Weights of {spec.identifier}: {unstated if licence == 'not stated' else licence}.")
    return lines


def _weights(weights: object) -> str:
    if isinstance(weights, PackagedWeights):
        return f"weights in the package {weights.package} {weights.version}, checked by SHA-256"
    return "weights on S3, checked by SHA-1"


def commands(plan: Plan, clone: str, folders: Sequence[str]) -> list[str]:
    """List the commands that come after an export.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.contribution import plan_of
    >>> commands(plan_of(["itmaps_pls"]), "vision", ["metrics/itmaps"])[0]
    'brainscore contribute check --to vision --run'
    """
    branch = "-".join(["add", *(name.partition("/")[2] for name in folders[:1])])
    return [
        f"brainscore contribute check --to {clone} --run",
        f"git -C {clone} switch -c {branch}",
        f"git -C {clone} add {' '.join(f'brainscore_vision/{name}' for name in folders)}",
        f"git -C {clone} commit -m 'Add {', '.join(name.partition('/')[2] for name in folders)}'",
    ]
