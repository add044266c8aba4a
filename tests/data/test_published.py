"""Published tables: fetched from pinned commits, and read with every cell checked. All numbers are made up."""

import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_server import send, server
from made_up_tables import CEILING, PATHS, made_up_tables, models, planted, write_tables
from made_up_tables import accuracies as top1_of

from brainscore_itmaps.data.published import fetch_published, published_files, published_folder
from brainscore_itmaps.data.published_tables import (
    read_accuracies,
    read_adversarial,
    read_brain_score,
    read_coded,
    read_majaj,
    read_published_maps,
)
from brainscore_itmaps.errors import DataError, InstallationError, ItMapsError

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
MAPS = PATHS["neural_alignment_george_central_it_131_170.csv"]
READERS = {
    MAPS: read_published_maps,
    PATHS["large_scale_results_hmn.csv"]: read_accuracies,
    PATHS["adversarial_alignment_L2FMNAttack.csv"]: read_adversarial,
    PATHS["benchmark_scores.csv"]: read_brain_score,
    PATHS["brainscore_coded.csv"]: read_coded,
    PATHS["brainscore_MajajHong2015public_IT.csv"]: read_majaj,
}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


def serving(tables, broken=()):
    """A server with the paths of the published files; files in ``broken`` end in their middle."""

    def answer(handler, number):
        _, owner, name, commit, *path = handler.path.split("/")
        content = tables["/".join(path)].encode()
        assert (owner, name, commit) in {(*file.repository.split("/"), file.commit) for file in published_files()}
        if "/".join(path) in broken:
            send(handler, content[:50], length=len(content))
        else:
            send(handler, content)

    return server(answer)


def address(running):
    return running.url.removesuffix("/file.zip")


def test_the_list_names_25_files_of_three_commits_once_each():
    files = published_files()
    assert len(files) == len({file.path for file in files}) == 25
    assert len({(file.repository, file.commit) for file in files}) == 3
    assert all(re.fullmatch("[0-9a-f]{40}", file.commit) for file in files)
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in files)
    assert sum("shifted" in file.name for file in files) == 5


def test_all_files_are_downloaded_once(made_up):
    steps = []
    with serving(made_up) as running:
        fetched = fetch_published(url=address(running), progress=lambda *step: steps.append(step))
        assert fetch_published(url=address(running)) == []
    assert len(fetched) == len(running.asked) == 25
    assert steps[-1] == ("downloading the published tables, files", 25, 25)
    for path, text in made_up.items():
        assert (published_folder() / path).read_text(encoding="utf-8") == text


def test_a_cut_connection_keeps_what_arrived_and_the_next_download_resumes(made_up):
    files = [file.path for file in published_files()]
    with serving(made_up, broken=files[7:8]) as running, pytest.raises(InstallationError):
        fetch_published(url=address(running))
    assert [(published_folder() / path).exists() for path in files] == [True] * 7 + [False] * 18
    with serving(made_up) as running:
        assert [file.path for file in fetch_published(url=address(running))] == files[7:]
    assert len(running.asked) == 18


def test_a_file_that_changed_upstream_is_refused_by_name(made_up):
    changed = made_up | {MAPS: made_up[MAPS].replace("0.1\n", "0.2\n", 1)}
    with serving(changed) as running, pytest.raises(DataError, match=r"neural_alignment_george_central_it_131_170"):
        fetch_published(url=address(running))
    assert not (published_folder() / MAPS).exists()


def test_a_stored_file_that_changed_is_downloaded_again(made_up, stored_tables):
    (stored_tables / MAPS).write_text("changed", encoding="utf-8")
    with serving(made_up) as running:
        assert [file.path for file in fetch_published(url=address(running))] == [MAPS]
    assert len(running.asked) == 1


def test_offline_names_what_is_missing_and_needs_nothing_when_all_is_there(made_up):
    with pytest.raises(DataError, match=r"25 of 25 files of the published tables .*offline.*data fetch published"):
        fetch_published(offline=True)
    write_tables(published_folder(), made_up)
    assert fetch_published(offline=True) == []


def test_copies_are_found_in_a_folder_whatever_their_names(made_up, tmp_path):
    copies = write_tables(tmp_path / "copies", made_up)
    (copies / MAPS).rename(copies / "renamed.csv")
    assert len(fetch_published(folder=copies)) == 25
    assert (published_folder() / MAPS).read_text(encoding="utf-8") == made_up[MAPS]


def test_a_missing_copy_is_named(made_up, tmp_path):
    copies = write_tables(tmp_path / "copies", made_up)
    (copies / MAPS).unlink()
    with pytest.raises(DataError, match=r"24 files were copied .*neural_alignment_george_central_it_131_170"):
        fetch_published(folder=copies)


def test_scores_on_the_recordings_become_one_tidy_table(stored_tables):
    maps = read_published_maps()
    assert len(maps) == 20 * 40
    assert set(maps["array"]) == {"monkey1_PL", "monkey1_ML", "monkey2_ML"}
    assert maps.groupby("array")["sites"].unique().map(list).to_dict() == {
        "monkey1_ML": [31], "monkey1_PL": [32], "monkey2_ML": [32]
    }  # fmt: skip
    assert set(maps.loc[maps["shifted"], "array"]) == {"monkey2_ML"}
    assert maps["shifted"].sum() == 5 * 40
    np.testing.assert_allclose(maps["score"], maps["raw"] / CEILING)
    one = maps[(maps["array"] == "monkey1_ML") & (maps["window"] == "followup_131_170")]
    assert list(one["model"]) == models(40)
    assert list(one["layer"]) == [f"blocks.{row}" for row in range(40)]
    np.testing.assert_allclose(one["score"], planted(top1_of(40)), atol=0.01)


def test_brain_score_in_fractions_becomes_percent_and_x_becomes_absent(stored_tables):
    table = read_brain_score()
    assert len(table) == 42  # names may repeat
    assert table["top1"].iloc[:2].tolist() == pytest.approx([50.0, 50.8])
    assert table.iloc[40][["top1", "Sanghavi2020"]].isna().all()
    assert table.iloc[40]["MajajHong2015"] == 0.508
    assert np.isnan(table.iloc[41]["SanghaviMurty2020"])
    assert read_coded()["top1"].iloc[1] == pytest.approx(50.9)


def rows_of(text):
    return text.splitlines(keepends=True)


def test_identical_rows_are_dropped(made_up, tmp_path):
    lines = rows_of(made_up[MAPS])
    made_up[MAPS] = "".join([*lines, lines[3]])
    maps = read_published_maps(write_tables(tmp_path / "tables", made_up))
    assert len(maps) == 20 * 40


def test_different_rows_of_a_model_are_refused_with_both_rows(made_up, tmp_path):
    lines = rows_of(made_up[MAPS])
    made_up[MAPS] = "".join([*lines, lines[3].replace("blocks.2", "blocks.9")])
    with pytest.raises(DataError, match=r"131_170\.csv: rows 4 and 42 of made_up_2\.in1k differ"):
        read_published_maps(write_tables(tmp_path / "tables", made_up))


def cell(text, row, column, value):
    """Change one cell; columns are counted from the right, because shapes contain commas."""
    lines = rows_of(text)
    cells = lines[row].rstrip("\n").split(",")
    cells[column] = value
    return "".join([*lines[:row], ",".join(cells) + "\n", *lines[row + 1 :]])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: cell(text, 6, -2, "abc"), r"row 7, column brain_score: 'abc' is not a number"),
        (lambda text: cell(text, 6, -2, "nan"), r"row 7, column brain_score: nan is not between -1 and 1"),
        (lambda text: cell(text, 6, -2, "1.5"), r"row 7, column brain_score: 1\.5 is not between -1 and 1"),
        (lambda text: cell(text, 6, -2, ""), r"row 7, column brain_score: '' is not a number"),
        (lambda text: cell(text, 2, -3, "0"), r"row 3, column ceiling_score: 0 is not between 0\.01 and 1"),
        (lambda text: cell(text, 2, -1, "-0.1"), r"row 3, column brain_score_std"),
        (lambda text: cell(text, 2, -4, " "), r"row 3, column layer_name is empty"),
        (lambda text: cell(text, 2, 0, ""), r"row 3, column model_name is empty"),
        (lambda text: cell(text, 2, -5, "171"), r"contains 171\.0 where its name says 170\.0"),
        (lambda text: text.replace("george_central_it", "red_central_it"), r"contains red_central_it where its name"),
        (lambda text: text.replace("(14, 17, 17, 31)", "(14, 17, 9, 31)"), r"response_shape is '\(14, 17, 9, 31"),
        (lambda text: text.replace("(14, 17, 17, 31)", "(14, 17, 17, 30)", 1), r"30\)' and 1 others, not one shape"),
        (lambda text: text.replace("brain_score_std", "brain_score"), r"has no column brain_score_std"),
        (lambda text: text.replace("stimuli_shape", "brain_score"), r"has two columns brain_score"),
        (lambda text: text + "a,b\n", r"row 42 has 2 cells, but there are 10 columns"),
        (lambda text: rows_of(text)[0], r"has no rows"),
        (lambda text: "", r"has no rows"),
        (lambda text: text + '"unclosed', r"cannot be read as a CSV table"),
    ],
)  # fmt: skip
def test_an_invalid_table_is_refused_with_file_row_and_column(made_up, tmp_path, change, said):
    made_up[MAPS] = change(made_up[MAPS])
    folder = write_tables(tmp_path / "tables", made_up)
    with pytest.raises(DataError, match=rf"george_central_it_131_170\.csv.*{said}"):
        read_published_maps(folder)


def test_bytes_that_are_not_text_and_missing_files_are_refused(stored_tables):
    (stored_tables / MAPS).write_bytes(b"model_name\xff\xfe,")
    with pytest.raises(DataError, match="cannot be read as a CSV table"):
        read_published_maps(stored_tables)
    with pytest.raises(DataError, match="is missing, or is not the published file"):  # one that was changed after it
        read_published_maps()
    (stored_tables / MAPS).unlink()
    with pytest.raises(DataError, match=r"is missing\. Run `brainscore data fetch published`"):
        read_published_maps(stored_tables)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """Small tables of three models, in a folder whose files a test overwrites."""
    tables = made_up_tables(number=8)
    return write_tables(tmp_path_factory.mktemp("fuzzed"), tables), tables


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.rpartition("/")[2])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_a_table_or_an_error_of_this_package(fuzzed, path, data):
    folder, tables = fuzzed
    content = tables[path].encode()
    if data.draw(st.booleans(), "random"):
        changed = data.draw(st.binary(max_size=200))
    else:
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 40)))
        frequent = st.sampled_from([b"X", b"nan", b'"', b"\n", b",", b"1e9", b"-"])
        inserted = data.draw(st.one_of(st.binary(max_size=9), frequent))
        changed = content[:start] + inserted + content[stop:]
    (folder / path).write_bytes(changed)
    with suppress(ItMapsError):  # any other error fails the test
        assert len(READERS[path](folder))
    (folder / path).write_bytes(content)
