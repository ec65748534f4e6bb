"""`postproc decide` from files to files, labels beside probabilities, one line for bad input."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from postproc import softmax
from postproc.files import save_predictions
from postproc.scores.blocks import Sizes

SMALL = Sizes(block=24 * 40)
CLASSES = ("cat", "dog", "fish")
FIT = ("--fit", "val.csv", "--fit-labels", "y.val.npy")


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Probabilities with ids and class names; the columns of the fit rows in another order."""
    monkeypatch.chdir(tmp_path)
    for split, seed in (("val", 0), ("test", 1)):
        rng = np.random.default_rng(seed)
        y = rng.choice(3, 600, p=[0.8, 0.15, 0.05])
        logits = 2.0 * (rng.normal(size=(600, 3)) + 1.6 * np.eye(3)[y]) + np.log([0.8, 0.15, 0.05])
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        ids = [f"{split}{row}" for row in range(600)]
        order = [2, 0, 1] if split == "val" else [0, 1, 2]
        names = [CLASSES[j] for j in order]
        save_predictions(f"{split}.csv", probs[:, order], classes=names, ids=ids)
        np.save(f"y.{split}.npy", np.argsort(order)[y])
    return np.loadtxt("test.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3))


def rows_of(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_labels_have_ids_and_names(task, run_cli):
    run_cli("decide", "test.csv", "-o", "l.csv")
    wanted = [CLASSES[j] for j in task.argmax(axis=1)]
    rows = rows_of("l.csv")
    assert [row["label"] for row in rows] == wanted
    assert [row["id"] for row in rows[:2]] == ["test0", "test1"]
    run_cli("decide", "test.csv")
    assert rows_of("test.decide.csv") == rows


@pytest.mark.parametrize(
    ("names", "heading", "options", "wanted"),
    [
        (("stayed", "left"), "left", (), ("stayed", "left")),
        (("stayed", "left"), "p", ("--positive", "left"), ("stayed", "left")),
        (("No", "Yes"), "p", (), ("No", "Yes")),
        (("0", "1"), "p", (), ("0", "1")),
        (("-1", "1"), "p", (), ("0", "1")),
        (("a", "left", "b"), "p", ("--positive", "left"), ("0", "1")),
    ],
)
def test_one_column_is_decided_in_the_names_of_its_labels(
    task, run_cli, names, heading, options, wanted
):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=60)
    p = np.clip(0.3 + 0.4 * y + 0.2 * rng.normal(size=60), 0.01, 0.99)
    save_predictions("p.csv", p[:, None], classes=[heading], ids=[f"r{i}" for i in range(60)])
    positive = names[1]
    rest = [name for name in names if name != positive]
    said = [positive if label else rest[i % len(rest)] for i, label in enumerate(y)]
    Path("y.txt").write_text("\n".join(said) + "\n")
    words = ("--metric", "f1", "--fit", "p.csv", "--fit-labels", "y.txt", *options)
    run_cli("decide", "p.csv", *words, "-o", "l.csv", "--quiet")
    found = [row["label"] for row in rows_of("l.csv")]
    plain = np.array(wanted)[(p > 0.5).astype(int)]
    assert set(found) <= set(wanted)
    assert np.mean(plain == found) > 0.7
    run_cli("decide", "p.csv", *words, "-o", "s.csv", "--save", "m.json", "--quiet")
    run_cli("apply", "m.json", "p.csv", "-o", "again.csv", "--quiet")
    assert Path("again.csv").read_text() == Path("l.csv").read_text()
    run_cli("decide", "p.csv", *words, "-o", "i.csv", "--integers", "--quiet")
    assert {row["label"] for row in rows_of("i.csv")} <= {"0", "1"}


def test_a_submission(task, run_cli):
    words = ("--integers", "--columns-as", "id:PassengerId,label:Target")
    run_cli("decide", "test.csv", "-o", "s.csv", *words)
    assert rows_of("s.csv")[0] == {"PassengerId": "test0", "Target": str(task[0].argmax())}


@pytest.mark.parametrize(
    "rule",
    [
        (),
        ("--metric", "macro_f1", *FIT),
        ("--max-error", "0.1", *FIT),
        ("--coverage", "0.4"),
        ("--sets", "0.9", *FIT),
        ("--sets", "0.9", "--score", "aps", "--per-class", *FIT),
        ("--cost", "k.csv"),
    ],
)
def test_many_blocks_give_what_one_gives(task, run_cli, rule):
    Path("k.csv").write_text("cat,dog,fish,abstain\n0,2,2,1\n5,0,5,1\n9,9,0,1\n")
    words = ("decide", "test.csv", *rule, "--labels", "y.test.npy", "--json")
    one = json.loads(run_cli(*words, "-o", "one.csv").stdout)
    many = json.loads(run_cli(*words, "-o", "many.csv", obj=SMALL).stdout)
    assert rows_of("one.csv") == rows_of("many.csv")
    costs = [found.pop("expected_cost", 0) for found in (one, many)]
    assert costs[0] == pytest.approx(costs[1])
    assert {**one, "output": ""} == {**many, "output": ""}


def test_costs_decide_and_are_counted(task, run_cli):
    costs = np.array([[0, 2, 2, 1], [5, 0, 5, 1], [9, 9, 0, 1]], dtype=float)
    Path("k.csv").write_text("cat,dog,fish,abstain\n0,2,2,1\n5,0,5,1\n9,9,0,1\n")
    words = ("--cost", "k.csv", "--labels", "y.test.npy", "--json")
    found = json.loads(run_cli("decide", "test.csv", *words, "-o", "l.npy").stdout)
    chosen = (task @ costs).argmin(axis=1)
    assert np.load("l.npy").tolist() == np.where(chosen == 3, -1, chosen).tolist()
    assert found["expected_cost"] == pytest.approx((task @ costs).min(axis=1).mean())
    y = np.load("y.test.npy")
    assert found["judged"]["cost"] == pytest.approx(costs[y, chosen].mean())
    assert found["accepted"] == (chosen < 3).sum()
    paid = costs[y, chosen]
    half = 1.96 * paid.std() / len(y) ** 0.5
    wanted = pytest.approx([paid.mean() - half, paid.mean() + half], rel=0.05)
    assert found["judged"]["cost_ci"] == wanted
    constant = [costs[y, j].mean() for j in range(4)]
    best = {"decision": [*CLASSES, "abstain"][np.argmin(constant)], "cost": min(constant)}
    assert found["judged"]["constant"] == pytest.approx(best)
    made = {each["decision"]: each["rows"] for each in found["decisions"]}
    assert made == {name: (chosen == j).sum() for j, name in enumerate([*CLASSES, "abstain"])}
    assert found["threshold"] is None


@pytest.mark.parametrize("positive", ["well", "ill"])
def test_costs_of_two_classes_show_threshold_and_both_mistakes(task, run_cli, positive):
    rng = np.random.default_rng(2)
    probs = rng.beta(1, 3, 500)
    y = (rng.random(500) < probs).astype(int)
    names, ids = np.array(["well", "ill"]), [f"r{row}" for row in range(500)]
    both = np.stack([1 - probs, probs], axis=1)
    save_predictions("two.csv", both, classes=tuple(names), ids=ids)
    Path("two.labels.csv").write_text(
        "\n".join(["id,label", *(f"{i},{names[j]}" for i, j in zip(ids, y, strict=True))])
    )
    Path("k.csv").write_text("true,well,ill\nwell,0,1\nill,8,0.5\n")
    words = ("decide", "two.csv", "--cost", "k.csv", "--labels", "two.labels.csv")
    words = (*words, "--fit", "two.csv", "--fit-labels", "two.labels.csv", "--positive", positive)
    found = json.loads(run_cli(*words, "-o", "l.csv", "--json").stdout)
    costs = np.array([[0, 1], [8, 0.5]])
    chosen = (both @ costs).argmin(axis=1)
    assert ([row["label"] for row in rows_of("l.csv")] == names[chosen]).all()
    at = list(names).index(positive)
    assert ((both[:, at] >= found["threshold"]) == (chosen == at)).all()
    for name, true in (("missed", at), ("needless", 1 - at)):
        wrong, of = int(((y == true) & (chosen != true)).sum()), int((y == true).sum())
        assert found["judged"][name] == {"rows": wrong, "of": of}
    assert found["promise"]["holds"]
    assert found["promise"]["actual"] == pytest.approx(costs[y, chosen].mean())
    said = run_cli(*words, "-o", "again.csv").stdout
    assert "no more apart than by chance" in said
    assert f"missed: {found['judged']['missed']['rows']} of " in said
    assert "best decision for all rows alike" in said
    assert "wrong:" not in said


def test_poor_calibration_is_told_where_costs_decide(task, run_cli):
    val = np.loadtxt("val.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3))
    sharp = val**6 / (val**6).sum(axis=1, keepdims=True)
    ids = [f"val{row}" for row in range(600)]
    save_predictions("sharp.csv", sharp, classes=("fish", "cat", "dog"), ids=ids)
    Path("k.csv").write_text("cat,dog,fish\n0,1,1\n1,0,1\n1,1,0\n")
    words = ("decide", "test.csv", "--cost", "k.csv", "--fit-labels", "y.val.npy")
    assert "calibrate" in run_cli(*words, "--fit", "sharp.csv", "-o", "a.csv").stderr
    assert "calibrate" not in run_cli(*words, "--fit", "val.csv", "-o", "b.csv").stderr


def test_sets_hold_the_true_class_and_are_judged(task, run_cli):
    words = ("--sets", "0.9", *FIT, "--labels", "y.test.npy", "--json")
    found = json.loads(run_cli("decide", "test.csv", *words, "-o", "s.npy").stdout)
    sets, y = np.load("s.npy"), np.load("y.test.npy")
    assert found["judged"]["covered"] == pytest.approx(sets[np.arange(600), y].mean())
    assert found["mean_size"] == pytest.approx(sets.sum(axis=1).mean())
    assert found["judged"]["covered"] > 0.86
    run_cli("decide", "test.csv", *words[:-1], "-o", "s.csv", "--quiet")
    names = [set(row["labels"].split("|")) for row in rows_of("s.csv")]
    assert names == [{CLASSES[j] for j in np.flatnonzero(row)} for row in sets]


def test_prior_of_sets_is_given_or_estimated(task, run_cli):
    words = ("decide", "test.csv", "--sets", "0.9", *FIT, "--json")
    given = json.loads(run_cli(*words, "--prior", "0.1,0.1,0.8", "-o", "a.npy").stdout)
    assert given["prior"] == pytest.approx([0.1, 0.1, 0.8])
    words = (*words, "--prior", "estimate")
    one = json.loads(run_cli(*words, "-o", "b.npy").stdout)
    many = json.loads(run_cli(*words, "-o", "c.npy", obj=SMALL).stdout)
    assert np.abs(np.array(one["prior"]) - [0.8, 0.15, 0.05]).max() < 0.08
    assert one["prior"] == pytest.approx(many["prior"], abs=1e-6)


@pytest.mark.parametrize(
    "rule",
    [("--metric", "balanced_accuracy"), ("--max-error", "0.1"), ("--sets", "0.9")],
)
def test_what_is_saved_is_applied_again(task, run_cli, rule):
    run_cli("decide", "test.csv", *rule, *FIT, "--save", "m.json", "-o", "one.csv")
    run_cli("apply", "m.json", "test.csv", "-o", "two.csv")
    assert rows_of("one.csv") == rows_of("two.csv")
    message = run_cli("apply", "m.json", "test.csv", "--labels-out", "l.csv", code=2).stderr
    assert "--labels-out is for probabilities" in message


def test_metric_says_what_it_gains(task, run_cli):
    words = ("--metric", "balanced_accuracy", *FIT, "--labels", "y.test.npy")
    found = json.loads(run_cli("decide", "test.csv", *words, "-o", "a.npy", "--json").stdout)
    assert found["improved"]
    assert found["judged"]["gain"] > 0.02
    said = run_cli("decide", "test.csv", *words).stdout
    assert "so class weights are used" in said
    assert "\nbalanced accuracy on these rows: " in said


def test_nothing_guaranteed_is_said(task, run_cli):
    np.save("y.val.npy", (np.load("y.val.npy") + 1) % 3)
    found = run_cli("decide", "test.csv", "--max-error", "0.1", *FIT, "-o", "a.npy")
    assert "no row is decided: an error of at most 0.1 is not shown" in found.stderr
    assert re.search(
        r"--fit, (\d+ of \d+ are wrong, which shows at most [01]\.\d+; ){2}", found.stderr
    )
    assert "a larger --max-error" in found.stderr
    assert (np.load("a.npy") == -1).all()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("can", ("--prior", "uniform")),
        ("calibrate", FIT),
        ("adapt", FIT),
        ("ensemble", ()),
        ("auto", FIT),
    ],
)
@pytest.mark.parametrize("output", ["out.npy", "out.csv"])
def test_labels_beside_probabilities(task, run_cli, command, words, output):
    first = ("soft", "test.csv") if command == "ensemble" else ("test.csv",)
    out = ("-o", output, "--labels-out", "l.csv", "--json")
    found = json.loads(run_cli(command, *first, *words, *out, obj=SMALL).stdout)
    assert found["labels"] == "l.csv"
    run_cli("decide", output, "--id-column", "id", "-o", "again.npy", "--quiet")
    assert [CLASSES.index(row["label"]) for row in rows_of("l.csv")] == np.load(
        "again.npy"
    ).tolist()
    assert rows_of("l.csv")[5]["id"] == "test5"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--coverage", "0"), 2, "`coverage` must be in (0, 1], got 0"),
        (("--max-error", "0.1"), 2, "Missing option '--fit': --max-error takes labelled rows."),
        (("--sets", "0.9", "--fit", "val.csv"), 2, "Missing option '--fit-labels'"),
        (("--sets", "0.9", "--metric", "mcc"), 2, "--metric and --sets exclude each other"),
        (("--confidence", "0.9"), 2, "--confidence requires --max-error"),
        (("--per-class",), 2, "--per-class requires --sets"),
        (FIT, 2, "the likeliest class takes no --fit"),
        (("--save", "m.json"), 2, "--save keeps what is fitted"),
        (("--columns-as", "id"), 2, "must be pairs like id:PassengerId,label:Target, got 'id'"),
        (("--cost", "k.csv"), 1, "got 'bird' instead of 'fish'"),
        (("--max-error", "0.001", *FIT), 1, "must be an array of 2995 rows or more to bound an"),
        (("--sets", "0.9", *FIT, "-o", "s.txt"), 1, "the suffix of an output must be one of"),
        (("--sets", "0.9", *FIT, "--labels", "none.npy"), 1, "none.npy: no such file"),
        (("-o", "test.csv"), 1, "test.csv: exists already"),
    ],
)
def test_bad_input_gets_one_line_and_writes_nothing(task, run_cli, tmp_path, words, code, message):
    Path("k.csv").write_text("cat,dog,bird\n0,1,1\n1,0,1\n1,1,0\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    found = run_cli("decide", "test.csv", *words, code=code)
    assert message in found.stderr
    assert found.stderr.splitlines()[-1].startswith("Error: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_one_column_is_two_classes(task, run_cli):
    p = task[:, 1]
    Path("one.csv").write_text(
        "id,dog\n" + "".join(f"r{row},{value:.9f}\n" for row, value in enumerate(p))
    )
    run_cli("decide", "one.csv", "-o", "l.npy")
    assert np.load("l.npy").tolist() == (p > 0.5).astype(int).tolist()
    np.save("y.npy", (np.load("y.test.npy") == 1).astype(int))
    fit = ("--fit", "one.csv", "--fit-labels", "y.npy")
    run_cli("decide", "one.csv", "--metric", "balanced_accuracy", *fit, "-o", "m.npy")
    assert np.load("m.npy").sum() > np.load("l.npy").sum()
    run_cli("calibrate", "one.csv", *fit, "-o", "c.csv", "--labels-out", "c.txt", "--integers")
    calibrated = np.loadtxt("c.csv", delimiter=",", skiprows=1, usecols=1)
    assert Path("c.txt").read_text().split() == (calibrated > 0.5).astype(int).astype(str).tolist()


def test_the_threshold_of_two_classes_is_printed(task, run_cli):
    rng = np.random.default_rng(0)
    y = (rng.random(2000) < 0.1).astype(int)
    p = 1 / (1 + np.exp(-(3 * y - 3.5) - rng.normal(size=2000)))
    np.save("p.npy", p)
    np.save("y.npy", y)
    words = ("decide", "p.npy", "--metric", "f1", "--fit", "p.npy", "--fit-labels", "y.npy")
    found = json.loads(run_cli(*words, "-o", "l.npy", "--json").stdout)
    assert found["improved"]
    np.testing.assert_array_equal(np.load("l.npy"), p > found["threshold"])
    said = run_cli(*words, "-o", "again.npy").stdout
    assert f"threshold of the positive class: {found['threshold']:.4f}" in said


@pytest.mark.parametrize("rule", [("--metric", "macro_f1"), ("--max-error", 0.3), ("--sets", 0.8)])
def test_files_that_are_not_scored_alike_are_told(tmp_path, monkeypatch, run_cli, rule):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, n in (("val", 400), ("test", 300)):
        y = rng.integers(0, 3, n)
        np.save(f"{name}_y.npy", y)
        np.save(f"{name}.npy", 6 * np.eye(3)[y] + 5 * rng.normal(size=(n, 3)))
    fit = ("--fit", "val.npy", "--fit-labels", "val_y.npy")
    run_cli("calibrate", "test.npy", *fit, "-o", "cal.npy", "--oof", "oof.npy", "--quiet")
    np.save("probs.npy", softmax(np.load("val.npy")))
    one = ("--fit", "probs.npy", "--fit-labels", "val_y.npy")
    result = run_cli("decide", "cal.npy", *rule, *one, "-o", "x.csv")
    assert "probs.npy and cal.npy are not scored alike" in result.stderr
    other = ("--fit", "oof.npy", "--fit-labels", "val_y.npy")
    result = run_cli("decide", "cal.npy", *rule, *other, "-o", "x.csv", "--overwrite")
    assert "alike" not in result.stderr
