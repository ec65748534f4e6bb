"""Run directories of small text encoders."""

import json
import re

import numpy as np
import pytest
import torch

from benchmarks.gains.prepare import main
from ensemble.training.batches import calibrated_log_loss
from postproc.files import RunDirectory


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Three classes of 60 texts, each told apart by a word."""
    rng = np.random.default_rng(0)
    lines = ["text,label"]
    for row in range(180):
        own = ("cat", "dog", "bird")[row % 3]
        words = [f"w{k}" for k in rng.integers(9, size=3)]
        lines.append(f"{' '.join(words)} {own},{own}")
    path = tmp_path_factory.mktemp("texts") / "pets.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make(texts, folder, *words):
    main([f"csv:{texts}", "-o", str(folder), "--members", "torch", *words])
    return json.loads((folder / "meta.json").read_text(encoding="utf-8"))


def test_a_run_directory_with_snapshots(texts, tmp_path, run_cli):
    words = ["--models", "cnn", "--training", "fgm=0.5,flooding=0.05", "--snapshots"]
    meta = make(texts, tmp_path / "run", *words, "--pretraining", "token-type")
    run = RunDirectory.open(tmp_path / "run")
    assert run.models[0] == "cnn"
    assert len(run.models) > 3
    assert all(name.startswith("cnn_epoch") for name in run.models[1:])
    scores = {p.name: p.scores for p in run.predictions("test")}
    assert meta["models"]["cnn"]["test_accuracy"] > 0.9
    assert len({z.tobytes() for z in scores.values()}) == len(scores)  # the kept one is left out
    said = meta["models"]["cnn"]["description"]
    assert "fgm=0.5,flooding=0.05" in said
    assert "after the task token-type" in said
    assert "torch" in meta["versions"]
    run_cli("ensemble", "weights", tmp_path / "run", "-o", tmp_path / "weights.npy")


def test_the_epoch_that_is_best_on_val_is_kept(texts, tmp_path):
    noise = ["--label-noise", "0.2", "--noise-in", "train", "val"]
    make(texts, tmp_path / "run", "--models", "cnn", "--snapshots", *noise)
    run = RunDirectory.open(tmp_path / "run")
    y = torch.tensor(run.labels("val"))
    losses = {
        p.name: calibrated_log_loss(torch.tensor(p.scores), y) for p in run.predictions("val")
    }
    assert min(losses, key=losses.get) == "cnn"
    assert len(losses) > 3


def test_out_of_fold(texts, tmp_path):
    meta = make(texts, tmp_path / "run", "--models", "cnn", "--out-of-fold", "--folds", "2")
    assert meta["models"]["cnn"]["train_oof_accuracy"] > 0.8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--training", "dropout"], r"`--training` must be some of fgm, .*, got 'dropout'"),
        (["--training", "fgm=x"], r"`--training` must be fgm or fgm=NUMBER, got 'fgm=x'"),
        (["--training", "fgm,pgd"], "names of different options"),
        (["--training", "flooding=-1"], "`flooding` must be"),
        (["--training", "flooding,accumulate"], "`accumulate` must be 1 with flooding"),
        (["--pretraining", "next"], "`--pretraining` must be one of"),
        (["--models", "tfidf_logistic"], "some of cnn, gru, transformer"),
        (["--snapshots", "--out-of-fold"], "used without --out-of-fold"),
        (["--members", "classical", "--training", "fgm"], "used with --members torch"),
    ],
)
def test_faults_of_the_command_line(texts, tmp_path, capsys, words, message):
    with pytest.raises(SystemExit) as exit_:
        make(texts, tmp_path / "run", *words)
    assert exit_.value.code == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_tables_have_no_texts(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["digits", "-o", str(tmp_path / "run"), "--members", "torch"])
    assert "must be used with texts, got a data set of tables" in capsys.readouterr().err
