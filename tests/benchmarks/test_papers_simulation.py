"""The simulation: what its model promises, planted gains and losses, and its tables."""

import csv
import io

import numpy as np
import pytest

from benchmarks.papers import __main__ as command
from benchmarks.papers import simulation as sim
from benchmarks.papers.reference_study import study
from benchmarks.papers.simulation_tables import by_setting, default_setting, to_csv
from postproc.can.operation import alternating_normalization

CALIBRATED, SHIFTED = sim.SITUATIONS[0], sim.SITUATIONS[4]


def run(situation, **options):
    options = {"classes": (5,), "alphas": (1.0,), "iterations": (1,), "repeats": 6} | options
    return sim.simulate(situations=(situation,), **options)


def cell(cells, truth, given, bucket=sim.ALL):
    (found,) = (c for c in cells if (c.truth, c.given, c.bucket) == (truth, given, bucket))
    return found


@pytest.mark.parametrize("n_classes", [2, 7])
def test_the_bayes_rule_is_calibrated_at_every_concentration(n_classes):
    prior = sim.class_distribution("skewed", n_classes)
    drawn = sim.draw(prior, 40_000, np.random.default_rng(0))
    probs = sim.classify(drawn.evidence, prior, np.zeros(n_classes), 1.0)
    sharp = sim.entropies(probs) < 0.5
    for rows in (sharp, ~sharp):  # the bucket is a function of p, so that each is calibrated
        hits = np.eye(n_classes)[drawn.labels[rows]] - probs[rows]
        assert np.abs(hits.mean(axis=0)).max() < 0.012
    assert np.abs(np.bincount(drawn.labels) / len(drawn.labels) - prior).max() < 0.01


def test_a_known_shift_is_repaired_with_the_true_prior_alone():
    cells = run(SHIFTED)
    assert cell(cells, "skewed", "true prior").low > 0
    assert cell(cells, "uniform", "true prior").low > 0
    assert cell(cells, "skewed", "wrong prior").gain <= 0.005
    gains = [cell(cells, "skewed", "true prior", bucket).gain for bucket in sim.BUCKETS]
    assert gains[2] > gains[0]  # the more doubtful a row, the more the prior decides


def test_nothing_is_won_over_the_bayes_rule_and_a_wrong_prior_harms():
    cells = run(CALIBRATED)
    for truth in sim.PRIORS:
        assert cell(cells, truth, "true prior").low <= 0
        assert cell(cells, truth, "wrong prior").high < 0
    # The authors' measure sees no labels: it grows where accuracy falls, or, with a uniform prior
    # given, is nothing by definition.
    assert cell(cells, "uniform", "wrong prior").mass > 0.02
    assert cell(cells, "skewed", "wrong prior").mass == pytest.approx(0, abs=1e-12)
    rows = [cell(cells, "uniform", "true prior", bucket).rows for bucket in sim.BUCKETS]
    assert rows == [sim.ROWS_A_BUCKET] * 3


def test_the_same_seed_gives_the_same_cells_whatever_else_is_asked_for():
    options = {"alphas": (0.5, 1.0), "iterations": (1, 3), "repeats": 2}
    both = run(CALIBRATED, classes=(2, 3), **options)
    assert both == run(CALIBRATED, classes=(2, 3), **options)
    alone = run(CALIBRATED, classes=(3,), **options)
    assert alone == [c for c in both if c.classes == 3]
    assert alone != run(CALIBRATED, classes=(3,), seed=1, **options)


def test_depths_beyond_the_last_that_differs():
    assert sim.depths_computed(1.0, (1, 10)) == [1, 10]
    assert sim.depths_computed(0.25, (1, 10)) == [1, 10]
    assert sim.depths_computed(4.0, (1, 5, 10)) == [1, 5, 5]
    prior = sim.class_distribution("skewed", 3)
    drawn = sim.draw(prior, 300, np.random.default_rng(1))
    probs = sim.classify(drawn.evidence, prior, np.array([0.4, 0.0, -0.4]), 1.0)
    picked = sim.Outcome.pick(drawn.labels, probs, probs, n_reference=50)
    early, late = (
        alternating_normalization(
            picked.rows[::6], picked.reference, prior, alpha=4.0, iterations=d
        ).argmax(axis=1)
        for d in (5, 10)
    )
    assert (early == late).all()


def test_reference_rows_and_bias_decide():
    cells = study(classes=(10,), rows_a_class=(2, 50), repeats=4)
    gain = {(c.truth, c.bias, c.rows_a_class): c.gain for c in cells}
    assert gain["uniform", 1.0, 50] > 0.02
    assert gain["uniform", 0.0, 2] < -0.02
    assert gain["uniform", 0.0, 2] < gain["uniform", 0.0, 50] <= 0.02
    assert all(c.low <= c.gain <= c.high for c in cells)


def test_the_tables_can_be_read_back():
    cells = run(CALIBRATED, alphas=(0.5, 1.0), iterations=(1, 2), repeats=2)
    rows = list(csv.DictReader(io.StringIO(to_csv(cells))))
    assert len(rows) == len(cells) == 2 * 2 * 2 * 2 * 4
    for row, found in zip(rows, cells, strict=True):
        assert row["bucket"] == found.bucket
        assert float(row["gain"]) == found.gain
        assert float(row["low"]) <= float(row["gain"]) <= float(row["high"])
    assert "| calibrated | uniform | true prior |" in default_setting(cells)
    assert "| CAN is given | α | d = 1 | d = 2 |" in by_setting(cells, "calibrated")


def test_the_command_writes_tables_and_plots(tmp_path, capsys):
    quick = {**command.QUICK, "classes": (2,), "repeats": 2}
    command.main(["simulation", "--quick", "--out", str(tmp_path / "new")], quick)
    out = capsys.readouterr().out
    assert "authors' measure" in out
    assert "### shifted, source reference" in out
    names = {path.name for path in (tmp_path / "new").iterdir()}
    plots = {"settings_true.svg", "settings_wrong.svg", "buckets.svg", "reference.svg"}
    assert names == plots | {"simulation.csv", "reference.csv"}
    assert all("<svg" in (tmp_path / "new" / name).read_text("utf-8") for name in plots)


def test_one_repeat_has_no_interval(capsys):
    with pytest.raises(SystemExit):
        command.main(["simulation", "--repeats", "1"])
    assert "`repeats` must be 2 or more, got 1" in capsys.readouterr().err
