"""Reports: what they hold, how they print, and what they refuse."""

import csv
import io
import json
import pickle
import tracemalloc
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from postproc import Predictions, load_labels, load_predictions, softmax
from postproc.evaluation.metrics import evaluate
from postproc.evaluation.paired import paired_gain_interval, wilson_interval
from postproc.jobs.engine import map_blocks
from postproc.reports.report import AccuracyReport, accuracy_report
from postproc.reports.tables import points
from postproc.scores.blocks import Sizes
from postproc.scores.names import COMMON
from tests.postproc.shuffled import Shuffled

KEYS = [
    "name", "accuracy", "accuracy_ci", "top5", "macro_f1", "log_loss", "brier", "ece",
    "gain", "gain_ci", "fixed", "broken", "p_value", "p_holm", "risk_coverage_area", "positive",
    "metrics",
]  # fmt: skip


def make(seed=0, n=300, n_classes=7, strength=2.0):
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(99).integers(0, n_classes, n)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), labels] += strength
    return logits, labels


@pytest.fixture
def three():
    """A baseline, one model clearly better, one hardly different."""
    base, labels = make(0)
    better = make(1, strength=4.0)[0]
    alike = base + 0.01 * make(2)[0]
    return {"base": base, "better": better, "alike": alike}, labels


def test_the_numbers_of_a_report_agree_with_their_definitions(three):
    predictions, labels = three
    report = accuracy_report(predictions, labels).to_dict()
    assert list(report) == ["rows", "classes", "baseline", "models", "groups", "signature"]
    assert (report["rows"], report["classes"], report["baseline"]) == (300, 7, "base")
    assert [model["name"] for model in report["models"]] == ["base", "better", "alike"]
    was_right = predictions["base"].argmax(axis=1) == labels
    p_values = []
    for model in report["models"]:
        assert list(model) == KEYS
        metrics = evaluate(predictions[model["name"]], labels)
        for key in KEYS[1:2] + KEYS[3:8]:
            assert model[key] == getattr(metrics, key)
        assert model["accuracy_ci"] == list(wilson_interval(metrics.correct, 300))
        is_right = predictions[model["name"]].argmax(axis=1) == labels
        if model["name"] == "base":
            assert all(model[key] is None for key in KEYS[8:14])
            continue
        fixed, broken = np.sum(is_right & ~was_right), np.sum(was_right & ~is_right)
        assert (model["fixed"], model["broken"]) == (fixed, broken)
        assert model["gain"] == pytest.approx(is_right.mean() - was_right.mean())
        assert model["gain_ci"] == list(paired_gain_interval(fixed, broken, 300))
        expected = mcnemar([[0, fixed], [broken, 0]], exact=True).pvalue
        assert model["p_value"] == pytest.approx(expected)
        p_values.append(model["p_value"])
    assert [model["p_holm"] for model in report["models"][1:]] == pytest.approx(
        list(multipletests(p_values, method="holm")[1])
    )


def test_json_holds_the_report_without_loss(three):
    report = accuracy_report(*three).to_dict(per_class=True)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_verdicts(three):
    predictions, labels = three
    report = accuracy_report(predictions | {"same": predictions["base"]}, labels)
    verdicts = {model.name: model.verdict for model in report.models}
    expected = {"base": "baseline", "better": "real gain", "alike": "unclear", "same": "no change"}
    assert verdicts == expected
    turned = accuracy_report(predictions, labels, baseline="better")
    assert turned["base"].verdict == "real loss"


def test_the_baseline_may_be_any_model_and_comes_first(three):
    predictions, labels = three
    report = accuracy_report(predictions, labels, baseline="alike")
    assert [model.name for model in report.models] == ["alike", "base", "better"]


def test_one_model_is_reported_without_comparison(three):
    predictions, labels = three
    report = accuracy_report({"base": predictions["base"]}, labels)
    assert report.compared == ()
    assert "Against" not in report.to_text()
    assert report.to_csv().count("\n") == 2


def test_order_of_members_does_not_matter(three):
    predictions, labels = three
    forth = accuracy_report(predictions, labels, baseline="base")
    back = accuracy_report(dict(reversed(predictions.items())), labels, baseline="base")
    assert {m.name: m.to_dict() for m in forth.models} == {m.name: m.to_dict() for m in back.models}


def test_order_of_rows_does_not_matter(three):
    predictions, labels = three
    order = np.random.default_rng(0).permutation(len(labels))
    forth = accuracy_report(predictions, labels).to_dict(per_class=True)
    back = accuracy_report(
        {name: scores[order] for name, scores in predictions.items()}, labels[order]
    ).to_dict(per_class=True)
    for one, other in zip(forth["models"], back["models"], strict=True):
        assert one.pop("log_loss") == pytest.approx(other.pop("log_loss"), rel=1e-12)
        assert one.pop("brier") == pytest.approx(other.pop("brier"), rel=1e-12)
        assert one == other


def test_kinds_may_be_mixed(three):
    predictions, labels = three
    mixed = {name: softmax(scores) for name, scores in predictions.items()}
    mixed["better"] = predictions["better"]
    for one, other in zip(
        accuracy_report(mixed, labels).models,
        accuracy_report(predictions, labels).models,
        strict=True,
    ):
        assert one.metrics.log_loss == pytest.approx(other.metrics.log_loss)
        assert one.comparison == other.comparison


def test_permuted_columns_and_rows_are_matched_by_name(three):
    predictions, labels = three
    classes, ids = list("abcdefg"), [f"row {i}" for i in range(300)]
    rng = np.random.default_rng(0)
    named, permuted = {}, {}
    for name, scores in predictions.items():
        columns, rows = rng.permutation(7), rng.permutation(300)
        if name == "base":
            columns, rows = np.arange(7), np.arange(300)
        named[name] = Predictions.check(scores, classes=classes, ids=ids)
        permuted[name] = Predictions.check(
            scores[rows][:, columns],
            classes=[classes[j] for j in columns],
            ids=[ids[i] for i in rows],
        )
    one, other = accuracy_report(named, labels), accuracy_report(permuted, labels)
    assert one.classes == other.classes == tuple(classes)
    for name in predictions:
        assert one[name].comparison == other[name].comparison
        assert one.confusions(name, top=100) == other.confusions(name, top=100)
        for column in ("fixed", "broken"):
            ours, theirs = (getattr(each.class_changes(name), column) for each in (one, other))
            np.testing.assert_array_equal(ours, theirs)
        assert one[name].metrics.log_loss == pytest.approx(other[name].metrics.log_loss)


def test_class_changes_agree_with_a_loop(three):
    predictions, labels = three
    changes = accuracy_report(predictions, labels).class_changes("better")
    base, new = (predictions[name].argmax(axis=1) for name in ("base", "better"))
    for j in range(7):
        rows = [(b, a) for b, a, y in zip(base, new, labels, strict=True) if y == j]
        assert changes.fixed[j] == sum(b != j and a == j for b, a in rows)
        assert changes.broken[j] == sum(b == j and a != j for b, a in rows)
        assert changes.metrics.support[j] == len(rows)
        assert changes.metrics.correct[j] - changes.before.correct[j] == (
            changes.fixed[j] - changes.broken[j]
        )


def test_confusions_agree_with_the_matrices(three):
    predictions, labels = three
    report = accuracy_report(predictions, labels)
    matrices = []
    for name in ("base", "better"):
        matrix = np.zeros((7, 7), int)
        np.add.at(matrix, (labels, predictions[name].argmax(axis=1)), 1)
        np.fill_diagonal(matrix, 0)
        matrices.append(matrix)
    before, after = matrices
    changes = report.confusions("better", top=100)
    assert len(changes) == np.count_nonzero(after != before)
    for change in changes:
        assert change.before == before[change.label, change.predicted]
        assert change.after == after[change.label, change.predicted]
    sizes = [abs(change.after - change.before) for change in changes]
    assert sizes == sorted(sizes, reverse=True)
    assert report.confusions("better", top=3) == changes[:3]


def test_the_baseline_shows_its_most_frequent_confusions(three):
    predictions, labels = three
    frequent = accuracy_report(predictions, labels).confusions("base")
    assert [change.after for change in frequent] == sorted(
        (change.after for change in frequent), reverse=True
    )


def test_csv_reads_back(three):
    report = accuracy_report(*three)
    lines = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [line["name"] for line in lines] == ["base", "better", "alike"]
    assert lines[0]["gain"] == lines[0]["gain_low"] == ""
    for line, model in zip(lines, report.to_dict()["models"], strict=True):
        assert float(line["accuracy"]) == model["accuracy"]
        assert float(line["accuracy_low"]) == model["accuracy_ci"][0]
    assert float(lines[1]["gain_high"]) == report["better"].comparison.gain_ci[1]


def test_two_classes_show_the_auc_where_it_exists():
    probs = np.random.default_rng(0).dirichlet([1, 1, 1], 40)
    two, y = probs[:, :2] / probs[:, :2].sum(axis=1, keepdims=True), np.arange(40) % 2
    assert accuracy_report({"a": two}, y).asked == ("accuracy", "auc")
    assert accuracy_report({"a": two}, np.ones(40, int)).asked == ("accuracy",)
    assert accuracy_report({"a": probs}, np.arange(40) % 3).asked == ("accuracy",)
    only = replace(Predictions.check(np.eye(2)[y], kind="probs"), labels_only=True)
    assert accuracy_report({"a": two, "b": only}, y).asked == ("accuracy",)


def test_text_is_a_table_in_per_cent():
    old = np.array([[0.9, 0.1]] * 6 + [[0.2, 0.8]] * 4)
    labels = np.array([0] * 5 + [1] * 5)
    models = {"old": old, "new": np.eye(2)[labels]}
    report = accuracy_report(models, labels, metrics=["accuracy"])
    assert report.to_text() == (
        "10 rows, 2 classes\n"
        "\n"
        "  model   accuracy     95 % interval   macro-F1   log-loss    Brier     ECE\n"
        " ───────────────────────────────────────────────────────────────────────────\n"
        "  old        90.00    59.58 to 98.21      89.90     0.3722   0.2040   12.00\n"
        "  new       100.00   72.25 to 100.00     100.00     0.0000   0.0000    0.00\n"
        "\n"
        "Shares and ECE (expected calibration error) in per cent; log-loss in nats. Calibrated "
        "models with\nthese confidences would have an ECE of 0.00 to 23.60 by chance.\n"
        "\n"
        "Against old\n"
        "\n"
        "  model     gain      95 % interval   fixed   broken        p   p (Holm)   verdict\n"
        " ──────────────────────────────────────────────────────────────────────────────────\n"
        "  new     +10.00   -20.53 to +40.42       1        0   1.0000     1.0000   unclear\n"
        "\n"
        "Gain in points of accuracy; p of the exact McNemar test, corrected by Holm for 1 "
        "comparison. A gain\nor loss is called real if the corrected p is below 0.05. Gains that "
        "these rows can show (power 0.8):\n29.84 points of accuracy.\n"
        "\n"
        "Calibration of class 1, which 50.00 % of the rows are (18.12 to 81.88)\n"
        "\n"
        "  model   mean prediction   difference      95 % interval               verdict     ECE\n"
        " ───────────────────────────────────────────────────────────────────────────────────────\n"
        "  old               38.00       -12.00   -42.69 to +18.69   no difference found   12.00\n"
        "  new               50.00        +0.00     +0.00 to +0.00   no difference found    0.00\n"
        "\n"
        "Mean probability of class 1 in per cent, its difference from the share of rows in points; "
        "called too\n"
        "high or too low if p of the t-test is below 0.05. ECE by the probability of class 1, "
        "15 bins of\n"
        "equal mass.\n"
        "\n"
        f"postproc {version('postproc')} | accuracy: share of rows that are right | "
        "baseline old | ties: lowest class | seed:\n"
        "none needed | n = 10 | groups: none | row weights: none\n"
    )


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_number_is_cut_at_common_widths(three, width):
    predictions, labels = three
    predictions["a model with quite a long name"] = predictions.pop("alike")
    text = accuracy_report(predictions, labels).to_text(width=width, per_class=True)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "real gain" in text


def test_rich_prints_a_report(three):
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120)
    console.print(accuracy_report(*three))
    assert "real gain" in console.file.getvalue()


def test_markdown_escapes_names():
    scores, labels = make()
    report = accuracy_report({"a|b": scores, "c\nd*": scores, "<b>": scores}, labels)
    lines = report.to_markdown().splitlines()
    assert lines[0] == "**300 rows, 7 classes**"
    assert lines[3] == "| --- |" + " ---: |" * 7
    assert lines[4].startswith("| a\\|b | ")
    assert lines[5].startswith("| c d\\* | ")
    assert lines[6].startswith("| \\<b> | ")


def test_a_metric_that_is_undefined_is_null_and_a_dash():
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    report = accuracy_report({"a": scores}, [0, 0])
    per_class = report.to_dict(per_class=True)["models"][0]["per_class"]
    assert per_class[2] == {
        "class": "2", "support": 0, "precision": None, "recall": None, "f1": None,
    }  # fmt: skip
    assert "  2             0           -        -        -" in report.to_text(per_class=True)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_nan_row_is_an_error_and_never_counted_correct(label):
    scores, _ = make(n=5, n_classes=3)
    broken = scores.copy()
    broken[3, 1:] = np.nan
    with pytest.raises(ValueError) as caught:
        accuracy_report({"a": scores, "b": broken}, [label] * 5)
    assert str(caught.value) == "`b, row 3, column 1` must be a finite number, got nan"


def test_the_kind_is_decided_for_the_whole_file():
    # Rows that could be probabilities, then rows that cannot: all are logits, in one batch or two.
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.dirichlet(np.ones(4), 50), rng.normal(size=(50, 4))])
    labels = rng.integers(0, 4, 100)
    report = accuracy_report({"a": scores}, labels)
    assert report["a"].metrics.log_loss == evaluate(scores, labels, kind="logits").log_loss


@pytest.mark.parametrize("seed", [0, 1])
def test_blocks_in_any_order_give_the_report_of_one_piece(three, seed):
    predictions, labels = three
    whole = accuracy_report(predictions, labels).to_dict(per_class=True)
    options = {"map_blocks": partial(map_blocks, Shuffled(seed)), "sizes": Sizes(block=8 * 7 * 13)}
    parts = accuracy_report(predictions, labels, **options).to_dict(per_class=True)
    for one, other in zip(parts["models"], whole["models"], strict=True):
        for key in ("log_loss", "brier", "ece"):
            assert one.pop(key) == pytest.approx(other.pop(key), rel=1e-12)
        assert one == other


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "i8", "f4"])
def test_labels_of_every_type_and_from_every_place_are_worth_the_same(tmp_path, dtype):
    # 200 classes: the number of a pair of classes overflows all but the widest types.
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 200, 500)
    predictions = {name: rng.normal(size=(500, 200)) for name in "ab"}
    expected = accuracy_report(predictions, labels).to_dict(per_class=True)
    np.save(tmp_path / "y.npy", labels.astype(dtype))
    mapped = load_labels(tmp_path / "y", n_classes=200, mapped=True)
    for given in (mapped, labels.astype(dtype), np.load(tmp_path / "y.npy", mmap_mode="r")):
        assert accuracy_report(predictions, given).to_dict(per_class=True) == expected


def test_labels_in_a_file_are_sent_by_path(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(2, dtype=np.float32)[np.arange(2000) % 2])
    np.save(tmp_path / "y.npy", (np.arange(2000) % 2).astype(np.int8))
    sent = []

    def walk(part, cuts, what):
        sent.append(pickle.dumps(part))
        return map(pickle.loads(sent[-1]), cuts)

    scores = load_predictions(tmp_path / "a.npy", mapped=False)
    labels = load_labels(tmp_path / "y.npy", n_classes=2, mapped=True)
    options = {"map_blocks": walk, "sizes": Sizes(block=8 * 2 * 500)}
    report = accuracy_report({"a": scores, "b": scores}, labels, **options)
    assert report["b"].metrics.accuracy == 1
    assert all(len(part) < 2000 for part in sent)


def test_memory_does_not_grow_with_the_rows(tmp_path):
    n = 1_000_000
    rng = np.random.default_rng(0)
    np.save(tmp_path / "y.npy", rng.integers(0, 4, n))
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.integers(0, 6, (n, 4)).astype(np.float32))
    options = {"kinds": dict.fromkeys("ab", "logits"), "sizes": Sizes(block=8 * 4 * 5000)}
    labels = load_labels(tmp_path / "y.npy", n_classes=4, mapped=True)
    models = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "ab"}
    accuracy_report({name: scores[:9] for name, scores in models.items()}, labels[:9], **options)
    tracemalloc.start()
    report = accuracy_report(models, labels, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.rows == n
    assert peak < n * 8  # two models' classes alone would take as much
    assert len(pickle.dumps(report)) < 10_000


def test_real_predictions(shared_data):
    folder = shared_data / "banking77"
    labels = np.load(folder / "labels.test.npy")
    files = sorted(f for f in folder.glob("*.test.npy") if f.name != "labels.test.npy")
    predictions = {f.name.split(".")[0]: np.load(f, mmap_mode="r") for f in files}
    report = accuracy_report(predictions, labels)
    assert isinstance(report, AccuracyReport)
    for model in report.models:
        expected = (predictions[model.name].argmax(axis=1) == labels).mean()
        assert model.metrics.accuracy == pytest.approx(expected)


S = np.array([[0.2, 0.8], [0.7, 0.3]])
Y = [1, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: accuracy_report([S], Y),
            TypeError,
            "`predictions` must be a mapping of names to predictions, got list",
        ),
        (
            lambda: accuracy_report({}, Y),
            ValueError,
            "`predictions` must be one model or more, got none",
        ),
        (
            lambda: accuracy_report({1: S}, Y),
            TypeError,
            "`predictions` must be named by strings, got 1",
        ),
        (
            lambda: accuracy_report({"a": S, "b": S}, Y, baseline="c"),
            ValueError,
            "`baseline` must be one of 'a', 'b', got 'c'",
        ),
        (
            lambda: accuracy_report({"a": S, "b": S[:1]}, Y),
            ValueError,
            "`b` must be as long as `a` (2 rows), got 1 rows",
        ),
        (
            lambda: accuracy_report({"a": S, "b": np.eye(3)[:2]}, Y),
            ValueError,
            "`b` must be an array of 2 classes like `a`, got 3 columns",
        ),
        (
            lambda: accuracy_report({"a": S}, [1, 2]),
            ValueError,
            "`labels[1]` must be an integer in 0..1, got 2",
        ),
        (
            lambda: accuracy_report({"a": S}, [1]),
            ValueError,
            "`labels` must be as long as the predictions (2 rows), got 1 labels",
        ),
        (
            lambda: accuracy_report({"a": S[:0]}, []),
            ValueError,
            "`labels` must be one label or more, got 0 labels",
        ),
        (
            lambda: accuracy_report({"a": S}, Y, kinds={"b": "probs"}),
            ValueError,
            "`kinds` must be of 'a', got 'b'",
        ),
        (
            lambda: accuracy_report({"a": Predictions.check(S)}, Y, kinds="logits"),
            ValueError,
            "`kinds` must be probs for 'a', as its predictions are, got 'logits'",
        ),
        (
            lambda: accuracy_report({"a": S}, Y, classes=["x"]),
            ValueError,
            "`classes` must be 2 names, one a column, got 1 names",
        ),
        (
            lambda: accuracy_report({"a": S}, Y, classes=["x", "x"]),
            ValueError,
            "`classes` must be unique, got 'x' more than once",
        ),
        (
            lambda: accuracy_report(
                {
                    "a": Predictions.check(S, classes=["x", "y"]),
                    "b": Predictions.check(S, classes=["x", "z"]),
                },
                Y,
            ),
            ValueError,
            "`class names of b` must be those of the other models, in any order, "
            "got 'z' instead of 'y'",
        ),
        (
            lambda: accuracy_report(
                {"a": Predictions.check(S, ids=[1, 2]), "b": Predictions.check(S, ids=[2, 3])}, Y
            ),
            ValueError,
            "`ids of b` must be those of the other models, in any order, got '3' instead of "
            f"'1'; {COMMON}",
        ),
        (
            lambda: accuracy_report({"a": S}, Y).confusions("a", top=0),
            ValueError,
            "`top` must be an integer >= 1, got 0",
        ),
        (lambda: accuracy_report({"a": S}, Y)["b"], KeyError, "'b'"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_a_change_that_rounds_to_nothing_has_no_minus():
    assert [points(x) for x in (-1e-6, 0.0, -0.00006, 0.0123)] == [
        "+0.00", "+0.00", "-0.01", "+1.23",
    ]  # fmt: skip


def test_models_with_other_classes_are_told_by_name():
    three = Predictions.check(np.eye(3), classes=["cat", "dog", "owl"], name="three")
    two = Predictions.check(np.eye(2)[[0, 1, 0]], classes=["cat", "dog"], name="two")
    with pytest.raises(ValueError, match=r"class names of two.*got all but 'owl'"):
        accuracy_report({"three": three, "two": two}, [0, 1, 2])
