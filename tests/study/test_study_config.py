"""The configuration of a study, and its plan."""

import sys
from dataclasses import replace

import pytest
from command_line import new_python
from shards import fetched_val

from brainscore_itmaps import load_recording
from brainscore_itmaps.benchmark.catalogue import CATALOGUE, HUMAN_ALIGNMENT
from brainscore_itmaps.bridge.names import is_external
from brainscore_itmaps.bridge.plugins import identifiers
from brainscore_itmaps.errors import InstallationError, ModelError, UsageError
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.zoo import EMBEDDED, named_set
from brainscore_itmaps.study.cluster import (
    THREADS,
    Workers,
    check_cluster,
    connected,
    threads_of_environment,
    workers_for,
)
from brainscore_itmaps.study.config import NAMED, ClusterConfig, ModelChoice, read_study, study_of
from brainscore_itmaps.study.plan import plan
from brainscore_itmaps.study.sweep import sweep

GB = 10**9
SMALL = {"models": ["timm:test_resnet"], "benchmarks": ["it_maps_simulated"]}


@pytest.mark.parametrize("name", NAMED)
def test_a_named_study_asks_models_and_benchmarks_that_exist(name):
    study = read_study(name)
    assert study.title
    assert {b for b in study.benchmarks if is_external(b)} <= {*identifiers("benchmarks")}
    assert len(study.model) == len(set(study.model)) >= 6


def test_the_named_studies_ask_what_they_say():
    embedded, twins, proxy, windows = map(read_study, NAMED)
    assert {choice.name for choice in embedded.model} == {*EMBEDDED}
    assert all(CATALOGUE[b].recordings == ("it_maps_simulated",) for b in embedded.benchmarks)  # needs no download
    assert [choice.name for choice in twins.model] == named_set("harmonized_twins")
    assert HUMAN_ALIGNMENT in twins.benchmarks
    assert {*named_set("paper_proxy"), *HARMONIZED} == {choice.name for choice in proxy.model}
    assert "not the paper's own" in proxy.title
    assert sum(is_external(b) for b in proxy.benchmarks) == 3
    for window, start in zip(windows.windows, range(50, 250, 40), strict=True):
        assert window == f"followup_{start + 1}_{start + 40}"


def test_models_come_from_sets_names_and_tables_each_once():
    study = study_of(
        {
            "models": ["set:embedded", "timm:resnet18", "timm:resnet18"],
            "benchmarks": ["it_maps_simulated"],
            "model": [{"name": "timm:resnet18", "weights": "random", "seed": 3}, {"name": "timm:resnet18"}],
        }
    )
    assert [choice.name for choice in study.model] == [*EMBEDDED, "timm:resnet18", "timm:resnet18"]
    assert study.model[-1].title == "timm:resnet18 (random, seed 3)"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('benchmarks = ["it_maps"]', "names no models"),
        ('models = ["timm:resnet18"]', "names no benchmarks"),
        ('models = ["set:embeded"]\nbenchmarks = ["it_maps"]', r"no set named 'embeded'. Did you mean embedded\?"),
        ('models = "timm:resnet18"', r'Give a list, such as \["one", "two"\]'),
        ("models = [1]", r"models is \[1\]. Give a list"),
        ('modells = ["timm:resnet18"]', r"unknown key modells. Did you mean models"),
        ("[model]\nname = 3", r"under \[\[model\]\]"),
        ("[[model]]\nname = 3", "model.name is 3. Give text"),
        ('[[model]]\nof_set = true\nname = "a"', "has no of_set"),
        ('benchmarks = ["it_maps"]\n[[model]]\nweights = "random"', "a model has no name"),
        ('benchmarks = ["it_maps"]\n[[model]]\nname = "timm:resnet18"\nseed = 1', 'Add weights = "random"'),
        ('benchmarks = ["it_maps"]\nmodels = ["a"]\nattribution = "gradients"', "Did you mean gradient"),
        ('benchmarks = ["it_maps"]\nmodels = ["a"]\nbatch_size = 0', "invalid value of batch_size"),
        ('benchmarks = ["it_maps"]\nmodels = ["a"]\nrandom_seeds = -1', "invalid value of random_seeds"),
        ('benchmarks = ["it_maps"]\nmodels = ["a"]\ncontrols = 1', "controls"),
        ('benchmarks = ["it_maps"]\nmodels = ["a"]\n[cluster]\nworkers = -1', "invalid value of cluster.workers"),
        (
            'benchmarks = ["it_maps"]\n[[model]]\nname = "timm:resnet18"\nlayers = ["a", "b"]\n'
            '[[model]]\nname = "timm:resnet18"\nlayers = ["b", "c"]',
            "twice with the same number of layers",
        ),
        ("models = ", "is not a TOML file"),
    ],
)
def test_a_mistake_is_answered_with_its_place(tmp_path, settings, message):
    file = tmp_path / "mine.toml"
    file.write_text(settings)
    with pytest.raises(UsageError, match=message) as refused:
        read_study(file)
    assert "mine.toml" in str(refused.value)


def test_a_study_that_is_not_there_is_answered_with_the_nearest_one():
    with pytest.raises(UsageError, match="Did you mean windows"):
        read_study("window")
    with pytest.raises(UsageError, match=r"none\.toml cannot be read"):
        read_study("none.toml")


@pytest.mark.parametrize(
    ("models", "cores", "memory", "cards", "chosen"),
    [
        (14, 8, 64, 0, (8, 1)),  # as many as there are cores
        (3, 8, 64, 0, (3, 2)),  # or models, which then take more cores each
        (14, 8, 10, 0, (4, 2)),  # or as hold one model each
        (14, 8, 1, 0, (1, 8)),  # never none
        (14, 8, 64, 2, (2, 4)),  # one for each GPU
    ],
)
def test_workers_are_chosen_for_the_machine(models, cores, memory, cards, chosen):
    workers = workers_for(ClusterConfig(), models, 2 * GB, cores, memory * GB, cards)
    assert workers[:2] == chosen
    assert workers.number * workers.threads <= cores
    assert workers.number * workers.memory <= memory * GB


def test_what_is_said_of_workers_is_not_chosen():
    asked = ClusterConfig(workers=5, threads=3, memory="3GB")
    assert workers_for(asked, 14, 2 * GB, 2, 4 * GB) == (5, 3, 3 * GB)
    assert str(Workers(1, 2, 3 * GB)) == "1 worker, each with 2 threads, 3.0 GB"
    with pytest.raises(UsageError, match="Write it as 8GB"):
        workers_for(ClusterConfig(memory="lots"), 1, GB, 1, GB)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (ClusterConfig(workers=-1), "number of workers cannot be -1"),
        (ClusterConfig(threads=-2), "number of threads cannot be -2"),
        (ClusterConfig(memory="2"), "2 bytes, is less than the 1 GB"),
        (ClusterConfig(scheduler="slurm", memory="8MB"), "8 MB, is less than the 1 GB"),
        (ClusterConfig(scheduler="slurm", walltime="an hour"), "'an hour' is not a time"),
        (ClusterConfig(memory="1000000GB"), "is more than the"),
        (ClusterConfig(threads=10**6), "are more than the"),
    ],
)
def test_settings_with_which_no_worker_starts_are_refused_before_anything_is_planned(config, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        sweep("embedded", tmp_path / "out", cluster=config)
    assert not (tmp_path / "out").exists()


def test_other_machines_may_have_more_memory_and_cores():
    check_cluster(ClusterConfig(scheduler="slurm", memory="4TB", threads=1000, walltime="2-00:00:00"), "cuda:7")
    check_cluster(ClusterConfig(scheduler="tls://node:8786", threads=1000))


def test_many_workers_must_have_memory_each():
    with (
        pytest.raises(UsageError, match=r"100000 workers leave \d+ (bytes|MB) of memory for each.*Give fewer"),
        connected(ClusterConfig(workers=10**5), 10**5, GB, "cpu"),
    ):
        pass
    assert workers_for(ClusterConfig(workers=500), 3, GB, 8, 64 * GB).number == 3


@pytest.mark.enable_socket
def test_a_worker_has_at_most_the_threads_of_the_environment(monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    machine = {"models": 1, "worker_bytes": GB, "cores": 8, "memory": 64 * GB}
    for variable, value, threads in (("OMP", "1", 1), ("MKL", "2", 2), ("OPENBLAS", "3,2", 3), ("OMP", "64", 8),
                                     ("OMP", "many", 8), ("OMP", "0", 8), ("OMP", "", 8)):  # fmt: skip
        with monkeypatch.context() as changed:
            changed.setenv(f"{variable}_NUM_THREADS", value)
            most = threads_of_environment()
            assert workers_for(ClusterConfig(), **machine, most_threads=most).threads == threads
            assert workers_for(ClusterConfig(threads=4), **machine, most_threads=most).threads == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with connected(ClusterConfig(workers=1), 1, GB, "cpu") as (_, workers):
        assert workers.threads == 1


CTRL_C = """
import signal, sys
from brainscore_itmaps import UsageError
from brainscore_itmaps.study.cluster import connected
from brainscore_itmaps.study.config import ClusterConfig

before = signal.getsignal(signal.SIGINT)
try:
    with connected(ClusterConfig(scheduler="slurm"), 1, 1e9, "cpu"):
        pass
except UsageError:
    print(signal.getsignal(signal.SIGINT) is before, "dask_jobqueue" in sys.modules)
"""


def test_slurm_leaves_ctrl_c_as_it_was():
    """dask-jobqueue replaces it when it is imported: Ctrl-C then ended with exit code 0."""
    assert new_python("-c", CTRL_C).stdout == "True True\n"


def test_slurm_is_told_what_its_jobs_need(monkeypatch):
    with (
        pytest.raises(UsageError, match='memory = "8GB"'),
        connected(ClusterConfig(scheduler="slurm"), 1, GB, "cpu"),
    ):
        pass
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(InstallationError, match="sbatch, which submits jobs to SLURM, is not on this machine"),
        connected(ClusterConfig(scheduler="slurm", memory="8GB"), 1, GB, "cpu"),
    ):
        pass
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with (
        pytest.raises(InstallationError, match=r"brainscore_itmaps\[slurm\]"),
        connected(ClusterConfig(scheduler="slurm", memory="8GB"), 1, GB, "cpu"),
    ):
        pass


def keys(settings, out):
    return [run.key for work in plan(study_of(SMALL | settings), out).work for run in work.to_do + work.done]


def test_a_key_is_made_of_all_that_changes_a_result_and_of_nothing_else(tmp_path):
    own = keys({}, tmp_path)
    random = [{"name": "timm:test_resnet", "weights": "random", "seed": seed} for seed in (0, 1)]
    others = [
        {"models": ["timm:test_vit"]},
        {"benchmarks": ["it_maps_alignment_simulated"]},
        {"windows": ["50-100"]},
        {"windows": ["50-150"]},
        {"layers": ["layer3"]},
        {"layers": ["all"]},
        {"attribution": "smoothgrad"},
        {"protocol": "published"},
        {"controls": False},
        {"random_seeds": 2},
        {"models": [], "model": random[:1]},
        {"models": [], "model": random[1:]},
    ]
    different = [own, *(keys(settings, tmp_path) for settings in others)]
    assert len({key for each in different for key in each}) == len(different)
    for settings in ({"batch_size": 3}, {"device": "cpu"}, {"cluster": {"workers": 7}}):
        assert keys(settings, tmp_path) == own


def test_a_file_of_weights_is_known_by_what_is_in_it(tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"one")
    asked = {"models": [], "model": [{"name": str(file), "arch": "resnet18"}]}
    first = keys(asked, tmp_path)
    file.write_bytes(b"two")
    assert keys(asked, tmp_path) != first


def test_the_key_of_a_checkpoint_and_its_name_are_part_of_a_study(tmp_path):
    file = tmp_path / "best.PTH"
    file.write_bytes(b"one")
    tables = [{"name": str(file), "arch": "torchvision:resnet18"} | more
              for more in ({}, {"state_key": "model_ema"}, {"label": "ours"})]  # fmt: skip
    different = [keys({"models": [], "model": [table]}, tmp_path) for table in tables]
    assert len({key for each in different for key in each}) == 3
    titles = [choice.title for choice in study_of(SMALL | {"models": [], "model": tables}).model]
    assert titles == [str(file), f"{file} (model_ema)", "ours"]
    with pytest.raises(UsageError, match="is not a weight file"):
        plan(study_of(SMALL | {"models": [], "model": [{"name": "timm:test_vit", "state_key": "model"}]}), tmp_path)


def test_a_folder_of_transformers_is_known_by_what_is_in_it(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "vit").mkdir()
    (tmp_path / "vit" / "config.json").write_text("{}")
    asked = {"models": [f"hf:{tmp_path / 'vit'}"]}
    first = keys(asked, tmp_path)
    (tmp_path / "vit" / "model.safetensors").write_bytes(b"two")
    assert keys(asked, tmp_path) != first


def test_code_of_a_users_is_always_run(tmp_path):
    (tmp_path / "mine.py").write_text("def build(): pass")
    assert keys({"models": [f"{tmp_path / 'mine.py'}:build"]}, tmp_path) == [""]


def test_windows_are_asked_of_recordings_alone(tmp_path, own_home):
    fetched_val(tmp_path / "usb")
    load_recording("it_maps_simulated").save(tmp_path / "own")
    benchmarks = ["it_maps_simulated", HUMAN_ALIGNMENT, "MajajHong2015public.IT-pls", str(tmp_path / "own")]
    planned = plan(study_of(SMALL | {"benchmarks": benchmarks, "windows": ["own", "50-100"]}), tmp_path)
    asked = [(run.benchmark, run.window) for run in planned.work[0].to_do]
    assert asked == [(benchmarks[0], ""), (benchmarks[0], "50-100"), *((each, "") for each in benchmarks[1:])]
    assert len({run.key for run in planned.work[0].to_do}) == 5


def test_a_benchmark_that_cannot_be_had_is_told_with_its_reason_and_the_rest_is_there(tmp_path, own_home):
    study = study_of(SMALL | {"benchmarks": ["it_maps_simulated", "it_maps", HUMAN_ALIGNMENT], "windows": ["51-99"]})
    planned = plan(replace(study, windows=("own", "51-99")), tmp_path, fetch=False)
    assert [(run.benchmark, run.window) for run in planned.work[0].to_do] == [("it_maps_simulated", "")]
    assert "in bins of 50 ms" in planned.unreachable["it_maps_simulated", "51-99"]
    assert "downloads them when it is run" in planned.unreachable["it_maps", ""]
    assert "fetch clickme --split val" in planned.unreachable[HUMAN_ALIGNMENT, ""]


def test_a_mistyped_name_is_refused_and_one_of_a_set_is_left_for_its_turn(tmp_path):
    with pytest.raises(ModelError, match="Did you mean"):
        plan(study_of(SMALL | {"models": ["timm:resnet1"]}), tmp_path)
    with pytest.raises(UsageError, match="Did you mean"):
        plan(study_of(SMALL | {"benchmarks": ["it_map_simulated"]}), tmp_path)
    study = replace(study_of(SMALL), model=(ModelChoice("timm:not_in_timm", of_set=True),))
    assert len(plan(study, tmp_path).to_do) == 1


def test_estimates_grow_with_the_model(tmp_path):
    planned = plan(study_of(SMALL | {"models": ["timm:resnet18", "timm:vgg16", "harmonized_resnet50"]}), tmp_path)
    small, large, ours = planned.work
    assert (small.parameters, large.parameters, ours.parameters) == (11_690_000, 138_360_000, 25_557_032)
    assert large.seconds > ours.seconds > small.seconds > 0
    assert planned.memory > 8 * large.parameters


def test_the_former_names_of_keys_are_read_with_a_warning():
    now = {"benchmarks": ["it_maps"], "models": ["timm:resnet18"], "model": [{"name": "a", "weights": "random"}]}
    before = {"benchmarks": now["benchmarks"], "networks": now["models"], "network": now["model"]}
    with pytest.warns(FutureWarning, match="network is now called model"):
        same = study_of(before) == study_of(now)
    assert same
    with pytest.warns(FutureWarning), pytest.raises(UsageError, match="network is the former name of model"):
        study_of(before | {"model": now["model"]})
