"""`brainscore harmonize`: train a model with the neural harmonizer."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from brainscore_itmaps.cli.terminal import progress_bar, say, say_next
from brainscore_itmaps.settings import expanded


def harmonize(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG.toml", help="Read the model, the data and the training settings from this TOML file."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the run into this folder. The default is runs/ followed by the name of the TOML file without "
            "its suffix."
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu"],
        typer.Option(
            help="Train on this device. With auto, a GPU is used if there is one, and several GPUs under accelerate."
        ),
    ] = "auto",
) -> None:
    """Train a model toward human importance maps with the neural harmonizer.

    Images with human maps come from ClickMe, or from folders of your own: `brainscore data simulate --human-maps
    FOLDER` writes a small example with a configuration. docs/harmonizer.md lists all settings of CONFIG.toml with
    their defaults and published values. An interrupted run resumes when the same command is run again.
    """
    with progress_bar() as progress:
        from brainscore_itmaps.training.config import read_config

        training_config = read_config(config)
        progress("starting torch", 0, 1)
        from brainscore_itmaps.training.loop import harmonize as train

        folder = out or Path("runs") / config.stem
        trained = train(training_config, expanded(folder), device=device, progress=progress)
    if trained.resumed_from == trained.steps:
        say(f"The run was already complete: all {trained.steps} steps were run before.")
    elif trained.resumed_from:
        say(f"The run resumed from step {trained.resumed_from} of {trained.steps}.")
    for note in trained.notes:
        say(f"note           {note}")
    for name in ("cross_entropy", "harmonization", "accuracy", "alignment"):
        if name in trained.last:
            say(f"{name.replace('_', '-'):14} {trained.last[name]:.4g}    (last logged training step)")
    if trained.held_out:
        measured = {"alignment": "alignment", "spearman": "Spearman"}
        name = next(name for name in measured if name in trained.held_out)
        say(f"held out       top-1 {trained.held_out['top1']:.1f} %, {measured[name]} {trained.held_out[name]:.3f}")
    say(f"written        {trained.folder}")
    say_next("score", "--model", trained.folder, width=15)
