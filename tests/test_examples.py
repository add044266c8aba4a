"""Examples in docstrings: those of every module run, and every public function has one."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import brainscore_itmaps as itmaps

PACKAGE = Path(itmaps.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    for file in PACKAGE.rglob("*.py")
    if re.search(r"^ +>>> ", file.read_text(encoding="utf-8"), re.MULTILINE)
)


def public_functions():
    """List the public functions, and the public methods of public classes."""
    for name in itmaps.__all__:
        value = getattr(itmaps, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and not issubclass(value, Exception):
            for key, method in vars(value).items():
                if not key.startswith("_") and (inspect.isfunction(method) or isinstance(method, classmethod)):
                    yield f"{name}.{key}", method


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_give_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = doctest.testmod(importlib.import_module(name), extraglobs={"np": np})
    assert ended.attempted
    assert not ended.failed


@pytest.mark.parametrize(("name", "function"), [*public_functions()])
def test_every_public_function_shows_an_example(name, function):
    assert "Examples\n" in function.__doc__, name
    assert ">>> " in function.__doc__, name
