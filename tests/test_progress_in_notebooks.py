"""Progress below a cell of a notebook, and silence everywhere else."""

import inspect
import sys
from types import SimpleNamespace

import pytest
from command_line import python

from brainscore_itmaps import progress


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would show: each line as (text, html), in place of the last one."""
    lines = []

    class Handle:
        def display(self, data, raw):
            lines.append(("shown", data["text/plain"], data["text/html"]))

        def update(self, data, raw):
            lines.append(("changed", data["text/plain"], data["text/html"]))

    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=True))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(DisplayHandle=Handle))
    times = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.NotebookLine.__init__, "__defaults__", (0.5, lambda: next(times)))
    return lines


@progress.shows_progress
def work(steps, *, progress=progress.silent):
    for done in range(steps):
        progress("layer <1>", done, steps)
    return steps


@progress.shows_progress
def outer(steps, *, progress=progress.silent):
    return work(steps)


def test_a_call_shows_one_line_that_is_changed_in_place(shown):
    assert work(2) == 2
    assert [line[:2] for line in shown] == [
        ("shown", "work: layer <1>, 0 of 2"),
        ("changed", "work: layer <1>, 1 of 2"),
        ("changed", "work: done in 30 s"),
    ]
    assert shown[1][2] == '<div><progress value="1" max="2"></progress> work: layer &lt;1&gt;, 1 of 2</div>'
    assert "progress" not in shown[-1][2]


def test_a_failed_call_says_where_it_stopped(shown):
    @progress.shows_count
    def fails(*, progress=progress.uncounted):
        progress(3, 9)
        raise ValueError

    for _ in range(2):  # the second call shows its line, too
        shown.clear()
        with pytest.raises(ValueError):  # noqa: PT011
            fails()
        assert shown[-1][1] == "fails: stopped at: working, 3 of 9"


def test_a_callback_of_the_user_takes_the_place_of_the_line_and_inner_calls_show_none(shown):
    steps = []
    work(2, progress=lambda *step: steps.append(step))
    outer(2)
    outer(2, progress=lambda *step: None)
    assert steps == [("layer <1>", 0, 2), ("layer <1>", 1, 2)]
    assert shown == []


def test_a_quick_call_shows_nothing(shown, monkeypatch):
    monkeypatch.setattr(progress.NotebookLine.__init__, "__defaults__", (0.5, lambda: 0.0))
    work(3)
    assert shown == []


def test_scripts_and_terminals_are_silent(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert work(3) == 3
    done = python("-c", "import brainscore_itmaps as i; i.score('timm:test_resnet', weights='random', controls=False)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert capsys.readouterr().out == ""


def test_public_functions_show_their_progress():
    import brainscore_itmaps as itmaps

    functions = [getattr(itmaps, name) for name in itmaps.__all__ if inspect.isfunction(getattr(itmaps, name))]
    reporting = [function for function in functions if "progress" in inspect.signature(function).parameters]
    assert {"score", "reproduce", "noise_ceiling", "score_features"} < {function.__name__ for function in reporting}
    for function in reporting:
        wrapped = [function]
        while hasattr(wrapped[-1], "__wrapped__"):
            wrapped.append(wrapped[-1].__wrapped__)
        assert progress.__file__ in [each.__code__.co_filename for each in wrapped]
        assert inspect.signature(function).parameters["progress"].default in (progress.silent, progress.uncounted)
