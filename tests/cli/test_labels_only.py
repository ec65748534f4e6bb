"""Files of predicted labels in `report` and `ensemble hard`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from postproc import load_predictions, mcnemar_exact, softmax

NAMES = np.array(["daisy", "roses", "tulip"])
N_ROWS = 60


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Probabilities of three models and labels, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, N_ROWS)
    models = [softmax(s * np.eye(3)[y] + rng.normal(size=(N_ROWS, 3))) for s in (1.5, 1.2, 0.8)]
    return models, y


def write(path, **columns):
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def save(kind, number, predicted, rng):
    """Predicted labels in one of several layouts, tables in another order of rows each."""
    path = f"s{number}.{kind.split('-')[0]}"
    if kind == "npy":
        np.save(path, predicted)
    elif kind == "npz":
        np.savez(path, predictions=predicted, label_ids=np.zeros_like(predicted))
    elif kind == "txt":
        Path(path).write_text("\n".join(NAMES[predicted]) + "\n")
    else:
        order = rng.permutation(N_ROWS)
        values = NAMES[predicted] if kind == "csv-names" else predicted
        write(path, id=[f"r{row}" for row in order], label=values[order])
    return path


LAYOUTS = ["npy", "npz", "txt", "csv", "csv-names"]


@pytest.mark.parametrize("kind", LAYOUTS)
def test_reports_of_labels_say_what_scikit_learn_says(task, run_cli, kind):
    models, y = task
    rng = np.random.default_rng(0)
    predicted = [probs.argmax(axis=1) for probs in models]
    paths = [save(kind, number, each, rng) for number, each in enumerate(predicted)]
    by_name = kind in ("txt", "csv-names")
    write("y.csv", id=[f"r{row}" for row in range(N_ROWS)], truth=NAMES[y] if by_name else y)
    done = run_cli("report", *paths, "--labels", "y.csv", "--json")
    assert "predicted labels only" in done.stderr
    first, *others = json.loads(done.stdout)["models"]
    right = [each == y for each in predicted]
    for model, own in zip([first, *others], predicted, strict=True):
        assert model["accuracy"] == accuracy_score(y, own)
        assert model["macro_f1"] == pytest.approx(f1_score(y, own, average="macro"))
        assert [model[key] for key in ("log_loss", "brier", "ece", "top5")] == [None] * 4
    for model, own in zip(others, right[1:], strict=True):
        fixed, broken = int((own & ~right[0]).sum()), int((right[0] & ~own).sum())
        assert (model["fixed"], model["broken"]) == (fixed, broken)
        assert model["p_value"] == pytest.approx(mcnemar_exact(fixed, broken))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_majority_of_labels_wins(task, run_cli, kind):
    models, _ = task
    rng = np.random.default_rng(0)
    predicted = np.array([probs.argmax(axis=1) for probs in models])
    paths = [save(kind, number, each, rng) for number, each in enumerate(predicted)]
    run_cli("ensemble", "hard", *paths, "-o", "votes.npz")
    votes = load_predictions("votes.npz")
    counts = (predicted[:, :, None] == np.arange(3)).sum(axis=0)
    rows = np.arange(N_ROWS) if votes.ids is None else [int(name[1:]) for name in votes.ids]
    np.testing.assert_allclose(votes.scores, counts[rows] / 3, atol=1e-6)
    winners = np.argmax(counts, axis=1)[rows]  # the lowest of tied classes
    np.testing.assert_array_equal(votes.scores.argmax(axis=1), winners)


def test_what_only_probabilities_have_is_missing_beside_them(task, run_cli):
    models, y = task
    np.save("probs.npy", models[0])
    np.save("labels.npy", models[1].argmax(axis=1))
    np.save("y.npy", y)
    words = ["report", "labels.npy", "probs.npy", "--labels", "y.npy"]
    labels, probs = json.loads(run_cli(*words, "--json").stdout)["models"]
    assert labels["log_loss"] is None
    assert probs["log_loss"] == pytest.approx(-np.log(models[0][np.arange(N_ROWS), y]).mean())
    assert probs["gain"] == pytest.approx(probs["accuracy"] - labels["accuracy"])
    run_cli(*words, "--html", "page.html")
    assert "no confidence is known" in Path("page.html").read_text()
    run_cli("ensemble", "hard", "labels.npy", "probs.npy", "-o", "v.npy", "--labels", "y.npy")


def test_true_labels_that_no_model_predicts_are_classes_of_their_own(
    tmp_path, monkeypatch, run_cli
):
    monkeypatch.chdir(tmp_path)
    truth, predicted = ["a", "b", "x", "z", "a"], ["a", "b", "b", "a", "b"]
    write("p.csv", label=predicted)
    write("y.csv", label=truth)
    model = json.loads(run_cli("report", "p.csv", "--labels", "y.csv", "--json").stdout)["models"][
        0
    ]
    expected = f1_score(truth, predicted, average="macro", zero_division=0)
    assert model["macro_f1"] == pytest.approx(expected)


def test_columns_of_predictions_and_truth(task, run_cli):
    models, y = task
    predicted = NAMES[models[0].argmax(axis=1)]
    write("t.csv", id=range(N_ROWS), prediction=predicted, truth=NAMES[y])
    said = run_cli("report", "t.csv", "--labels", "t.csv", code=1).stderr
    assert "'truth'" in said
    words = ["report", "t.csv", "--labels", "t.csv", "--label-column", "truth", "--json"]
    for more in ([], ["--columns", "prediction"]):
        model = json.loads(run_cli(*words, *more).stdout)["models"][0]
        assert model["accuracy"] == accuracy_score(NAMES[y], predicted)
    write("only.csv", id=range(N_ROWS), y_true=NAMES[y])
    said = run_cli("report", "only.csv", "--labels", "only.csv", code=1).stderr
    assert "'y_true' looks like true labels" in said


@pytest.mark.parametrize("lines", ["0\n2\n1\n1\n", "cat\ndog\ncat\ndog\n"])
def test_one_column_without_a_header_loses_no_row(tmp_path, monkeypatch, run_cli, lines):
    monkeypatch.chdir(tmp_path)
    Path("s.csv").write_text(lines)
    run_cli("ensemble", "hard", "s.csv", "-o", "v.npy")
    assert len(np.load("v.npy")) == 4


def test_scores_are_asked_for_elsewhere(task, run_cli):
    models, y = task
    np.save("s.npy", models[0].argmax(axis=1))
    np.save("p.npy", models[0])
    np.save("y.npy", y)
    assert "labels" in run_cli("ensemble", "soft", "s.npy", "p.npy", code=1).stderr
    said = run_cli("report", "s.npy", "--labels", "y.npy", "--probs", code=1).stderr
    assert "must be in [0, 1] for probabilities, got 2" in said
    write("names.csv", label=NAMES[y])
    assert "--classes" in run_cli("ensemble", "hard", "names.csv", "p.npy", code=1).stderr


def test_predicted_labels_have_the_metrics_of_labels(task, run_cli):
    models, y = task
    np.save("y.npy", y)
    np.save("w.npy", np.arange(1, N_ROWS + 1))
    np.save("a.npy", models[0].argmax(axis=1))
    words = ("report", "a.npy", "--labels", "y.npy", "--row-weights", "w.npy", "--metric")
    found = json.loads(run_cli(*words, "mcc", "--json").stdout)["models"][0]
    wanted = matthews_corrcoef(y, models[0].argmax(axis=1), sample_weight=np.arange(1, N_ROWS + 1))
    assert found["metrics"]["mcc"]["value"] == pytest.approx(wanted)
    assert found["log_loss"] is None
    error = run_cli(*words, "auc", code=1).stderr
    assert "must be one of predicted classes, as a has only these, got auc" in error
