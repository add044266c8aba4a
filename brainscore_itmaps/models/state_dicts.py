"""Find the weights of a model in the content of a checkpoint, whatever the key and the prefix under which they lie."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from brainscore_itmaps.errors import ModelError, UsageError
from brainscore_itmaps.text import short_repr

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of names that ``torch.compile`` and wrappers for training add anywhere in a name."""
KEYS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params")
"""Usual keys of the weights of a model, in the order of preference."""
AVERAGED = {"ema", "swa", "avg", "average", "averaged", "teacher", "momentum", "target", "shadow", "polyak", "k"}
"""Words in keys of weights that were averaged over training, or of a second model that follows the first."""
ONLY_TRAINING = re.compile(
    r"(n_averaged$|(criterion|criteria|loss|losses|\w+_loss|loss_\w+|metrics?|(train|val|test)_\w+|teacher\w*|student\w*|"
    r"ema\w*|momentum\w*|queue\w*|proj(ector|ection)\w*|predictor\w*|discriminator\w*|optimi[sz]er\w*|aux\w*)\.)"
    r"|queue\w*$|(^|.*\.)(total_ops|total_params|num_batches_tracked)$"
)
"""Names of tensors that exist only for training, or that a profiler added: no architecture uses them on images."""
NOT_WEIGHTS = re.compile(r"optim|sched|exp_avg|^grads?$|^(loops|scaler|amp)$")
"""Keys of the state of training, whose tensors may have the names of the model too."""
DEEPEST = 4
"""Largest number of keys within keys under which weights are searched."""
MOST_NAMES = 4
"""Number of names that a note or an error lists."""


@short_repr
@dataclass(frozen=True)
class StateDict:
    """The weights of a model in a checkpoint.

    Attributes
    ----------
    tensors : dict of str to tensor
        Weights with the names of the model.
    notes : tuple of str
        The key that was read, other weights in the file, and the content that was left out.
    """

    tensors: dict[str, torch.Tensor]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """Weights under one key whose names have one prefix."""

    key: str
    prefix: str
    tensors: dict[str, torch.Tensor]
    """All tensors under the key, with their whole names."""
    present: int
    """Number of the required names that are there."""

    @property
    def label(self) -> str:
        """Return key and prefix as one name for ``state_key``."""
        return ".".join(filter(None, (self.key, self.prefix.rstrip("."))))

    @property
    def preference(self) -> tuple[bool, int, int]:
        """Return a value that is lower the more the name is that of the model's own, current weights."""
        first = self.label.split(".")[0]
        rank = KEYS.index(first) if first in KEYS else len(KEYS)
        return not AVERAGED.isdisjoint(re.split(r"[^a-z]+", self.label.lower())), rank, len(self.label)


def sets_of_weights(content: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """List the sets of named tensors in the content of a checkpoint, with their keys.

    Parameters
    ----------
    content : object
        Content of the file.
    key : str
        Key of this content; keys within keys are joined by dots.
    depth : int
        Number of keys above this content.

    Yields
    ------
    str
        Key; empty for tensors that are not under a key.
    dict of str to tensor

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.state_dicts import sets_of_weights
    >>> content = {"epoch": 3, "ema": {"module": {"fc.bias": torch.zeros(2)}}, "model": {"fc.bias": torch.ones(2)}}
    >>> [key for key, _ in sets_of_weights(content)]
    ['ema.module', 'model']
    """
    if not isinstance(content, Mapping):
        return
    if tensors := {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}:
        yield key, tensors
    if depth < DEEPEST:
        for name, value in content.items():
            if isinstance(name, str) and not NOT_WEIGHTS.search(name.lower()):
                yield from sets_of_weights(value, f"{key}.{name}" if key else name, depth + 1)


def choose_weights(
    content: Any,
    names: Sequence[str],
    optional: Sequence[str] = (),
    state_key: str | None = None,
    where: str = "The file",
) -> StateDict:
    """Choose the weights of a model in the content of a checkpoint.

    Among the sets of tensors that have all names of the model, behind whatever common prefix, the first is chosen whose
    key is not that of averaged weights (EMA, SWA, teacher); then by the order of :data:`KEYS`. Tensors that belong to
    the model, but that this architecture does not have, remain in the answer, so that they are refused later.

    Parameters
    ----------
    content : object
        Content of the file.
    names : sequence of str
        Names in the ``state_dict`` of the model.
    optional : sequence of str
        Names of the classifier, without which weights are complete, too.
    state_key : str, optional
        Key to read, in place of the rule.
    where : str
        The file, for error messages.

    Returns
    -------
    StateDict

    Raises
    ------
    ModelError
        When there are no tensors.
    UsageError
        When there are no weights under ``state_key``; the message lists the keys that exist.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.state_dicts import choose_weights
    >>> content = {"epoch": 3, "state_dict": {"net.fc.bias": torch.zeros(2), "criterion.scale": torch.ones(1)}}
    >>> chosen = choose_weights(content, ["fc.bias"])
    >>> list(chosen.tensors)
    ['fc.bias']
    >>> print(*chosen.notes, sep="; ")
    the weights were read from 'state_dict.net'; left out of the file: epoch, state_dict.criterion.scale
    """
    sets = {key: {_unwrapped_name(name): t for name, t in tensors.items()} for key, tensors in sets_of_weights(content)}
    if not sets:
        held = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise ModelError(f"{where} contains no tensors ({held[:80] or 'it is empty'}).", "Give a file with weights.")
    required = [name for name in names if not name.endswith(("num_batches_tracked", "_extra_state"))]
    required = [name for name in required if name not in optional] or required
    candidates = [candidate for key, tensors in sets.items() for candidate in _candidates(key, tensors, required)]
    most = max(candidate.present for candidate in candidates)
    complete = [candidate for candidate in candidates if candidate.present == most]
    if state_key is not None:
        named = [c for c in candidates if state_key.rstrip(".") in (c.label, c.key, c.prefix.rstrip("."))]
        if not named:
            keys = list(dict.fromkeys([*filter(None, sets), *(c.label for c in complete if c.label)]))
            listed = f"Its keys are {', '.join(keys)}." if keys else "Its weights are not under a key: omit state_key."
            raise UsageError(f"{where} has no weights under the key {state_key!r}.", listed)
        complete = [c for c in named if c.present == max(other.present for other in named)]
    chosen = min(complete, key=lambda candidate: candidate.preference)
    tensors, left_out = _own_tensors(chosen, set(names), optional)
    others = [] if not chosen.present else [c.label or "the names without a prefix" for c in complete if c != chosen]
    return StateDict(tensors, tuple(_notes(content, chosen, others, left_out)))


def _candidates(key: str, tensors: dict[str, torch.Tensor], required: Sequence[str]) -> Iterator[_Candidate]:
    """List the prefixes behind which tensors may have the names of a model."""
    probes = sorted(required, key=len, reverse=True)[:8]
    prefixes = {name.removesuffix(probe) for probe in probes for name in tensors if name.endswith(f".{probe}")}
    for prefix in sorted({"", *prefixes}):
        yield _Candidate(key, prefix, tensors, sum(prefix + name in tensors for name in required))


def _own_tensors(
    chosen: _Candidate, names: set[str], optional: Sequence[str]
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return the tensors of the model without their prefix, and the names of the tensors that are left out."""
    has_classifier = any(chosen.prefix + name in chosen.tensors for name in optional)
    heads = tuple({f"{name.rpartition('.')[0]}." for name in optional} if not has_classifier else ())
    own, left_out = {}, []
    for whole_name, tensor in chosen.tensors.items():
        name = whole_name.removeprefix(chosen.prefix)
        is_inside = whole_name.startswith(chosen.prefix)
        if is_inside and (name in names or not (ONLY_TRAINING.match(name) or name.startswith(heads))):
            own[name] = tensor
        else:
            left_out.append(f"{chosen.key}.{whole_name}" if chosen.key else whole_name)
    return own, left_out


def _notes(content: Any, chosen: _Candidate, others: Sequence[str], left_out: Sequence[str]) -> Iterator[str]:
    """Describe in notes which key was read, which other weights exist, and what was left out."""
    if chosen.key or others or left_out:
        read = f"the weights were read from {chosen.label!r}" if chosen.label else "the weights are those without a key"
        yield read + (f", not from {_listed(others)}; state_key selects one of these" if others else "")
    top = chosen.key.split(".")[0]
    unused = [str(name) for name, value in content.items()
              if name != top and not (not chosen.key and isinstance(value, torch.Tensor))]  # fmt: skip
    unused = [name for name in unused if name not in {other.split(".")[0] for other in others}]
    if unused or left_out:
        yield f"left out of the file: {_listed([*unused, *left_out], len(unused) + MOST_NAMES)}"


def _listed(names: Sequence[str], most: int = 3 * MOST_NAMES) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _unwrapped_name(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
