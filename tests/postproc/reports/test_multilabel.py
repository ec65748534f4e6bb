"""Reports on multi-label predictions: metrics of scikit-learn, intervals from rows."""

import csv
import io

import numpy as np
import pytest
from sklearn import metrics as sk

from postproc import Predictions, accuracy_report, multilabel_report
from postproc.reports.multilabel import METRICS

RNG = np.random.default_rng(0)
Y = (RNG.random((300, 5)) < [0.5, 0.3, 0.2, 0.1, 0.02]).astype(int)
NAMES = ["a", "b", "c", "d", "e"]
IDS = [f"r{row}" for row in range(300)]


def scores(strength, seed):
    z = strength * (2 * Y - 1) + np.random.default_rng(seed).standard_normal(Y.shape) - 0.5
    return 1 / (1 + np.exp(-z))


OLD, NEW = scores(0.5, 1), scores(1.2, 2)
ORACLES = {
    "micro_f1": lambda y, p: sk.f1_score(y, p >= 0.5, average="micro"),
    "macro_f1": lambda y, p: sk.f1_score(y, p >= 0.5, average="macro", zero_division=0),
    "average_precision": lambda y, p: sk.average_precision_score(y, p, average="macro"),
    "hamming_loss": lambda y, p: sk.hamming_loss(y, p >= 0.5),
    "accuracy": lambda y, p: sk.accuracy_score(y, p >= 0.5),
    "log_loss": lambda y, p: sk.log_loss(y.ravel(), p.ravel()),
    "brier": lambda y, p: sk.brier_score_loss(y.ravel(), p.ravel()),
    "auc": lambda y, p: sk.roc_auc_score(y, p, average="macro"),
}


@pytest.mark.parametrize("name", ORACLES)
def test_metrics_are_those_of_scikit_learn(name):
    report = multilabel_report({"old": OLD, "new": NEW}, Y, metrics=[name])
    for model, probs in (("old", OLD), ("new", NEW)):
        assert report[model].results[name].value == pytest.approx(ORACLES[name](Y, probs))
    gain = report["new"].results[name]
    assert gain.verdict == "real gain"
    assert gain.gain_ci[0] < gain.gain < gain.gain_ci[1]


def test_labels_are_those_of_scikit_learn():
    report = multilabel_report({"old": OLD, "new": NEW}, Y)
    wanted = sk.precision_recall_fscore_support(Y, NEW >= 0.5, zero_division=np.nan)
    found = report["new"].labels
    for ours, theirs in zip(
        (found.precision, found.recall, found.f1, found.support), wanted, strict=True
    ):
        np.testing.assert_allclose(ours, theirs)
    precisions = sk.average_precision_score(Y, NEW, average=None)
    np.testing.assert_allclose(report["new"].average_precision, precisions)


def test_intervals_are_those_of_a_bootstrap():
    report = multilabel_report({"new": NEW}, Y, metrics=["micro_f1", "macro_f1"])
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 300, (2000, 300))
    for name in ("micro_f1", "macro_f1"):
        drawn = [ORACLES[name](Y[each][:, :4], NEW[each][:, :4]) for each in rows[:400]]
        low, high = (
            multilabel_report({"n": NEW[:, :4]}, Y[:, :4], metrics=[name])["n"].results[name].ci
        )
        assert high - low == pytest.approx(np.ptp(np.quantile(drawn, [0.025, 0.975])), rel=0.2)
    assert report.asked == ("micro_f1", "macro_f1")


def test_rows_and_labels_may_come_in_any_order():
    rows, labels = RNG.permutation(300), RNG.permutation(5)
    plain = multilabel_report({"old": OLD, "new": NEW}, Y, classes=NAMES)
    old = Predictions.check(OLD, classes=NAMES, ids=IDS, multilabel=True)
    new = Predictions.check(
        NEW[rows][:, labels],
        classes=[NAMES[j] for j in labels],
        ids=[IDS[i] for i in rows],
        multilabel=True,
    )
    moved = multilabel_report({"old": old, "new": new}, Y)
    one, other = (
        {m["name"]: m["metrics"] for m in report.to_dict()["models"]} for report in (plain, moved)
    )
    for model in ("old", "new"):
        for name in METRICS:
            for key in ("value", "gain", "p_value"):
                assert one[model][name][key] == pytest.approx(other[model][name][key])


def test_groups_and_weights_count():
    twice = multilabel_report({"a": OLD, "b": NEW}, Y, row_weights=np.full(300, 2.0))
    once = multilabel_report({"a": OLD, "b": NEW}, Y)
    pairs = np.arange(600) // 2
    doubled = multilabel_report(
        {"a": OLD.repeat(2, axis=0), "b": NEW.repeat(2, axis=0)}, Y.repeat(2, axis=0), groups=pairs
    )
    for report in (twice, doubled):
        for name in METRICS:
            ours, theirs = report["b"].results[name], once["b"].results[name]
            assert ours.gain == pytest.approx(theirs.gain)
            assert ours.gain_ci == pytest.approx(theirs.gain_ci, rel=1e-6)
    assert "groups: 300" in doubled.signature


def test_a_label_without_rows_is_shown_as_unknown():
    y = Y.copy()
    y[:, 4] = 0
    report = multilabel_report({"old": OLD, "new": NEW}, y)
    assert np.isnan(report["new"].average_precision[4])
    assert "-" in report.to_text(per_class=True)
    assert report.to_dict(per_class=True)["models"][1]["per_label"][4]["recall"] is None


def test_every_form_holds_the_numbers():
    report = multilabel_report({"old": OLD, "new": NEW}, Y, classes=[*NAMES[:4], "<e>"])
    value = f"{100 * report['new'].results['micro_f1'].value:.2f}"
    for text in (report.to_text(), report.to_markdown(), report._repr_html_(), report.to_html()):
        assert value in text
    assert "&lt;e&gt;" in report.to_html()
    assert "<svg" in report.to_html()
    lines = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert len(lines) == 2 * len(METRICS)
    assert {line["verdict"] for line in lines} >= {"baseline", "real gain"}


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="hamming_loss for multilabel predictions, got top3"):
        multilabel_report({"a": OLD}, Y, metrics=["top3"])
    with pytest.raises(ValueError, match="of shape"):
        multilabel_report({"a": OLD}, Y[:, :4])
    with pytest.raises(ValueError, match="`b` must be of shape"):
        multilabel_report({"a": OLD, "b": OLD[:, :4]}, Y)
    labels = Predictions.check(OLD, multilabel=True)
    with pytest.raises(ValueError, match="a multilabel task; use multilabel_report"):
        accuracy_report({"a": labels}, Y[:, 0])
    with pytest.raises(ValueError, match=r"must be one of accuracy, .*got hamming_loss"):
        accuracy_report(
            {"a": OLD / OLD.sum(axis=1, keepdims=True)}, Y[:, 0], metrics=["hamming_loss"]
        )
