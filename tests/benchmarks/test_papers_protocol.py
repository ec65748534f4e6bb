"""The published protocols on run directories made here."""

import csv
from dataclasses import replace

import numpy as np
import pytest

import postproc
from benchmarks.papers import blog, protocol, tables
from benchmarks.papers.__main__ import main
from benchmarks.papers.protocol import SETTINGS
from benchmarks.papers.simulation import classify, draw
from postproc.evaluation.paired import Comparison

SEARCH = {"alpha": (0.5, 1.0), "iterations": (1, 2), "threshold": (0.5, 0.9)}
BLOG, BLOG_TUNED, PAPER = SETTINGS[0], SETTINGS[1], SETTINGS[4]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two members of six balanced classes that both favour some classes beyond their due."""
    folder = tmp_path_factory.mktemp("runs") / "biased"
    folder.mkdir()
    rng = np.random.default_rng(0)
    prior = np.full(6, 1 / 6)
    np.save(folder / "labels.train.npy", rng.integers(6, size=600))
    for split, n_rows in (("val", 500), ("test", 1500)):
        rows = draw(prior, n_rows, rng)
        np.save(folder / f"labels.{split}.npy", rows.labels)
        for model, bias in (("strong", 1.5), ("weak", 0.3)):
            probs = classify(rows.evidence, prior, np.linspace(-bias, bias, 6), 1.0)
            np.save(folder / f"{model}.{split}.npy", probs)
    return folder


@pytest.fixture(scope="module")
def results(run):
    return protocol.measure([run], search=SEARCH)


def test_every_setting_on_every_member(results):
    assert len(results) == 2 * len(SETTINGS) == 16
    for result in results:
        whole, part = result.everything, result.ambiguous
        assert (result.task, result.classes, whole.rows) == ("biased", 6, 1500)
        if part is None:
            assert (whole.fixed, whole.broken) == (0, 0)
        else:
            assert (part.fixed, part.broken) == (whole.fixed, whole.broken)
            assert part.rows < whole.rows
            assert abs(part.gain) >= abs(whole.gain)
    by_name = {(r.model, r.setting): r.everything for r in results}
    assert by_name["strong", BLOG.name].gain_ci[0] > 0  # the prior is right, the bias is strong
    assert by_name["strong", PAPER.name].gain_ci[0] > 0


def test_the_blog_is_the_default_of_the_library(run, results):
    member = next(protocol.members([run], ["strong"]))
    can = postproc.CAN(prior=member.prior).fit(member.test)
    assert results[0].is_warned  # the bias moves the mean prediction away from the prior
    with pytest.warns(UserWarning, match="far from the prior"):
        after = np.asarray(can.predict_proba(member.test)).argmax(axis=1)
    expected = postproc.compare(member.test.argmax(axis=1), after, member.labels)
    assert results[0].everything == expected
    labels = np.load(run / "labels.train.npy")
    assert member.prior == pytest.approx(np.bincount(labels) / 600)
    assert member.prior_source == "train"
    shares = np.bincount(member.labels) / 1500
    assert results[0].prior_distance == pytest.approx(np.abs(shares - member.prior).sum() / 2)


def test_tuning_takes_what_is_best_on_val_and_never_sees_test(run):
    member = next(protocol.members([run], ["strong"]))
    chosen = protocol.tune(member, "blog", SEARCH)
    assert chosen is not None
    on_val = replace(member, test=member.val, labels=member.val_labels)
    best = protocol.apply(on_val, BLOG_TUNED, chosen).everything
    for alpha in SEARCH["alpha"]:
        for depth in SEARCH["iterations"]:
            for threshold in SEARCH["threshold"]:
                other = replace(chosen, alpha=alpha, iterations=depth, threshold=threshold)
                found = protocol.apply(on_val, BLOG_TUNED, other).everything
                assert found.gain <= best.gain
    poisoned = replace(member, labels=np.zeros_like(member.labels), test=member.test[::-1])
    assert protocol.tune(poisoned, "blog", SEARCH) == chosen
    hopeless = replace(member, val_labels=member.val.argmax(axis=1))  # nothing is left to gain
    assert protocol.tune(hopeless, "blog", SEARCH) is None
    left = protocol.apply(member, BLOG_TUNED, None)
    assert (left.everything.fixed, left.everything.broken, left.ambiguous) == (0, 0, None)


def test_counts_and_tables_can_be_read_back(run, tmp_path, capsys):
    path = tmp_path / "results.csv"
    main(["presets", str(run), "--fixed", "--csv", str(path)])
    text = capsys.readouterr()
    assert f"### {PAPER.name}" in text.out
    assert "biased/weak: prior from the train labels" in text.err
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * sum(not s.is_tuned for s in SETTINGS)
    for row in rows:
        assert float(row["gain"]) == (int(row["fixed"]) - int(row["broken"])) / 1500
        assert float(row["low"]) <= float(row["gain"]) <= float(row["high"])
        assert row["is_warned"] == str(row["model"] == "strong")
    assert "| right | others | blog, target reference, fixed | 2 | " in text.out
    line = next(x for x in text.out.splitlines() if x.startswith(f"| {BLOG.name}"))
    members, *signs = (int(x) for x in line.split(" | ")[1:5])
    assert members == sum(signs) == 2


def test_signs_and_verdicts(results):
    assert [tables.sign(Comparison(9, f, b)) for f, b in ((2, 1), (1, 2), (3, 3))] == [
        "gain",
        "loss",
        "no change",
    ]
    own = [
        replace(results[0], everything=Comparison(1000, f, b))
        for f, b in ((50, 5), (5, 50), (6, 5))
    ]
    assert tables.verdicts(own) == ["real gain", "real loss", "unclear"]
    assert tables.gain_text(None) == "-"


def test_without_training_labels_the_prior_is_that_of_val(run, tmp_path):
    for file in run.iterdir():
        if file.name != "labels.train.npy":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    member = next(protocol.members([tmp_path]))
    assert member.prior_source == "val"
    assert member.prior == pytest.approx(np.bincount(member.val_labels, minlength=6) / 500)


def test_a_degraded_member_has_the_accuracy_and_share_asked_for(run):
    member = next(protocol.members([run], ["weak"]))
    wanted = member.accuracy - 0.1
    worse = blog.degrade(member, wanted, 0, 0.08)
    assert worse.accuracy == pytest.approx(wanted, abs=0.002)
    share = (np.asarray(postproc.top_k_entropy(worse.test, 3)) >= 0.9).mean()
    assert share == pytest.approx(0.08, abs=0.002)
    again, other = (blog.degrade(member, wanted, seed, 0.08) for seed in (0, 1))
    assert (again.test == worse.test).all()
    assert (other.test != worse.test).any()
    calibrated = blog.degrade(member, wanted, 0, None)
    assert calibrated.accuracy == pytest.approx(wanted, abs=0.002)
    assert calibrated.test.max(axis=1).mean() == pytest.approx(wanted, abs=0.05)


def test_nearest_members_and_the_table(run, capsys):
    found = list(protocol.members([run]))
    figure = replace(blog.PUBLISHED[2], classes=6, before=found[1].accuracy - 0.01)
    assert blog.nearest(found, figure) is found[1]
    assert blog.is_near(found[1], figure)
    assert not blog.is_near(found[1], replace(figure, classes=60))
    assert blog.nearest(found, figure, least=1.0) is None
    main(["blog", str(run), "--seeds", "1"])
    out = capsys.readouterr().out
    for text in ("60.06, 60.52 (+0.46)", "60.64, 60.95", "56.80, 56.86", "58.06, 58.00 (-0.06)"):
        assert text in out
    assert "as it is, not near" in out
    assert "degraded, T for 8 % ambiguous" in out


def test_faults(run, tmp_path, capsys):
    for words in (
        ["presets", str(tmp_path / "none")],
        ["blog", str(run), "--models", "none"],
        ["presets", str(run), "--models", "none"],
        [],
    ):
        with pytest.raises(SystemExit):
            main(words)
    assert "no member has one of these names" in capsys.readouterr().err
