"""`brainscore models show`: describe one model."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from brainscore_itmaps.cli.terminal import NARROW, output, print_json, progress_bar, say, say_facts

if TYPE_CHECKING:
    from brainscore_itmaps.models.network import Network
    from brainscore_itmaps.models.spec import ModelSpec


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Show this model: a name from `brainscore models list`, timm:NAME, a checkpoint file, or "
            "my_file.py:function.",
        ),
    ],
    arch: Annotated[
        str | None,
        typer.Option(
            help="Build this architecture, a name of timm or of this package, for a checkpoint file. The option is "
            "required for such a file and has no default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Describe a model, the shapes of its layers and the areas they are committed to. No weights are downloaded."""
    from brainscore_itmaps.models.names import refuse_unknown_model

    refuse_unknown_model(name, arch)
    with progress_bar() as progress:
        progress("building the network", 0, 1)
        from brainscore_itmaps.models.layers import block_layers, map_shapes
        from brainscore_itmaps.models.load import load_model
        from brainscore_itmaps.models.names import is_own

        network = load_model(name, None if is_own(name) else "random", arch=arch)
        size = network.spec.size
        committed = list(network.spec.layers.values())
        wanted = {*block_layers(network.module, size), *committed}
        in_order = [layer for layer, _ in network.module.named_modules() if layer in wanted]
        shapes = map_shapes(network.module, in_order, size)
    if as_json:
        shown = {layer: [channels, side, side] for layer, (channels, side) in shapes.items()}
        print_json(record_of(network.spec) | {"shapes": shown})
        return
    _print_record(network)
    table = Table("layer", Column("channels x units", justify="right"), "committed to")
    for layer, (channels, side) in shapes.items():
        regions = ", ".join(region for region, its in network.spec.layers.items() if its == layer)
        if output().width < NARROW:
            say(f"{layer}: {channels} x {side} x {side}{f', {regions}' if regions else ''}")
        else:
            table.add_row(layer, f"{channels} x {side} x {side}", regions)
    if table.row_count:
        say(table)
    if not committed:
        say("no layer is committed to IT: name one with `brainscore score --layers`")


def _print_record(network: "Network") -> None:
    spec, weights = network.spec, network.spec.weights
    say(f"{network.name}{f': {spec.title}' if spec.title else ''}")
    facts = {"group": spec.group, "timm": spec.architecture}
    if network.own_code:
        facts = {"class": spec.architecture}
    if weights is not None:
        facts |= {"weights": f"{weights.url} ({state_of(spec)})", "licence": weights.licence}
    elif network.weights.kind != "random":
        facts["weights"] = str(network.weights)
    facts["parameters"] = f"{spec.parameters:,}"
    shown = "a function of your own" if network.transform else f"mean {_three(spec.mean)}, std {_three(spec.std)}"
    facts["input"] = f"{spec.size} x {spec.size} pixels, {shown}"
    if network.transform is None:
        facts["input"] += f", {spec.interpolation}; crop {spec.crop:g} for classification, none for maps"
    facts["behaviour"] = spec.readout or "no layer for it"
    if spec.top1 is not None:
        facts["top-1"] = f"{spec.top1:.1f} % on ImageNet ({spec.top1_source})"
    for number, note in enumerate(network.notes):
        facts[f"note {number + 1}" if number else "note"] = note
    if spec.citation:
        facts["cite"] = spec.citation.partition("url={")[2].partition("}")[0]
    say_facts(facts)


def _three(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def record_of(spec: "ModelSpec") -> dict[str, Any]:
    """A record as JSON has it; the weights with their address."""
    weights = spec.weights
    return asdict(spec) | {"weights": None if weights is None else asdict(weights) | {"url": weights.url}}


def state_of(spec: "ModelSpec") -> str:
    """Where a network's weights are, as far as this can be said without timm."""
    from brainscore_itmaps.models.kept import kept_weights
    from brainscore_itmaps.models.spec import PackagedWeights, TimmWeights

    if isinstance(spec.weights, PackagedWeights):
        return "in a package"
    if kept_weights(spec) is not None:
        return "here"
    return "timm's hub" if isinstance(spec.weights, TimmWeights) else "to be fetched"
