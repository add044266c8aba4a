"""Measure how predictivity depends on the assumed positions of a layer's units: edge to edge, or patch centres.

The models are those whose weights are in installed packages; nothing is downloaded.

Run: python benchmarks/unit_placement.py
"""

import numpy as np

from brainscore_itmaps import load_model, load_recording, predict_left_out, record, to_grid
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.metrics.predictivity import over_sites, site_correlation
from brainscore_itmaps.models.zoo import EMBEDDED, ZOO


def main() -> None:
    recording = load_recording("it_maps_simulated")
    print("SIMULATED recording, no animal was recorded; raw predictivity")
    print(f"skipped: {len(ZOO) - len(EMBEDDED)} models of the zoo whose weights are not in an installed package")
    for name in EMBEDDED:
        model = load_model(name)
        layer = model.spec.layers["IT"]
        maps = record(model, recording.images, [layer])[layer]
        units, grid = maps.shape[-1], recording.grid
        # patch centres span (units - 1) / units of the image; positions outside take the value of the outermost unit
        reach = grid.extent / 2 * (units - 1) / units
        clipped = Grid(np.clip(grid.y, -reach, reach), np.clip(grid.x, -reach, reach), 2 * reach)
        edges, centres = (
            over_sites(
                site_correlation(predict_left_out(to_grid(maps, target), recording.maps).predicted, recording.maps)
            ).mean()
            for target in (grid, clipped)
        )
        print(f"{name} {layer}: edge to edge {edges:.3f}, patch centres {centres:.3f}")


if __name__ == "__main__":
    main()
