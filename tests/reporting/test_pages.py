"""The page as text; `test_browser` has what a browser makes of it."""

import json
import re
from html.parser import HTMLParser

import jax
import numpy as np
import pytest
from markupsafe import Markup
from support.recorded import IMAGES, POINTS, add_checkpoint, add_curves, add_samples, add_scores, begin, finding, whole

from jaxgan.errors import UserError
from jaxgan.reporting import pictures, report, run_record
from jaxgan.reporting.markup import element, table

MOST = 3_000_000  # bytes


class Parsed(HTMLParser):
    """The text that is seen, and every address that a browser would load."""

    def __init__(self, page: str):
        super().__init__()
        self.text, self.loads, self.sources, self._inside = "", [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "style"):
            self._inside.append(tag)
        attributes = dict(attrs)
        self.loads += [attributes[name] for name in ("src", "srcset", "data", "poster") if attributes.get(name)]
        if tag == "link":
            self.loads.append(attributes["href"])

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._inside.pop()

    def handle_data(self, data):
        if self._inside:
            self.sources.append(data)
        else:
            self.text += f" {data}"


def written(path) -> tuple[str, Parsed]:
    page = path.read_text(encoding="utf-8")
    return page, Parsed(page)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return whole(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def page(run) -> tuple[str, Parsed]:
    return written(report(run))


def test_page_is_one_file_that_loads_nothing(page, run):
    source, parsed = page
    assert len(source.encode()) < MOST
    assert parsed.loads and all(address.startswith("data:image/") for address in parsed.loads)
    assert not re.search(r"@import|url\((?!data:)", "".join(parsed.sources))
    assert "default-src 'none'" in source
    assert "Copyright (c) 2022 Leon Sorokin" in source  # the plotting library's notice
    assert not list(run.glob(".*.partial"))


def test_page_says_the_verdict_first_and_then_all_parts(page):
    _, parsed = page
    parts = [
        *("No problem found.", "Complete: 600 steps.", "Best fd_1k_cnn_embedded_digits: 10 at step 400"),
        *(
            "Scores",
            "20 (step 600)",
            "10 (step 400)",
            "Protocols",
            "features cnn_embedded_digits 0123456789abcdef",
        ),
        *("1,000 generated against 1,437 of embedded/digits train", "Samples", "Curves", "Over time"),
        *("Interpolations", "Spherical", "Linear", "Nearest training images"),
        *("by features of cnn_embedded_digits", "Configuration", "model.z_dim", "All ", "Parameters"),
        *("Generator:", "Discriminator:", "Versions", "jaxlib"),
    ]
    text = parsed.text[parsed.text.index("No problem found.") :]
    places = [text.find(part) for part in parts]
    assert -1 not in places, [part for part, place in zip(parts, places, strict=True) if place < 0]
    assert places == sorted(places)


def test_page_shows_what_differs_from_the_defaults(page):
    source, _ = page
    changed = source[source.index('id="configuration"') : source.index("<details>", source.index('id="configuration"'))]
    assert re.findall(r'scope="row">([^<]*)', changed) == [
        *("data.name", "data.image_size", "model.architecture", "model.z_dim", "model.base_features"),
        *("model.g_batch_norm", "train.num_steps"),
    ]


def test_page_has_what_was_off_before_the_first_step_the_worst_first(tmp_path, page):
    run = begin(tmp_path / "run", IMAGES)
    remarks = [
        {"kind": "unused_labels", "severity": "info", "evidence": {"n": 3.0}, "sentence": "Labels <b> are: unused."},
        {"kind": "same_images", "severity": "problem", "evidence": {}, "sentence": "All are: alike."},
    ]
    (run / "preflight.json").write_text(json.dumps({"remarks": remarks}))
    source, parsed = written(report(run))
    assert parsed.text.index("Same images") < parsed.text.index("All are: alike.") < parsed.text.index("Unused labels")
    assert "Labels &lt;b&gt; are: unused." in source and 'class="finding problem"' in source
    assert "Before the first step" in parsed.text and "Before the first step" not in page[1].text


def test_page_says_the_versions(page):
    source, _ = page
    table = source[source.index('id="versions"') :]
    rows = dict(re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', table))
    assert {"devices", "machine", "python", "jax", "jaxlib", "flax", "optax", "numpy"} <= rows.keys()
    assert (rows["jax"], rows["devices"]) == (jax.__version__, "1 x cpu")


def test_page_has_findings_with_advice_and_its_source(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run_record, "diagnose", lambda *_: [finding("info", 5), finding()])
    monkeypatch.setattr("jaxgan.reporting.load", lambda *_: (_ for _ in ()).throw(UserError("no <b>checkpoint</b>.")))
    source, parsed = written(report(run, tmp_path / "x.html"))
    assert "Something is wrong: mode collapse since step 300." in parsed.text
    assert parsed.text.index("Mode collapse, since step 300") < parsed.text.index("Mode collapse, since step 5")
    assert "All samples are &lt;alike&gt; &amp; equal." in source and "Evidence: diversity 0.25." in source
    assert "Update D more often." in source
    assert '<a href="https://example.org/gans" rel="noreferrer">' in source
    assert "no &lt;b&gt;checkpoint&lt;/b&gt;." in source


@pytest.mark.parametrize(
    "parts", [(), (add_curves,), (add_scores,), (add_samples,)], ids=lambda p: [f.__name__ for f in p]
)
def test_page_of_a_run_that_lacks_most(parts, tmp_path):
    run = begin(tmp_path / "run", IMAGES)
    for add in parts:
        add(run)
    _, parsed = written(report(run))
    assert "has no checkpoint yet: " in parsed.text
    assert ("There are no pictures of samples." in parsed.text) == (add_samples not in parts)
    assert ("No curves were recorded." in parsed.text) == (add_curves not in parts)
    assert ("Protocols" in parsed.text) == (add_scores in parts)


@pytest.mark.slow
def test_page_of_points(tmp_path):
    run = begin(tmp_path / "run", POINTS)
    add_checkpoint(run, 600)
    add_curves(run)
    add_samples(run, size=3)
    _, parsed = written(report(run))
    assert "Each line is the way from one latent to another." in parsed.text
    assert "Nearest training images" not in parsed.text and "Over time" not in parsed.text


def test_page_escapes_what_users_name(tmp_path):
    name = '<img src=x onerror="alert(1)">&'
    run = begin(tmp_path / name, IMAGES)
    add_curves(run)
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 610, "x/</script><b>": 1.0}\n')
    for page in (report(run), report([run, begin(tmp_path / "other", IMAGES)], tmp_path / "both.html")):
        source, parsed = written(page)
        assert name in parsed.text and "<img src=x" not in source
        assert "</script><b>" not in source


@pytest.mark.slow
def test_page_says_why_training_images_are_not_shown(tmp_path):
    run = whole(tmp_path / "run")
    config = run / "config.json"
    config.write_text(re.sub(r'"crc32": \d+', '"crc32": 1', config.read_text()))
    _, parsed = written(report(run))
    assert "The training examples are not at hand:" in parsed.text and "other examples" in parsed.text


def test_comparison_has_runs_beside_each_other(run, tmp_path):
    other = begin(tmp_path / "other", {**IMAGES, "seed": 3})
    add_curves(other)
    add_scores(other)
    source, parsed = written(report([run, other], tmp_path / "both.html"))
    assert len(source.encode()) < MOST
    text = parsed.text
    assert "2 runs" in text and text.count("No problem found.") == 2
    assert "not comparable" not in text
    assert source.count("<strong>10</strong>") == 2  # a draw
    differing = source[source.index('id="what-differs"') :]
    assert re.findall(r'scope="row">([^<]*)', differing) == ["seed"]


def test_comparison_marks_unlike_protocols(run, tmp_path):
    other = begin(tmp_path / "other", IMAGES)
    add_scores(other, n_fake=500)
    source, parsed = written(report([run, other], tmp_path / "both.html"))
    assert "The lines of fd are not comparable: they differ in n_fake (1000 and 500)." in parsed.text
    assert "<strong>" not in source[source.index('id="scores"') :]
    assert "The configurations are the same." in parsed.text


def test_comparison_tells_runs_of_one_name_apart(tmp_path):
    a, b = (begin(tmp_path / part / "run", IMAGES) for part in "ab")
    _, parsed = written(report([a, b], tmp_path / "both.html"))
    assert "a/run" in parsed.text and "b/run" in parsed.text


@pytest.mark.parametrize(
    ("runs", "out", "sentence"),
    [
        ([], None, "there is nothing to report on"),
        (["nowhere"], None, "nowhere holds no run"),
        (["run", "run/../run"], "x.html", "named more than once"),
        (["run", "other"], None, "--out is missing: name FILE.html"),
        (["run"], "x.png", "--out .*x.png must end in .html"),
        (["run"], "run/config.json/x.html", "cannot be written"),
    ],
)
def test_report_refuses_mistakes_with_one_sentence(runs, out, sentence, tmp_path):
    for name in ("run", "other"):
        begin(tmp_path / name, IMAGES)
    with pytest.raises(UserError, match=sentence) as error:
        report([tmp_path / name for name in runs], out and tmp_path / out)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.html"))


def test_report_refuses_a_checkpoint_that_is_not_there(run):
    with pytest.raises(UserError, match="the checkpoint is '5': it must be latest, best, or one of the steps 600"):
        report(run, checkpoint="5")


@pytest.mark.parametrize("size", [8, 300, 1000])
@pytest.mark.parametrize("channels", [1, 3])
def test_data_uri_stays_within_its_limit(size, channels):
    picture = np.random.RandomState(0).randint(0, 255, (size, size, channels)).astype(np.uint8)
    uri = pictures.data_uri(picture, 20_000)
    assert len(uri) < 20_100
    assert uri.startswith("data:image/png;base64," if size == 8 else "data:image/webp;base64,")


@pytest.mark.slow
def test_timeline_chooses_few_of_many_and_stays_small(tmp_path):
    run = begin(tmp_path / "run", IMAGES)
    add_samples(run, range(0, 1000, 10), size=28)
    shown = pictures.timeline(run_record.read(run))
    steps = [int(step) for step in re.findall(r'data-step="(\d+)"', shown)]
    assert len(steps) == 40 and (steps[0], steps[-1]) == (0, 990)
    assert shown.count(" hidden") == 39 and len(shown) < 1_100_000


def test_element_escapes_all_but_html():
    assert (
        element("p", "<&>", Markup("<b>x</b>"), None, 3, title='"<')
        == '<p title="&#34;&lt;">&lt;&amp;&gt;<b>x</b>3</p>'
    )
    assert element("img", src="x", hidden=True, alt=None, class_="a b", data_run=0) == (
        '<img src="x" hidden class="a b" data-run="0">'
    )
    assert "&lt;i&gt;" in table(["<i>"], [["a", "b"]])
