"""Sigmoid scores, whose columns do not exclude each other, of sound and toxicity models."""

import json

import numpy as np

from postproc import load_predictions
from tests.cases.conftest import N_ROWS, table

NAMES = ("toxic", "obscene", "threat")
RNG = np.random.default_rng(2)
A, B = RNG.random((2, N_ROWS, 3))
TRUE = (RNG.random((N_ROWS, 3)) < (A + B) / 2).astype(int)
IDS = [f"x{row}" for row in range(N_ROWS)]


def write():
    for name, block in (("m1", A), ("m2", B), ("truth", TRUE)):
        table(f"{name}.csv", {"id": IDS, NAMES: block})
    table("tags.csv", {"id": IDS, "tags": [" ".join(np.array(NAMES)[row == 1]) for row in TRUE]})


def test_without_the_option_the_error_names_it(task, refusal, run_cli):
    write()
    assert "declare --multilabel" in refusal("m1.csv")
    assert "declare --multilabel" in refusal("m1.csv", "--probs")
    said = run_cli("report", "m1.csv", "--labels", "truth.csv", code=1).stderr
    assert "declare --multilabel" in said


def test_with_it_each_label_is_averaged_and_judged(task, run_cli):
    write()
    run_cli("ensemble", "soft", "m1.csv", "m2.csv", "--multilabel", "-o", "mean.csv")
    found = load_predictions("mean.csv", multilabel=True)
    np.testing.assert_allclose(found.scores[:], (A + B) / 2)
    assert found.classes == NAMES
    for labels in ("truth.csv", "tags.csv"):
        words = ["mean.csv", "m1.csv", "--labels", labels, "--multilabel", "--json"]
        report = json.loads(run_cli("report", *words).stdout)
        wrong = (((A + B) / 2 >= 0.5) != TRUE).mean()
        found = report["models"][0]["metrics"]["hamming_loss"]["value"]
        np.testing.assert_allclose(found, wrong)
