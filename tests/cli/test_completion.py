"""Completion in the shell: commands, options and values, quickly and without a word on the line being typed."""

import shlex
import subprocess
import sys

import pytest
from command_line import brainscore, new_python
from shown import scored

from brainscore_itmaps.benchmark.catalogue import list_benchmarks
from brainscore_itmaps.models.zoo import SETS, ZOO

STARTED = f"{sys.executable} -m brainscore_itmaps"
NAME = "timm-test_resnet-random-seed-1--chosen-of-2--it_maps_simulated"


@pytest.fixture
def saved(own_home):
    scored().save(own_home.parent / "results")
    return own_home.parent / "results"


def completed(line):
    """What bash would offer for a line that ends where the cursor stands."""
    words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
    done = brainscore(_BRAINSCORE_COMPLETE="complete_bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("brainscore sc", ["score"]),
        ("brainscore data i", ["info", "import"]),
        ("brainscore score --bench", ["--benchmark", "--benchmark_identifier", "--benchmark-identifier"]),
        ("brainscore score --model harmonized_v", ["harmonized_vgg16", "harmonized_vit_b16"]),
        ("brainscore models show ", list(ZOO)),
        ("brainscore models list --set ", list(SETS)),
        ("brainscore models list --group C", ["CNN"]),
        ("brainscore score -b ", list_benchmarks()),
        ("brainscore profile -m efficientnet_lite0 --protocol ", ["ours", "published", "followup"]),
        ("brainscore data check mon", ["monkey1_PL", "monkey1_ML", "monkey2_ML"]),
        ("brainscore data fetch c", ["clickme"]),
        ("brainscore sweep ", ["embedded", "harmonized_twins", "paper_proxy", "windows"]),
        ("brainscore results show ", [NAME]),
        ("brainscore report timm-", [NAME]),
        ("brainscore reproduce --from /nowhere ", []),
        ("brainscore compare nothing-", []),
    ],
)
def test_commands_options_and_values_are_completed(saved, line, expected):
    assert completed(line) == expected


def test_results_of_another_folder_are_completed(saved, tmp_path):
    saved.rename(tmp_path / "others")
    assert completed("brainscore results show ") == []
    assert completed(f"brainscore results show --from {tmp_path / 'others'} ") == [NAME]


@pytest.mark.parametrize("line", ["brainscore results show ", "brainscore score -b it", "brainscore sweep e"])
def test_completing_imports_no_torch(saved, line):
    watched = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('imported', *[name for name in ('torch', 'timm', 'pandas', 'brainscore_vision') "
        "if name in sys.modules], file=sys.stderr))\n"
        "from brainscore_itmaps.cli.start import main; main()"
    )
    words = [*line.split(), *([""] if line.endswith(" ") else [])]
    done = new_python("-c", watched, _BRAINSCORE_COMPLETE="complete_bash", COMP_WORDS="\n".join(words),
                      COMP_CWORD=str(len(words) - 1))  # fmt: skip
    assert done.stdout.strip()
    assert done.stderr == "imported\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed_without_touching_a_file(shell, tmp_path):
    done = brainscore(_BRAINSCORE_COMPLETE=f"source_{shell}", HOME=tmp_path)
    assert done.returncode == 0
    assert f"_BRAINSCORE_COMPLETE=complete_{shell}" in done.stdout
    assert not list(tmp_path.iterdir())


def test_bash_completes_with_that_script(tmp_path):
    (tmp_path / "brainscore").write_text(f'#!/bin/sh\nexec {STARTED} "$@"\n')
    (tmp_path / "brainscore").chmod(0o755)
    typed = (
        f"PATH={tmp_path}:$PATH\nsource <(_BRAINSCORE_COMPLETE=source_bash brainscore)\n"
        "COMP_WORDS=(brainscore score --model efficientnet_l) COMP_CWORD=3\n"
        '_brainscore_completion brainscore; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"], done.stderr
