"""The page of a comparison in a headless Chromium, with the network off."""

import json

import pytest
from browsers import browser, chromium, opened  # noqa: F401  # fixtures
from shown import changed
from studies import NAMES, human, in_windows, planted

from brainscore_itmaps import compare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    results = planted((*NAMES[:3], NAMES[4], NAMES[7]), ("vgg16",))
    (folder / "human.json").write_text(json.dumps(human(results[0], 0.4)))
    return compare([folder, *results, *in_windows(NAMES[:2], ())[:2]], folder / "out", draws=20)


def visible_rows(page):
    return page.locator("#results tbody tr:visible")


def column(page, number):
    return visible_rows(page).locator(f"td:nth-child({number})").all_inner_texts()


def test_the_table_sorts_upward_and_downward_by_mouse_and_keyboard(opened, study):  # noqa: F811
    page = opened(study.page)
    head = page.locator("#results th").nth(9)
    assert head.inner_text() == "score"
    head.locator("button").click()
    scores = [float(text) for text in column(page, 10)]
    assert scores == sorted(scores)
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")  # the button has the focus
    scores = [float(text) for text in column(page, 10)]
    assert scores == sorted(scores, reverse=True)
    page.locator("#results th").nth(2).locator("button").click()
    accuracies = [text for text in column(page, 3) if text]
    assert [float(text) for text in accuracies] == sorted(float(text) for text in accuracies)
    page.locator("#results th").nth(13).locator("button").click()  # nothing comes last
    assert [bool(text) for text in column(page, 14)] == sorted((bool(text) for text in column(page, 14)), reverse=True)
    assert page.trouble == []


def test_the_table_filters_and_the_scatter_with_it(opened, study):  # noqa: F811
    page = opened(study.page)
    rows = len(study.table.rows)
    assert page.locator("#shown").inner_text() == f"{rows} of {rows} rows"
    page.locator("#words").fill("harmonized vgg16")
    assert set(column(page, 1)) == {"harmonized_vgg16"}
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


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen(opened, study, width, scheme):  # noqa: F811
    page = opened(study.page, width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


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
