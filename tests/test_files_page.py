"""Every command of the page on files runs, and calibrates language models as it says."""

import gzip
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from postproc import load_labels, load_predictions, softmax
from tests.cases.conftest import table

PAGE = Path(__file__).parents[1] / "docs" / "files.md"
NAMES = ("cat", "dog", "owl")
N_ROWS = 40


def commands():
    """All commands of the page, in order."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"`(postproc [^`]+)` \|$|^\$ (postproc .+)$", text, re.MULTILINE)
    return [inline or block for inline, block in found]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """All files that the page names."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, N_ROWS)
    a, b = (softmax(2 * np.eye(3)[y] + rng.normal(size=(N_ROWS, 3))) for _ in range(2))
    rows, truth, predicted = range(N_ROWS), np.array(NAMES)[y], np.array(NAMES)[a.argmax(axis=1)]
    np.save("preds.npy", a)
    np.save("stack.npy", np.stack([a, b]))
    np.save("outputs.npy", [np.c_[1 - p, p] for p in b.T])
    np.save("votes.npy", rng.integers(1, 9, (N_ROWS, 3)))
    np.save("percent.npy", 100 * b[:, 0])
    np.save("holes.npy", np.where(np.arange(N_ROWS)[:, None] == 3, np.nan, a))
    np.save("twice.npy", softmax(a))
    np.save("patches.npy", a)
    for name, scores in (("one", a), ("two", b)):
        np.save(f"{name}.npy", np.c_[scores[:, 0], 1 - scores[:, 0]])
    np.savez("oof.npz", oof=a, test=b)
    np.savez("both.npz", logits=np.log(a), probs=a)
    np.savez("hf.npz", predictions=np.log(a), label_ids=y)
    tensors = torch.tensor(a), torch.tensor(y)
    torch.save(list(zip(*(t.split(16) for t in tensors), strict=True)), "batches.pt")
    table("preds.csv", {"id": rows, NAMES: a})
    Path("preds.csv.gz").write_bytes(gzip.compress(Path("preds.csv").read_bytes()))
    table("sheet.csv", {"id": rows, NAMES: np.char.replace(a.astype(str), ".", ",")}, delimiter=";")
    table("bare.csv", {NAMES: a}, header=False)
    np.savetxt("result.txt", a, delimiter="\t")
    table("catboost.tsv", {tuple(f"Probability:Class={n}" for n in NAMES): a}, delimiter="\t")
    table("oof.csv", {"id": rows, NAMES: a, "fold": np.arange(N_ROWS) % 5, "truth": truth})
    table("amlb.csv", {NAMES: a, "predictions": predicted, "truth": truth})
    probs = tuple(f"prob.{name}" for name in NAMES)
    table("mlr3.csv", {"row_ids": rows, "truth": truth, "response": predicted, probs: a})
    table("h2o.csv", {"predict": predicted, NAMES: a})
    records = [{"id": row, "probs": a[row].tolist()} for row in rows]
    named = [dict(zip(NAMES, row, strict=True)) for row in a.tolist()]
    pipeline = [[{"label": n, "score": p} for n, p in row.items()] for row in named]
    lines("records.jsonl", records)
    lines("pipeline.jsonl", pipeline)
    fallen = [sorted(row.items(), key=lambda pair: -pair[1]) for row in named]
    lines(
        "zero_shot.jsonl",
        [{"labels": [n for n, _ in row], "scores": [p for _, p in row]} for row in fallen],
    )
    Path("fasttext.txt").write_text(
        "".join(" ".join(f"__label__{n} {p}" for n, p in row) + "\n" for row in fallen)
    )
    Path("frame.json").write_text(json.dumps({"probs": a.tolist(), "classes": NAMES}))
    long = {"id": np.repeat(rows, 3), "class": NAMES * N_ROWS, "score": a.ravel()}
    table("long.csv", long)
    surest = [("POSITIVE", p) if p > 0.5 else ("NEGATIVE", 1 - p) for p in a[:, 0].tolist()]
    lines("sentiment.jsonl", [{"label": label, "score": score} for label, score in surest])
    tags = [";".join(np.array(NAMES)[row]) for row in b > 0.3]
    table("sigmoid.csv", {"id": rows, NAMES: np.sqrt(a)})
    table("columns.csv", {"id": rows, NAMES: (b > 0.3).astype(int)})
    table("tags.csv", {"id": rows, "tags": tags})
    table("tta.csv", {"id": np.arange(N_ROWS) // 2, NAMES: a})
    table("texts.csv", {"id": rows, "text": truth, "label": truth})
    Path("patients.txt").write_text("".join(f"p{row // 4}\n" for row in rows))
    for fold in (0, 1):
        table(f"fold{fold}.csv", {"id": rows[fold::2], NAMES: a[fold::2]})
    for name, labels in (("truth", truth), ("labels", predicted), ("other", truth)):
        table(f"{name}.csv", {"id": rows, "label": labels})
    logs = [
        {
            "doc_id": row,
            "target": int(y[row]),
            "filtered_resps": [[v, False] for v in np.log(a[row])],
        }
        for row in rows
    ]
    lines("samples_arc.jsonl", logs)
    biased = softmax(np.log(a) + np.array([2.0, 0.0, -1.0]))
    letters = [dict(zip("ABC", np.log(row), strict=True)) for row in biased.tolist()]
    lines(
        "answers.jsonl",
        [{**row, "label": "ABC"[label]} for row, label in zip(letters, y, strict=True)],
    )
    free = softmax(np.array([2.0, 0.0, -1.0]) + 0.1 * rng.normal(size=(500, 3)))
    lines(
        "content_free.jsonl", [dict(zip("ABC", np.log(row), strict=True)) for row in free.tolist()]
    )
    Path("choices.txt").write_text("A\nB\nC\n")
    return biased, free, y


def lines(path, records):
    Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))


def test_every_command_runs_and_calibrates_as_it_says(files, run_cli):
    biased, free, y = files
    found = commands()
    assert len(found) > 30
    for command in found:
        run_cli(*shlex.split(command)[1:])
    scores = load_predictions("batch.npz")
    np.testing.assert_allclose(scores.probabilities(), biased, atol=1e-9)
    for name, reference in (("calibrated", biased), ("contextual", free)):
        expected = biased / (reference.sum(axis=0) + biased)
        expected /= expected.sum(axis=1, keepdims=True)
        calibrated = load_predictions(f"{name}.npz").scores
        np.testing.assert_allclose(calibrated, expected, rtol=1e-6)
        published = (biased / reference.mean(axis=0)).argmax(axis=1)
        assert (calibrated.argmax(axis=1) == published).mean() > 0.9
        assert (calibrated.argmax(axis=1) == y).mean() > (biased.argmax(axis=1) == y).mean() + 0.1
    truth = load_labels("batch.txt", n_classes=3, classes=("A", "B", "C"))
    np.testing.assert_array_equal(truth, y)
