"""The page in a headless Chromium."""

import pytest
from support.chromium import PROGRAM, Chromium
from support.recorded import IMAGES, add_curves, add_scores, begin, finding, whole

from jaxgan.reporting import report, run_record

pytestmark = pytest.mark.slow

if not PROGRAM:
    pytest.skip("There is no Chromium: apt-get install chromium.", allow_module_level=True)

# The share of a chart's pixels that are not empty.
INK = """[...document.querySelectorAll("canvas")].map(c => {
  const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  let n = 0;
  for (let i = 3; i < d.length; i += 4) n += d[i] > 0;
  return n / (d.length / 4);
})"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of one run and one of two."""
    path = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_record, "diagnose", lambda *_: [finding(), finding("warning", 100, 200, "mode_hopping")])
        single = report(whole(path / "a_run_with_a_rather_long_name_that_has_no_place_to_break_it"))
        other = begin(path / "other", {**IMAGES, "seed": 3})
        add_curves(other, last=900)
        add_scores(other, n_fake=500)
        return single, report([single.parent, other], path / "both.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    tab = Chromium(tmp_path_factory.mktemp("profile"))
    yield tab
    tab.close()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("which", [0, 1])
def test_page_loads_and_draws_its_curves(browser, pages, which, phone, dark):
    page = pages[which]
    browser.open(page, width=390 if phone else 1280, phone=phone, dark=dark)
    assert browser.errors == []
    assert [r for r in browser.requests if not r.startswith("data:")] == [page.resolve().as_uri()]
    inks = browser.run(INK)
    assert len(inks) == browser.run("data.panels.length") > 4
    assert min(inks) > 0.01
    widths = browser.run("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]")
    assert max(widths) == (390 if phone else 1280)
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    red, green, blue = browser.run("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    assert (max(red, green, blue) < 60) == dark


def test_slider_changes_the_picture(browser, pages):
    browser.open(pages[0])
    shown = 'document.querySelector(".frames img:not([hidden])").dataset.step'
    assert browser.run(f"[{shown}, document.querySelectorAll('.frames img:not([hidden])').length]") == ["600", 1]
    browser.run('document.querySelector(".timeline input").focus()')
    for expected in ("400", "200"):
        for kind in ("keyDown", "keyUp"):
            browser.call(
                "Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37
            )
        assert browser.run(f"[{shown}, document.querySelector('output').textContent]") == [expected, f"step {expected}"]


def place(browser, share: float) -> tuple[float, float]:
    """Where the first chart has this share of its width at its left."""
    x, y, width, height = browser.run(
        "(() => { const b = document.querySelector('.u-over'); b.scrollIntoView({block: 'center'});"
        " const r = b.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; })()"
    )
    return x + share * width, y + height / 2


def test_hovering_reads_all_curves_at_one_step(browser, pages):
    browser.open(pages[0])
    browser.mouse("mouseMoved", *place(browser, 0.5))
    legends = browser.run(
        "[...document.querySelectorAll('.u-legend')].map(l => l.querySelector('.u-value').textContent)"
    )
    assert legends[0] in ("300", "310")
    assert set(legends) <= {"300", "310"}
    values = browser.run(
        "[...document.querySelector('.u-legend').querySelectorAll('.u-value')].map(v => v.textContent)"
    )
    assert values[1] == "1.2" and values[2].startswith("0.703")


def test_dragging_zooms_all_curves_and_the_button_shows_the_whole(browser, pages):
    browser.open(pages[0])
    scales = "[...charts.values()].map(u => [u.scales.x.min, u.scales.x.max])"
    assert browser.run("document.getElementById('whole').hidden")
    browser.mouse("mouseMoved", *place(browser, 0.25))
    browser.mouse("mousePressed", *place(browser, 0.25), button="left", clickCount=1)
    browser.mouse("mouseMoved", *place(browser, 0.5), button="left")
    browser.mouse("mouseReleased", *place(browser, 0.5), button="left", clickCount=1)
    zoomed = browser.run(scales)
    low, high = zoomed[0]
    assert abs(low - 157.5) < 5 and abs(high - 305) < 5
    assert all(scale == [low, high] for scale in zoomed)
    browser.run("document.querySelector('.panel button').click()")  # a logarithmic axis keeps the zoom
    assert browser.run(scales)[0] == [low, high]
    browser.run("document.getElementById('whole').click()")
    assert all(scale == [10, 600] for scale in browser.run(scales))
    assert browser.run("document.getElementById('whole').hidden") and browser.errors == []


def test_two_fingers_zoom_and_one_reads(browser, pages):
    browser.open(pages[0], width=390, height=844, phone=True)
    y = place(browser, 0.5)[1]

    def fingers(kind: str, *shares: float) -> None:
        points = [{"x": place(browser, share)[0], "y": y, "id": i} for i, share in enumerate(shares)]
        browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    fingers("touchStart", 0.5)
    fingers("touchEnd")
    step = "document.querySelector('.u-legend .u-value').textContent"
    assert browser.run(step) in ("300", "310")
    fingers("touchStart", 0.4)
    fingers("touchStart", 0.4, 0.6)
    fingers("touchMove", 0.2, 0.8)
    fingers("touchEnd")
    low, high = browser.run("[...charts.values()][0].scales.x.min"), browser.run("[...charts.values()][0].scales.x.max")
    assert 190 < low < 220 and 390 < high < 420


def test_curves_follow_the_window_and_the_colors(browser, pages):
    browser.open(pages[0], width=1280)
    before = browser.run("[...charts.values()][0].width")
    browser.call("Emulation.setDeviceMetricsOverride", width=500, height=800, deviceScaleFactor=1, mobile=False)
    after = "new Promise(done => setTimeout(() => done([...charts.values()][0].width), 300))"
    assert browser.run(after) < 500 and before > 500
    color = "[...charts.values()][0].series[1].stroke()"
    light = browser.run(color)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.run("new Promise(done => setTimeout(done, 300))")
    assert browser.run(color) != light
    assert browser.errors == []
