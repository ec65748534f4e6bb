"""Records, arrays and tensors of other tools."""

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from tests.cases.conftest import N_ROWS, NAMES


def by_name(task):
    """Scores of each row by class."""
    return [dict(zip(NAMES, row, strict=True)) for row in task.a.tolist()]


def pipeline(task):
    """What pipelines of Hugging Face give: classes in order of their scores."""
    return [
        [{"label": name, "score": p} for name, p in sorted(row.items(), key=lambda each: -each[1])]
        for row in by_name(task)
    ]


#: Records by the tool that writes them, and whether classes have names.
RECORDS = {
    "pandas": (lambda t: [{"id": i, **row} for i, row in enumerate(by_name(t))], True),
    "transformers": (pipeline, True),
    "spacy": (lambda t: [{"text": f"t{i}", "cats": row} for i, row in enumerate(by_name(t))], True),
    "mmpretrain": (
        lambda t: [
            {"sample_idx": i, "pred_score": row, "pred_label": int(np.argmax(row))}
            for i, row in enumerate(t.a.tolist())
        ],
        False,
    ),
    "allennlp": (
        lambda t: [
            {"probs": row, "token_ids": [1, 2], "label": name, "tokens": ["a", "b"]}
            for row, name in zip(t.a.tolist(), t.predicted.tolist(), strict=True)
        ],
        False,
    ),
}


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@pytest.mark.parametrize("kind", RECORDS)
def test_records(task, accuracy, kind, suffix):
    make, has_names = RECORDS[kind]
    records = make(task)
    lines = "\n".join(map(json.dumps, records))
    Path(f"p{suffix}").write_text(lines if suffix == ".jsonl" else json.dumps(records))
    labels = "y.csv" if has_names else "y.npy"
    assert accuracy(f"p{suffix}", labels=labels) == task.accuracy


#: What is saved with torch.
TENSORS = {
    "batches": lambda a, y: list(torch.log(a).split(16)),
    "batches of dicts": lambda a, y: [
        {"logits": torch.log(p), "y": t} for p, t in zip(a.split(16), y.split(16), strict=True)
    ],
    "batches of pairs": lambda a, y: list(zip(a.split(16), y.split(16), strict=True)),
    "fastai": lambda a, y: (a, y),
    "fastai by name": lambda a, y: {"preds": a, "targs": y},
    "dict": lambda a, y: {"predictions": torch.log(a), "targets": y},
    "half": lambda a, y: torch.log(a).half(),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_tensors(task, accuracy, kind):
    torch.save(TENSORS[kind](torch.tensor(task.a), torch.tensor(task.y)), "p.pt")
    assert accuracy("p.pt", labels="y.npy") == task.accuracy
    if kind not in ("batches", "half"):
        assert accuracy("p.pt", labels="p.pt") == task.accuracy


#: Arrays by key, and the key that has to be named.
ARRAYS = {
    "prediction output": (lambda a, y: {"predictions": np.log(a), "label_ids": y}, ()),
    "scikit-learn": (lambda a, y: {"y_prob": a, "y_true": y}, ()),
    "by position": (lambda a, y: {"arr_0": a, "arr_1": y}, ()),
    "one array": (lambda a, y: {"arr_0": a}, ()),
    "both kinds": (lambda a, y: {"logits": np.log(a), "probs": a}, ("--probs",)),
    "other keys": (lambda a, y: {"oof": a, "test": a[::-1]}, ("--key", "oof")),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_by_key(task, accuracy, refusal, kind):
    make, words = ARRAYS[kind]
    made = make(task.a, task.y)
    np.savez("p.npz", **made)
    if words:
        assert words[0] in refusal("p.npz")
    assert accuracy("p.npz", *words, labels="y.npy") == task.accuracy
    if {"label_ids", "y_true", "arr_1"} & made.keys():
        assert accuracy("p.npz", labels="p.npz") == task.accuracy


def test_records_and_lists_in_parquet(task, accuracy):
    paths = [f"img_{row}.jpg" for row in range(N_ROWS)]
    lists = {"image_path": paths, "probs": task.a.tolist(), "target": task.y}
    parquet.write_table(pyarrow.table(lists), "lists.parquet")
    assert accuracy("lists.parquet", labels="y.npy") == task.accuracy
    parquet.write_table(pyarrow.table({"id": paths, "probability": by_name(task)}), "p.parquet")
    assert accuracy("p.parquet") == task.accuracy


def test_pickles_are_refused_with_what_to_do(task, refusal):
    Path("p.pkl").write_bytes(pickle.dumps([{"pred_score": [0.5, 0.5]}]))
    assert "numpy.save" in refusal("p.pkl")


def test_percentages_and_votes_name_their_option(task, run_cli, refusal):
    votes = np.random.default_rng(0).multinomial(100, [0.2, 0.3, 0.5], N_ROWS)
    for scores in (100 * task.a, votes):
        np.save("p.npy", scores)
        assert "--votes" in refusal("p.npy")
        run_cli("ensemble", "soft", "p.npy", "--votes", "-o", "s.npy", "--overwrite")
        np.testing.assert_allclose(np.load("s.npy"), scores / scores.sum(axis=1, keepdims=True))
