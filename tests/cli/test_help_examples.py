"""The examples in the help of every command fit 80 columns and run as they stand."""

import json
import shlex
from pathlib import Path

import click
import numpy as np
import pytest

from cli.main import COMMANDS, main
from postproc import save_predictions, softmax
from tests.cases.conftest import table

N_ROWS = 150
NAMES = ("cat", "dog", "owl")

#: Examples that take long.
SLOW = ("apply greedy", "bench", "demo", "ensemble devil", "tune greedy")

#: How the files are made that an example takes from an earlier one.
EARLIER = {
    "blend.json": "ensemble blend a.test.npy b.test.npy --fit a.val.npy --fit b.val.npy "
    "--fit-labels labels.val.npy --save blend.json",
    "calibrator.json": "calibrate test.npy --fit val.npy --fit-labels y.txt --save calibrator.json",
    "sets.json": "decide test.npy --sets 0.9 --fit val.npy --fit-labels y.npy --save sets.json",
    "can.json": "tune can val.npy --labels val_labels.npy -o can.json",
    "greedy.json": "tune greedy a.val.npy b.val.npy c.val.npy --labels val_labels.npy "
    "-o greedy.json",
}


def examples(name):
    """The commands in the epilog of a command's help."""
    text = main.get_command(None, name).epilog.replace("\\\n", "")
    return [line.strip() for line in text.splitlines() if line.startswith("  postproc ")]


def each_example():
    for command in (command for name in COMMANDS for command in examples(name)):
        is_slow = command.removeprefix("postproc ").startswith(SLOW)
        yield pytest.param(command, marks=pytest.mark.slow if is_slow else ())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Every file that an example names."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(N_ROWS) % 3)
    rows, truth = range(N_ROWS), np.array(NAMES)[y]

    def scores():
        return softmax(2 * np.eye(3)[y] + rng.normal(size=(N_ROWS, 3)))

    for folder in ("RUNDIR", "runs/digits"):
        Path(folder).mkdir(parents=True)
        for split in ("val", "test"):
            np.save(f"{folder}/labels.{split}.npy", y)
            for model in "ab":
                np.save(f"{folder}/{model}.{split}.npy", scores())
    for name in "abc":
        for part in ("", ".val", ".test", ".new"):
            np.save(f"{name}{part}.npy", scores())
        table(f"{name}.csv", {"id": rows, NAMES: scores()})
    for name in ("preds", "test", "val", "before", "after", "patches", "new"):
        np.save(f"{name}.npy", scores())
    np.save("twice.npy", softmax(scores()))
    lines = [f"{row},{name},0.5" for row in range(4) for name in ("no", "yes")]
    Path("long.csv").write_text("\n".join(["id,class,score", *lines]))
    for name in ("y", "labels", "train_labels", "val_labels", "test_labels"):
        np.save(f"{name}.npy", y)
        Path(f"{name}.txt").write_text("".join(f"{label}\n" for label in y))
    for name in ("train_labels", "test_labels"):  # one of the two is named without a suffix
        Path(f"{name}.txt" if name == "train_labels" else f"{name}.csv").unlink(missing_ok=True)
    for split in ("val", "test"):
        np.save(f"labels.{split}.npy", y)
    table("test.csv", {"id": rows, NAMES: scores()})
    table("tta.csv", {"id": np.arange(N_ROWS) // 2, NAMES: scores()})
    table("predictions.csv", {"id": np.arange(N_ROWS) // 2, NAMES: scores()})
    for fold in range(3):
        table(f"fold{fold}.csv", {"id": rows[fold::3], NAMES: scores()[fold::3]})
    prefixed = tuple(f"prob_{name}" for name in NAMES)
    table("preds.csv", {"id": rows, prefixed: scores(), "truth": truth})
    table("texts.csv", {"id": rows, "text": [f"a {name} in a big tree" for name in truth]})
    labelled = {"id": rows, "text": [f"a {name} in a big tree" for name in truth], "label": truth}
    table("train.csv", labelled)
    tweets = {"id": rows, "body": [f"a {name} in a big tree" for name in truth]}
    table("tweets.tsv", tweets, delimiter="\t")
    for name in ("toxic", "toxic_val"):
        table(f"{name}.csv", {"id": rows, NAMES: np.sqrt(scores())})
    table("tags.csv", {"id": rows, NAMES: (scores() > 0.3).astype(int)})
    table("costs.csv", {("0", "1", "2"): 1 - np.eye(3)})
    patients = "".join(f"p{row // 4}\n" for row in rows)
    for name in ("patients.txt", "patient_ids.txt"):
        Path(name).write_text(patients)
    Path("sample_submission_ids.txt").write_text("".join(f"{row}\n" for row in rows))
    shards = Path("shards")
    shards.mkdir()
    for part in range(2):
        save_predictions(shards / f"part-0000{part}.npy", scores())
    logs = [{"doc_id": row, "target": int(y[row])} for row in rows]
    for log, each in zip(logs, np.log(scores()), strict=True):
        log["filtered_resps"] = [[value, False] for value in each]
        log["arguments"] = [[f"question {log['doc_id']}", f" {name}"] for name in NAMES]
    named = [dict(zip("ABC", each, strict=True)) for each in np.log(scores()).tolist()]
    for name, records in (("samples", logs), ("answers", named)):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    Path("choices.txt").write_text("A\nB\nC\n")
    Path("names.txt").write_text("\n".join(NAMES))


@pytest.mark.parametrize("command", [*each_example()])
def test_it_runs(command, files, run_cli, recwarn):
    words = shlex.split(command)[1:]
    for file in {*words} & EARLIER.keys():
        if words[words.index(file) - 1] not in ("-o", "--save"):
            run_cli(*shlex.split(EARLIER[file]))
    if "runs/*/" in words:  # as the shell does
        words = [*words[:1], "runs/digits/", *words[2:]]
    run_cli(*words)


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_fits_80_columns(name, run_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = run_cli(*filter(None, [name]), "-h").output
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    if name is not None:
        assert isinstance(main.get_command(None, name), click.Command)
        assert examples(name)
