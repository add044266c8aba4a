"""`brainscore score --benchmark ClickMe.alignment`: a network's saliency beside people's."""

import re
from pathlib import Path
from typing import Any

from rich.table import Table

from brainscore_itmaps.bridge.names import is_ours
from brainscore_itmaps.cli.terminal import print_json, progress_bar, say
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import replacing

SPLIT = "val"


def score_human(
    model: str,
    folder: Path,
    *,
    weights: str,
    seed: int,
    arch: str | None,
    device: str,
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
    from brainscore_itmaps.data.clickme_shards import clickme_files

    files = clickme_files(SPLIT)
    with progress_bar(shown=not quiet) as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.benchmark.human import human_alignment
        from brainscore_itmaps.models.load import load_model
        from brainscore_itmaps.models.network import on_device

        network = on_device(load_model(model, weights, seed, arch=arch, progress=progress), device)
        found = human_alignment(
            network, files, attribution=attribution, reference_compat=reference_compat, progress=progress
        )
    told = found.to_dict()
    stem = re.sub(r"[^\w.-]+", "-", f"{network.name}--{told['benchmark']}")
    file = folder / f"{stem}.json"
    try:
        with replacing(file) as beside:
            print_json(told, beside)
    finally:
        if quiet:
            say(str(told["score"]))
        elif as_json:
            print_json(told)
        else:
            _print(told, file)


def _print(told: dict[str, Any], file: Path) -> None:
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
    say(f"written    {file}")
