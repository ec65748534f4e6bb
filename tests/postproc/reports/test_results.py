"""Metrics of reports: in blocks, in groups, weighted, against the registry on whole arrays."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.special import softmax

from postproc import Predictions
from postproc.evaluation import rank_counts
from postproc.evaluation.influence import spread_of
from postproc.evaluation.moments import Units
from postproc.evaluation.paired import paired_gain_interval
from postproc.evaluation.rank_counts import ConfidenceRows, RankRows, rank
from postproc.evaluation.ranking import auc, average_precision, risk_coverage_area
from postproc.evaluation.registry import METRICS, cost_metric, find_metric
from postproc.reports.report import accuracy_report
from postproc.scores.blocks import Sizes, in_order
from postproc.scores.one_hot import from_labels

N = 230
SMALL = Sizes(block=8 * 4 * 50, cached=8 * 4 * 20)
COSTS = np.array([[0, 1, 4.0], [2, 0, 1], [5, 1, 0]])


def make(n_classes=3, n=N, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(n_classes, n)
    shared = rng.normal(size=(n, n_classes)) + np.eye(n_classes)[y]
    models = {k: shared + 0.7 * rng.normal(size=shared.shape) for k in ("base", "new", "other")}
    groups = rng.permutation(np.arange(n) // 4)
    return models, y, groups, rng.uniform(0, 3, n)


def chosen_by(logits, costs):
    return (softmax(logits, axis=1) @ costs).argmin(axis=1)


def names_of(n_classes):
    names = [name for name in METRICS if name != "accuracy" or n_classes == 2]
    return names if n_classes == 2 else [*names, "top2", cost_metric(COSTS, name="cost:c.csv")]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_results_are_those_of_whole_arrays(n_classes, grouped, weighted):
    models, y, groups, weights = make(n_classes)
    units = {"groups": groups if grouped else None, "weights": weights if weighted else None}
    asked = names_of(n_classes)
    report = accuracy_report(
        models, y, metrics=asked, sizes=SMALL,
        groups=units["groups"], row_weights=units["weights"],
    )  # fmt: skip
    for each in asked:
        metric = find_metric(each) if isinstance(each, str) else each
        if metric.name == "accuracy" and not grouped and not weighted:
            continue
        found = {
            name: metric.measure(y, softmax(scores, axis=1), units["weights"])
            for name, scores in models.items()
        }
        p_values = []
        for model in report.models:
            result = model.results[metric.name]
            wanted = metric.estimate(found[model.name], **units)
            assert result.value == pytest.approx(wanted.value, abs=1e-12)
            np.testing.assert_allclose(result.ci, wanted.interval, rtol=1e-7)
            if model.name == "base":
                assert result.gain is None
                continue
            gain = metric.gain(found[model.name], found["base"], **units)
            assert result.gain == pytest.approx(gain.value, abs=1e-12)
            np.testing.assert_allclose(result.gain_ci, gain.interval, rtol=1e-6)
            assert result.detectable == pytest.approx(gain.detectable)
            assert result.p_value == pytest.approx(gain.p_value, abs=1e-9)
            p_values.append(result.p_value)
        corrected = [model.results[metric.name].p_holm for model in report.compared]
        assert min(corrected) == pytest.approx(min(1, 2 * min(p_values)))


def test_accuracy_of_rows_that_stand_alone_stays_exact():
    models, y, *_ = make()
    report = accuracy_report(models, y, metrics=["macro_f1", "accuracy"])
    for model in report.compared:
        counts = model.comparison
        assert model.accuracy.gain_ci == paired_gain_interval(counts.fixed, counts.broken, N)
        assert model.accuracy.p_value == counts.p_value


def test_weights_reach_all_metrics_that_are_shown():
    models, y, _, weights = make()
    report = accuracy_report(models, y, row_weights=weights).to_dict()["models"][0]
    for name in ("accuracy", "macro_f1", "log_loss", "brier"):
        wanted = find_metric(name).measure(y, softmax(models["base"], axis=1), weights).value
        assert report[name] == pytest.approx(wanted)


def test_integer_weights_are_copies_and_zeros_leave_out():
    models, y, groups, _ = make()
    copies = np.random.default_rng(3).integers(0, 3, N)
    rows = np.repeat(np.arange(N), copies)
    names = list(METRICS)
    weighted = accuracy_report(models, y, metrics=names, row_weights=copies, groups=groups)
    repeated = accuracy_report(
        {k: v[rows] for k, v in models.items()}, y[rows], metrics=names, groups=groups[rows]
    )
    for one, other in zip(weighted.models, repeated.models, strict=True):
        for name in names:
            assert one.results[name].value == pytest.approx(other.results[name].value)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rows_matched_by_id_keep_groups_and_weights(n_classes):
    models, y, groups, weights = make(n_classes)
    ids = np.array([f"r{i}" for i in range(N)])
    order = np.random.default_rng(1).permutation(N)
    asked = {"metrics": names_of(n_classes), "groups": groups, "row_weights": weights}
    plain = accuracy_report(models, y, **asked)
    mixed = {k: Predictions.check(v, ids=ids) for k, v in models.items()}
    mixed["new"] = Predictions.check(models["new"][order], ids=ids[order])
    for one, other in zip(plain.models, accuracy_report(mixed, y, **asked).models, strict=True):
        for name, result in one.results.items():
            again = other.results[name]
            for field in dataclasses.fields(result)[1:]:
                value = getattr(result, field.name)
                if value is not None:
                    assert getattr(again, field.name) == pytest.approx(value, rel=1e-6, abs=1e-12)


def test_results_do_not_depend_on_rows_or_blocks():
    models, y, groups, weights = make()
    order = np.random.default_rng(0).permutation(N)
    asked = {"metrics": names_of(3)}
    first = accuracy_report(models, y, groups=groups, row_weights=weights, **asked)
    other = accuracy_report(
        {k: v[order] for k, v in models.items()}, y[order],
        groups=groups[order], row_weights=weights[order], sizes=SMALL, **asked,
    )  # fmt: skip
    for one, two in zip(first.models, other.models, strict=True):
        for name, result in one.results.items():
            assert two.results[name].value == pytest.approx(result.value, rel=1e-12)
            np.testing.assert_allclose(two.results[name].ci, result.ci, rtol=1e-8)


@pytest.mark.parametrize(("n_classes", "scale"), [(3, 1), (2, 1), (2, 30), (2, 1000)])
def test_a_grid_of_scores_stays_within_its_slack(n_classes, scale):
    models, y, *_ = make(n_classes, n=4000)
    part = RankRows(scale * models["base"].astype(np.float32), y, "logits")
    for weights in (None, np.random.default_rng(0).uniform(0, 2, len(y))):
        exact = rank(part, [auc, average_precision], Units(weights), in_order)
        coarse = rank(part, [auc, average_precision], Units(weights), in_order, exact=0)
        assert exact.slacks == (0, 0)
        for k in range(2):
            assert 0 < coarse.slacks[k] < 0.02
            assert abs(exact.values[k] - coarse.values[k]) <= coarse.slacks[k]
        rows = slice(0, len(y))
        errors = [each.influences(rows).std(axis=1) for each in (exact, coarse)]
        np.testing.assert_allclose(*errors, rtol=0.01)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_risk_coverage_areas_of_a_grid_stay_within_their_slack(n_classes):
    models, y, *_ = make(n_classes, n=4000)
    part = ConfidenceRows(models["base"].astype(np.float32), y, "logits")
    exact = rank(part, [risk_coverage_area], Units(), in_order)
    coarse = rank(part, [risk_coverage_area], Units(), in_order, exact=0)
    assert 0 < coarse.slacks[0] < 0.02
    assert abs(exact.values[0] - coarse.values[0]) <= coarse.slacks[0]
    rows = slice(0, len(y))
    errors = [each.influences(rows).std(axis=1) for each in (exact, coarse)]
    np.testing.assert_allclose(*errors, rtol=0.02)


@pytest.mark.parametrize("name", ["auc", "average_precision", "aurc"])
@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 2)])
def test_two_classes_are_ranked_by_logits_on_any_scale(name, shape):
    rng = np.random.default_rng(4)
    y, noise = rng.integers(0, 2, N), rng.normal(0, 80, N)
    scores = np.round(550 + 60 * y + noise)  # probabilities are all 1
    given = np.stack([scores - 300, 2 * scores - 300], axis=1) if shape[-1] == 2 else scores
    models = {"base": given.reshape(shape)}
    mild = (scores - scores.min() + 1) / (np.ptp(scores) + 2)  # of the same order
    if name == "aurc":
        mild = (1 + mild) / 2  # all decided for the positive class, as above
    wanted = find_metric(name).measure(y, np.stack([1 - mild, mild], axis=1))
    found = accuracy_report(models, y, kinds="logits", metrics=[name]).models[0].results[name]
    assert found.value == pytest.approx(wanted.value, abs=1e-12)
    np.testing.assert_allclose(found.ci, find_metric(name).estimate(wanted).interval)
    assert found.ci[1] - found.ci[0] > 0.02


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_share_of_the_second_class_is_that_of_whole_arrays(kind, grouped, weighted):
    models, y, groups, weights = make(2)
    probs = {name: softmax(1 + 3 * scores, axis=1) for name, scores in models.items()}
    given = {k: np.log(p) for k, p in probs.items()} if kind == "logits" else probs
    units = {"groups": groups if grouped else None, "weights": weights if weighted else None}
    report = accuracy_report(
        given, y, groups=units["groups"], row_weights=units["weights"], sizes=SMALL
    )
    w = weights if weighted else np.ones(N)
    for model in report.models:
        p = probs[model.name][:, 1]
        gap = np.average(p - y, weights=w)
        wanted = spread_of(gap, p - y - gap, **units).estimate()
        found = model.to_dict()["positive"]
        assert found["predicted"] == pytest.approx(np.average(p, weights=w))
        assert found["observed"] == pytest.approx(np.average(y, weights=w))
        assert found["difference"] == pytest.approx(gap)
        np.testing.assert_allclose(found["difference_ci"], wanted.interval, rtol=1e-6)
        assert found["p_value"] == pytest.approx(wanted.p_value, rel=1e-6)
        order = np.argsort(p)
        gaps = [abs(p[b].mean() - y[b].mean()) * len(b) for b in np.array_split(order, 15)]
        assert found["ece"] == pytest.approx(sum(gaps) / N)
        assert model.value("ece") != pytest.approx(found["ece"])  # of the likeliest class


@pytest.mark.parametrize("n_classes", [2, 3])
def test_costs_of_least_costly_decisions_and_of_predicted_labels(n_classes):
    models, y, *_ = make(n_classes)
    table = np.random.default_rng(2).uniform(0, 5, (n_classes, n_classes + 1))  # or abstain
    metric = cost_metric(table)
    report = accuracy_report(models, y, metrics=[metric], sizes=SMALL)
    for model in report.models:
        chosen = chosen_by(models[model.name], table)
        assert model.value("cost") == pytest.approx(table[y, chosen].mean())
    calls = models["new"].argmax(axis=1)
    both = accuracy_report({"base": models["base"], "new": from_labels(calls)}, y, metrics=[metric])
    base, new = (table[y, each] for each in (chosen_by(models["base"], table), calls))
    assert [m.value("cost") for m in both.models] == pytest.approx([base.mean(), new.mean()])
    assert both.compared[0].results["cost"].gain == pytest.approx((base - new).mean())


def test_whether_two_classes_are_calibrated_is_said():
    rng = np.random.default_rng(5)
    p = rng.beta(1, 4, 3000)
    y = (rng.random(3000) < p).astype(int)
    models = {"right": p, "high": (1 + p) / 3, "low": p / 3}
    report = accuracy_report(models, y)
    verdicts = ["no difference found", "too high", "too low"]
    assert [m.positive.verdict for m in report.models] == verdicts
    text, page = report.to_text(), report.to_html()
    for shown in (text, page):
        assert f"Calibration of class 1, which {100 * y.mean():.2f} % of the rows are" in shown
        assert "too high" in shown
    assert "observed share of class 1" in page
    assert ",positive_predicted,positive_observed," in report.to_csv()
    only_ranks = accuracy_report(models, y, metrics=["auc"])
    assert "Calibration" not in only_ranks.to_text()
    three = accuracy_report({"a": np.full((30, 3), 1 / 3)}, np.arange(30) % 3)
    assert three.to_dict()["models"][0]["positive"] is None
    assert "Calibration" not in three.to_html()


def test_risk_coverage_areas_are_paired_in_text_and_page():
    models, y, *_ = make(3)
    report = accuracy_report(models, y, metrics=["accuracy", "aurc"])
    areas = [model.metrics.risk.area for model in report.models]
    for model, area in zip(report.models, areas, strict=True):
        assert model.results["aurc"].value == pytest.approx(area, abs=1e-12)
    found = report.models[1].results["aurc"]
    assert found.gain == pytest.approx(areas[0] - areas[1])
    assert found.gain_ci[0] < found.gain < found.gain_ci[1]
    assert "AURC" in report.to_text()
    assert "in paired rows: " + found.verdict in report.to_html()


def test_areas_of_a_model_that_is_never_wrong_are_zero():
    y = np.arange(30) % 3
    found = accuracy_report({"a": np.eye(3)[y]}, y, metrics=["aurc"]).models[0].results["aurc"]
    assert found.value == 0.0


def test_exact_up_to_ten_million_rows_of_two_classes():
    assert rank_counts.EXACT >= 10**7


def test_json_holds_no_nan_where_a_metric_is_not_defined():
    constant = np.tile([0.6, 0.3, 0.1], (N, 1))
    models, y, *_ = make()
    report = accuracy_report({"constant": constant, **models}, y, metrics=["mcc", "auc"])
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    result = found["models"][0]["metrics"]["mcc"]
    assert (result["value"], result["ci"]) == (0, None)
    assert found["models"][1]["metrics"]["mcc"]["gain_ci"] is None
    assert report["new"].results["mcc"].verdict == "unclear"
    assert report.to_html()


def test_signature_has_what_another_needs():
    models, y, groups, _ = make()
    report = accuracy_report(models, y, metrics=["auc"], groups=groups, baseline="new")
    for part in ("postproc ", "auc: area", "baseline new", "ties: ", "seed: ", "n = 230",
                 "groups: 58", "row weights: none"):  # fmt: skip
        assert part in report.signature
    for text in (report.to_text(width=1000), report.to_markdown(), report.to_csv()):
        assert report.signature.split(" | ")[1] in text
    assert report.to_dict()["signature"] == report.signature


def test_tables_and_csv_show_the_metrics_asked_for():
    models, y, *_ = make()
    report = accuracy_report(models, y, metrics=["macro_f1", "log_loss"])
    text = report.to_text()
    assert "points of accuracy" not in text
    assert text.count("macro-F1") == 1 + 3 + 1  # heading, a line a model, detectable gains
    assert "log_loss_gain_low" in report.to_csv().splitlines()[0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metrics": "auc"}, "`metrics` must be a sequence of names, got 'auc'"),
        ({"metrics": ["auc", "auc"]}, "`metrics` must be unique, got 'auc' more than once"),
        ({"metrics": ["f2"]}, "`metric` must be one of accuracy"),
        ({"groups": [0] * N}, "`groups` must be two or more, got 1"),
        ({"groups": [0, 1]}, "`groups` must be one name or number a row"),
        ({"row_weights": [0.0] * N}, "`row_weights` must be above 0 in a row or more"),
        ({"row_weights": [1.0] * (N - 1) + [-1]}, r"`row_weights\[229\]` must be a finite number"),
        ({"row_weights": [1.0]}, "`row_weights` must be one number a row"),
    ],
)
def test_bad_arguments(asked, message):
    models, y, *_ = make()
    with pytest.raises((TypeError, ValueError), match=message):
        accuracy_report(models, y, **asked)


@pytest.mark.parametrize("name", [m.name for m in METRICS.values() if m.several])
def test_metrics_that_say_nothing_of_one_class(name):
    models, *_ = make()
    with pytest.raises(ValueError, match=f"two classes or more for {name}, got one class"):
        accuracy_report(models, np.ones(N, np.int64), metrics=[name])
