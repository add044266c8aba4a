"""Values that a shell completes: names of models, benchmarks, recordings and saved results."""

from collections.abc import Callable, Iterable

import typer

from brainscore_itmaps.errors import ItMapsError

Complete = Callable[[typer.Context, str], list[str]]


def complete_from(names: Callable[[typer.Context], Iterable[str]]) -> Complete:
    """Return a completion of names, which are listed when the shell asks for them.

    Where they cannot be listed, nothing is completed: a message would end up in the line that is being typed.

    Examples
    --------
    >>> complete_from(lambda context: ["resnet50", "vgg16"])(None, "res")
    ['resnet50']
    """

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        try:
            return [name for name in names(context) if name.startswith(incomplete)]
        except (ItMapsError, OSError):
            return []

    return complete


def _models(context: typer.Context) -> Iterable[str]:
    from brainscore_itmaps.models.zoo import ZOO

    return ZOO


def _sets(context: typer.Context) -> Iterable[str]:
    from brainscore_itmaps.models.zoo import SETS

    return SETS


def _groups(context: typer.Context) -> Iterable[str]:
    from brainscore_itmaps.models.timm_models import GROUPS

    return GROUPS


def _benchmarks(context: typer.Context) -> Iterable[str]:
    from brainscore_itmaps.benchmark.catalogue import list_benchmarks

    return list_benchmarks()


def _recordings(context: typer.Context) -> Iterable[str]:
    from brainscore_itmaps.data.load import RECORDINGS

    return RECORDINGS


def _studies(context: typer.Context) -> Iterable[str]:
    from brainscore_itmaps.study.config import NAMED

    return NAMED


def _results(context: typer.Context) -> Iterable[str]:
    from brainscore_itmaps.cli.results import result_names

    return result_names(context.params.get("folder"))


complete_models = complete_from(_models)
complete_sets = complete_from(_sets)
complete_groups = complete_from(_groups)
complete_benchmarks = complete_from(_benchmarks)
complete_recordings = complete_from(_recordings)
complete_results = complete_from(_results)
complete_studies = complete_from(_studies)
