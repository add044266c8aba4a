"""Tables, figures and the page of a verification, and the folder that contains them."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainscore_itmaps.data.arcaro2020 import CITATION
from brainscore_itmaps.data.published import CITATION as FOLLOW_UP_CITATION
from brainscore_itmaps.files import csv_text, replacing
from brainscore_itmaps.protocol import FOLLOWUP
from brainscore_itmaps.reporting.embedded import EmbeddedFigure, embed_figure
from brainscore_itmaps.reporting.maps import registration_figure
from brainscore_itmaps.reporting.verify_page import (
    MarkedImage,
    mean_map_rows,
    orientation_fits_figure,
    published_scatter,
    verification_page,
)
from brainscore_itmaps.study.published import milliseconds
from brainscore_itmaps.study.verify import Verification
from brainscore_itmaps.study.verify_numbers import VERDICTS, PublishedComparison
from brainscore_itmaps.study.verify_orientation import FIRST, RULE, SECOND, OrientationCheck
from brainscore_itmaps.study.verify_request import TIMM, WINDOWS
from brainscore_itmaps.text import number_text

PAGE = "index.html"
TUTORIAL = "Linsley et al. (2023), NeurIPS 36, and the tutorial of their code, arXiv 2306.03779"
FREQUENT = 0.1
"""Share of sets of random maps that differ, above which the maps are to be looked at before the command is run."""
AGREEMENT = {True: "agrees", False: "differs", None: ""}


@dataclass(frozen=True)
class VerificationTable:
    """A table of a verification, as text.

    Attributes
    ----------
    name : str
        Name of its CSV file, without suffix.
    title, text : str
        Heading and explanation.
    header : tuple of str
    rows : tuple of tuples of str
    """

    name: str
    title: str
    text: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(verification: Verification) -> list[VerificationTable]:
    """List the tables of a verification; those of a stand-in have no rules, differences and verdicts."""
    judged = not verification.simulated
    header = ("array", "property", "published", "found", *(("verdict", "rule") if judged else ()))
    rows = [(check.array, check.what, check.expected, check.found,
             *((AGREEMENT[check.agrees], check.rule) if judged else ())) for check in verification.checks]  # fmt: skip
    found = [VerificationTable("structure", "Structure", "", header, tuple(rows))]
    if verification.orientations:
        found.append(_orientation_table(verification))
    if verification.numbers:
        found.append(_number_table(verification.numbers, judged))
    return found


def _orientation_table(verification: Verification) -> VerificationTable:
    judged = not verification.simulated
    header = ("array", "orientation", "first image", "second image", "face 2", *(("fits",) if judged else ()))
    rows = []
    for check in verification.orientations:
        for fit in check.fits:
            images = [f"{image + 1}: {row}, {column} ({distance:.1f})" for image, (row, column), distance
                      in zip(fit.images, fit.peaks, fit.distances, strict=True)]  # fmt: skip
            used = " *" if fit.orientation == check.used else ""
            fits = ("yes" if fit.fits else "no",) if judged else ()
            rows.append((check.array, f"{fit.orientation}{used}", *images, f"{fit.second_face:+.2f}", *fits))
    text = (
        "For each orientation (* used), the two images whose mean maps over sites come nearest to the published "
        "figure: number of the image, row and column of its largest value, and the distance from the published "
        f"{FIRST[0]}, {FIRST[1]} and {SECOND[0]}, {SECOND[1]}. Face 2: the map of the second image at its second face "
        "minus the mirror position, as a share of its range."
    )
    return VerificationTable("orientations", "Orientation of the maps of monkey 1", text, header, tuple(rows))


def _number_table(numbers: Sequence[PublishedComparison], judged: bool) -> VerificationTable:
    header = ("model", "array", "window", "layer", "published", "ours", *(("difference", "verdict") if judged else ()))
    rows = []
    for number in numbers:
        both = number.ours is not None and number.ours == number.ours and number.published == number.published
        difference = number_text((number.ours or 0.0) - number.published, sign="+") if both else ""
        rows.append(
            (
                number.model or "noise ceiling",
                number.array,
                milliseconds(number.window),
                number.published_layer or ("best block" if number.model else ""),
                number_text(number.published),
                number_text(number.ours),
                *((difference, number.verdict) if judged else ()),
            )
        )
    text = "Noise ceilings, and scores that are not divided by them, with the analysis choices of the published code."
    return VerificationTable("numbers", "Published numbers and ours", text, header, tuple(rows))


def _number_rows(verification: Verification) -> list[tuple[Any, ...]]:
    """List the numbers for a CSV, with all digits; a stand-in has no verdicts."""
    columns = ["what", "model", "array", "window", "layer", "published_layer", "published", "ours", "verdict", "reason",
               "protocol", "source"]  # fmt: skip
    columns = [name for name in columns if name != "verdict" or not verification.simulated]
    rows = [[getattr(number, name) for name in columns] for number in verification.numbers]
    return [tuple(columns), *(tuple("" if value is None or value != value else value for value in row) for row in rows)]


def windows_of(verification: Verification) -> list[str]:
    """List the windows of the follow-up study in which models were scored."""
    scored = {number.window for number in verification.numbers if number.model and number.protocol == FOLLOWUP.name}
    return [milliseconds(window) for window in WINDOWS if window in scored]


def not_run(verification: Verification) -> list[str]:
    """List the reasons why numbers could not be computed, each once, with its model."""
    reasons = (f"{number.model or number.array}: {number.reason}" for number in verification.numbers if number.reason)
    return list(dict.fromkeys(reasons))


def rules_of(verification: Verification) -> list[tuple[str, str]]:
    """List the rules of the verdicts that the tables do not show; none for a stand-in."""
    rules = []
    if not verification.simulated and verification.orientations:
        check = verification.orientations[0]
        rules += [("orientation", RULE), ("by chance", chance_text(check))]
    if not verification.simulated and verification.numbers:
        rules.append(("numbers", VERDICTS))
    return rules


def chance_text(check: OrientationCheck) -> str:
    """Say how often random maps have a verdict."""
    shares = "; ".join(f"{name}: {agree:.1%} and {differ:.1%}" for name, (agree, differ) in check.chance.items())
    return f"Shares of sets of random maps with the verdicts agrees and differs (with peaks, upper limits): {shares}."


def orientation_sentences(verification: Verification) -> list[str]:
    """State the verdict on the orientation and, if it differs, the command that changes it.

    The advice to look at the maps comes first if random maps often have this verdict.
    """
    sentences = []
    for check in verification.orientations:
        fitting = [fit.orientation for fit in check.fits if fit.fits]
        if check.verdict:
            listed = ", ".join(fitting) or "none"
            is_frequent = any(differ > FREQUENT for _, differ in check.chance.values())
            advice = "look at the maps over the images first, then" if is_frequent else "to change it"
            change = f"; {advice}: {check.command}" if check.command else ""
            sentences.append(f"{check.array}: {check.verdict}; used: {check.used}; fitting: {listed}{change}")
        elif not verification.simulated:
            listed = ", ".join(fitting) or "none"
            sentences.append(f"{check.array}: for information, without a verdict; fitting: {listed}")
    return sentences


def summary(verification: Verification) -> str:
    """Count the verdicts in a sentence; of a stand-in, only the comparisons with both numbers."""
    checks, numbers = verification.checks, verification.numbers
    if verification.simulated:
        both = sum(map(_is_drawn, numbers))
        return f"{len(checks)} properties and {both} numbers beside published values, without verdicts."
    verdicts = [number.verdict for number in numbers]
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(sorted(verdicts)))
    text = f"{sum(check.agrees is True for check in checks)} of {len(checks)} properties agree."
    orientation = [f" Orientation: {check.verdict}." for check in verification.orientations if check.verdict]
    return text + "".join(orientation) + (f" Of {len(numbers)} numbers: {counted}." if numbers else "")


def write_verification(verification: Verification, folder: Path, command: str) -> list[Path]:
    """Write ``verify.json``, tables as CSV, figures and ``index.html`` into a folder, each completely or not at all.

    Parameters
    ----------
    verification : Verification
    folder : Path
        Files of an earlier verification are overwritten.
    command : str
        Command that made the verification.

    Returns
    -------
    list of Path
        The files; the page is the last one.

    Raises
    ------
    InstallationError
        When a file cannot be written.
    """
    written = []
    content = json.dumps(verification.to_dict() | {"command": command}, indent=1, allow_nan=False) + "\n"
    texts = {"verify.json": content}
    for table in tables_of(verification):
        rows = _number_rows(verification) if table.name == "numbers" else [table.header, *table.rows]
        texts[f"{table.name}.csv"] = csv_text(rows)
    figures = []
    for stem, figure, embedded in _figures(verification):
        figures.append(embedded)
        ending = ".svg" if stem == "numbers" else ".png"
        with replacing(folder / "figures" / f"{stem}{ending}") as temporary:
            figure.savefig(temporary, dpi=110)
        written.append(folder / "figures" / f"{stem}{ending}")
    texts[PAGE] = page_of(verification, figures, command)
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written


def page_of(verification: Verification, figures: Sequence[EmbeddedFigure], command: str) -> str:
    """Write the HTML page of a verification."""
    details = [
        ("sha256", verification.sha256),
        ("versions", ", ".join(f"{name} {version}" for name, version in verification.versions.items())),
        ("written", verification.written),
    ]
    tables: list[dict[str, Any]] = [
        {"title": table.title, "text": table.text, "header": table.header, "rows": table.rows}
        for table in tables_of(verification)
    ]
    for table in tables:
        if table["title"].startswith("Orientation"):
            table["text"] = " ".join([table["text"], *(f"{line}." for line in orientation_sentences(verification))])
    return verification_page(
        simulated=verification.simulated,
        summary=summary(verification),
        tables=tables,
        figures=figures,
        rules=rules_of(verification),
        reasons=verification.reasons,
        notes=[*verification.notes, *not_run(verification)],
        command=command,
        details=details,
        citations=[CITATION, TUTORIAL, FOLLOW_UP_CITATION],
    )


def _figures(verification: Verification) -> Iterator[tuple[str, Any, EmbeddedFigure]]:
    """Draw our numbers against the published ones, and the maps of monkey 1 over the images."""
    drawn = [{"what": number.what, "array": number.array, "published": number.published, "ours": number.ours,
              "model": number.model.removeprefix(TIMM), "window": number.window}
             for number in verification.numbers if _is_drawn(number)]  # fmt: skip
    if drawn:
        figure = published_scatter(drawn, verification.simulated)
        rows: list[tuple[Any, ...]] = [tuple(drawn[0]), *(tuple(row.values()) for row in drawn)]
        yield "numbers", figure, embed_figure(figure, "Our numbers against the published ones", "numbers.csv", rows)
    for check in verification.orientations:
        recording = verification.recordings.get(check.array)
        if recording is None:
            continue
        marked = {
            fit.orientation: [MarkedImage(index, peak, cell)
                              for index, peak, cell in zip(fit.images, fit.peaks, (FIRST, SECOND), strict=True)]
            for fit in check.fits
        }  # fmt: skip
        figure = orientation_fits_figure(recording, marked)
        text = f"{check.array} in each orientation: the two images that come nearest to the published figure"
        rows = mean_map_rows(recording)
        yield f"orientations-{check.array}", figure, embed_figure(figure, text, f"{check.array}-maps.csv", rows, False)
        if not check.decisive:
            continue
        figure = registration_figure(recording)
        text = (
            f"{check.array}: all images, numbered from 1 row by row, and the mean map over sites of each in the used "
            f"orientation, {check.used}"
        )
        yield f"maps-{check.array}", figure, embed_figure(figure, text, f"{check.array}-maps.csv", rows, False)


def _is_drawn(number: PublishedComparison) -> bool:
    return number.ours is not None and math.isfinite(number.ours) and math.isfinite(number.published)
