"""The profile of a score: against the blur of the features, or against the number of PLS components."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from brainscore_itmaps.benchmark.catalogue import WITHOUT_REGRESSION, BenchmarkSpec
from brainscore_itmaps.benchmark.codec import encode
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Reading
from brainscore_itmaps.errors import UsageError, check_type, described, nearest, printable
from brainscore_itmaps.files import ANOTHER_FOLDER, csv_text, replacing, write_json
from brainscore_itmaps.protocol import protocol_named
from brainscore_itmaps.text import SIMULATED_HTML, html_table, interval_text, number_text

if TYPE_CHECKING:
    import pandas as pd

Over = Literal["blur", "components"]
VALUES: dict[Over, tuple[float, ...]] = {
    "blur": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0),
    "components": (1, 2, 3, 5, 10, 15, 25, 35, 50),
}
"""Default values of each profile: standard deviations in degrees, and numbers of PLS components."""
WIDEST = 180
"""Largest blur in degrees of visual angle; features that are blurred more are constant to rounding."""
FIXES: dict[Over, str] = {
    "blur": f"Give degrees of visual angle, 0 to {WIDEST}.",
    "components": "Give whole numbers of 1 or more.",
}
ABOUT: dict[Over, str] = {
    "blur": "the features of each image are averaged over positions with the weights of a Gaussian, whose standard "
    "deviation is the blur in degrees of visual angle; the maps are not blurred; 0 is the score of `brainscore score`",
    "components": "PLS with this number of components; the protocol of `brainscore score` uses {components}",
}
FORMAT = "brainscore_itmaps profile"


@dataclass(frozen=True, kw_only=True, repr=False)
class Profile:
    """The scores of one layer at several blurs of its features, or with several numbers of PLS components.

    Attributes
    ----------
    over : "blur" or "components"
    values : tuple of float
        Standard deviations in degrees of visual angle, or numbers of components; ascending.
    estimates : mapping of str to tuple of Estimate
        One estimate for each value, by the name of the array, and "mean" if there are several arrays.
    request : ScoreRequest
        The request of the score, of which only the blur or the number of components is varied.
    reading : Reading
        The model and layer that were read.
    benchmark, title, measure : str
        The benchmark, its name with a mark if it is experimental, and what is compared.
    simulated : bool
        Whether a recording is simulated.
    formula : str
        Formula of the score, in words.
    notes, citations : tuple of str
    versions : dict
        Versions of Python and of the packages.
    written : str
        Time of the computation (UTC).
    file_stem : str
        Name of the files without their endings.
    """

    over: Over
    values: tuple[float, ...]
    estimates: Mapping[str, tuple[Estimate, ...]]
    request: ScoreRequest
    reading: Reading
    benchmark: str
    title: str
    measure: str
    simulated: bool
    formula: str
    notes: tuple[str, ...]
    citations: tuple[str, ...]
    versions: Mapping[str, str]
    written: str
    file_stem: str

    def __repr__(self) -> str:
        simulated = ", SIMULATED" if self.simulated else ""
        values = f"{self.over} {', '.join(f'{value:g}' for value in self.values)}"
        return printable(
            f"<Profile of {self.reading.model}, {self.reading.layer}, on {self.title}: {values}{simulated}>"
        )

    def _repr_html_(self) -> str:
        """Return the HTML table that a notebook displays."""
        rows = [
            (f"{row[self.over]:g}", number_text(row["score"]), interval_text(row["low"], row["high"]),
             number_text(row["raw"]), number_text(row["ceiling"]), row["array"])
            for row in self.rows()
        ]  # fmt: skip
        kind = SIMULATED_HTML if self.simulated else ""
        head = f"{self.reading.model}, {self.reading.layer}, on {self.title}"
        table = html_table((self.over, "score", "95 % interval", "raw", "ceiling", "array"), rows)
        return f"<div>{escape(head)}<br>{kind}{table}{'<br>'.join(map(escape, self.notes))}</div>"

    @property
    def model(self) -> str:
        """Return the name of the model, with its weights if they are random."""
        weights = self.reading.weights
        return f"{self.reading.model} ({weights})" if weights.kind == "random" else self.reading.model

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each value and array, as plain values; an absent number is NaN."""
        shared = {
            "model": self.reading.model,
            "weights": str(self.reading.weights),
            "sha256": self.reading.weights.sha256,
            "benchmark": self.benchmark,
            "measure": self.measure,
            "protocol": self.request.protocol,
            "asked": self.request.window_label,
            "layer": self.reading.layer,
            "simulated": self.simulated,
        }
        return [
            shared
            | {"array": array, self.over: value, "raw": estimate.raw, "ceiling": estimate.ceiling}
            | {"score": estimate.score, "low": estimate.interval[0], "high": estimate.interval[1]}
            | {"error": estimate.error, "interval_kind": estimate.interval_kind, "reason": estimate.reason}
            for array, estimates in self.estimates.items()
            for value, estimate in zip(self.values, estimates, strict=True)
        ]

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a table with one row for each value and array."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an absent number is None."""
        rows = [
            {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
            for row in self.rows()
        ]
        return {
            "format": FORMAT,
            "version": 1,
            "over": self.over,
            "about": about(self),
            "request": encode(self.request).plain,
            **encode(self.reading).plain,
            "benchmark": self.benchmark,
            "simulated": self.simulated,
            "formula": self.formula,
            "notes": list(self.notes),
            "citations": list(self.citations),
            "versions": dict(self.versions),
            "written": self.written,
            "rows": rows,
        }

    def save(self, folder: Path | str, fix: str = ANOTHER_FOLDER) -> tuple[Path, Path]:
        """Write the profile as JSON, and its rows as CSV; existing files of the same name are replaced.

        Parameters
        ----------
        folder : Path or str
        fix : str
            Next step in the error message when the files cannot be written.

        Returns
        -------
        (Path, Path)
            The JSON and the CSV file.

        Raises
        ------
        InstallationError
            When the files cannot be written.
        """
        table, record = (Path(folder) / f"{self.file_stem}.{ending}" for ending in ("csv", "json"))
        rows = self.rows()
        cells = [["" if value != value else value for value in row.values()] for row in rows]
        with replacing(table, fix) as partial:
            partial.write_text(csv_text([list(rows[0]), *cells]), encoding="utf-8", errors="backslashreplace")
        write_json(record, self.to_dict(), fix)
        return record, table


def about(profile: Profile) -> str:
    """Describe what a profile varies, in words."""
    return ABOUT[profile.over].format(components=protocol_named(profile.request.protocol).components)


def checked_values(over: str, values: Iterable[Any] | None = None) -> tuple[Over, tuple[float, ...]]:
    """Check what is varied and its values; return the values in ascending order, each once.

    Parameters
    ----------
    over : "blur" or "components"
    values : iterable of float, optional
        By default :data:`VALUES`.

    Raises
    ------
    UsageError
        When something else is varied, or a value is impossible.

    Examples
    --------
    >>> checked_values("blur", [2, 0, 0.5])
    ('blur', (0.0, 0.5, 2.0))
    >>> checked_values("components", [0])
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: A regression cannot have 0 components. Give whole numbers of 1 or more.
    """
    kinds = {kind: kind for kind in get_args(Over)}
    if not isinstance(over, str) or over not in kinds:
        raise UsageError(f"There is no profile over {described(over)}.", nearest(str(over)[:100], kinds))
    kind: Over = kinds[over]
    if values is None:
        return kind, VALUES[kind]
    fix = FIXES[kind]
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise UsageError(f"The values of a profile cannot be {described(values)}.", fix)
    checked = tuple(sorted({_checked(kind, value, fix) for value in values}))
    if not checked:
        raise UsageError("A profile needs at least one value.", fix)
    return kind, checked


def _checked(kind: Over, value: Any, fix: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool | str | bytes):
        number = math.nan
    if kind == "components":
        if not number.is_integer() or number < 1:
            raise UsageError(f"A regression cannot have {described(value)} components.", fix)
        return int(number)
    if not 0 <= number <= WIDEST:  # also not a number
        raise UsageError(f"Features cannot be blurred by {described(value)} degrees.", fix)
    return number + 0.0  # -0.0 becomes 0.0


def check_layer(layers: object) -> None:
    """Check that one layer is requested, or None for the layer committed to IT.

    Raises
    ------
    UsageError
        When it is something else.

    Examples
    --------
    >>> check_layer("layer3")
    """
    check_type(layers, (str, type(None)), "the name of one layer", "A profile is of one layer: give its name.")
    if isinstance(layers, str) and (layers == "all" or "," in layers):
        raise UsageError("A profile is of one layer.", "Name one layer, or leave it out for the layer committed to IT.")


def check_spec(over: Over, benchmark: BenchmarkSpec) -> None:
    """Check that a benchmark has a profile.

    Raises
    ------
    UsageError
        When it compares attribution or arrays with one another, or has no regression, or when components are varied and
        its regression has none.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> check_spec("components", CATALOGUE["it_maps"])
    """
    if benchmark.measure == "attribution":
        raise UsageError(
            f"{benchmark.identifier} compares attribution maps, which have no profile.",
            "Choose a benchmark of predicted maps, for example it_maps_simulated.",
        )
    if benchmark.measure in WITHOUT_REGRESSION:
        raise UsageError(
            f"{benchmark.identifier} compares features and maps without a regression, which has no profile.",
            "Choose a benchmark of predicted maps, for example it_maps_simulated.",
        )
    if benchmark.transfer:
        raise UsageError(
            f"{benchmark.identifier} predicts one array from another one, which has no profile.",
            "Choose a benchmark of the arrays themselves, for example it_maps_simulated.",
        )
    if over == "components" and benchmark.method != "pls":
        raise UsageError(
            f"The regression of {benchmark.identifier} has no components.",
            "Profile over blur, or choose a benchmark with PLS, for example it_maps_simulated.",
        )


def without_maps(benchmark: str) -> UsageError:
    """Return the error for a benchmark without maps of IT.

    Examples
    --------
    >>> without_maps("ClickMe.alignment").args[0]
    'ClickMe.alignment has no maps of IT, so there is no profile.'
    """
    return UsageError(
        f"{benchmark} has no maps of IT, so there is no profile.",
        "Choose a benchmark of maps, for example it_maps_simulated, or the folder of a recording.",
    )
