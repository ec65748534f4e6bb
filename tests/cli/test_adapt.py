"""`postproc adapt` on a target of many blocks, and what it says against trusting it."""

import json
import os
import signal

import numpy as np
import pytest

from postproc.scores.blocks import Sizes

SMALL = Sizes(block=24 * 40)
METHODS = ("em", "map", "bbse", "sinkhorn", "can")


@pytest.fixture
def task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split, prior, seed in (("val", [1 / 3] * 3, 0), ("test", [0.7, 0.2, 0.1], 1)):
        rng = np.random.default_rng(seed)
        y = rng.choice(3, 300, p=prior)
        np.save(f"labels.{split}.npy", y)
        np.save(f"a.{split}.npy", 2.0 * (rng.normal(size=(300, 3)) + 1.3 * np.eye(3)[y]))
    return ("adapt", "a.test.npy", "--fit", "a.val.npy", "--fit-labels", "labels.val.npy")


@pytest.mark.parametrize("method", METHODS)
def test_many_blocks_give_what_one_gives(task, run_cli, tmp_path, method):
    words = (*task, "--method", method, "--json")
    one = json.loads(run_cli(*words, "-o", "one.npy").stdout)
    many = json.loads(run_cli(*words, "-o", "many.npy", obj=SMALL).stdout)
    np.testing.assert_allclose(np.load("many.npy"), np.load("one.npy"), atol=1e-6)
    np.testing.assert_allclose(many["prior"], one["prior"], atol=1e-7)
    assert many["changed"] == one["changed"] > 0
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert left == []


def test_few_rows_and_unseen_classes_are_named(task, run_cli):
    np.save("a.few.npy", np.load("a.test.npy")[:5])
    np.save("labels.val.npy", np.minimum(np.load("labels.val.npy"), 1))
    words = ("adapt", "a.few.npy", *task[2:], "--method", "em", "--json")
    warnings = " ".join(json.loads(run_cli(*words).stdout)["warnings"])
    assert "em estimates 3 class frequencies from 5 rows without regularization" in warnings
    assert "no row of the fit split has the label 2, so the estimated share of" in warnings


def test_a_prior_that_did_not_move_is_no_certainty(task, run_cli):
    np.save("a.same.npy", np.load("a.val.npy")[::2])
    words = ("adapt", "a.same.npy", *task[2:], "--json")
    found = json.loads(run_cli(*words).stdout)
    assert found["strength"] > found["rows"]
    assert "pseudo-rows of the source prior and only 150 rows of the target" in found["warnings"][1]
    assert min(found["prior_std"]) > 0.03
    shown = run_cli(*words[:-1], "--overwrite").stdout
    assert "target (mostly assumed)" in shown
    assert "standard error" not in shown
    assert "--method em estimates it from the target alone" in shown
    shown = run_cli(*words[:-1], "--overwrite", "--method", "em").stdout
    assert "standard error" in shown
    assert "assumed)" not in shown


def test_a_share_of_positives_that_is_assumed_has_no_interval(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.random(800) < 0.3
    p = 1 / (1 + np.exp(1 - 2 * y - rng.normal(size=800)))
    np.save("val.npy", p[:400])
    np.save("test.npy", p[399::-1])
    np.save("y.npy", y[:400])
    words = ("adapt", "test.npy", "--fit", "val.npy", "--fit-labels", "y.npy", "--overwrite")
    shown = run_cli(*words)
    assert "in the fit rows, by their mean calibrated prediction: " in shown.stdout
    assert "%, mostly assumed to be that of the fit rows\n" in shown.stdout
    assert "its class prior may be that of the fit rows" in shown.stderr
    assert "95 % interval" not in shown.stdout
    shown = run_cli(*words, "--method", "em").stdout
    assert "95 % interval" in shown
    assert "assumed to be" not in shown


def test_a_request_to_terminate_leaves_no_file_aside(task, run_cli, monkeypatch, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    aside = []

    def estimate(*args):
        aside.extend(tmp_path.glob(".*.calibrated.npy"))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("postproc.shift.adapter.LabelShiftAdapter._estimate", estimate)
    run_cli(*task, "-o", "out.npy", code=1, obj=SMALL)
    assert len(aside) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_two_jobs_do_not_share_the_file_aside(task, run_cli, monkeypatch, tmp_path):
    from postproc.shift.adapter import LabelShiftAdapter

    plain, told = LabelShiftAdapter._estimate, []

    def estimate(*args):
        if not told:
            told.append(None)
            told[0] = run_cli(*task, "-o", "out.npy", code=1, obj=SMALL).stderr
        return plain(*args)

    monkeypatch.setattr("postproc.shift.adapter.LabelShiftAdapter._estimate", estimate)
    run_cli(*task, "-o", "out.npy", obj=SMALL)
    assert "out.npy: another job is writing this output" in told[0]
    assert (tmp_path / "out.npy").exists()
