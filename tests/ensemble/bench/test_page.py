"""The page of a benchmark: what it says, and how it behaves in a real browser."""

import re

import pytest

from ensemble.bench.board import boards
from ensemble.bench.page import bench_page, summary
from ensemble.bench.tables import STEPS, rank_table
from tests.browser import LABELS_OUTSIDE, LUMINANCE, OUTSIDE, Elements, headless
from tests.ensemble.bench.planted import GAINS, TEAM_GAINS, result, results

NASTY = "<script>alert(1)</script>&\"'$x$ \u0001 \u4e2d"
LONG = "a_name_without_an_end_" * 8
SETTINGS = {
    "seed": 0,
    "draws": 4,
    "shifts": ["none", "longtail:50"],
    "tasks": {"a": "3 classes"},
    "skipped": {"runs/broken": "no labels"},
}
FAILED = result("em", 0, task="a", model="m1", error="`prior` must be positive, got 0")


def rows(page, table):
    """Texts of the cells of a table of a page, row by row."""
    body = re.search(rf'<table[^>]*id="{table}".*?<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    return [
        [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def text(page):
    return Elements(page).text


@pytest.fixture(scope="module")
def page():
    return bench_page([*results(), FAILED], SETTINGS, title="Benchmark")


def test_the_summary_says_what_was_planted():
    member, ensemble, *careful = summary(boards(results()), n_failed=0)
    nbsp = "\N{NO-BREAK SPACE}"
    assert member == (
        "On one member at a time, bcts gains most: +2.20 points over the member’s own predictions "
        f"(95{nbsp}% interval +1.47 to +2.93; 5 tasks, 10 members, 2 shifts, 4 draws). Cells with "
        "a loss of more than 0.2 points: 0 of 20; with a significant loss: 0."
    )
    assert ensemble.startswith(
        "With all members together, blend gains most: +3.20 points over the best single member "
    )
    assert careful == [
        "On one member at a time, auto is significantly worse than the member’s own "
        "predictions in none of 20 cells; its smallest gain: +0.50 points (-0.23 to +1.23), on a, "
        "m1, no shift.",
        "With all members together, auto is significantly worse than the best single member "
        "in none of 10 cells; its smallest gain: +1.50 points (+0.77 to +2.23), on a, no shift.",
    ]


def test_the_summary_hides_no_harm():
    found = [
        result("auto", 30, task="a"),
        result("auto", -20, task="b"),
        result("auto", -3, task="c"),
        result("em", 2, task="a"),
        result("em", -9, task="b"),
        result("em", -9, task="c"),
    ]
    best, careful = summary(boards(found))
    assert best.startswith(
        "On one member at a time, no method gains significantly; auto comes closest: +0.23 points"
    )
    assert "more than 0.2 points: 2 of 3; with a significant loss: 1." in best
    assert careful == (
        "On one member at a time, auto is significantly worse than the member’s own "
        "predictions in 1 of 3 cells; its worst: -2.00 points (-2.73 to -1.27), on b, m, no shift."
    )
    (nothing,) = summary(boards([result("em", 1)]))
    assert nothing.startswith(
        "On one member at a time, no method gains significantly; em comes closest: +0.10 points"
    )


def test_a_bound_is_never_called_best():
    (said,) = summary(boards([result("true-prior", 50), result("em", 5, spread=0)]))
    assert "em gains most" in said
    (said,) = summary(boards([result("true-prior", 50)]))
    assert "no method has numbers in every cell" in said


def test_heat_maps_show_every_gain(page):
    order = ["true-prior (bound)", "bcts", "auto", "temperature", "sinkhorn"]
    for panel in range(3):
        found = rows(page, f"member-map{panel}")
        assert [row[0] for row in found] == order
        # Tasks add 0 to 4 rows of a thousand; the last column is their mean.
        assert found[1][1:] == ["+2.00", "+2.10", "+2.20", "+2.30", "+2.40", "+2.20"]
        assert found[4][1:] == ["-6.00", "-5.90", "-5.80", "-5.70", "-5.60", "-5.80"]
    assert len(rows(page, "ensemble-map0")) == len(TEAM_GAINS)
    shown = {cell["class"] for cell in Elements(page).all("td") if "class" in cell}
    assert {"gain4 sure", "loss5 sure", "zero"} <= shown


@pytest.mark.parametrize(
    ("gain", "level"),
    [(0, "zero"), (1, "zero"), (2, "gain1"), (-2, "loss1"), (19, "gain3"), (20, "gain4"),
     (-50, "loss5")],
)  # fmt: skip
def test_colours_begin_at_the_steps(gain, level):
    assert STEPS == (0.2, 0.5, 1.0, 2.0, 5.0)
    page = bench_page([result("em", gain, spread=100)], {}, title="t")
    assert re.search(rf'<td class="{level}" data-value="[^"]*">', page)


def test_harm_is_told_by_method(page):
    found = {row[0]: row[1:] for row in rows(page, "member-harm")}
    assert found["sinkhorn"] == [
        "-5.80", "-6.53 to -5.07", "20 of 20", "20 of 20", "-6.00", "-6.73 to -5.27",
        "a, m1, no shift",
    ]  # fmt: skip
    assert found["bcts"][2:5] == ["0 of 20", "0 of 20", "+2.00"]
    assert found["true-prior (bound)"][0] == "+4.20"


def test_ranks_and_tests(page):
    assert (
        "Mean ranks over 5 blocks, the tasks, gains averaged over the members and the shifts."
        in text(page)
    )
    member = {row[0]: row[1:] for row in rows(page, "member-tests")}
    assert list(member) == ["bcts", "auto", "temperature", "sinkhorn"]
    assert member["bcts"] == [
        "+2.20", "+1.47 to +2.93", "5/0/0", "0.0625", "0.2500", "unclear",
    ]  # fmt: skip
    assert member["temperature"][2:] == ["0/5/0", "1.0000", "1.0000", "unclear"]
    ensemble = {row[0]: row[1:] for row in rows(page, "ensemble-tests")}
    # Against `calibrated`: gains of 32 and of 12 rows of a thousand, draw by draw.
    assert ensemble["blend"][:2] == ["+2.00", "+2.00 to +2.00"]
    assert ensemble["best-single"][0] == "-1.20"
    assert "the corrected p cannot fall below 0.25" in text(page)
    assert (
        "Friedman’s test: χ² = 20.0, p = 0.0005; with Iman and Davenport’s correction, p < 0.0001"
        in text(page)
    )


def test_enough_tasks_confirm_a_gain():
    (board,) = boards(results(tasks="abcdefghij", members=("m",), team_gains={}))
    verdicts = {row[0].text: row[-1].text for row in rank_table(board, board.ranking()).rows}
    assert verdicts == {
        "bcts": "better", "auto": "better", "temperature": "unclear", "sinkhorn": "worse",
    }  # fmt: skip


def test_blocks_that_share_rows_are_owned_up_to():
    page = bench_page(results(tasks=("a", "b"), team_gains={}), {}, title="t")
    assert "Mean ranks over 4 blocks, tasks by shifts" in text(page)
    assert "Shifts of one task share its rows" in text(page)


def test_few_blocks_leave_the_ranks_out():
    page = bench_page(results(tasks=("a",), team_gains={}), {}, title="t")
    assert "Ranks are omitted: they need three blocks or more (tasks by shifts), got 2." in (
        text(page)
    )
    assert "Nemenyi" not in page


def test_nothing_to_rank_leaves_the_ranks_out():
    found = results(shifts=("none",), gains={}, team_gains={"best-single": 0, "oracle": 5})
    page = bench_page(found, {}, title="t")
    assert "no method to be ranked has numbers in every cell" in text(page)
    assert "no method has numbers in every cell, so none is called best." in text(page)


def test_what_failed_and_what_was_skipped(page):
    assert "1 cell failed; see the end of the page." in text(page)
    assert rows(page, "errors") == [
        ["a", "em", "1", "a, m1, no shift", "`prior` must be positive, got 0"]
    ]
    assert rows(page, "skipped") == [["runs/broken", "no labels"]]
    assert rows(page, "settings") == [
        ["seed", "0"], ["draws", "4"], ["shifts", "none, longtail:50"], ["tasks: a", "3 classes"],
    ]  # fmt: skip


def test_means_that_lack_a_member_are_not_shown():
    failed = result("sinkhorn", 0, task="a", model="m2", error="no")
    planted = results(tasks=("a", "b", "c"), shifts=("none",), team_gains={})
    found = [failed if r.cell == failed.cell and r.method == "sinkhorn" else r for r in planted]
    page = bench_page(found, {}, title="t")
    assert rows(page, "member-map0")[-1][1:3] == ["-", "-5.90"]
    assert "its mean is omitted" in text(page)
    assert "Not ranked, as some of their cells failed: sinkhorn." in text(page)


@pytest.mark.parametrize(
    "found",
    [
        results(tasks=("a",), members=("m",), shifts=("none",), draws=1),
        [result("em", 3, draws=1)],
        [result("em", 3)],
        [result("true-prior", 3)],
        [result("best-single", 0, scope="ensemble", model="all members", spread=0)],
        [result("em", 3, seconds=None)],
        results(tasks=("a", "b", "c"), gains={"em": 3}, team_gains={}),
        results(shifts=("none",), gains={"em": 0}, team_gains={}),
    ],
    ids=["one", "draw", "cell", "bound", "single", "untimed", "method", "nothing"],
)
def test_little_makes_a_page_too(found):
    page = bench_page(found, {}, title="t")
    assert "nan" not in text(page)
    assert Elements(page).all("table")


@pytest.mark.parametrize("found", [[], [FAILED]])
def test_a_page_without_numbers_says_so(found):
    page = bench_page(found, SETTINGS, title="t")
    assert "No method gave a number on any task." in page
    assert ("errors" in {a.get("id") for a in Elements(page).all("table")}) == bool(found)


def test_names_are_escaped_and_whole():
    tasks = (NASTY, LONG, "方法" * 30)
    found = results(tasks=tasks, members=("b<i>", LONG), shifts=(NASTY,), team_gains={})
    found.append(result(NASTY, 3, task=LONG, model=LONG, error=NASTY))
    page = bench_page(found, {NASTY: {NASTY: NASTY}, "skipped": {NASTY: NASTY}}, title="<title>")
    assert "alert(1)</script>" not in page
    assert Elements(page).all("i") == []
    for name in (LONG, "方法" * 30, "<title>"):
        assert name in text(page)
    assert "b<i>" in text(page)


def test_the_page_names_nothing_outside_itself(page):
    for _, attributes in Elements(page).found:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name, "#")
            assert value.startswith("#") or value == "data:,"
    assert "@import" not in page
    assert "://" not in page


def test_ids_are_unique_and_references_lead_somewhere(page):
    found = Elements(page).found
    ids = [a["id"] for _, a in found if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {name for _, a in found for name in a.get("aria-labelledby", "").split()}
    wanted |= {a["value"] for tag, a in found if tag == "input"}
    assert wanted <= set(ids)
    assert len(Elements(page).all("svg")) == 2 * 2 + 5 * 2 * 2


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with headless(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def url(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "bench.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def nasty_url(tmp_path_factory):
    gains = {**GAINS, NASTY: 7, LONG: -7, "方法" * 30: 1}
    found = results(tasks=(NASTY, LONG, "b"), members=(LONG,), shifts=(LONG,), gains=gains)
    found.append(result("em", 3, task=LONG, model=LONG, error=LONG))
    page = bench_page(found, {LONG: LONG, "skipped": {LONG: LONG}}, title=LONG)
    path = tmp_path_factory.mktemp("page") / "nasty.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


def test_browser_asks_for_nothing_else_and_complains_of_nothing(browser, url):
    browser.open(url, width=1280)
    browser.run("document.querySelectorAll('button, summary, input').forEach(e => e.click())")
    asked = {
        event["params"]["request"]["url"]
        for event in browser.events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked - {"data:,"} == {url}
    complaints = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in browser.events if event["method"] in complaints] == []


SHOWN = """[...document.querySelectorAll("[id^=member-map][id$=panel]")]
    .filter(e => e.offsetParent).map(e => e.id)"""


def press(browser, key, code):
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
        )


def test_browser_shows_the_shift_that_is_chosen(browser, url):
    browser.open(url, width=1280)
    assert browser.run(SHOWN) == ["member-map0-panel"]
    browser.run("document.querySelector('[name=member-map]').focus()")
    press(browser, "ArrowDown", 40)
    assert browser.run(SHOWN) == ["member-map1-panel"]
    press(browser, "ArrowDown", 40)
    assert browser.run(SHOWN) == ["member-map2-panel"]


def test_browser_shows_all_shifts_without_scripts(browser, url):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(url, width=1280)
        assert len(browser.run(SHOWN)) == 3
        assert browser.run("document.querySelector('fieldset').offsetParent === null")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_browser_sorts_a_heat_map(browser, url):
    browser.open(url, width=1280)
    browser.run("document.querySelectorAll('#member-map0 thead button')[1].click()")
    names = "[...document.querySelectorAll('#member-map0 tbody tr')].map(r => r.cells[1].innerText)"
    assert browser.run(names) == ["+4.00", "+2.00", "+0.50", "+0.00", "-6.00"]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("names", ["url", "nasty_url"])
def test_browser_shows_nothing_outside_the_page(browser, request, width, names):
    browser.open(request.getfixturevalue(names), width=width)
    browser.run("document.querySelectorAll('details').forEach(e => { e.open = true })")
    assert browser.run("window.innerWidth") == width
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(OUTSIDE) == []
    assert browser.run(LABELS_OUTSIDE) == []


# Names in a plot of gain over time that cover one another.
COVERED = """["member-time", "ensemble-time"].flatMap(key => {
    const svg = document.querySelector(`svg[aria-labelledby^="${key}-"]`);
    const boxes = [...svg.querySelectorAll("text")].map(e => [e, e.getBoundingClientRect()]);
    return boxes.flatMap(([e, a], i) => boxes.slice(i + 1).filter(([, b]) =>
        a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3
        && b.top < a.bottom - 3).map(([f]) => e.textContent + " / " + f.textContent)); })"""


@pytest.mark.parametrize("names", ["url", "nasty_url"])
def test_browser_shows_no_name_over_another(browser, request, names):
    browser.open(request.getfixturevalue(names), width=1280)
    assert browser.run(COVERED) == []


# Least contrast of any number of a heat map, or of its key, with the colour behind it.
CONTRAST = f"""[...document.querySelectorAll(".heat td, .scale span")].map(e => {{
    const style = getComputedStyle(e), body = getComputedStyle(document.body);
    const clear = style.backgroundColor === "rgba(0, 0, 0, 0)";
    const [x, y] = [style.color, clear ? body.backgroundColor : style.backgroundColor]
        .map({LUMINANCE});
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}}).reduce((a, b) => Math.min(a, b))"""


@pytest.mark.parametrize("dark", [False, True])
def test_browser_shows_numbers_with_enough_contrast(browser, url, dark):
    browser.open(url, width=1280, dark=dark)
    assert browser.run("document.querySelectorAll('.scale')[0].children.length") == 11
    assert browser.run(CONTRAST) >= 4.5


@pytest.fixture(scope="module")
def wide_url(tmp_path_factory):
    tasks = tuple(f"a_long_name_of_task_{number}" for number in range(40))
    page = bench_page(results(tasks=tasks), {"warnings": [NASTY]}, title="Wide")
    assert "alert(1)</script>" not in page
    path = tmp_path_factory.mktemp("page") / "wide.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


# Tables that are wider than their container, and those that are said to be.
CUT = """[...document.querySelectorAll(".scroll")].filter(e => e.offsetParent)
    .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute("aria-labelledby"))"""
SAID = """[...document.querySelectorAll(".title")].filter(e => e.offsetParent)
    .filter(e => getComputedStyle(e, "::after").content.includes("scroll sideways"))
    .map(e => e.id)"""


@pytest.mark.parametrize("width", [390, 800, 1100, 1600])
def test_browser_says_which_tables_scroll_sideways(browser, url, wide_url, width):
    browser.open(url, width=width)
    assert browser.run(CUT) == browser.run(SAID)
    assert width < 1000 or browser.run(CUT) == []
    browser.open(wide_url, width=width)
    assert browser.run(CUT) == browser.run(SAID)
    maps = {"member-map0-title", "ensemble-map0-title"}
    assert maps <= set(browser.run(CUT))
    assert width < 1000 or maps == set(browser.run(CUT))


def test_browser_keeps_methods_in_sight_when_scrolled_sideways(browser, wide_url):
    browser.open(wide_url, width=800)
    browser.run("document.querySelector('#member-map0').closest('.scroll').scrollLeft = 200")
    lefts = """["thead", "tbody"].map(part =>
        document.querySelector(`#member-map0 ${part} th`).getBoundingClientRect().left
        - document.querySelector("#member-map0").closest(".scroll").getBoundingClientRect().left)"""
    assert browser.run(lefts) == [1, 1]  # the border


def test_few_draws_and_warnings_are_told(page):
    assert "intervals are rough" not in bench_page(results(draws=10), {}, title="t")
    assert "intervals are rough" not in bench_page(results(draws=1), {}, title="t")
    few = bench_page(results(draws=9), {"warnings": ["a < b"]}, title="t")
    assert "9 draws: intervals are rough; 20 or more are usual (--draws)." in few
    assert "<strong>Warning:</strong> a &lt; b</p>" in few
    assert "warnings" not in {cell.get("data-value") for cell in Elements(few).all("th")}
