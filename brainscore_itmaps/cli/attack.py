"""`brainscore attack`: find the smallest attacks on a model, and compare them with human maps."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from brainscore_itmaps.benchmark.catalogue import ADVERSARIAL, ADVERSARIAL_FOLDER, MOST_IMAGES
from brainscore_itmaps.bridge.names import check_names
from brainscore_itmaps.cli.completion import complete_models
from brainscore_itmaps.cli.options import Architecture, BatchSize, Device, ModelLabel, Offline, Seed, StateKey
from brainscore_itmaps.cli.report import write_attack_page
from brainscore_itmaps.cli.result_tables import print_result
from brainscore_itmaps.cli.terminal import print_json, progress_bar, say, say_next
from brainscore_itmaps.data.class_folders import PHOTOGRAPHS
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import check_writable
from brainscore_itmaps.settings import Settings, expanded

CHANGE_FOLDER = "Name another folder with --out, or set ITMAPS_HOME."


def attack(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_models,
            help="Attack this model: a name or a file, as for `brainscore score`.",
        ),
    ],
    images: Annotated[
        str,
        typer.Option(
            "--images",
            "-i",
            help="Attack these images: ClickMe (the held-out images, see `brainscore data fetch clickme`), or a folder "
            "with a subfolder for each class, with images alone, or with the subfolders images and maps (human maps). "
            "photographs are 20 labelled photographs of ImageNet in an installed package.",
        ),
    ] = PHOTOGRAPHS,
    steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Take at most this many steps for each image, after DeepFool. The default is 300, of the published "
            "protocol 1,000; most images are finished sooner.",
        ),
    ] = None,
    restarts: Annotated[
        int,
        typer.Option(min=0, help="Attack each image again this many times, from random pixels around it."),
    ] = 0,
    decision: Annotated[
        Literal["classes", "animate"] | None,
        typer.Option(
            help="Attack the decision between all classes, or that between animals and other things of ImageNet. The "
            "default is classes, of the published protocol animate."
        ),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Attack this many images at most, from the first on.")] = MOST_IMAGES,
    weights: Annotated[
        str, typer.Option(help="Use pretrained weights, random weights, or the weights in this file.")
    ] = "pretrained",
    arch: Architecture = None,
    state_key: StateKey = None,
    name: ModelLabel = None,
    seed: Seed = None,
    batch_size: BatchSize = 10,
    device: Device = "auto",
    random_seeds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Where there are human maps, also attack the model's architecture with random weights, with this many "
            "seeds, as a control. Each takes as long as the model.",
        ),
    ] = 0,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Show the controls of the alignment with human maps.")
    ] = True,
    protocol: Annotated[
        Literal["ours", "published"],
        typer.Option(
            help="Attack as this package does, or as the published scripts of 2025 do, which project nothing: for "
            "comparison only."
        ),
    ] = "ours",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the JSON, CSV and NPZ files and the page into this folder. The default is ITMAPS_HOME/results. "
            "A result of the same name is overwritten."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute everything again, and overwrite the values in the cache.")
    ] = False,
    offline: Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the smallest change of each image that fools a model: a table, files and a page with the attacked images.

    Where there are human maps, the perturbations are compared with them. An interrupted run resumes when the same
    command is run again.
    """
    benchmark = ADVERSARIAL if images.casefold() == "clickme" else f"{ADVERSARIAL_FOLDER}:{images}"
    check_names(model, benchmark, weights, arch, state_key, name)
    if seed is not None and weights != "random":
        raise UsageError("--seed requires random weights.", "Add --weights random, or leave out --seed.")
    folder = expanded(out or Settings.from_environment().home / "results")
    check_writable(folder / "result.json", CHANGE_FOLDER)
    with progress_bar() as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.benchmark.request import AttackRequest
        from brainscore_itmaps.bridge.score import score

        result = score(
            model,
            benchmark,
            weights=weights,
            seed=seed or 0,
            arch=arch,
            state_key=state_key,
            name=name,
            batch_size=batch_size,
            device=device,
            protocol=protocol,
            random_seeds=random_seeds,
            controls=controls,
            attack=AttackRequest(steps, restarts, decision or "", most),
            fresh=fresh,
            progress=progress,
        )
    files: list[Path] = []
    try:
        files += result.save(folder, CHANGE_FOLDER)
        files.append(write_attack_page(result, files[0].with_suffix(".html")))
    finally:  # the numbers are printed even if the files cannot be written
        if as_json:
            print_json(result.to_dict())
        else:
            print_result(result)
            for file in files:
                say(f"written    {file}")
            if files:
                say_next("compare", files[0].parent, "--out", "comparison")
