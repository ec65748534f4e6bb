"""`--oof`: honest predictions of the rows of --fit, from what is fitted to them."""

import json

import numpy as np
import pandas as pd
import pytest

import ensemble
import postproc
from postproc.calibration.by_name import make_calibrator

N_FIT, N_TEST = 120, 60
CLASSES = ["a", "b", "c"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two members' tables of fit and test rows, whose ids have a heading, in other orders."""
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    for split, n in (("fit", N_FIT), ("test", N_TEST)):
        y = rng.integers(0, 3, n)
        ids = [f"{split}{row}" for row in range(n)]
        for name, signal in (("good", 2.0), ("fair", 1.0)):
            probs = postproc.softmax(signal * np.eye(3)[y] + rng.normal(size=(n, 3)))
            table = pd.DataFrame(probs, pd.Index(ids, name="plot_id"), CLASSES)
            table.sample(frac=1, random_state=len(name) + n).to_csv(f"{name}_{split}.csv")
        labels = pd.DataFrame({"label": np.array(CLASSES)[y]}, pd.Index(ids, name="plot_id"))
        labels.to_csv(f"{split}_labels.csv")
    return tmp_path


TEST = ("good_test.csv", "fair_test.csv")
FIT = ("--fit", "good_fit.csv", "--fit", "fair_fit.csv", "--fit-labels", "fit_labels.csv")


def fit_rows():
    """The members' tables of fit rows, in the order of the first, and their labels by id."""
    first = pd.read_csv("good_fit.csv", index_col=0)
    other = pd.read_csv("fair_fit.csv", index_col=0).loc[first.index]
    return [first, other], pd.read_csv("fit_labels.csv", index_col=0)["label"]


def test_the_file_is_what_the_library_makes_with_ids_and_names(files, run_cli):
    text = run_cli("ensemble", "blend", *TEST, *FIT, "-o", "out.csv", "--oof", "oof.csv").stdout
    members, labels = fit_rows()
    expected = ensemble.out_of_fold(ensemble.DiscriminantPool(), members, labels)
    found = pd.read_csv("oof.csv")
    assert found.columns.tolist() == ["plot_id", *CLASSES]
    pd.testing.assert_frame_equal(found.set_index("plot_id"), expected, atol=1e-12)
    assert "Out of fold, on the rows of --fit:\n120 rows, 3 classes" in text
    assert text.endswith("written: out.csv\nout of fold: oof.csv\n")


def test_the_output_itself_is_the_same_as_without(files, run_cli):
    run_cli("ensemble", "weights", *TEST, *FIT, "-o", "plain.npy")
    run_cli("ensemble", "weights", *TEST, *FIT, "-o", "out.npy", "--oof", "oof.npy")
    np.testing.assert_array_equal(np.load("out.npy"), np.load("plain.npy"))
    assert np.load("oof.npy").shape == (N_FIT, 3)


def test_json_has_the_report_of_these_rows(files, run_cli):
    args = ["ensemble", "weights", *TEST, *FIT, "-o", "out.csv", "--oof", "oof.csv", "--json"]
    found = json.loads(run_cli(*args, "--labels", "test_labels.csv").stdout)
    assert found["report"]["rows"] == N_TEST
    held = found["out_of_fold"]
    assert held["output"] == "oof.csv"
    assert held["report"]["rows"] == N_FIT
    members, labels = fit_rows()
    probs = pd.read_csv("oof.csv", index_col=0)
    accuracy = {each["name"]: each["accuracy"] for each in held["report"]["models"]}
    assert accuracy["weights"] == (probs.idxmax(axis=1) == labels.loc[probs.index]).mean()
    assert accuracy["good_test"] == (members[0].idxmax(axis=1) == labels.loc[probs.index]).mean()


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_auto(files, run_cli, metric):
    args = ["auto", *TEST, *FIT, "-o", "out.csv", "--oof", "oof.csv", "--metric", metric]
    found = json.loads(run_cli(*args, "--json").stdout)
    members, labels = fit_rows()
    expected = ensemble.out_of_fold(ensemble.AutoPostprocessor(metric=metric), members, labels)
    np.testing.assert_allclose(pd.read_csv("oof.csv", index_col=0), expected, atol=1e-9)
    assert found["out_of_fold"]["report"]["baseline"] == found["decision"]["best_member"]


def test_calibrate(files, run_cli):
    args = ["calibrate", "good_test.csv", *FIT[:2], *FIT[4:], "-o", "out.csv", "--oof", "oof.csv"]
    text = run_cli(*args, "--method", "bcts").stdout
    members, labels = fit_rows()
    model = postproc.BiasCorrectedTemperatureScaling()
    expected = ensemble.out_of_fold(model, members[0], labels)
    np.testing.assert_allclose(pd.read_csv("oof.csv", index_col=0), expected, atol=1e-9)
    assert "Against as given" in text


def test_one_column_stays_one_column_under_its_heading(files, run_cli):
    rng = np.random.default_rng(0)
    for name, n in (("fit", 100), ("test", 50)):
        y = rng.integers(0, 2, n)
        p = 1 / (1 + np.exp(-(3 * y - 1.5 + rng.normal(size=n))))
        pd.DataFrame({"id": range(n), "ill": p}).to_csv(f"{name}.csv", index=False)
        pd.DataFrame({"id": range(n), "label": y}).to_csv(f"{name}_y.csv", index=False)
    args = ["calibrate", "test.csv", "--fit", "fit.csv", "--fit-labels", "fit_y.csv"]
    found = json.loads(
        run_cli(*args, "-o", "out.csv", "--oof", "oof.parquet", "--json", "--quiet").stdout
    )
    held = pd.read_parquet("oof.parquet")
    assert held.columns.tolist() == ["id", "ill"]
    assert found["out_of_fold"]["report"]["rows"] == 100
    run_cli("calibrate", "test.csv", *args[2:], "-o", "o.npy", "--oof", "oof.npy", "--quiet")
    np.testing.assert_allclose(np.load("oof.npy"), held[["ill"]])
    assert np.load("o.npy").shape == (50, 1)


def test_labels_that_do_not_exclude_each_other(files, run_cli):
    rng = np.random.default_rng(0)
    for name, n in (("fit", 150), ("test", 50)):
        y = (rng.random((n, 3)) < 0.4).astype(int)
        np.save(f"{name}.npy", 1 / (1 + np.exp(-(4 * y - 2 + rng.normal(size=y.shape)))))
        np.save(f"{name}_y.npy", y)
    for command in (["calibrate"], ["auto"], ["ensemble", "weights"]):
        args = [*command, "test.npy", "--fit", "fit.npy", "--fit-labels", "fit_y.npy"]
        args += ["--multilabel", "-o", "out.npy", "--oof", "oof.npy", "--overwrite", "--json"]
        found = json.loads(run_cli(*args).stdout)
        assert found["out_of_fold"]["report"]["rows"] == 150
        assert ((np.load("oof.npy") > 0.5) == np.load("fit_y.npy")).mean() > 0.9


def test_a_run_directory_gets_those_of_its_val_split(files, run_cli):
    rng = np.random.default_rng(0)
    for split, n in (("val", 80), ("test", 40)):
        y = rng.integers(0, 3, n)
        np.save(f"labels.{split}.npy", y)
        for name in ("x", "y"):
            scores = 2 * np.eye(3)[y] + rng.normal(size=(n, 3))
            np.save(f"{name}.{split}.npy", scores.astype(np.float32))
    run_cli("ensemble", "weights", ".", "-o", "w.npy", "--oof", "oof.npy")
    found = np.load("oof.npy")
    assert found.shape == (80, 3)
    assert found.dtype == np.float32


def test_all_rows_labelled_the_honest_file_judges_and_the_warning_names_the_option(files, run_cli):
    """PREDS may be the rows of --fit: what is written for them beside is honest."""
    own = ("good_fit.csv", "fair_fit.csv")
    result = run_cli("ensemble", "blend", *own, *FIT, "-o", "all.csv", "--oof", "oof.csv")
    assert "PREDS are also fitted to" in result.stderr
    assert "honest predictions of such rows with --oof" in result.stderr
    args = ["report", "good_fit.csv", "all.csv", "oof.csv", "--labels", "fit_labels.csv", "--json"]
    losses = {
        each["name"]: each["log_loss"] for each in json.loads(run_cli(*args).stdout)["models"]
    }
    assert losses["all"] < losses["oof"]


@pytest.fixture
def visits(files):
    """A table of what each fit row belongs to, in another order: several visits of a patient."""
    ids = [f"fit{row}" for row in range(N_FIT)]
    table = pd.DataFrame({"patient": [f"p{row // 4}" for row in range(N_FIT)]}, ids)
    table.iloc[::-1].to_csv("visits.csv", index_label="plot_id")
    return table["patient"]


@pytest.mark.parametrize("command", ["auto", "ensemble weights", "calibrate"])
def test_groups_of_the_fit_rows_are_kept_whole_and_widen_the_intervals(visits, run_cli, command):
    alone = command == "calibrate"
    args = [*command.split(), *TEST[: 1 if alone else 2], *FIT[: 2 if alone else 4], *FIT[4:]]
    args += ["-o", "out.csv", "--oof", "oof.csv", "--fit-groups", "visits.csv:patient"]
    found = json.loads(run_cli(*args, "--json").stdout)["out_of_fold"]["report"]
    assert found["groups"] == N_FIT // 4
    members, labels = fit_rows()
    model, scores = {
        "auto": (ensemble.AutoPostprocessor(), members),
        "ensemble weights": (ensemble.LearnedLogPool(), members),
        "calibrate": (make_calibrator("pooled"), members[0]),
    }[command]
    groups = visits.loc[members[0].index].to_numpy()
    expected = ensemble.out_of_fold(model, scores, labels, groups=groups)
    np.testing.assert_allclose(pd.read_csv("oof.csv", index_col=0), expected, atol=1e-9)
    text = run_cli(*args, "--overwrite").stdout
    assert "No group is divided here" in text
    assert "120 rows in 30 groups" in text


def test_groups_of_labels_that_do_not_exclude_each_other_and_of_a_run_directory(files, run_cli):
    rng = np.random.default_rng(0)
    for split, n in (("val", 80), ("test", 40)):
        y = (rng.random((n, 3)) < 0.4).astype(int)
        np.save(f"x.{split}.npy", 1 / (1 + np.exp(-(4 * y - 2 + rng.normal(size=y.shape)))))
        np.save(f"labels.{split}.npy", y)
    np.savetxt("groups.txt", np.arange(80) // 4, fmt="%d")
    more = ["--multilabel", "--oof", "oof.npy", "--fit-groups", "groups.txt", "--json"]
    own = ["x.test.npy", "--fit", "x.val.npy", "--fit-labels", "labels.val.npy"]
    model = postproc.MultilabelCalibration()
    expected = ensemble.out_of_fold(
        model, np.load("x.val.npy"), np.load("labels.val.npy"), groups=np.arange(80) // 4
    )
    found = json.loads(run_cli("calibrate", *own, *more, "-o", "a.npy").stdout)
    assert found["out_of_fold"]["report"]["groups"] == 20
    assert found["strength"] is None  # infinite, which JSON has no number for
    np.testing.assert_allclose(np.load("oof.npy"), expected, atol=1e-9)
    more.remove("--multilabel")
    for split in ("val", "test"):
        np.save(f"labels.{split}.npy", np.load(f"labels.{split}.npy").argmax(axis=1))
        np.save(f"x.{split}.npy", postproc.softmax(3 * np.load(f"x.{split}.npy")))
    args = ["ensemble", "weights", ".", *more, "-o", "b.npy", "--overwrite"]
    found = json.loads(run_cli(*args).stdout)
    assert found["out_of_fold"]["report"]["groups"] == 20


def test_groups_that_nothing_heeds_are_refused(visits, run_cli):
    groups = ("--fit-groups", "visits.csv:patient")
    for args in (
        ("ensemble", "weights", *TEST, *FIT),
        ("auto", *TEST, *FIT),
        ("calibrate", TEST[0], *FIT[:2], *FIT[4:]),
    ):
        assert "add --oof, or omit it" in run_cli(*args, *groups, code=2).stderr
    out = ("-o", "o.csv", "--oof", "visits.csv", "--overwrite")
    said = run_cli("auto", *TEST, *FIT, *out, *groups, code=2).stderr
    assert "must not be an input" in said


def test_decide_takes_the_file(files, run_cli):
    run_cli("ensemble", "blend", *TEST, *FIT, "-o", "out.csv", "--oof", "oof.csv")
    run_cli(
        *("decide", "out.csv", "--fit", "oof.csv", "--fit-labels", "fit_labels.csv"),
        *("--metric", "macro_f1", "-o", "labels.csv"),
    )
    assert len(pd.read_csv("labels.csv")) == N_TEST


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["ensemble", "soft", *TEST, "--oof", "oof.csv"], "soft is not fitted"),
        (["adapt", TEST[0], *FIT[:2], *FIT[4:], "--oof", "oof.csv"], "No such option"),
        (["ensemble", "blend", *TEST, *FIT, "-o", "x.csv", "--oof", "x.csv"], "the output"),
        (["auto", *TEST, *FIT, "--oof", "x.csv", "--labels-out", "x.csv"], "--labels-out"),
        (
            ["auto", *TEST, *FIT, "--oof", TEST[0], "-o", TEST[0], "--overwrite"],
            "for --oof: must not be the output",
        ),
        (["auto", *TEST, *FIT, "--labels-out", "x.csv", "--probability"], "No such option"),
        (["auto", *TEST, *FIT, "--oof", "good_fit.csv", "--overwrite"], "must not be an input"),
        (["auto", *TEST, *FIT, "--oof", "x.txt"], "suffix"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_fitted(files, run_cli, args, said):
    result = run_cli(*args, code=2 if "suffix" not in said else 1)
    assert said in result.output
    assert not (files / "oof.csv").exists()


def test_a_file_that_exists_is_kept_unless_it_may_be_replaced(files, run_cli):
    (files / "oof.csv").write_text("mine")
    args = ["ensemble", "weights", *TEST, *FIT, "-o", "out.csv", "--oof", "oof.csv"]
    run_cli(*args, code=1)
    assert (files / "oof.csv").read_text() == "mine"
    assert not (files / "out.csv").exists()
    run_cli(*args, "--overwrite")
    assert len(pd.read_csv("oof.csv")) == N_FIT


def test_ids_that_the_format_loses_and_classes_of_one_row_are_told(files, run_cli):
    labels = pd.read_csv("fit_labels.csv")
    labels.loc[labels["label"] == "c", "label"] = "a"
    labels.loc[3, "label"] = "c"
    labels.to_csv("rare.csv", index=False)
    args = [*FIT[:4], "--fit-labels", "rare.csv", "-o", "out.csv", "--oof", "oof.npy"]
    result = run_cli("ensemble", "weights", *TEST, *args)
    assert "oof.npy does not keep row ids" in result.stderr
    assert "1 of 3 classes have all their rows in one fold ('c')" in result.stderr


def test_auto_says_if_only_the_output_is_adapted_to_label_shift(files, run_cli):
    rng = np.random.default_rng(0)
    for split, prior in (("fit", [1 / 3] * 3), ("test", [0.8, 0.1, 0.1])):
        y = rng.choice(3, 500, p=prior)
        np.save(f"{split}.npy", 1.5 * np.eye(3)[y] + rng.normal(size=(500, 3)))
        np.save(f"{split}_y.npy", y)
    args = ["--fit", "fit.npy", "--fit-labels", "fit_y.npy", "-o", "o.npy", "--oof", "oof.npy"]
    result = run_cli("auto", "test.npy", *args)
    assert "PREDS are adapted to label shift" in result.stderr
    result = run_cli("auto", "fit.npy", *args, "--overwrite")
    assert "adapted to label shift" not in result.stderr
