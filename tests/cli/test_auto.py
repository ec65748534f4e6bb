"""`postproc auto`, `calibrate`, `adapt`, and `apply` of a saved pipeline."""

import json

import numpy as np
import pytest

from ensemble import load_model
from postproc import TemperatureScaling
from postproc.scores.blocks import Sizes

SHIFTED = [0.7, 0.2, 0.1]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Two over-confident models of a shifted target, and their labelled rows."""
    monkeypatch.chdir(tmp_path)
    for split, prior, seed in (("val", [1 / 3] * 3, 0), ("test", SHIFTED, 1)):
        rng = np.random.default_rng(seed)
        y = rng.choice(3, 300, p=prior)
        np.save(f"labels.{split}.npy", y)
        for model in "ab":
            scores = 2.0 * (rng.normal(size=(300, 3)) + 1.3 * np.eye(3)[y])
            np.save(f"{model}.{split}.npy", scores.astype(np.float32))
    return tmp_path


FIT = ("--fit", "a.val.npy", "--fit-labels", "labels.val.npy")


@pytest.mark.parametrize("method", ["temperature", "bcts", "matrix", "pooled"])
def test_calibrate(here, run_cli, method):
    words = ("calibrate", "a.test.npy", *FIT, "--method", method, "--labels", "labels.test.npy")
    found = json.loads(run_cli(*words, "--json").stdout)
    assert found["improved"]
    assert found["log_loss_after"] < found["log_loss_before"]
    assert found["temperature"] > 1
    assert found["report"]["rows"] == 300
    probs = np.load("a.test.calibrate.npy")
    assert probs.dtype == np.float32
    if method == "temperature":
        fitted = TemperatureScaling().fit(np.load("a.val.npy"), np.load("labels.val.npy"))
        assert found["temperature"] == pytest.approx(fitted.temperature_)
        np.testing.assert_allclose(probs, fitted.predict_proba(np.load("a.test.npy")), rtol=1e-5)
    shown = run_cli(*words, "--overwrite").stdout
    assert "held-out log-loss" in shown
    assert "calibrated, temperature" in shown


@pytest.mark.parametrize("method", ["em", "map", "bbse", "sinkhorn", "can"])
def test_adapt(here, run_cli, method):
    words = ("adapt", "a.test.npy", *FIT, "--method", method, "--labels", "labels.test.npy")
    found = json.loads(run_cli(*words, "--json").stdout)
    assert found["p_value"] < 1e-3
    assert np.abs(np.array(found["prior"]) - SHIFTED).sum() < 0.25
    assert len(found["prior_std"]) == 3
    assert found["converged"]
    np.testing.assert_allclose(np.load("a.test.adapt.npy").sum(axis=1), 1, atol=1e-5)
    shown = run_cli(*words, "--overwrite").stdout
    assert "standard error" in shown
    assert "test for label shift: p = " in shown


def test_adapt_warns_where_nothing_has_shifted(here, run_cli):
    words = ("adapt", "b.val.npy", "--fit", "b.val.npy", "--fit-labels", "labels.val.npy")
    result = run_cli(*words, "--method", "bbse", "--hard", "--calibration", "none", "-o", "x.npy")
    assert "Warning: the target shows no label shift (p = 1)" in result.stderr


def test_auto_on_lists_a_run_directory_and_a_saved_pipeline(here, run_cli):
    lists = ("a.test.npy", "b.test.npy", "--fit", "a.val.npy", "--fit", "b.val.npy")
    tail = ("--fit-labels", "labels.val.npy", "--labels", "labels.test.npy")
    words = ("auto", *lists, *tail, "--save", "p.json", "-o", "x.npy", "--json")
    found = json.loads(run_cli(*words).stdout)
    assert found["decision"]["action"] == "adapt"
    assert found["saved"] == "p.json"
    assert found["report"]["rows"] == 300
    shown = run_cli("auto", here, "-o", "y.npy").stdout
    assert shown.startswith(found["decision"]["summary"])
    np.testing.assert_array_equal(np.load("x.npy"), np.load("y.npy"))
    applied = run_cli("apply", "p.json", "a.test.npy", "b.test.npy", "-o", "z.npy", "--json")
    assert json.loads(applied.stdout)["decision"] == found["decision"]
    np.testing.assert_array_equal(np.load("x.npy"), np.load("z.npy"))


def test_blocks_decide_as_the_whole(here, run_cli):
    words = ("auto", "a.test.npy", *FIT, "--json")
    one = json.loads(run_cli(*words, "-o", "one.npy").stdout)["decision"]
    many = json.loads(run_cli(*words, "-o", "many.npy", obj=Sizes(block=24 * 40)).stdout)[
        "decision"
    ]
    assert many["action"] == one["action"] == "adapt"
    for key in ("p_value", "expected_gain", "effective_rows", "strength", "prior", "prior_std"):
        np.testing.assert_allclose(many[key], one[key], rtol=1e-5)
    np.testing.assert_allclose(np.load("many.npy"), np.load("one.npy"), atol=1e-6)
    assert not list(here.glob(".*"))


def test_a_target_of_two_blocks_in_python(here, run_cli):
    """What Python decides is what the command line decides, bit for bit."""
    rng = np.random.default_rng(2)
    y = rng.choice(3, 400_000, p=SHIFTED)
    scores = 2 * (rng.normal(size=(len(y), 3)) + 1.3 * np.eye(3)[y])
    np.save("many.npy", scores.astype(np.float32))
    words = ("auto", "many.npy", *FIT, "--save", "p.json", "--json")
    found = json.loads(run_cli(*words).stdout)
    target = [np.load("many.npy")]
    adapted = load_model("p.json").adapt_to(target)
    assert adapted.to_dict() == found["decision"]
    assert found["decision"]["action"] == "adapt"
    np.testing.assert_array_equal(adapted.predict_proba(target), np.load("many.auto.npy"))


def test_usage(here, run_cli):
    lacking = run_cli("auto", "a.test.npy", code=2).stderr
    assert "--fit must be given once for each of the 1 files, got 0" in lacking
    nothing = run_cli("auto", "trec50", code=1).stderr
    assert nothing.startswith("Error: trec50: no such file")
    lacking = run_cli("auto", "a.test.npy", "--fit", "a.val.npy", code=2).stderr
    assert "Missing option '--fit-labels'" in lacking
    assert "has its own; omit --fit" in run_cli("auto", here, *FIT, code=2).stderr
    np.save("c.npy", np.eye(4))
    other = run_cli("calibrate", "c.npy", *FIT, code=1).stderr
    assert "must be an array of 4 classes like c.npy, got 3 columns" in other
    np.save("d.npy", np.eye(3))
    kinds = run_cli("adapt", "d.npy", *FIT, code=1).stderr
    assert "`d.npy` must be logits like a.val.npy, got probs" in kinds


def test_auto_by_another_metric(here, run_cli):
    words = ("auto", "a.test.npy", *FIT, "--labels", "labels.test.npy", "--metric", "log_loss")
    found = json.loads(run_cli(*words, "--json").stdout)
    assert found["decision"]["metric"] == "log_loss"
    gain = found["decision"]["expected_gain"]
    assert gain > 0.05
    shown = run_cli(*words, "--overwrite").stdout
    assert f"Expected gain: {gain:+.4f} in log-loss (positive is better)" in shown
    assert "Gain in log-loss" in shown or "log-loss" in shown.split("written:")[0].splitlines()[-4]
    refused = run_cli("auto", "a.test.npy", *FIT, "--metric", "roc", code=2)
    assert "roc" in refused.stderr
