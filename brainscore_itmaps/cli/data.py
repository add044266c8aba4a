"""`brainscore data`: recordings."""

from pathlib import Path
from typing import Annotated

import typer

from brainscore_itmaps.cli.terminal import say
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import refuse_unwritable

data = typer.Typer(help="Recordings.", no_args_is_help=True)


@data.callback()
def options() -> None:
    """Recordings."""


@data.command()
def simulate(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("it_maps_simulated.npz"),
    seed: Annotated[int, typer.Option(min=0, help="Seed; 0 gives the recording inside the package.")] = 0,
) -> None:
    """Make the simulated recording again, or another one like it: spike counts and the truth behind them."""
    if out.suffix != ".npz":
        raise UsageError(f"{out} does not end in .npz.", "The file is a numpy archive; name it so.")
    refuse_unwritable(out)
    from brainscore_itmaps.data.simulated import EMBEDDED, Simulation
    from brainscore_itmaps.data.simulated import simulate as simulate_in_python

    simulation = simulate_in_python(seed)
    same = (simulation.counts == Simulation.load(EMBEDDED).counts).all()
    say(f"SIMULATED spike counts (image, repeat, y, x, site, 50-ms bin): {simulation.counts.shape}")
    say(f"{'the same as' if same else 'not the same as'} the recording inside the package (seed 0)")
    say(f"written {simulation.save(out)}")
