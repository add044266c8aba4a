"""Protocols: every choice in the computation of a score from recordings and features, as data.

:data:`OURS` is used by default; :data:`PUBLISHED` makes the choices of the reference code of Linsley et al. (2023), and
:data:`FOLLOWUP` those that are known of the tables of Linsley, Feng & Serre (2025).
Code reads a field where the choice is made; docs/published_code.md explains each choice.
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from brainscore_itmaps.errors import UsageError, nearest

Loader = Literal["ours", "published", "followup"]
Call = TypeVar("Call", bound=Callable[..., Any])


@dataclass(frozen=True)
class Protocol:
    """All choices of an evaluation.

    Attributes
    ----------
    name : str
        Name for ``protocol=`` and ``--protocol``.
    title : str
        What follows the name of a benchmark in titles.
    suffix : str
        End of the identifiers of recordings and of the file names of results that use the protocol.
    loader : "ours", "published" or "followup"
        Channels of an array, the precision of the average of rates over time, how images are read, and the
        default window and orientation.
    preprocess : "model" or "published"
        How images become a model's input: as its weights require, or 224 x 224, minus ImageNet's mean, divided by it.
    resample : "positions" or "published"
        How a layer gives one value per grid position: sampled at the recorded positions; or averaged over groups of
        channels if there are more than 600, enlarged or block-averaged, and each image scaled to 0-1.
    regressions : mapping of str to str
        Solver of :func:`~brainscore_itmaps.predict_left_out` for each regression that can be requested.
    components : int
        Number of PLS components.
    intercept : bool
        Predict with the intercept of the regression.
    precision : "float64" or "float32"
        Precision of predictions and of maps averaged over sites.
    reduce_sites : "defined" or "all"
        Median over the sites whose correlation is defined; or over all sites, undefined if one of them is.
    coarsen : "tiles" or "bilinear"
        How maps are downsampled: averaged over tiles, or interpolated without antialiasing.
    overlap_epsilon : float or None
        Added to the denominators of Dice and IoU; if None, these are undefined where a map has no top positions.
    ceiling : "matched" or "published"
        The noise ceiling of site maps: in the statistic of the score, or of the best pair of sites, row by row.
    choose_layer : "left_out" or "best"
        How one of several layers is chosen: for each image on the other images, or the best one on the scored images.
    folds : "different" or "images"
        Identical images are left out together, and more than 32 different images in 14 groups; or each image alone.
    heatmap_blur : "centred" or "published"
        Blur of human importance maps; the published one shifts them by half a pixel.
    views : tuple of str
        Supported views: how images are shown.
    measures : tuple of str
        Supported measures: what is compared.
    square_grids_only : bool
        Grids whose sides differ are an error.
    """

    name: str
    title: str
    suffix: str
    loader: Loader
    preprocess: Literal["model", "published"]
    resample: Literal["positions", "published"]
    regressions: Mapping[str, str] = field(hash=False)
    components: int
    intercept: bool
    precision: Literal["float64", "float32"]
    reduce_sites: Literal["defined", "all"]
    coarsen: Literal["tiles", "bilinear"]
    overlap_epsilon: float | None
    ceiling: Literal["matched", "published"]
    choose_layer: Literal["left_out", "best"]
    folds: Literal["different", "images"]
    heatmap_blur: Literal["centred", "published"]
    views: tuple[str, ...]
    measures: tuple[str, ...]
    square_grids_only: bool

    def __reduce__(self) -> tuple[Callable[[str], "Protocol"], tuple[str]]:
        return protocol_named, (self.name,)

    def solver(self, method: str) -> str:
        """Return the name of the solver of a regression.

        Raises
        ------
        UsageError
            When this protocol has no such regression.

        Examples
        --------
        >>> PUBLISHED.solver("pls")
        'nipals'
        """
        if method not in self.regressions:
            problem = f"There is no regression named {method!r}"
            problem = problem if self is OURS else f"The {self.name} protocol has no regression {method!r}"
            raise UsageError(f"{problem}.", nearest(str(method), self.regressions))
        return self.regressions[method]


OURS = Protocol(
    name="ours",
    title="",
    suffix="",
    loader="ours",
    preprocess="model",
    resample="positions",
    regressions=MappingProxyType({name: name for name in ("pls", "nipals", "ridge", "ridge_cv")}),
    components=25,
    intercept=True,
    precision="float64",
    reduce_sites="defined",
    coarsen="tiles",
    overlap_epsilon=None,
    ceiling="matched",
    choose_layer="left_out",
    folds="different",
    heatmap_blur="centred",
    views=("whole", "screen", "fixation"),
    measures=("predictivity", "alignment", "attribution", "rsa", "cka"),
    square_grids_only=False,
)

PUBLISHED = Protocol(
    name="published",
    title="as published",
    suffix="-reference",
    loader="published",
    preprocess="published",
    resample="published",
    regressions=MappingProxyType({"pls": "nipals", "nipals": "nipals"}),
    components=25,
    intercept=False,
    precision="float32",
    reduce_sites="all",
    coarsen="bilinear",
    overlap_epsilon=1e-9,
    ceiling="published",
    choose_layer="best",
    folds="images",
    heatmap_blur="published",
    views=("whole",),
    measures=("predictivity", "alignment"),
    square_grids_only=True,
)

FOLLOWUP = replace(PUBLISHED, name="followup", title="as in the follow-up study", suffix="-followup", loader="followup")
"""The published choices with every site in its own array, as in the tables of Linsley, Feng & Serre (2025).

Their code is not public: its resizing, averaging, scaling and orientation are taken to be those of 2023.
"""

PROTOCOLS = {protocol.name: protocol for protocol in (OURS, PUBLISHED, FOLLOWUP)}


def protocol_named(protocol: "str | Protocol") -> Protocol:
    """Return the protocol with a name; a protocol is returned unchanged.

    Raises
    ------
    UsageError
        When there is no protocol with that name, or a protocol is not one of this package.

    Examples
    --------
    >>> protocol_named("published").intercept
    False
    """
    if isinstance(protocol, Protocol) and PROTOCOLS.get(protocol.name) == protocol:
        return protocol
    if isinstance(protocol, Protocol):
        raise UsageError(
            f"The protocol {protocol.name!r} is not a protocol of this package, so a result could not record it.",
            f"Use {' or '.join(PROTOCOLS)}.",
        )
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:
        raise UsageError(f"There is no protocol named {protocol!r}.", nearest(str(protocol), PROTOCOLS))
    return PROTOCOLS[protocol]


def accept_reference_compat(function: Call) -> Call:
    """Let a function accept ``reference_compat=True``, the old form of ``protocol="published"``, with a warning.

    Examples
    --------
    >>> @accept_reference_compat
    ... def name(protocol="ours"):
    ...     return protocol
    >>> with warnings.catch_warnings(record=True):
    ...     name(reference_compat=True)
    'published'
    """

    @functools.wraps(function)
    def renamed(*arguments: Any, **options: Any) -> Any:
        if "reference_compat" in options:
            options["protocol"] = OLD_SPELLING[bool(options.pop("reference_compat"))]
            new = f'protocol="{options["protocol"]}"'
            warnings.warn(f"reference_compat is now {new}; write that.", FutureWarning, stacklevel=2)
        return function(*arguments, **options)

    return renamed  # type: ignore[return-value]


OLD_SPELLING = {False: OURS.name, True: PUBLISHED.name}
"""Protocol of each value of ``reference_compat``, in files that were written before the protocols had names."""
