"""Published scores of hundreds of models, in panels: brain scores and human alignment against ImageNet accuracy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from brainscore_itmaps.data.published_tables import (
    ARRAYS,
    read_accuracies,
    read_adversarial,
    read_brain_score,
    read_coded,
    read_majaj,
    read_published_maps,
)
from brainscore_itmaps.errors import UsageError, nearest
from brainscore_itmaps.text import short_repr

RECORDINGS, BRAIN_SCORE, CLICKME, ADVERSARIAL = "recordings", "Brain-Score", "ClickMe", "adversarial"
ACCURACY = "ImageNet top-1, %"
SCORE = "published score / ceiling"
ROBUST = "adv"
"""Kind of the models that were trained to be robust against adversarial attacks."""
MAIN_WINDOWS = {
    "monkey1_PL": "followup_91_130",
    "monkey1_ML": "followup_131_170",
    "monkey2_ML": "followup_211_250",
}
"""One window of each array: those of the published tutorial for monkey 1, and of the follow-up's code for monkey 2."""
SITES = ("MajajHong2015", "SanghaviJozwik2020", "Sanghavi2020", "SanghaviMurty2020")
"""Benchmarks of IT in the copy of Brain-Score's table."""
OWN_RUN = "MajajHong2015public"
"""Benchmark of Brain-Score on which the authors scored models of timm themselves."""
MEASURES = {"tolerance": "perturbation tolerance", "adversarial": "adversarial alignment"}
COLUMNS = ("panel", "group", "array", "window", "shifted", "model", "robust", "x", "x_name", "y", "y_name", "raw",
           "ceiling", "sd", "layer", "sites")  # fmt: skip
"""Columns of :attr:`Published.points`."""


@short_repr
@dataclass(frozen=True)
class Published:
    """The published tables.

    Attributes
    ----------
    maps : DataFrame
        Scores on the recordings, as :func:`~brainscore_itmaps.data.published_tables.read_published_maps` returns them.
    accuracies, adversarial, brain_score, coded, majaj : DataFrame
        The other tables, as the functions of the same module return them.
    """

    maps: pd.DataFrame
    accuracies: pd.DataFrame
    adversarial: pd.DataFrame
    brain_score: pd.DataFrame
    coded: pd.DataFrame
    majaj: pd.DataFrame

    @property
    def models(self) -> list[str]:
        """List the models of timm in the tables."""
        tables = (self.maps, self.accuracies, self.adversarial, self.majaj)
        return sorted(set().union(*(table["model"] for table in tables)))


def read_published(folder: Path | None = None) -> Published:
    """Read all published tables.

    Parameters
    ----------
    folder : Path, optional
        By default :func:`~brainscore_itmaps.data.published.published_folder`.

    Raises
    ------
    DataError
        When a file is missing, or a cell is invalid; the message names it.
    """
    return Published(
        read_published_maps(folder),
        read_accuracies(folder),
        read_adversarial(folder),
        read_brain_score(folder),
        read_coded(folder),
        read_majaj(folder),
    )


def published_points(
    tables: Published, *, array: str | None = None, window: str | None = None, shifted: bool = False
) -> pd.DataFrame:
    """Arrange the published numbers in panels: a row for each model in each panel, two numbers of which are compared.

    Parameters
    ----------
    tables : Published
    array, window : str, optional
        Only panels with scores on this array, or in this window.
    shifted : bool
        Also the tables named shifted, whose scores are high before the monkey responds.

    Returns
    -------
    DataFrame
        ``panel``, ``group``, ``array``, ``window``, ``shifted``; ``model``; ``robust``, whether it was trained to be
        robust; ``x`` and ``y``, the compared numbers, with their names; ``raw``, ``ceiling``, ``sd``, ``layer`` and
        ``sites`` of scores on the recordings.

    Raises
    ------
    UsageError
        When there is no such array or window.
    """
    array, window = known_array(array), known_window(tables, window)
    parts = list(_recordings(tables, array, window, shifted))
    if array is None and window is None:
        parts += [*_brain_score(tables), _clickme(tables)]
    parts += _adversarial(tables, array, window)
    points = pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS))
    return points.assign(robust=points["robust"].eq(True))


def known_array(array: str | None) -> str | None:
    """Return the name of an array in the tables.

    Examples
    --------
    >>> known_array("Arcaro2020.monkey1_PL")
    'monkey1_PL'
    """
    name = None if array is None else array.removeprefix("Arcaro2020.")
    if name is not None and name not in ARRAYS.values():
        raise UsageError(f"There are no published scores on an array {array!r}.", nearest(name, ARRAYS.values()))
    return name


def known_window(tables: Published, window: str | None) -> str | None:
    """Return the name of a window in the tables, also if it is written as 131-170; name similar ones in an error."""
    names = list(dict.fromkeys(tables.maps["window"]))
    if window is not None and (name := f"followup_{window.replace('-', '_')}") in names:
        return name
    if window is not None and window not in names:
        fallback = f"Known windows: {', '.join(sorted(names, key=_start))}."
        raise UsageError(f"There are no published scores in a window {window!r}.", nearest(window, names, fallback))
    return window


def model_names(tables: Published, models: Sequence[str]) -> list[str]:
    """Return the published names of some models, without ``timm:``.

    Raises
    ------
    UsageError
        When a model is in none of the tables; the message names similar ones.
    """
    names = []
    for model in models:
        name = model.removeprefix("timm:")
        if name not in tables.models:
            tagged = [known for known in tables.models if known.startswith(f"{name}.")]
            raise UsageError(
                f"There are no published scores of a model {model!r}.",
                nearest(name, tagged or tables.models, f"The tables have {len(tables.models)} models of timm."),
            )
        names.append(name)
    return list(dict.fromkeys(names))


def published_rows(tables: Published, model: str, shifted: bool = False) -> pd.DataFrame:
    """List the scores of a model on the recordings, with its rank among all models of each table.

    Parameters
    ----------
    tables : Published
    model : str
        A name of :func:`model_names`.
    shifted : bool
        Also the tables named shifted.

    Returns
    -------
    DataFrame
        Columns of :func:`~brainscore_itmaps.data.published_tables.read_published_maps`, ``rank``, 1 for the highest
        score, and ``models``, their number.
    """
    maps = tables.maps if shifted else tables.maps[~tables.maps["shifted"]]
    by_table = maps.groupby(["array", "window", "shifted"], sort=False)["raw"]
    ranked = maps.assign(
        rank=by_table.rank(ascending=False, method="min").astype(int), models=by_table.transform("size")
    )
    ranked = ranked.assign(start=ranked["window"].map(_start), order=ranked["array"].map(list(ARRAYS.values()).index))
    own = ranked[ranked["model"] == model].sort_values(["order", "shifted", "start"])
    return own.drop(columns=["start", "order"]).reset_index(drop=True)


def published_facts(tables: Published, model: str) -> dict[str, object]:
    """Collect what the other tables say of a model; absent numbers are left out.

    Examples
    --------
    >>> empty = pd.DataFrame({"model": []})
    >>> published_facts(Published(*[empty] * 6), "resnet50")
    {}
    """
    facts: dict[str, object] = {}
    wanted = (
        (tables.accuracies, ("top1", "multi_label", "kind", "training", "clickme", "clickme_sd")),
        (tables.adversarial, ("tolerance", "tolerance_sem", "adversarial", "adversarial_sem")),
        (tables.majaj.rename(columns={"score": OWN_RUN}), (OWN_RUN,)),
    )
    for table, columns in wanted:
        for row in table[table["model"] == model].to_dict("records"):
            facts |= {name: row[name] for name in columns}
    return facts


def _recordings(tables: Published, array: str | None, window: str | None, shifted: bool) -> Iterator[pd.DataFrame]:
    """Yield the panels of scores on the recordings: the arrays in their order, shifted tables last."""
    maps = tables.maps.merge(_accuracy(tables), on="model", how="left")
    for is_shifted in (False, True) if shifted else (False,):
        for name in ARRAYS.values():
            rows = maps[(maps["array"] == name) & (maps["shifted"] == is_shifted)]
            for moment in sorted(set(rows["window"]), key=_start):
                if array in (None, name) and window in (None, moment):
                    points = rows[rows["window"] == moment]
                    mark = " shifted" if is_shifted else ""
                    yield points.assign(panel=f"{name} {milliseconds(moment)}{mark}", group=RECORDINGS,
                                        x=points["top1"], x_name=ACCURACY, y=points["score"], y_name=SCORE)  # fmt: skip


def _brain_score(tables: Published) -> Iterator[pd.DataFrame]:
    """Yield the panels of Brain-Score's table, of its classified submissions, and of the authors' own run."""
    for name in SITES:
        yield _panel(tables.brain_score, name, BRAIN_SCORE, "top1", ACCURACY, name, f"{name} IT", robust=False)
    coded = tables.coded
    yield _panel(coded, "classified", BRAIN_SCORE, "top1", ACCURACY, "MajajHong2015", "MajajHong2015 IT",
                 robust=coded["kind"] == "Adversarial")  # fmt: skip
    majaj = tables.majaj.drop(columns="ceiling").merge(_accuracy(tables), on="model", how="left")
    yield _panel(majaj, OWN_RUN, BRAIN_SCORE, "top1", ACCURACY, "score", f"{OWN_RUN} IT")


def _clickme(tables: Published) -> pd.DataFrame:
    rows = tables.accuracies.assign(robust=tables.accuracies["kind"] == ROBUST, sd=tables.accuracies["clickme_sd"])
    return _panel(rows, "ClickMe", CLICKME, "top1", ACCURACY, "clickme", "alignment with ClickMe")


def _adversarial(tables: Published, array: str | None, window: str | None) -> Iterator[pd.DataFrame]:
    """Yield the panels of tolerance to attacks, and of their alignment, against accuracy, ClickMe and IT scores."""
    known = tables.accuracies[["model", "clickme"]]
    rows = tables.adversarial.merge(_accuracy(tables), on="model", how="left").merge(known, on="model", how="left")
    others = array is None and window is None
    for y, y_name in MEASURES.items():
        measured = rows.assign(sd=rows[f"{y}_sem"])
        if others:
            yield _panel(measured, f"{y_name}, top-1", ADVERSARIAL, "top1", ACCURACY, y, y_name)
            yield _panel(measured, f"{y_name}, ClickMe", ADVERSARIAL, "clickme", "alignment with ClickMe", y, y_name)
        for name, main in MAIN_WINDOWS.items():
            if array in (None, name):
                scores = _scores(tables, name, window or main)
                x_name = f"score, {name} {milliseconds(window or main)}"
                panel = f"{y_name}, {name}"
                yield _panel(measured.merge(scores, on="model"), panel, ADVERSARIAL, "score", x_name, y, y_name)


def _scores(tables: Published, array: str, window: str) -> pd.DataFrame:
    maps = tables.maps[~tables.maps["shifted"]]
    return maps.loc[(maps["array"] == array) & (maps["window"] == window), ["model", "score", "array", "window"]]


def _accuracy(tables: Published) -> pd.DataFrame:
    """Return accuracy of each timm model, and whether it is robust."""
    return tables.accuracies.assign(robust=tables.accuracies["kind"] == ROBUST)[["model", "top1", "robust"]]


def _panel(
    rows: pd.DataFrame,
    panel: str,
    group: str,
    x: str,
    x_name: str,
    y: str,
    y_name: str,
    robust: "pd.Series[bool] | bool | None" = None,
) -> pd.DataFrame:
    added = {} if robust is None else {"robust": robust}
    return rows.assign(panel=panel, group=group, shifted=False, x=rows[x], x_name=x_name, y=rows[y], y_name=y_name,
                       **added)  # fmt: skip


def milliseconds(window: str) -> str:
    """Write the name of a window as milliseconds, both ends included, as published.

    Examples
    --------
    >>> milliseconds("followup_131_170")
    '131-170'
    """
    return window.removeprefix("followup_").replace("_", "-")


def _start(window: str) -> int:
    return int(window.split("_")[1])
