"""The page of a report: what it says, and how it behaves in a real browser."""

import base64
import hashlib
import re
import subprocess
import sys

import numpy as np
import pytest

from postproc.reports.html import render_page
from postproc.reports.report import accuracy_report
from tests.browser import LABELS_OUTSIDE, LUMINANCE, OUTSIDE, Elements, headless

NASTY = "<script>alert(1)</script>&\"'$x$ \u0001 \u4e2d"
LONG = "a_name_without_an_end_" * 8


def make_report(n_classes=30, names=("base", "better", "worse"), n=600, **options):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, n)
    predictions = {}
    for name, strength in zip(names, (2.0, 3.0, 1.5), strict=False):
        logits = rng.normal(size=(n, n_classes))
        logits[np.arange(n), labels] += strength
        predictions[name] = logits
    classes = [f"class_number_{j}_of_many" for j in range(n_classes)]
    classes[:2] = NASTY, LONG
    return accuracy_report(predictions, labels, classes=classes, **options)


@pytest.fixture(scope="module")
def page():
    return make_report().to_html(title="Gains & losses")


def test_the_page_names_nothing_outside_itself(page):
    elements = Elements(page)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name, "#")
            assert value.startswith("#") or value == "data:,"
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= set(re.findall(r"url\((#[^)]*)\)", page))
    assert "://" not in page


def test_the_policy_allows_the_page_s_own_script_only(page):
    policy = next(m for m in Elements(page).all("meta") if "http-equiv" in m)["content"]
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert page.count("<script>") == 1


def test_names_are_escaped_and_whole():
    names = (NASTY, "b<i>", LONG)
    report = make_report(names=names)
    page = report.to_html(title="<title>")
    elements = Elements(page)
    assert "alert(1)</script>" not in page
    assert elements.all("i") == []
    for text in ("b<i>", LONG, "<title>"):
        assert text in elements.text


def test_a_model_that_changes_no_row_has_one_verdict_everywhere():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(80, 3)), rng.integers(0, 3, 80)
    report = accuracy_report({"base": scores, "warmer": 2 * scores}, labels)
    assert report["warmer"].verdict == report["warmer"].accuracy.verdict == "no change"
    page = report.to_html()
    assert "unclear" not in page.replace("hollow ones are unclear", "")
    assert "+0.00 points, no change" in Elements(page).text
    assert re.search(r"<desc[^>]*>warmer: [^<]*, no change</desc>", page)


def test_every_plot_has_a_text_alternative_and_text_that_can_be_selected(page):
    plots = Elements(page).all("svg")
    assert len(plots) == 1 + 2 * 4
    ids = {a["id"] for _, a in Elements(page).found if "id" in a}
    for plot in plots:
        assert plot["role"] == "img"
        assert set(plot["aria-labelledby"].split()) <= ids
    assert page.count("<desc") == len(plots)
    first = page[page.index("<svg") : page.index("</svg>")]
    assert ">better</span>" in first
    assert "better: +" in first
    assert "real gain" in first


def test_ids_are_unique_and_references_lead_somewhere(page):
    found = Elements(page).found
    ids = [a["id"] for _, a in found if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {name for _, a in found for name in a.get("aria-labelledby", "").split()}
    assert wanted <= set(ids)


def test_plots_take_their_colours_from_the_page(page):
    plots = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert 'class="mark good"' in plots
    assert "style=" not in plots
    assert not re.search(r"(fill|stroke|color)=", plots)


def test_the_page_is_the_same_each_time(page):
    assert make_report().to_html(title="Gains & losses") == page


def test_the_summary_says_what_came_out():
    def lead(report):
        return re.search(r'<p class="lead">(.*?)</p>', report.to_html())[1]

    assert lead(make_report()).startswith("1 of 2 models beats base; better gains most, +")
    assert lead(make_report(names=("base", "better"))).startswith(
        "better beats base: the gain of +"
    )
    assert lead(make_report(names=("base",))).startswith("base is right on ")
    labels = np.array([0, 1] * 20)
    same = accuracy_report({"a": np.eye(2)[labels], "b": np.eye(2)[labels]}, labels)
    assert lead(same) == (
        "No model is significantly better than a; b comes closest: +0.00 points "
        "(95\N{NO-BREAK SPACE}% interval -8.76 to +8.76)."
    )


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError) as caught:
        make_report().to_html()
    assert str(caught.value) == (
        "an HTML report needs jinja2; install it with: pip install 'postproc[report]'"
    )


def test_a_page_needs_no_matplotlib():
    code = (
        "import sys; from postproc import accuracy_report; "
        "accuracy_report({'a': [[1.0, 0.0]]}, [0]).to_html(); "
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_base_page_stands_alone():
    page = render_page("base.html", title="empty")
    assert "<h1>empty</h1>" in page


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with headless(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def url(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def nasty_url(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "nasty.html"
    path.write_text(make_report(names=(LONG, NASTY, "b")).to_html(title=LONG), encoding="utf-8")
    return path.as_uri()


def test_browser_asks_for_nothing_else_and_complains_of_nothing(browser, url):
    browser.open(url, width=1280)
    browser.run("document.querySelectorAll('button, summary').forEach(e => e.click())")
    events = browser.events
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked - {"data:,"} == {url}
    complaints = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in events if event["method"] in complaints] == []


def test_browser_runs_no_foreign_script(browser, url):
    browser.open(url, width=1280)
    browser.run(
        "{const s = document.createElement('script'); s.textContent = 'window.foreign = 1';"
        " document.body.append(s)}"
    )
    assert browser.run("typeof window.foreign") == "undefined"


COLUMN = """[...document.querySelectorAll("#{table} tbody tr")].map(
    row => row.cells[{column}].dataset.value)"""
PRESS = """{{const head = document.querySelectorAll("#{table} thead th")[{column}];
    head.querySelector("button").click(); head.getAttribute("aria-sort")}}"""


@pytest.mark.parametrize(("table", "column"), [("scores", 1), ("m0-class-table", 5)])
def test_browser_sorts_numbers(browser, url, table, column):
    browser.open(url, width=1280)
    before = browser.run(COLUMN.format(table=table, column=column))
    numbers = sorted(map(float, before))
    assert browser.run(PRESS.format(table=table, column=column)) == "descending"
    after = browser.run(COLUMN.format(table=table, column=column))
    assert list(map(float, after)) == numbers[::-1]
    assert browser.run(PRESS.format(table=table, column=column)) == "ascending"
    after = browser.run(COLUMN.format(table=table, column=column))
    assert list(map(float, after)) == numbers
    assert browser.run("document.querySelector('#status').textContent").endswith("ascending")


def test_browser_sorts_names_and_marks_one_column_only(browser, url):
    browser.open(url, width=1280)
    browser.run(PRESS.format(table="gain-table", column=1))
    assert browser.run(PRESS.format(table="gain-table", column=0)) == "ascending"
    assert browser.run(COLUMN.format(table="gain-table", column=0)) == ["better", "worse"]
    marked = "document.querySelectorAll('#gain-table [aria-sort]').length"
    assert browser.run(marked) == 1


def test_browser_sorts_by_the_keyboard(browser, url):
    browser.open(url, width=1280)
    browser.run("document.querySelector('#scores thead th:nth-child(2) button').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent",
            type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13,
        )  # fmt: skip
    sorted_by = "document.querySelector('#scores [aria-sort]').textContent"
    assert browser.run(sorted_by) == "accuracy"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("names", ["url", "nasty_url"])
def test_browser_shows_nothing_outside_the_page(browser, request, width, dark, names):
    browser.open(request.getfixturevalue(names), width=width, dark=dark)
    browser.run("document.querySelectorAll('details').forEach(e => { e.open = true })")
    assert browser.run("window.innerWidth") == width
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(OUTSIDE) == []
    assert browser.run(LABELS_OUTSIDE) == []


@pytest.mark.parametrize("width", [1100, 1280])
def test_browser_shows_all_columns_of_metrics(browser, tmp_path, width):
    report = make_report(names=("qwen-temperature", "pythia-temperature"), metrics=["log_loss"])
    (tmp_path / "page.html").write_text(report.to_html(), encoding="utf-8")
    browser.open((tmp_path / "page.html").as_uri(), width=width)
    box = "document.querySelector('#metric-table').closest('.scroll')"
    assert browser.run(f"{box}.scrollWidth - {box}.clientWidth") <= 0


@pytest.mark.parametrize("dark", [False, True])
def test_browser_shows_text_with_enough_contrast(browser, url, dark):
    browser.open(url, width=1280, dark=dark)
    paper = browser.run(f"{LUMINANCE}(getComputedStyle(document.body).backgroundColor)")
    assert (paper < 0.05) == dark
    for element, part in (
        ("p", "color"), (".note", "color"), ("td", "color"), (".real-gain", "color"),
        ("svg text", "fill"), ("figcaption", "color"), ("thead button", "color"),
    ):  # fmt: skip
        ink = browser.run(
            f"{LUMINANCE}(getComputedStyle(document.querySelector('{element}')).{part})"
        )
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, (element, contrast)


def test_browser_reads_tables_and_plots_to_a_screen_reader(browser, url):
    browser.open(url, width=1280)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = {}
    for node in nodes:
        if not node.get("ignored"):
            role = node.get("role", {}).get("value")
            named.setdefault(role, []).append(node.get("name", {}).get("value"))
    assert "600 rows, 30 classes" in named["table"]
    assert "rowheader" in named
    plots = named.get("image", []) + named.get("img", [])
    assert any("Gain in accuracy over base" in name for name in plots)
    assert all(plots)


def test_a_notebook_shows_the_tables_without_a_script():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    scores = rng.normal(size=(90, 3))
    better = scores + 3 * np.eye(3)[labels]
    names = {"a<b": scores, "c": better}
    shown = accuracy_report(names, labels, metrics=["accuracy", "macro_f1"])._repr_html_()
    for part in ("a&lt;b", "c beats", "macro-F1", "real-gain", "ties: lowest class"):
        assert part in shown
    assert "<script" not in shown
    assert len(shown) < 8000
