"""The benchmarks that have a name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchmarkSpec:
    """One row.

    Attributes
    ----------
    identifier : str
        Name for ``--benchmark`` and for Brain-Score.
    recording : str
        Name for :func:`brainscore_itmaps.load_recording`.
    version : int
        Raised whenever scores change.
    citation : str
        BibTeX entry.
    """

    identifier: str
    recording: str
    version: int
    citation: str


ARCARO_2020 = """@article{arcaro2020neurons,
  title={The neurons that mistook a hat for a face},
  author={Arcaro, Michael J and Ponce, Carlos and Livingstone, Margaret},
  journal={eLife},
  volume={9},
  pages={e53798},
  year={2020},
  url={https://doi.org/10.7554/eLife.53798}
}"""

CATALOGUE = {
    spec.identifier: spec
    for spec in (
        BenchmarkSpec(
            identifier="it_maps_simulated",
            recording="it_maps_simulated",
            version=1,
            citation=ARCARO_2020,
        ),
    )
}
