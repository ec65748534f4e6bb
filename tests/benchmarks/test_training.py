"""The benchmark of training methods on synthetic texts, and the intervals of its tables."""

import json

import numpy as np
import pytest

from benchmarks.training import tasks
from benchmarks.training.__main__ import main
from benchmarks.training.cells import ENCODERS
from benchmarks.training.methods import METHODS, classifier_settings
from benchmarks.training.tables import interval, print_tables
from benchmarks.training.tasks import load, synthetic, varied
from ensemble.training import TrainingOptions

WORDS = ["--methods", "fgm", "--seeds", "1", "--processes", "1", "--few"]


def test_cells_are_run_once_and_shown(tmp_path, capsys):
    file = tmp_path / "results.jsonl"
    main([*WORDS, "--results", str(file)])
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 4  # plain and fgm, right and noisy labels
    first = capsys.readouterr()
    assert "a synthetic task" in first.err
    assert "**synthetic, 20 % wrong labels**" in first.out
    assert first.out.count("| fgm | 1 |") == 2
    assert first.out.count("| fgm | 2 | 2 |") == 1  # over both settings
    main([*WORDS, "--results", str(file)])
    assert capsys.readouterr().out == first.out
    assert len(file.read_text().splitlines()) == 4


def test_files_of_a_folder(tmp_path):
    for split, labels in (("train", "ab"), ("val", "bc"), ("test", "ca")):
        lines = [f"text of {label},{label}" for label in labels]
        (tmp_path / f"own.{split}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    task = load(tmp_path, "own")
    assert task.n_classes == 3
    assert {split: y.tolist() for split, y in task.labels.items()} == {
        "train": [0, 1],
        "val": [1, 2],
        "test": [2, 0],
    }
    assert task.texts["test"] == ["text of c", "text of a"]


def test_shots_and_noise():
    task = synthetic()
    few = varied(task, shots=10, noise=0.0, seed=1)
    assert np.bincount(few.labels["train"]).tolist() == [10] * 5
    where = dict(zip(task.texts["train"], task.labels["train"], strict=True))
    assert [where[t] for t in few.texts["train"]] == few.labels["train"].tolist()
    noisy = varied(task, shots=None, noise=0.2, seed=1)
    assert (noisy.labels["train"] != task.labels["train"]).sum() == 40
    assert few.unlabelled == noisy.texts["train"] == task.texts["train"]
    assert noisy.texts["test"] == task.texts["test"]
    assert [len(noisy.labels[split]) for split in ("stop", "val")] == [12, 38]
    assert sorted(noisy.texts["stop"] + noisy.texts["val"]) == sorted(task.texts["val"])
    val = dict(zip(task.texts["val"], task.labels["val"], strict=True))
    for split in ("stop", "val"):
        assert [val[t] for t in noisy.texts[split]] == noisy.labels[split].tolist()


def test_rows_are_drawn_class_by_class(monkeypatch):
    monkeypatch.setattr(tasks, "ROWS", 100)
    fewer = varied(synthetic(), shots=None, noise=0.0, seed=1)
    assert np.bincount(fewer.labels["train"]).tolist() == [20] * 5
    assert fewer.unlabelled == fewer.texts["train"]


def test_methods_by_name():
    plain = classifier_settings([])
    assert plain == {
        "options": TrainingOptions(),
        "virtual_augmentation": None,
        "pretraining": None,
    }
    assert classifier_settings(["flooding=0.2", "child-free"])["options"].flooding == 0.2
    assert classifier_settings(["accumulate=2", "vda=.5"])["virtual_augmentation"] == 0.5
    assert classifier_settings([], "shuffle")["pretraining"] == "shuffle"
    assert all(classifier_settings([name]) != plain for name in METHODS)


def test_gains_are_paired_by_setting_and_seed(capsys):
    def row(method, noisy, seed, accuracy):
        found = dict.fromkeys((*ENCODERS, "weights", "devil"), accuracy)
        key = {"task": "t", "few": False, "noisy": noisy, "seed": seed, "method": method}
        return {**key, "accuracy": found, "seconds": 2.0 + (method == "fgm")}

    rows = [
        *(row("plain", noisy, seed, 50 + seed) for noisy in (False, True) for seed in range(3)),
        *(row("fgm", False, seed, 51 + 2 * seed) for seed in range(3)),  # gains 1, 2 and 3
        row("fgm", True, 1, 41),  # loses 10
        row("fgm", True, 9, 99),  # has no pair
    ]
    print_tables(rows)
    lines = capsys.readouterr().out.splitlines()
    assert "| fgm | 3 |" + " +2.00 [-0.48, +4.48] |" * 3 + " 1.5 × |" in lines
    assert "| fgm | 1 |" + " -10.00 |" * 3 + " 1.5 × |" in lines
    published = METHODS["fgm"].published
    assert "| fgm | 2 | 4 |" + " -4.00 |" * 3 + f" 1.5 × | {published} |" in lines


def test_interval_by_hand():
    assert interval([1.0, 2.0]) == "+1.50"
    assert interval([1.0, 2.0, 3.0]) == "+2.00 [-0.48, +4.48]"  # 2 ± 4.303 · 1/√3
    assert interval([1.0, 1.1, 1.2]) == "**+1.10 [+0.85, +1.35]**"


def test_files_that_do_not_exist_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([*WORDS, "--data", str(tmp_path), "--tasks", "own"])
    assert exit_.value.code == 2
    assert f"{tmp_path / 'own.train.csv'} does not exist" in capsys.readouterr().err


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match="got 'dropout'"):
        classifier_settings(["dropout"])
