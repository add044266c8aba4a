"""The page in a headless Chromium, with the network off."""

from dataclasses import replace

import numpy as np
import pytest
from browsers import LOWEST_CONTRAST, browser, chromium, opened  # noqa: F401  # fixtures
from PIL import Image
from shown import changed, images, scored, two_arrays

from brainscore_itmaps.benchmark.request import AttackRequest
from brainscore_itmaps.bridge.score import score
from brainscore_itmaps.reporting.attack_page import attack_page
from brainscore_itmaps.reporting.drawing import value_range
from brainscore_itmaps.reporting.report import report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    written = tmp_path_factory.mktemp("page") / "report.html"
    written.write_text(report(two_arrays(), [images(), images()]), encoding="utf-8")
    return written


def part(page, name, array=0):
    return page.locator(".array").nth(array).locator(f'[data-part="{name}"]')


def drawn(page, name):
    return part(page, name).evaluate("canvas => canvas.toDataURL()")


def values_at_pointer(page, array=0):
    line = part(page, "readout", array)
    return [float(line.get_attribute(f"data-{name}")) for name in ("recorded", "predicted")]


@pytest.mark.parametrize(("image", "site"), [(0, None), (5, None), (5, 7)])
def test_hovered_values_are_those_of_the_result(opened, image, site, file):  # noqa: F811
    page, array = opened(file), scored().arrays[0]
    part(page, "thumbnails").locator("button").nth(image).click()
    if site is not None:
        part(page, "site").select_option(label=array.sites[site])
    y, x = 3, 11
    for name in ("overlay", "recorded", "predicted", "difference"):
        canvas = part(page, name)
        box = canvas.bounding_box()
        canvas.hover(position={"x": box["width"] * (x + 0.5) / 17, "y": box["height"] * (y + 0.5) / 17})
        maps = array.neural[image, y, x], array.predicted[image, y, x]
        expected = [values.mean() if site is None else values[site] for values in maps]
        assert values_at_pointer(page) == pytest.approx(expected, rel=1e-5)
    text = part(page, "readout").inner_text()
    assert f"{array.degrees_x[x]:g}° right, {-array.degrees_y[y]:g}° up" in text
    assert f"simulated {expected[0]:.2f}, predicted {expected[1]:.2f}" in text
    assert page.trouble == []


def test_another_image_changes_the_image_and_both_maps(opened, file):  # noqa: F811
    page = opened(file)
    names = ("overlay", "recorded", "predicted", "difference")
    page.wait_for_function("[...document.querySelectorAll('.thumbnails img')].every(image => image.complete)")
    before = {name: drawn(page, name) for name in names}
    part(page, "thumbnails").locator("button").nth(8).click()
    assert part(page, "name").inner_text() == scored().arrays[0].images[8]
    assert all(drawn(page, name) != before[name] for name in names)
    part(page, "strength").fill("0")
    image = drawn(page, "overlay")
    part(page, "strength").fill("100")
    assert drawn(page, "overlay") not in (image, before["overlay"])
    assert drawn(page, "overlay") == drawn(page, "recorded")
    assert page.trouble == []


def test_the_colours_are_where_the_values_are(opened, file):  # noqa: F811
    """The darkest tile of the drawn maps is their lowest value, at its row and column; what lies beyond is said."""
    page, array = opened(file), scored().arrays[0]
    maps = {"recorded": array.neural[0].mean(axis=-1), "predicted": array.predicted[0].mean(axis=-1)}
    name = min(maps, key=lambda each: maps[each].min())
    lowest = np.unravel_index(maps[name].argmin(), maps[name].shape)
    low, high = value_range(*maps.values())
    assert part(page, "low").inner_text() == f"{low:.1f}"
    assert part(page, "high").inner_text() == f"{high:.1f}"
    share = np.mean([(values < low) | (values > high) for values in maps.values()])
    assert part(page, "beyond").inner_text() == f"{100 * share:.1f} % of the values lie beyond"
    pixel = "(canvas, [y, x]) => [...canvas.getContext('2d').getImageData((x + .5) * canvas.width / 17, "
    pixel += "(y + .5) * canvas.height / 17, 1, 1).data].slice(0, 3)"
    assert part(page, name).evaluate(pixel, [int(place) for place in lowest]) == [68, 1, 84]  # viridis' first


def test_the_keyboard_is_enough(opened, file):  # noqa: F811
    page, array = opened(file), scored().arrays[0]
    part(page, "recorded").focus()
    page.keyboard.press("ArrowLeft")  # from the centre
    page.keyboard.press("ArrowUp")
    assert values_at_pointer(page)[0] == pytest.approx(array.neural[0, 7, 7].mean(), rel=1e-5)
    page.locator("[role=tab]").first.focus()
    page.keyboard.press("ArrowRight")
    assert [page.locator(".array").nth(number).is_visible() for number in (0, 1)] == [False, True]
    part(page, "predicted", 1).focus()
    page.keyboard.press("ArrowDown")
    second = two_arrays().arrays[1]
    assert values_at_pointer(page, 1)[1] == pytest.approx(second.predicted[0, 9, 4].mean(), rel=1e-5)
    assert page.trouble == []


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen_and_can_be_read(opened, tmp_path, width, scheme, file):  # noqa: F811
    page = opened(file, width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    back, text = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    brightness = [np.mean([float(value) for value in colour[4:-1].split(",")]) for colour in (back, text)]
    assert (brightness[0] < 128) == (scheme == "dark")
    contrast, text = page.evaluate(LOWEST_CONTRAST)
    assert contrast >= 4.5, text
    assert len(page.screenshot(path=tmp_path / "page.png", full_page=True)) > 10_000


def box_of(page, selector):
    return page.locator(selector).first.bounding_box()


def test_score_controls_and_null_are_on_the_first_screen(opened, tmp_path):  # noqa: F811
    """1280 x 800 pixels."""
    path = tmp_path / "report.html"
    path.write_text(report(scored(), [images()]), encoding="utf-8")
    page = opened(path)
    parts = [".score", "table:has(th:text('model and controls'))", "table:has(th:text('null distribution'))"]
    assert [box["y"] + box["height"] <= 800 for box in (box_of(page, part) for part in parts)] == [True] * 3


@pytest.mark.parametrize(("width", "beside"), [(1280, (".sheet", ".profiles")), (1920, (".browser", ".static"))])
def test_figures_stand_beside_each_other_and_use_the_width(opened, file, width, beside):  # noqa: F811
    page = opened(file, width=width)
    first, second = (box_of(page, part) for part in beside)
    assert first["x"] + first["width"] <= second["x"]
    assert first["y"] < second["y"] + second["height"]
    assert second["y"] < first["y"] + first["height"]
    assert first["x"] <= 0.05 * width
    assert second["x"] + second["width"] >= 0.95 * width
    tables, figure = box_of(page, ".summary section"), box_of(page, ".summary > figure")
    assert tables["x"] + tables["width"] <= figure["x"]
    boxes = page.locator(".wide:visible").evaluate_all("all => all.map(box => [box.scrollWidth, box.clientWidth])")
    assert all(content <= box for content, box in boxes), boxes


def test_without_javascript_the_figures_and_numbers_are_there(opened, file):  # noqa: F811
    page = opened(file, java_script_enabled=False)
    assert page.locator(".browser").first.is_hidden()
    assert page.locator(".array").nth(1).is_visible()
    assert page.locator("figure img").count() == 7
    assert page.locator("figure img").first.is_visible()
    assert f"{scored().score:.3f}" in page.locator("header").inner_text()


def test_it_prints_every_array(opened, tmp_path, file):  # noqa: F811
    page = opened(file)
    page.emulate_media(media="print")
    assert all(page.locator(".array").nth(number).is_visible() for number in (0, 1))
    assert page.locator(".browser").first.is_hidden()
    assert page.pdf(path=tmp_path / "page.pdf")[:4] == b"%PDF"


def test_a_hostile_name_runs_nothing(opened, tmp_path):  # noqa: F811
    name = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    array = replace(scored().arrays[0], recording=name, images=tuple(f"{name}{number}" for number in range(14)))
    result = changed(scored(), model=name, arrays=(array,))
    path = tmp_path / "report.html"
    path.write_text(report(result, [images()]), encoding="utf-8")
    page = opened(path)
    assert name in page.locator("body").inner_text()
    assert page.title() != "run"
    assert page.trouble == []


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_the_page_of_attacks_fits_the_screen_and_runs_nothing(opened, tmp_path, width, own_home):  # noqa: F811
    name = "<img src=x onerror=\"document.title = 'run'\">"
    for part in ("images", "maps"):
        (tmp_path / "simulated" / part).mkdir(parents=True)
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "simulated" / "images" / f"{number}.png")
        np.save(tmp_path / "simulated" / "maps" / f"{number}.npy", np.eye(30, 40, dtype=np.float32))
    result = score(
        "timm:test_resnet", f"adversarial:{tmp_path / 'simulated'}", weights="random", attack=AttackRequest(3)
    )
    result = changed(result, model=name, attacked=replace(result.attacked, names=(name, f"{name}1")))
    path = tmp_path / "attack.html"
    path.write_text(attack_page(result), encoding="utf-8")
    page = opened(path, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".attacked img").count() == 8
    assert page.locator(".attacked img").last.evaluate("image => image.naturalWidth") > 0
    assert name in page.locator("body").inner_text()
    assert page.title() != "run"
    assert page.trouble == []
