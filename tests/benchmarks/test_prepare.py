"""Run directories from public data: what the command makes, and how it fails."""

import json
import shlex

import numpy as np
import pytest

from benchmarks.gains import folder as folder_module
from benchmarks.gains import prepare
from benchmarks.gains.prepare import main
from postproc.files import RunDirectory

QUICK = ["--models", "gaussian_nb,neighbours"]


def make(folder, *words, dataset="digits", models=QUICK):
    main([dataset, "-o", str(folder), *models, *words])
    return json.loads((folder / "meta.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return folder, make(folder)


def test_a_run_directory_that_the_package_reads(digits):
    folder, meta = digits
    run = RunDirectory.open(folder)
    assert run.models == ("gaussian_nb", "neighbours")
    assert run.classes == tuple("0123456789")
    for split in ("val", "test"):
        labels = run.labels(split)
        assert len(labels) == meta["sizes"][split]
        assert np.bincount(labels).tolist() == meta["class_counts"][split]
        for member in run.predictions(split):
            entry = meta["models"][member.name]
            assert (member.kind, member.scores.dtype) == (entry["kind"], np.float32)
            accuracy = (member.scores.argmax(axis=1) == labels).mean()
            assert accuracy == pytest.approx(entry[f"{split}_accuracy"], abs=1e-6)
            assert accuracy > 0.85
    assert sum(meta["sizes"].values()) == 1797
    assert meta["seed"] == 0
    assert "UCI" in meta["licence"]
    assert {"numpy", "scikit-learn", "python"} <= set(meta["versions"])
    assert not list(folder.parent.glob(".*"))


def test_its_command_makes_the_same_bytes_again(digits, tmp_path):
    folder, meta = digits
    words = shlex.split(meta["command"])
    assert words[:3] == ["python", "-m", "benchmarks.gains.prepare"]
    again = tmp_path / "again"
    words[words.index(str(folder))] = str(again)
    main(words[3:])
    for path in folder.iterdir():
        if path.name != "meta.json":
            assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    other = make(tmp_path / "other", "--seed", "1")
    assert other["models"] != meta["models"]


def test_an_ensemble_of_it(digits, run_cli, tmp_path):
    folder, meta = digits
    result = run_cli("ensemble", "weights", folder, "--json", "-o", tmp_path / "weights.npy")
    figures = json.loads(result.stdout)
    assert figures["rows"] == meta["sizes"]["test"]
    assert run_cli("inspect", folder / "neighbours.test.npy").stdout


def test_few_shots_leave_the_test_rows_as_they_are(digits, tmp_path):
    folder, meta = digits
    few = make(tmp_path / "few", "--shots", "3", "--val-shots", "4")
    assert few["class_counts"]["train"] == [3] * 10
    assert few["class_counts"]["val"] == [4] * 10
    assert few["sizes"]["test"] == meta["sizes"]["test"]
    labels = [np.load(f / "labels.test.npy") for f in (folder, tmp_path / "few")]
    np.testing.assert_array_equal(*labels)
    for entry, full in zip(few["models"].values(), meta["models"].values(), strict=True):
        assert entry["test_accuracy"] < full["test_accuracy"]


def test_noise_out_of_fold(digits, tmp_path, capsys):
    folder, _ = digits
    run = tmp_path / "noisy"
    noisy = make(run, "--label-noise", "0.2", "--out-of-fold", "--folds", "3")
    labels, clean = np.load(run / "labels.train.npy"), np.loadtxt(run / "clean_labels.train.txt")
    assert (labels != clean).sum() == round(0.2 * len(labels))
    np.testing.assert_array_equal(clean, np.load(folder / "labels.train.npy"))
    assert not (run / "clean_labels.test.txt").exists()
    assert np.load(run / "neighbours.train.npy").shape == (len(labels), 10)
    # Neighbours weighted by distance know their own labels by heart, wrong ones too.
    assert noisy["models"]["neighbours"]["train_oof_accuracy"] < 0.85
    assert (noisy["label_noise"], noisy["noisy_splits"], noisy["folds"]) == (0.2, ["train"], 3)
    said = capsys.readouterr()
    assert "216 of 1079 labels of train are made wrong" in said.err
    assert "train_oof %" in said.out
    assert RunDirectory.open(run).labels("train") is not None


def test_noise_where_it_is_asked_for(tmp_path):
    run = tmp_path / "run"
    make(run, "--label-noise", "0.5", "--noise-in", "val", dataset="iris")
    val, clean = np.load(run / "labels.val.npy"), np.loadtxt(run / "clean_labels.val.txt")
    assert (val != clean).sum() == 15
    assert not (run / "clean_labels.train.txt").exists()


def test_all_models_with_classes_that_training_lacks(tmp_path, capsys):
    words = ["--shots", "2", "--label-noise", "0.5", "--rows", "300"]
    words += ["--out-of-fold", "--folds", "2"]
    meta = make(tmp_path / "run", *words, models=())
    assert len(meta["models"]) == 7
    absent = [c for c, count in enumerate(meta["class_counts"]["train"]) if not count]
    assert absent
    assert "leaves no training row for" in capsys.readouterr().err
    run = RunDirectory.open(tmp_path / "run")
    for split in ("train", "val", "test"):
        for member in run.predictions(split):
            scores = np.asarray(member.scores)
            assert scores.shape == (meta["sizes"][split], 10)
            least = 0 if member.kind == "probs" else scores.min(axis=1, keepdims=True)
            assert (scores[:, absent] == least).all(), (member.name, split)


def test_two_classes_are_two_columns(tmp_path):
    meta = make(tmp_path / "run", dataset="breast_cancer", models=["--models", "logistic,rbf_svm"])
    assert any("too few to judge" in remark for remark in meta["remarks"])
    for member in RunDirectory.open(tmp_path / "run").predictions("test"):
        assert member.kind == "logits"
        np.testing.assert_array_equal(member.scores[:, 0], -np.asarray(member.scores[:, 1]))
    assert meta["models"]["logistic"]["test_accuracy"] > 0.9


def test_a_folder_is_never_overwritten_unasked(tmp_path, capsys):
    run = tmp_path / "run"
    make(run, dataset="iris")
    before = (run / "meta.json").read_bytes()
    with pytest.raises(SystemExit) as error:
        make(run, "--seed", "1", dataset="iris")
    assert error.value.code == 1
    assert "exists already" in capsys.readouterr().err
    assert (run / "meta.json").read_bytes() == before
    assert make(run, "--seed", "1", "--overwrite", dataset="iris")["seed"] == 1
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("the only copy")
    with pytest.raises(SystemExit):
        make(foreign, "--overwrite", dataset="iris")
    assert "must be a folder that this program made" in capsys.readouterr().err
    assert (foreign / "thesis.txt").exists()


@pytest.mark.parametrize("old", [False, True])
def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch, old):
    run = tmp_path / "run"
    if old:
        make(run, dataset="iris")
    before = sorted(tmp_path.rglob("*"))

    def full(path, values):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.np, "save", full)
    with pytest.raises(SystemExit) as error:
        main(["wine", "-o", str(run), "--overwrite", *QUICK])
    assert error.value.code == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing", "-o", "run"], "there is no data set 'nothing'"),
        (["hf:a:b", "-o", "run"], "there is no data set 'hf:a:b'"),
        (["digits"], "-o FOLDER are needed"),
        (["digits", "-o", "run", "--models", "char_svm"], "for a table data set, got 'char_svm'"),
        (["digits", "-o", "run", "--shots", "0"], "must be an integer of 1 or more, got '0'"),
        (["digits", "-o", "run", "--label-noise", "20"], "must be a number in [0, 1], got '20'"),
        (["digits", "-o", "run", "--val", "0"], "must be a number in (0, 1), got '0'"),
        (["digits", "-o", "run", "--val", "nan"], "must be a number in (0, 1), got 'nan'"),
        (["digits", "-o", "run", "--val", "0.6", "--test", "0.5"], "must leave rows to train on"),
    ],
)
def test_faults_of_the_command_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        main(words)
    assert error.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["iris", "-o", "run", "--shots", "40"], "with 40 training rows a class, got too few in 3"),
        (["iris", "-o", "no/run"], "does not exist; create it first"),
        (["iris", "-o", "run", "--shots", "1", "--out-of-fold"], "`--out-of-fold` must be"),
        (["csv:no.csv", "-o", "run"], "no.csv"),
    ],
)
def test_faults_of_the_data(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        main(words)
    assert error.value.code == 1
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_the_list_names_everything(capsys):
    main(["--list"])
    said = capsys.readouterr().out
    for name in ("digits", "20newsgroups", "banking77", "csv:FILE", "boosting", "char_svm"):
        assert name in said
    assert said.count("TOO SMALL") == 3
    assert "synthetic, 20,000 rows" in said
    assert "needs sentence-transformers" in said
    assert prepare.PROGRAM.endswith("prepare")
