"""The page of a comparison in a headless Chromium, with the network off."""

import json
import re

import pytest
from browsers import LOWEST_CONTRAST, browser, chromium, opened  # noqa: F401  # fixtures
from shown import changed, narrow, without_score
from studies import NAMES, human, in_windows, planted, theirs

from brainscore_itmaps import compare
from brainscore_itmaps.models.spec import Weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    results = planted((*NAMES[:3], NAMES[4], NAMES[7]), ("vgg16",))
    (folder / "human.json").write_text(json.dumps(human(results[0], 0.4)))
    return compare([folder, *results, *in_windows(NAMES[:2], ())[:2]], folder / "out", draws=20)


def in_two_arrays(result, layer=None, **given):
    """The result on a simulated array and, made up, on a recorded one, from one layer if it is named."""
    (array,) = result.arrays
    array = changed(array, layer_of_image=(layer,) * len(array.images)) if layer else array
    second = changed(narrow(array), recording="lab.monkey3", score=array.score - 0.1, interval=(array.score - 0.2, 0.6))
    return changed(result, benchmark="lab_mixed", arrays=(array, second), citations=("", array.citation), **given)


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """Long names, several layers, weights and seeds of one model, a model without a score, and recorded arrays, too."""
    folder = tmp_path_factory.mktemp("hard")
    names = ("vit_base_patch16_clip_quickgelu_224.openai", "convnextv2_huge.fcmae_ft_in22k_in1k_384", *NAMES)
    results = planted(names, ("vgg16",))
    first = next(result for result in results if "resnet50" in result.model)
    files = [Weights("file", path=f"/home/lab/{name}.pt", source=f"sha256 {name}", sha256=f"{number}" * 64)
             for number, name in enumerate(("epoch30", "epoch90"))]  # fmt: skip
    (folder / "theirs.json").write_text(json.dumps(theirs(first.model, 0.5)))
    return compare(
        [
            folder,
            *map(in_two_arrays, results),
            in_two_arrays(first, "layer2"),
            *(in_two_arrays(first, weights=Weights("random", seed=seed, sha256=f"{seed}" * 64)) for seed in (1, 2)),
            *(in_two_arrays(first, weights=weights, imagenet_top1=None) for weights in files),
            in_two_arrays(without_score(changed(first, model="mine"))),
        ],
        folder / "out",
        maps=False,
        draws=20,
    )


def visible_rows(page):
    return page.locator("#results tbody tr:visible")


def column(page, number):
    return visible_rows(page).locator(f"td:nth-child({number})").all_inner_texts()


def test_the_table_sorts_upward_and_downward_by_mouse_and_keyboard(opened, study):  # noqa: F811
    page = opened(study.page)
    head = page.locator("#results th").nth(1)
    assert head.inner_text() == "score"
    head.locator("button").click()
    scores = [float(text) for text in column(page, 2)]
    assert scores == sorted(scores)
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")  # the button has the focus
    scores = [float(text) for text in column(page, 2)]
    assert scores == sorted(scores, reverse=True)
    head = page.locator("#results th", has_text="top-1")
    head.locator("button").click()
    accuracies = [text for text in column(page, 1 + head.evaluate("head => head.cellIndex")) if text]
    assert [float(text) for text in accuracies] == sorted(float(text) for text in accuracies)
    page.locator("#columns summary").click()
    page.get_by_label("human alignment").check()
    head = page.locator("#results th", has_text="human alignment")
    head.locator("button").click()
    values = column(page, 1 + head.evaluate("head => head.cellIndex"))
    assert "" in values  # nothing comes last
    assert [bool(text) for text in values] == sorted(map(bool, values), reverse=True)
    assert page.trouble == []


def test_the_table_filters_and_the_scatter_with_it(opened, study):  # noqa: F811
    page = opened(study.page)
    rows = len(study.table.rows)
    assert page.locator("#shown").inner_text() == f"{rows} of {rows} rows"
    page.locator("#words").fill("harmonized vgg16")
    assert {re.split(",| SIM", name)[0] for name in column(page, 1)} == {"harmonized_vgg16"}
    page.locator("#words").fill("")
    page.locator('[data-filter="group"]').select_option("transformer")
    wanted = study.table.rows[study.table.rows["group"] == "transformer"]
    assert page.locator("#shown").inner_text() == f"{len(wanted)} of {rows} rows"
    bright = page.locator(".scatter:visible .point:not(.off)")
    assert bright.count() == (wanted["asked"] == "").sum()
    page.locator('[data-filter="window"]').select_option("50-100")
    assert visible_rows(page).count() == 0
    assert page.trouble == []


def test_a_point_opens_the_maps_of_its_model(opened, study):  # noqa: F811
    page = opened(study.page)
    point = page.locator('.scatter:visible a.point[aria-label^="harmonized_vgg16"]')
    assert "top-1 77.0 %" in point.get_attribute("aria-label")
    point.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/maps/*.html")
    assert page.locator("h1").inner_text() == "harmonized_vgg16 on it_maps_simulated"
    assert page.locator('[data-part="overlay"]').is_visible()
    assert page.trouble == []


def test_another_panel_is_chosen(opened, study):  # noqa: F811
    page = opened(study.page)
    assert page.locator(".scatter:visible").count() == 1
    page.locator("#panel").select_option(label="it_maps_simulated 50-100")
    assert "it_maps_simulated 50-100" in page.locator(".scatter:visible figcaption").inner_text()


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen_and_can_be_read(opened, hard, width, scheme):  # noqa: F811
    page = opened(hard.page, width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    contrast, text = page.evaluate(LOWEST_CONTRAST)
    assert contrast >= 4.5, text
    edges = page.locator("#results").evaluate("table => [table.getBoundingClientRect().left, innerWidth]")
    assert edges[0] <= 0.05 * edges[1]  # the width is used


@pytest.mark.parametrize("width", [1280, 1920])
def test_score_and_interval_come_first_and_the_table_fits_its_box(opened, hard, width):  # noqa: F811
    page = opened(hard.page, width=width)
    heads = page.locator("#results th:visible").all_inner_texts()
    assert [" ".join(head.split()) for head in heads[:3]] == ["model", "score", "95 % interval"]
    assert {"raw", "ceiling", "layer", "benchmark", "array"} <= set(heads)
    tables = page.locator(".wide:has(table)").evaluate_all(
        "boxes => boxes.map(box => [box.scrollWidth, box.clientWidth])"
    )
    assert all(table <= box for table, box in tables), tables
    row = hard.table.rows.iloc[0]
    assert column(page, 3)[0] == f"{row['low']:.3f} to {row['high']:.3f}"


def test_rows_have_different_names_and_exactly_the_simulated_ones_are_marked(opened, hard):  # noqa: F811
    page = opened(hard.page)
    names = page.locator("#results tbody .name").evaluate_all(
        "cells => cells.map(cell => [...cell.childNodes].filter(node => node.className !== 'mark')"
        ".map(node => node.textContent).join('').trim())"
    )
    assert len(set(names)) == len(names) == len(hard.table.rows)
    assert {"timm:resnet50.a1_in1k (random (seed 1)), lab.monkey3", "timm:resnet50.a1_in1k (random (seed 2)), mean",
            "timm:resnet50.a1_in1k, epoch90.pt, lab.monkey3"} <= set(names)  # fmt: skip
    assert any(name.endswith("lab.monkey3, layer2") for name in names)
    marks = [(row.locator(".mark").all_inner_texts() or [""])[0] for row in page.locator("#results tbody tr").all()]
    expected = {"it_maps_simulated": "SIMULATED", "lab.monkey3": "", "mean": "partly SIMULATED"}
    assert marks == [expected.get(array, "") for array in hard.table.rows["array"]]
    assert {*marks} == {*expected.values()}
    simulated, means = marks.count("SIMULATED"), marks.count("partly SIMULATED")
    said = f"{simulated} of {len(marks)} rows are of SIMULATED recordings, and {means} are means over arrays"
    assert said in page.locator(".simulated").inner_text()


def test_a_column_is_chosen_with_the_keyboard_and_stays_in_the_address(opened, hard):  # noqa: F811
    page = opened(hard.page)
    head = page.locator("#results th", has_text="unique")
    assert head.is_hidden()
    page.locator("#columns summary").focus()
    page.keyboard.press("Enter")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "unique":
            break
    page.keyboard.press("Space")
    assert head.is_visible()
    cell = 1 + head.evaluate("head => head.cellIndex")
    assert column(page, cell)[0] == f"{hard.table.rows['unique'].iloc[0]:.3f}"
    page.get_by_label("raw", exact=True).uncheck()
    page.reload()
    assert page.locator("#results th", has_text="unique").is_visible()
    assert page.locator("#results").get_by_role("columnheader", name="raw", exact=True).count() == 0
    assert page.trouble == []


def test_every_interval_is_a_bar_within_the_axes(opened, hard):  # noqa: F811
    page = opened(hard.page)
    for number, panel in enumerate(page.locator(".scatter").all()):
        page.evaluate("number => { panel.value = number; show(); }", str(number))
        inside = panel.evaluate("""figure => {
          const [x, y] = [...figure.querySelectorAll(".axis line")].map(line => line.getBBox());
          return [...figure.querySelectorAll(".bar, .point path")].map(mark => {
            const box = mark.getBBox(), at = mark.transform.baseVal[0]?.matrix ?? {e: 0, f: 0};
            return box.x + at.e >= x.x && box.x + box.width + at.e <= x.x + x.width &&
              box.y + at.f >= y.y && box.y + box.height + at.f <= y.y + y.height;
          });
        }""")
        bars, points = panel.locator(".bar").count(), panel.locator(".point").count()
        assert all(inside)
        assert points
        with_interval = panel.locator("title").filter(has_text=re.compile(r"\d to -?\d")).count()
        assert bars == with_interval
        assert len(inside) == bars + points
    assert page.locator(".bar").count() > 20


def test_exactly_the_models_that_are_not_in_the_scatter_are_said_to_be_left_out(opened, hard):  # noqa: F811
    page = opened(hard.page)
    panel = page.locator(".scatter").first
    left_out = [name for text in panel.locator(".left-out").all_inner_texts() for name in text.split("; ")]
    rows = hard.table.rows[hard.table.rows["array"] == "it_maps_simulated"]
    drawn = {int(point.get_attribute("data-row")) for point in panel.locator(".point").all()}
    absent = rows[~rows.index.isin(drawn)]
    assert set(absent.index) == set(rows.index[rows["imagenet_top1"].isna() | rows["score"].isna()])
    assert len(left_out) == len(absent) == 3
    assert left_out == ["timm:resnet50.a1_in1k, epoch30.pt", "timm:resnet50.a1_in1k, epoch90.pt", "mine"]


def test_no_bullet_is_empty_and_what_to_cite_is_complete(opened, hard):  # noqa: F811
    page = opened(hard.page)
    assert all(text.strip() for text in page.locator("li").all_inner_texts())
    cited = page.locator(".cite").inner_text()
    for doi in ("10.7554/eLife.53798", "10.48550/arXiv.2306.03779", "10.1016/j.neuron.2020.07.040", "10.1101/407007",
                "10.5281/zenodo.4414861"):  # fmt: skip
        assert doi in cited
    assert "@software{brainscore_itmaps" in cited


def test_without_javascript_every_panel_row_and_figure_is_there(opened, study):  # noqa: F811
    page = opened(study.page, java_script_enabled=False)
    assert page.locator("#filters").is_hidden()
    assert visible_rows(page).count() == len(study.table.rows)
    assert page.locator(".scatter").count() == page.locator(".scatter:visible").count() > 1
    images = page.locator("figure img")
    assert images.count() == len(list((study.page.parent / "figures").glob("*.svg")))


def test_a_hostile_name_runs_nothing(opened, tmp_path):  # noqa: F811
    name = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    results = [changed(result, model=f"{name}{number}") for number, result in enumerate(planted()[:3])]
    page = opened(compare(results, tmp_path / "out", maps=False, draws=20).page)
    assert name in page.locator("#results").inner_text()
    assert page.title() != "run"
    assert page.trouble == []
