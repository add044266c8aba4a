"""`brainscore score --benchmark ClickMe.alignment`: a network's saliency beside people's."""

import re
from pathlib import Path
from typing import Any

from rich.table import Table

from brainscore_itmaps.bridge.names import is_ours
from brainscore_itmaps.cli.score_print import write_and_print
from brainscore_itmaps.cli.terminal import progress_bar, say
from brainscore_itmaps.errors import UsageError


def score_human(
    model: str,
    folder: Path,
    *,
    weights: str,
    seed: int,
    arch: str | None,
    device: str,
    batch_size: int,
    attribution: str,
    reference_compat: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score, print and write a JSON file.

    Raises
    ------
    UsageError
        When the network is one that Brain-Score loads: it gives no gradients.
    """
    if not is_ours(model) and arch is None:
        raise UsageError(
            f"{model} is a model of Brain-Score's, whose interface gives no gradients.",
            "Name a network of ours, or of timm (timm:<name>).",
        )
    from brainscore_itmaps.data.clickme_shards import HELD_OUT, clickme_files

    files = clickme_files(HELD_OUT)
    with progress_bar(shown=not quiet) as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.benchmark.human import human_alignment
        from brainscore_itmaps.models.load import load_model
        from brainscore_itmaps.models.network import on_device

        network = on_device(load_model(model, weights, seed, arch=arch, progress=progress), device)
        found = human_alignment(
            network,
            files,
            attribution=attribution,
            reference_compat=reference_compat,
            batch_size=batch_size,
            progress=progress,
        )
    told = found.to_dict()
    write_and_print(told, folder / f"{_stem(told)}.json", _print, as_json=as_json, quiet=quiet)


def _stem(told: dict[str, Any]) -> str:
    """Name of the file: other weights, attributions and choices have another one."""
    weights = told["weights"] if told["weights"].startswith("random") else told["weights_sha256"][:8]
    choices = [told["attribution"]] if told["attribution"] != "gradient" else []
    choices += ["reference"] if told["reference_compat"] else []
    parts = (f"{told['model']}-{weights}", told["benchmark"], *choices)
    return "--".join(re.sub(r"[^\w.-]+", "-", part).strip("-") for part in parts)


def _print(told: dict[str, Any]) -> None:
    table = Table(title=f"{told['model']} on {told['benchmark']}", title_justify="left")
    names = ("raw", "ceiling", "score", "dice", "iou", "top1_on_these")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(*("" if told[name] is None else f"{told[name]:.3f}" for name in names))
    say(table)
    low, high = told["interval"]
    if low is not None:
        say(f"interval   {low:.3f} to {high:.3f}, bootstrap over {told['pictures'] - told['undefined']} pictures")
    say(f"score      {told['formula']} ({told['ceiling_source']})")
    say(f"saliency   {told['attribution']}")
    say(f"weights    {told['weights']}")
    if told["reference_compat"]:
        say("compat     human maps blurred as the published code does; not for use")
