"""The page on augmentation, end to end: texts, variants, a model, pooled rows, a report."""

import csv
import re
import shlex
from pathlib import Path

import numpy as np

from postproc import load_predictions

PAGE = Path(__file__).parents[1] / "docs" / "augment.md"

WORDS = {
    "card": ["card", "lost", "stolen", "block", "replace"],
    "transfer": ["transfer", "send", "money", "abroad", "payment"],
    "hours": ["open", "closed", "hours", "today", "branch"],
}
FILLERS = ["please", "can", "you", "the", "my", "is", "was", "hello", "and", "it"]


def write(path, header, rows):
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def test_round_trip(tmp_path, monkeypatch, run_cli, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)

    def draw(n_rows):
        for at in range(n_rows):
            label = rng.choice(list(WORDS))
            words = [*rng.choice(WORDS[label], 2), *rng.choice(FILLERS, 5)]
            yield f"q{at}", " ".join(rng.permutation(words)), label

    train, target = list(draw(90)), list(draw(60))
    write("train.csv", ["text", "label"], [row[1:] for row in train])
    write("texts.csv", ["id", "text"], [row[:2] for row in target])
    write("labels.csv", ["id", "label"], [row[::2] for row in target])
    outputs = []
    text = PAGE.read_text(encoding="utf-8")
    for kind, block in re.findall(r"^```(python|console)\n(.*?)^```", text, re.M | re.S):
        if kind == "python":
            exec(compile(block, str(PAGE), "exec"), {})
        else:
            words = [shlex.split(line.removeprefix("$ postproc ")) for line in block.splitlines()]
            outputs += [run_cli(*each).output for each in words]
    assert "60 texts, 540 rows (roles)" in outputs[0]
    pooled, plain = load_predictions("pooled.csv"), load_predictions("texts.probs.csv")
    assert pooled.ids.tolist() == plain.ids.tolist() == [row[0] for row in target]
    y = np.array([sorted(WORDS).index(row[2]) for row in target])
    assert np.mean(pooled.scores.argmax(axis=1) == y) > 0.9
    assert not np.array_equal(pooled.scores, plain.scores)
    assert "pooled" in outputs[2]
    assert "do not judge by them" in outputs[3]
    with Path("more.csv").open(encoding="utf-8") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    assert labels == [label for _, _, label in train for _ in range(5)]
    assert capsys.readouterr().out.startswith("gold\n")
