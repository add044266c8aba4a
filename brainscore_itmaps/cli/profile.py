"""`brainscore profile`: score a layer at several blurs of its features, or with several numbers of components."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Column

from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.bridge.names import check_names, has_maps, requested_window
from brainscore_itmaps.cli.completion import complete_benchmarks, complete_models
from brainscore_itmaps.cli.options import (
    Architecture,
    BatchSize,
    Device,
    ModelLabel,
    Offline,
    ProtocolName,
    Seed,
    StateKey,
)
from brainscore_itmaps.cli.terminal import (
    option_words,
    print_json,
    progress_bar,
    say,
    say_facts,
    say_next,
    say_table,
)
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import check_writable, replacing
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.settings import Settings, expanded
from brainscore_itmaps.text import interval_text, number_text

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.profile import Profile

CHANGE_FOLDER = "Name another folder with --out, or set ITMAPS_HOME."
METADATA: dict[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Formats of the figure, and what is left out of each so that the same profile gives the same file."""
HEADINGS = {"blur": "blur, degrees", "components": "components"}
TITLES = {"blur": "blur of the features", "components": "number of PLS components"}


def profile(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_models,
            help="Score this model: a name or a file, as for `brainscore score`.",
        ),
    ],
    benchmark: Annotated[
        str,
        typer.Option(
            "--benchmark",
            "-b",
            autocompletion=complete_benchmarks,
            help="Score on this benchmark: the name of a benchmark of maps, or the folder of a recording.",
        ),
    ] = "it_maps_simulated",
    over: Annotated[
        Literal["blur", "components"],
        typer.Option(
            help="Vary the blur of the features, a Gaussian over positions (the maps stay as recorded), or the number "
            "of PLS components."
        ),
    ] = "blur",
    values: Annotated[
        str | None,
        typer.Option(
            help="Use these values, separated by commas: standard deviations of the blur in degrees of visual angle, "
            "or numbers of components. The default is 0,0.5,1,1.5,2,3,4 degrees (0 is the score of `brainscore "
            "score`), or 1,2,3,5,10,15,25,35,50 components, as far as the layer allows them."
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers", "--layer", help="Read this layer. The default is the layer committed to IT. Name only one."
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            help="Average the responses over this window: milliseconds after stimulus onset, such as 130-170, or a "
            "name. The default is the window of the benchmark."
        ),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Use pretrained weights, random weights, or the weights in this file.")
    ] = "pretrained",
    arch: Architecture = None,
    state_key: StateKey = None,
    name: ModelLabel = None,
    seed: Seed = None,
    batch_size: BatchSize = 14,
    device: Device = "auto",
    interval: Annotated[
        Literal["groups", "images", "fixed"],
        typer.Option(help="Compute the 95 % intervals in this way, as in `brainscore score`."),
    ] = "groups",
    protocol: ProtocolName = "ours",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the JSON and CSV files and the figure (png, svg and pdf) into this folder. The default is "
            "ITMAPS_HOME/profiles. A profile of the same name is overwritten."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute everything again, and overwrite the values in the cache.")
    ] = False,
    offline: Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the profile as JSON.")] = False,
) -> None:
    """Score a layer against the blur of its features or the number of components: a table, files and a figure.

    An interrupted run resumes when the same command is run again.
    """
    from brainscore_itmaps.benchmark.profile import check_layer, check_spec, without_maps

    numbers = None if values is None else _numbers(over, values)
    check_names(model, benchmark, weights, arch, state_key, name)
    check_layer(layers)
    if not has_maps(benchmark):
        raise without_maps(benchmark)
    if benchmark in CATALOGUE:
        check_spec(over, CATALOGUE[benchmark])
    if seed is not None and weights != "random":
        raise UsageError("--seed requires random weights.", "Add --weights random, or leave out --seed.")
    folder = expanded(out or Settings.from_environment().home / "profiles")
    check_writable(folder / "profile.json", CHANGE_FOLDER)

    with progress_bar() as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.bridge.profile import profile as profile_in_python

        found = profile_in_python(
            model,
            benchmark,
            over,
            numbers,
            layers,
            window=requested_window(window),
            weights=weights,
            seed=seed or 0,
            arch=arch,
            state_key=state_key,
            name=name,
            batch_size=batch_size,
            device=device,
            protocol=protocol,
            interval=interval,
            fresh=fresh,
            progress=progress,
        )
    files: list[Path] = []
    try:
        files += found.save(folder, CHANGE_FOLDER)
        files += _draw(found, folder)
    finally:  # the numbers are printed even if the files cannot be written
        if as_json:
            print_json(found.to_dict())
        else:
            _print(found)
            for file in files:
                say(f"written    {file}")
            say_next(
                "score",
                *option_words(
                    model=model, benchmark=benchmark, layers=layers, window=window,
                    weights=None if weights == "pretrained" else weights, arch=arch, state_key=state_key, name=name,
                    seed=seed, protocol=None if protocol == OURS.name else protocol,
                ),
            )  # fmt: skip


def _numbers(over: str, values: str) -> tuple[float, ...]:
    """Parse and check values that are separated by commas."""
    from brainscore_itmaps.benchmark.profile import checked_values

    numbers: list[float | str] = []
    for word in values.split(","):
        try:
            number = float(word)
        except ValueError:
            numbers.append(word.strip())
        else:
            numbers.append(int(number) if number.is_integer() else number)
    return checked_values(over, numbers)[1]


def _draw(found: "Profile", folder: Path) -> list[Path]:
    """Draw the profile, and write the figure in each format."""
    from brainscore_itmaps.reporting.feature_profiles import feature_profile_figure

    figure, files = feature_profile_figure(found), []
    for ending, metadata in METADATA.items():
        files.append(folder / f"{found.file_stem}.{ending}")
        with replacing(files[-1], CHANGE_FOLDER) as partial_file:
            figure.savefig(partial_file, dpi=150, metadata=metadata)
    return files


def _print(found: "Profile") -> None:
    from brainscore_itmaps.benchmark.profile import about

    rows = [
        [
            row["array"].removeprefix("Arcaro2020.").removesuffix("-simulated"),
            f"{row[found.over]:g}",
            *(number_text(row[name]) for name in ("raw", "ceiling", "score")),
            interval_text(row["low"], row["high"]),
        ]
        for row in found.rows()
    ]
    several = len(found.estimates) > 1
    columns = [Column("array"), *(Column(name, justify="right") for name in
               (HEADINGS[found.over], "raw", "ceiling", "score", "95 % interval"))]  # fmt: skip
    say_table(
        columns if several else columns[1:],
        rows if several else [row[1:] for row in rows],
        title=f"{found.model} on {found.title}: score against {TITLES[found.over]}",
        names=2 if several else 1,
    )
    estimates = [estimate for estimates in found.estimates.values() for estimate in estimates]
    facts = {
        "recording": "SIMULATED, no animal was recorded" if found.simulated else ", ".join(found.estimates),
        "weights": str(found.reading.weights),
        "layer": found.reading.layer,
        "score": found.formula,
        found.over: about(found),
        "interval": next((estimate.about_interval for estimate in estimates if estimate.about_interval), ""),
    }
    facts["protocol"] = "" if found.request.protocol == OURS.name else f"{found.request.protocol}; for comparison only"
    reasons = [f"no score: {reason}" for reason in dict.fromkeys(each.reason for each in estimates) if reason]
    for number, note in enumerate([*found.notes, *reasons]):
        facts[f"note {number + 1}" if number else "note"] = note
    facts["cite"] = "; ".join(found.citations)
    say_facts({name: text for name, text in facts.items() if text})
