"""Statistics of the published panels, and sentences on what they say and do not say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from brainscore_itmaps.metrics.inference import Interval
from brainscore_itmaps.metrics.tradeoff import (
    FEWEST,
    FEWEST_RANKED,
    ChangePoint,
    Envelope,
    RankCorrelation,
    change_point,
    envelope,
    rank_correlation,
)
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.study.published import ACCURACY, ADVERSARIAL, BRAIN_SCORE, CLICKME, OWN_RUN, RECORDINGS
from brainscore_itmaps.text import short_repr

DRAWS, EDGE_DRAWS = 1000, 300
"""Number of bootstrap draws, and the largest number of them for the edge, each of which takes long."""
FEWEST_DRAWS = 2
"""Number of draws where only lines are drawn, without their intervals."""
SEED = 0
ACCURATE = 70.0
"""ImageNet top-1, in percent, from which the rank correlation of the more accurate models is computed."""
CHANCE = 1.0
"""ImageNet top-1, in percent, of submissions that do not classify."""
BEFORE_RESPONSE = (("monkey1_ML", "followup_51_90"), ("monkey2_ML", "followup_51_90"))
"""Arrays, and windows before most of their response, of which findings say nothing else."""
LIMITS = (
    "These are numbers as published, which this package did not compute: the tables hold no images, features or maps.",
    "Each published score is that of the model's best layer on the scored images themselves, which raises it; nobody "
    "knows by how much, or whether equally for all models.",
    "Intervals are bootstraps over models only. They say nothing of other images, sites or monkeys: the recordings "
    "have 14 images and two monkeys. Models of one family are not independent, so intervals are too narrow.",
    "rho describes the cloud of models; the edge, below which 90 % of them lie, describes the best ones. They may "
    "differ in sign, and neither says why.",
    "A change point is placed where two lines fit best, also where there is none: a fall above it, over few models, is "
    "a hint and not a test.",
    "No table has a harmonized model: nothing here tests harmonization.",
)


@short_repr
@dataclass(frozen=True)
class PanelFit:
    """Statistics of one panel; intervals are over models.

    Attributes
    ----------
    panel, group, array, window, x_name, y_name : str
        As in :data:`~brainscore_itmaps.study.published.COLUMNS`; array and window are empty where there is none.
    shifted : bool
    robust : int
        Number of robust models, which are included or left out.
    rank : RankCorrelation
        Of all models.
    accurate : RankCorrelation or None
        Of the models with a top-1 accuracy of 70 % or more.
    edge : Envelope or None
        Upper edge, where the score is compared with accuracy; None if submissions that do not classify would decide it.
    point : ChangePoint or None
        Two lines, in the same panels as the edge.
    above : int
        Number of models above the change point.
    range : (float, float)
        Smallest and largest number on the horizontal axis.
    raw : float
        Median raw value of the models; NaN where there are no raw values.
    """

    panel: str
    group: str
    array: str
    window: str
    shifted: bool
    x_name: str
    y_name: str
    robust: int
    rank: RankCorrelation
    accurate: RankCorrelation | None
    edge: Envelope | None
    point: ChangePoint | None
    above: int
    range: tuple[float, float]
    raw: float


@short_repr
@dataclass(frozen=True)
class PublishedFits:
    """Statistics of all panels.

    Attributes
    ----------
    panels : tuple of PanelFit
    robust : bool
        Whether robust models are included.
    notes : tuple of str
        Sentences about panels without statistics.
    """

    panels: tuple[PanelFit, ...]
    robust: bool = False
    notes: tuple[str, ...] = field(default=())

    def to_dataframe(self) -> pd.DataFrame:
        """Return a table with a row for each panel: estimates and their 95 % intervals over models.

        Examples
        --------
        >>> len(PublishedFits(()).to_dataframe())
        0
        """
        return pd.DataFrame([_row(fit) | {"robust_included": self.robust} for fit in self.panels])


def fit_published(
    points: pd.DataFrame, *, robust: bool = False, draws: int = DRAWS, progress: Report = silent
) -> PublishedFits:
    """Fit each panel: rank correlation, upper edge and change point, with bootstrap intervals over models.

    Parameters
    ----------
    points : DataFrame
        Of :func:`~brainscore_itmaps.study.published.published_points`.
    robust : bool
        Include the models that were trained to be robust.
    draws : int
        Number of bootstrap draws; 300 at most for the edge.
    progress : callable
        Called with (step, panels done, panels in all).

    Returns
    -------
    PublishedFits
        The same in each run: the draws have a fixed seed.
    """
    fits, notes = [], []
    panels = list(points.groupby("panel", sort=False))
    for number, (panel, rows) in enumerate(panels):
        progress(f"fitting {panel}", number, len(panels))
        known = compared(rows, robust)
        if known["x"].nunique() < FEWEST_RANKED:
            notes.append(f"{panel} has no statistics: they need {FEWEST_RANKED} different values on the x axis.")
        else:
            fits.append(_fit(known, int(compared(rows, robust=True)["robust"].sum()), draws))
    return PublishedFits(tuple(fits), robust, tuple(notes))


def compared(rows: pd.DataFrame, robust: bool) -> pd.DataFrame:
    """Select the points that the statistics of a panel use: both numbers known, robust models if they are included."""
    known = rows.dropna(subset=["x", "y"])
    return known if robust else known[~known["robust"]]


def _fit(rows: pd.DataFrame, robust: int, draws: int) -> PanelFit:
    first = rows.iloc[0].fillna("")
    x, y = rows["x"].to_numpy(float), rows["y"].to_numpy(float)
    rng = np.random.default_rng(SEED)
    rank = rank_correlation(x, y, rng, draws)
    accurate = edge = point = None
    if first["x_name"] == ACCURACY and first["group"] != ADVERSARIAL:
        best = x >= ACCURATE
        if len(np.unique(x[best])) >= FEWEST_RANKED:
            accurate = rank_correlation(x[best], y[best], rng, draws)
        if len(np.unique(x)) >= FEWEST and not _at_chance(first["group"], x.min()):
            edge, point = envelope(x, y, rng, resamples=min(draws, EDGE_DRAWS)), change_point(x, y, rng, draws)
    panel, group, array, window = (str(first[name]) for name in ("panel", "group", "array", "window"))
    return PanelFit(
        panel,
        group,
        array,
        window,
        bool(first["shifted"]),
        str(first["x_name"]),
        str(first["y_name"]),
        robust,
        rank,
        accurate,
        edge,
        point,
        0 if point is None else int((x > point.at).sum()),
        (float(x.min()), float(x.max())),
        float(np.median(rows["raw"].to_numpy(float))),
    )


def _at_chance(group: str, lowest: float) -> bool:
    """Return whether a panel has submissions to Brain-Score that do not classify."""
    return group == BRAIN_SCORE and lowest <= CHANCE


def _row(fit: PanelFit) -> dict[str, Any]:
    names = ("panel", "group", "array", "window", "shifted", "x_name", "y_name")
    row: dict[str, Any] = {name: getattr(fit, name) for name in names}
    row |= {"models": fit.rank.models, "robust": fit.robust} | _numbers("rho", fit.rank.rho, fit.rank.interval)
    row |= {"p_value": fit.rank.p_value, "raw_median": fit.raw}
    if fit.accurate is not None:
        row |= {f"models_from_{ACCURATE:g}": fit.accurate.models}
        row |= _numbers(f"rho_from_{ACCURATE:g}", fit.accurate.rho, fit.accurate.interval)
    if fit.edge is not None:
        row |= _numbers("edge_end_slope", fit.edge.end_slope, fit.edge.end_slope_interval)
        row |= _numbers("edge_peak", fit.edge.peak, fit.edge.peak_interval)
    if fit.point is not None:
        row |= _numbers("change_point", fit.point.at, fit.point.at_interval) | {"models_above": fit.above}
        row |= _numbers("slope_before", fit.point.before, fit.point.before_interval)
        row |= _numbers("slope_after", fit.point.after, fit.point.after_interval)
    return row | {"intervals": "95 %, bootstrap over models"}


def _numbers(name: str, value: float, interval: Interval) -> dict[str, float]:
    return {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def published_findings(fits: PublishedFits) -> list[str]:
    """Describe the panels in sentences: the recordings array by array, Brain-Score, ClickMe and attacks.

    Examples
    --------
    >>> published_findings(PublishedFits(()))
    []
    """
    return [*_on_recordings(fits.panels), *_on_brain_score(fits.panels), *_on_others(fits.panels)]


def published_limits(fits: PublishedFits) -> list[str]:
    """Say in sentences what the panels do not show.

    Examples
    --------
    >>> published_limits(PublishedFits(()))[0][:41]
    'These are numbers as published, which thi'
    """
    lines = []
    robust = max((fit.robust for fit in fits.panels), default=0)
    if robust and not fits.robust:
        lines.append(f"Up to {robust} models of a panel that were trained to be robust are left out; --robust includes "
                     "them. Brain-Score's own table does not mark such models.")  # fmt: skip
    if chance := [fit.panel for fit in fits.panels if _at_chance(fit.group, fit.range[0])]:
        lines.append(
            "Brain-Score's table lists submissions, not models: names repeat, and some have a top-1 of "
            f"{CHANCE:g} % or less, so that they do not classify. They would decide the edges and change points of "
            f"{', '.join(chance)}, which are therefore not given, and rho over all submissions depends on them."
        )
    tested = [fit for fit in fits.panels if fit.group == RECORDINGS and fit.edge is not None]
    if len(tested) > 1:
        lines.append(f"An interval of 95 % excludes 0 by chance in one of 20 panels; here are {len(tested)} of "
                     "recordings, which share models and, on one array, images.")  # fmt: skip
    if any(fit.shifted for fit in fits.panels):
        lines.append("The tables named shifted have high scores at 51-90 ms, before this monkey responds: they likely "
                     "contain a spatial artefact that models share, and are shown only for comparison.")  # fmt: skip
    return [*lines, *fits.notes, *LIMITS]


def _on_recordings(panels: Sequence[PanelFit]) -> Iterator[str]:
    own = [fit for fit in panels if fit.group == RECORDINGS and not fit.shifted]
    for array in dict.fromkeys(fit.array for fit in own):
        fits = [fit for fit in own if fit.array == array and not _is_early(fit)]
        if not fits:
            continue
        rhos = [fit.rank.rho for fit in fits]
        spread = f"{min(rhos):+.2f} to {max(rhos):+.2f}" if len(fits) > 1 else f"{rhos[0]:+.2f}"
        ends = [fit.edge.end_slope_interval for fit in fits if fit.edge is not None]
        moments = f"in {len(fits)} windows with responses" if len(fits) > 1 else "in one window"
        falls, rises = sum(end.high < 0 for end in ends), sum(end.low > 0 for end in ends)
        last = f"at the most accurate model, the upper edge falls in {falls} of them, rises in {rises}, "
        yield (
            f"{array}, {moments}: rho of accuracy and score is {spread}; {last}and does neither distinguishably in "
            f"{len(ends) - falls - rises}."
        )
        for fit in fits:
            if fit.point is not None and fit.point.after_interval.high < 0:
                at, after = fit.point.at_interval, fit.point.after_interval
                yield (
                    f"{fit.panel}: over the {fit.above} models above the change point at {fit.point.at:.1f} % "
                    f"({at.low:.1f} to {at.high:.1f}), the cloud falls by {-fit.point.after:.4f} a point of top-1 "
                    f"({-after.high:.4f} to {-after.low:.4f})."
                )
    if early := [f"{fit.panel} (median raw value {fit.raw:.3f})" for fit in own if _is_early(fit)]:
        yield f"{' and '.join(early)}: the array does not respond yet; falls and rises are left out."


def _is_early(fit: PanelFit) -> bool:
    return (fit.array, fit.window) in BEFORE_RESPONSE


def _on_brain_score(panels: Sequence[PanelFit]) -> Iterator[str]:
    rhos = {fit.panel: f"{_rho(fit.accurate)} over {fit.accurate.models}"
            for fit in panels if fit.group == BRAIN_SCORE and fit.accurate is not None}  # fmt: skip
    own_run = rhos.pop(OWN_RUN, None)
    if rhos:
        listed = "; ".join(f"{rho} ({panel})" for panel, rho in rhos.items())
        yield f"From {ACCURATE:g} % top-1 on, rho of accuracy and IT score on Brain-Score is {listed}."
    if own_run is not None:
        yield (
            f"{OWN_RUN} is not a score of the site, but the authors' own run of models of timm: from {ACCURATE:g} % "
            f"top-1 on, rho of accuracy and IT score is {own_run} models."
        )


def _on_others(panels: Sequence[PanelFit]) -> Iterator[str]:
    for fit in panels:
        if fit.group == CLICKME:
            yield f"Alignment with ClickMe and accuracy: rho {_rho(fit.rank)} over {fit.rank.models} models."
    attacked = [fit for fit in panels if fit.group == ADVERSARIAL]
    for x_name in dict.fromkeys(fit.x_name for fit in attacked):
        fits = [fit for fit in attacked if fit.x_name == x_name]
        rhos = ", and with ".join(f"{fit.y_name} {_rho(fit.rank)}" for fit in fits)
        yield f"Attacks and {x_name.removesuffix(', %')}, over {fits[0].rank.models} models: rho with {rhos}."


def _rho(rank: RankCorrelation | None) -> str:
    assert rank is not None
    return f"{rank.rho:+.2f} ({rank.interval.low:+.2f} to {rank.interval.high:+.2f})"
