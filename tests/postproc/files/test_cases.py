"""Files as other tools write them, each read as what it is or refused with what to do."""

import gzip
import json
import pickle
import warnings

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from postproc import accuracy_report, evaluate
from postproc.files import Reading, load_labels, load_predictions
from postproc.scores.binary import OneColumn

CLASSES = ("daisy", "roses", "tulip")
N_ROWS = 40


@pytest.fixture
def task():
    """Probabilities of a model that is right more often than not, and labels."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, N_ROWS)
    scores = np.exp(1.5 * np.eye(3)[labels] + rng.normal(size=(N_ROWS, 3)))
    return scores / scores.sum(axis=1, keepdims=True), labels


def table(path, header, *columns, delimiter=","):
    """Write columns under a header; a block of numbers is as many columns as it has."""
    blocks = [np.asarray(column).astype(str) for column in columns]
    rows = np.column_stack(blocks).tolist()
    lines = [delimiter.join(row) for row in [list(header), *rows]]
    path.write_text("\n".join(lines) + "\n")
    return path


def quietly(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_predictions(path, reading=Reading(**options))


def refusal(path, **options):
    with pytest.raises(ValueError) as caught:
        quietly(path, **options)
    return str(caught.value)


def test_catboost_evaluation(tmp_path, task):
    probs, _ = task
    header = ["SampleId", *(f"Probability:Class={name}" for name in CLASSES)]
    path = table(tmp_path / "a.tsv", header, range(N_ROWS), probs, delimiter="\t")
    loaded = quietly(path)
    assert (loaded.classes, loaded.kind) == (CLASSES, "probs")
    assert loaded.ids.tolist() == [str(row) for row in range(N_ROWS)]
    np.testing.assert_array_equal(loaded.scores, probs)


@pytest.mark.parametrize(
    ("header", "extra"),
    [
        ((*CLASSES, "target"), "labels"),
        ((*CLASSES, "fold"), "fold"),
        ((*CLASSES, "PredictedClass"), "predicted"),
        ((*CLASSES, "rowIndex"), "rows"),
    ],
)
def test_out_of_fold_tables(tmp_path, task, header, extra):
    probs, labels = task
    extras = {
        "labels": labels,
        "fold": np.arange(N_ROWS) % 5,
        "predicted": probs.argmax(1),
        "rows": np.arange(N_ROWS),
    }
    path = table(tmp_path / "a.csv", header, probs, extras[extra])
    assert f"the column {header[-1]!r} (by name) looks like labels or ids" in refusal(path)
    loaded = quietly(path, columns=CLASSES)
    assert evaluate(loaded.scores, labels).accuracy == (probs.argmax(1) == labels).mean()


def test_automl_benchmark(tmp_path, task):
    probs, labels = task
    names = np.array(["3", "4", "5"])
    columns = (probs, names[probs.argmax(1)], names[labels])
    path = table(tmp_path / "a.csv", (*names, "predictions", "truth"), *columns)
    assert "'predictions' (by name), 'truth' (by name) look like" in refusal(path)
    reading = Reading(columns=("[0-9]",), label_column="truth")
    loaded = load_predictions(path, reading=reading)
    assert loaded.classes == ("3", "4", "5")
    found = load_labels(path, n_classes=3, classes=loaded.classes, reading=reading)
    np.testing.assert_array_equal(found, labels)
    clean = table(tmp_path / "b.csv", names, probs)
    assert load_predictions(clean).classes == ("3", "4", "5")


def test_a_saturated_first_row_without_a_header(tmp_path, task):
    two = np.vstack([[1, 0], np.c_[1 - task[0][:, 0], task[0][:, 0]]])
    np.savetxt(tmp_path / "a.csv", two, fmt="%g", delimiter=",")
    loaded = quietly(tmp_path / "a.csv")
    assert (loaded.scores.shape, loaded.classes) == (two.shape, None)
    np.testing.assert_allclose(loaded.scores, two, rtol=1e-5)


def test_sigmoid_scores_of_labels_of_their_own(tmp_path):
    scores = np.random.default_rng(0).random((N_ROWS, 3))
    ids = [f"x{row}" for row in range(N_ROWS)]
    path = table(tmp_path / "a.csv", ("id", "toxic", "obscene", "threat"), ids, scores)
    assert "declare multilabel=True (--multilabel)" in refusal(path)
    assert "declare multilabel=True (--multilabel)" in refusal(path, kind="probs")
    np.testing.assert_array_equal(quietly(path, multilabel=True).scores, scores)


@pytest.mark.parametrize("name", ["p.npy", "column.npy", "claim.csv"])
def test_one_score_a_row_is_binary(tmp_path, task, name):
    probs = task[0][:, 0]
    if name == "claim.csv":
        table(tmp_path / name, ("id", "claim"), range(N_ROWS), probs)
    else:
        np.save(tmp_path / name, probs if name == "p.npy" else probs[:, None])
    loaded = quietly(tmp_path / name)
    np.testing.assert_allclose(loaded.scores, np.stack([1 - probs, probs], axis=1))
    assert loaded.column == OneColumn("claim" if name == "claim.csv" else None, name == "p.npy")


def test_masked_logits(tmp_path, task):
    probs, labels = task
    masked = np.log(probs)
    masked[::5, 2] = -np.inf
    zeros = np.exp(masked) / np.exp(masked).sum(axis=1, keepdims=True)
    np.save(tmp_path / "masked.npy", masked)
    np.save(tmp_path / "zeros.npy", zeros)
    np.save(tmp_path / "large.npy", np.where(np.isfinite(masked), masked, -1e9))
    of = [load_predictions(tmp_path / name) for name in ("masked", "zeros", "large")]
    assert [each.kind for each in of] == ["logits", "probs", "logits"]
    report = accuracy_report({"masked": of[0], "zeros": of[1], "large": of[2]}, labels)
    losses = [model.metrics.log_loss for model in report.models]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-12)
    assert np.isfinite(losses).all()


def test_batches_of_lightning(tmp_path, task):
    probs, labels = task
    logits = torch.tensor(np.log(probs))
    torch.save(list(logits.split(16)), tmp_path / "a.pt")
    torch.save(logits, tmp_path / "b.pth")
    batches = [
        {"predictions": part, "targets": y}
        for part, y in zip(logits.split(16), torch.tensor(labels).split(16), strict=True)
    ]
    torch.save(batches, tmp_path / "c.pt")
    for name in ("a.pt", "b.pth", "c.pt"):
        np.testing.assert_array_equal(load_predictions(tmp_path / name).scores, logits)
    np.testing.assert_array_equal(load_labels(tmp_path / "c.pt", n_classes=3), labels)


def test_prediction_output_of_transformers(tmp_path, task):
    probs, labels = task
    logits = np.log(probs).astype(np.float32)
    np.savez(tmp_path / "a.npz", predictions=logits, label_ids=labels)
    assert load_predictions(tmp_path / "a").kind == "logits"
    np.testing.assert_array_equal(load_labels(tmp_path / "a.npz", n_classes=3), labels)
    np.savez(tmp_path / "b.npz", logits=2 * logits, probs=probs, predictions=probs.argmax(1))
    assert "choose one with --key or --logits or --probs" in refusal(tmp_path / "b.npz")
    for options in ({"kind": "probs"}, {"key": "probs"}):
        np.testing.assert_array_equal(quietly(tmp_path / "b.npz", **options).scores, probs)
    assert "must hold the key x, got logits, probs" in refusal(tmp_path / "b.npz", key="x")


def test_dialects(tmp_path, task):
    probs, _ = task
    commas = np.char.replace(probs.astype(str), ".", ",")
    semicolons = table(tmp_path / "a.csv", ("id", *CLASSES), range(N_ROWS), commas, delimiter=";")
    floats = np.arange(N_ROWS, dtype=np.float64)
    plain = table(tmp_path / "b.csv", ("id", *CLASSES), floats, probs)
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    np.savetxt(tmp_path / "d.tsv", probs, delimiter="\t")
    for path in (semicolons, plain, tmp_path / "c.csv.gz", tmp_path / "d.tsv"):
        loaded = quietly(path)
        np.testing.assert_array_equal(loaded.scores, probs)
        if path.suffix != ".tsv":
            assert loaded.classes == CLASSES
            assert loaded.ids.tolist() == [str(row) for row in range(N_ROWS)]


def test_records(tmp_path, task):
    probs, labels = task
    lists, named, both, pipeline = [], [], [], []
    for row, values in enumerate(probs.tolist()):
        by_name = dict(zip(CLASSES, values, strict=True))
        lists.append({"probs": values, "target": int(labels[row])})
        named.append({"doc_id": row, **by_name})
        both.append({"doc_id": row, "scores": values, **by_name})
        pipeline.append([{"label": name, "score": value} for name, value in by_name.items()])
    for records, classes in ((lists, None), (named, CLASSES), (both, CLASSES), (pipeline, CLASSES)):
        path = tmp_path / "a.jsonl"
        path.write_text("\n".join(map(json.dumps, records)))
        loaded = load_predictions(path)
        np.testing.assert_array_equal(loaded.scores, probs)
        assert loaded.classes == classes
    path.write_text("\n".join(map(json.dumps, lists)))
    found = load_labels(path, n_classes=3, reading=Reading(label_column="target"))
    np.testing.assert_array_equal(found, labels)
    path.write_text(json.dumps(probs[0].tolist()) + "\n" + json.dumps(probs[1, :2].tolist()))
    assert "line 2, 'scores' must be a list of 3 numbers like the first, got 2" in refusal(path)
    path.write_text('{"a": 1}\n{"b": 2}')
    assert "line 2 must have the keys of the first, got 'a' in one only" in refusal(path)
    path.write_text("{oops")
    assert "line 1 must be one JSON record" in refusal(path)


def test_text_and_categories_in_parquet(tmp_path, task):
    probs, labels = task
    names = np.array(CLASSES)[labels]
    columns = {name: probs[:, j] for j, name in enumerate(CLASSES)}
    columns |= {"source": names.tolist(), "kind": pyarrow.array(names.tolist()).dictionary_encode()}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    said = refusal(tmp_path / "a.parquet")
    assert "the columns 'source' (repeated text), 'kind' (repeated text) look like labels" in said
    loaded = quietly(tmp_path / "a.parquet", columns=CLASSES)
    np.testing.assert_array_equal(loaded.scores, probs)
    lists = {"id": range(N_ROWS), "logits": np.log(probs).tolist(), "label": labels}
    parquet.write_table(pyarrow.table(lists), tmp_path / "b.parquet")
    loaded = load_predictions(tmp_path / "b.parquet")
    assert (loaded.kind, loaded.scores.shape) == ("logits", (N_ROWS, 3))


def test_pickles_are_refused_with_what_to_do(tmp_path):
    with (tmp_path / "a.pkl").open("wb") as file:
        pickle.dump([{"pred_score": [0.5, 0.5]}], file)
    assert "nothing is unpickled, as that can run code" in refusal(tmp_path / "a.pkl")


def test_a_label_that_no_model_knows_is_wrong(tmp_path, task):
    probs, labels = task
    names = np.array(CLASSES, dtype=object)[labels]
    names[-1] = "orchid"
    predictions = load_predictions(table(tmp_path / "a.csv", CLASSES, probs))
    path = table(tmp_path / "y.csv", ["label"], names)
    with pytest.warns(UserWarning, match="1 of 40 labels are none of the classes"):
        found = load_labels(path, n_classes=3, classes=CLASSES, unknown="wrong")
    report = accuracy_report({"a": predictions.with_unknown_class()}, found)
    right = (probs.argmax(1) == labels)[:-1].sum()
    assert report["a"].metrics.accuracy == right / N_ROWS
    losses = -np.log(probs[np.arange(N_ROWS - 1), labels[:-1]])
    expected = (losses.sum() - np.log(1.1754943508222875e-38)) / N_ROWS
    assert report["a"].metrics.log_loss == pytest.approx(expected)
    logits = predictions.check(np.log(probs), classes=CLASSES).with_unknown_class()
    assert accuracy_report({"a": logits}, found)["a"].metrics.log_loss == pytest.approx(expected)
