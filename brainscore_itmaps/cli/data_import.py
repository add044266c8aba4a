"""`brainscore data import`: make a recording of a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainscore_itmaps.cli.terminal import say, say_next
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.settings import expanded

if TYPE_CHECKING:
    from brainscore_itmaps.data.grid import Extent


def import_table(
    table: Annotated[
        Path,
        typer.Argument(
            help="Read this table, a CSV, TSV or Parquet file with a row for each image, position and site, and the "
            "columns image, y, x, site and value, and repeat if there are repeats."
        ),
    ],
    images: Annotated[Path, typer.Option(help="Look up the images that the table names in this folder.")],
    identifier: Annotated[str, typer.Option(help="Name the recording, for example mylab.array1.")],
    window: Annotated[
        str, typer.Option(help="State the window of the responses: milliseconds after stimulus onset, such as 70-170.")
    ],
    extent: Annotated[
        str | None,
        typer.Option(
            help="State the size of the images in degrees: the side of a square, such as 16, or height x width, such "
            "as 12x16. By default the longer side has 16 degrees."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="Read a part from a column of another name, such as value=rate. May be given several "
            "times. By default the columns have the names above."
        ),
    ] = None,
    subject: Annotated[str, typer.Option(help="State the subject, for example monkey1.")] = "unknown",
    area: Annotated[str, typer.Option(help="State the area, for example PL.")] = "unknown",
    citation: Annotated[str, typer.Option(help="State how to cite the data. By default there is no citation.")] = "",
    simulated: Annotated[bool, typer.Option("--simulated", help="State that no animal was recorded.")] = False,
    stretched: Annotated[
        bool, typer.Option("--stretched", help="State that images were shown stretched to the shape of the extent.")
    ] = False,
    outside: Annotated[bool, typer.Option("--outside", help="Permit positions outside the images.")] = False,
    drop_nan_sites: Annotated[
        bool,
        typer.Option("--drop-nan-sites", help="Leave out sites with missing values. By default they are an error."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the recording into this new folder. The default is a folder with its identifier."),
    ] = None,
) -> None:
    """Make a recording of your own from a table, and write it as a folder.

    Positions are degrees of visual angle below (y) and to the right (x) of the image's centre.
    """
    from brainscore_itmaps.data.images import decoded_name, plain_name
    from brainscore_itmaps.data.recording import Recording, parse_window

    columns = dict(_column(decoded_name(text)) for text in column or [])
    identifier, subject, area, citation = map(decoded_name, (identifier, subject, area, citation))
    sides = None if extent is None else _extent(extent)
    recording = Recording.from_table(
        table, expanded(images), identifier=identifier, window=parse_window(window), extent=sides, columns=columns,
        subject=subject, area=area, citation=citation, simulated=simulated, stretched=stretched, outside=outside,
        drop_nan_sites=drop_nan_sites,
    )  # fmt: skip
    folder = recording.save(expanded(out or Path(plain_name(identifier))))
    count, rows, columns_of_grid, sites = recording.maps.shape
    say(f"{recording.identifier}: {count} images, {rows} x {columns_of_grid} positions, {sites} sites")
    if recording.dropped:
        say(f"left out   {', '.join(recording.dropped)}, which have missing values")
    say(f"written    {folder}")
    say_next("data", "check", folder, "--figure", f"{folder.name}.png")


def _column(text: str) -> tuple[str, str]:
    part, equals, name = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--column {text} is not a part and a name.", "Give for example --column value=rate.")
    return part.strip(), name.strip()


def _extent(text: str) -> "Extent":
    from brainscore_itmaps.data.grid import read_extent

    try:
        sides = tuple(float(side) for side in text.lower().split("x"))
    except ValueError:
        sides = ()
    if len(sides) not in (1, 2):
        raise UsageError(
            f"--extent {text} is not a size in degrees.", "Give for example 16, or 12x16 (height x width)."
        )
    return read_extent(sides)
