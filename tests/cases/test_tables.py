"""Tables of other tools: the right number, or the column and the option that gives it."""

import json
from pathlib import Path

import numpy as np
import pytest

from postproc import load_predictions
from tests.cases.conftest import N_ROWS, NAMES, table

ROWS = np.arange(N_ROWS)


def named(form):
    """Names of columns in the form of a tool."""
    return tuple(form.format(name) for name in NAMES)


#: Tables that need no option: what stands in them, and how columns are called.
CLEAR = {
    "catboost": {"SampleId": ROWS, "Probability:Class={}": "a"},
    "image ids": {"image_id": ROWS, "{}": "a"},
    "ids last": {"{}": "a", "id": ROWS},
    "autogluon": {"": ROWS, "{}": "a"},
    "kaggle": {"img": [f"img_{row}.jpg" for row in ROWS], "{}": "a"},
    "knime": {"row ID": [f"Row{row}" for row in ROWS], "P ({})": "a"},
    "weka": {"P(species={})": "a"},
    "suffix": {"{}_prob": "a", "id": ROWS},
    "vertex": {"id": ROWS, "species_{}_score": "a"},
    "azure": {'Scored Probabilities for Class "{}"': "a"},
    "azure designer": {"Scored Probabilities_{}": "a"},
    "datarobot": {"row_id": ROWS, "Prediction {}": "a"},
    "pycaret": {"prediction_score_{}": "a"},
    "mlr3": {"row_ids": ROWS + 1, "prob.{}": "a"},
    "trailing commas": {"{}": "a", "Unnamed: 4": [""] * N_ROWS},
    "log-probabilities": {"id": ROWS, "{}": "log a"},
}


@pytest.mark.parametrize("kind", CLEAR)
def test_tables_that_need_no_option(task, accuracy, run_cli, kind):
    blocks = {"a": task.a, "log a": np.log(task.a)}
    columns = {
        (named(name) if "{}" in name else name): blocks[values] if "{}" in name else values
        for name, values in CLEAR[kind].items()
    }
    table("p.csv", columns)
    assert accuracy("p.csv") == task.accuracy
    run_cli("ensemble", "soft", "p.csv", "-o", "soft.npz")
    loaded = load_predictions("soft.npz")
    assert loaded.classes == NAMES
    np.testing.assert_allclose(loaded.scores, task.a, atol=1e-12)


#: Tables with columns that could be labels: those columns, and the options that the error names.
SUSPECT = {
    "target": ({"{}": "a", "target": "y"}, ["--label-column", "target"]),
    "fold": ({"id": ROWS, "{}": "a", "fold": ROWS % 5}, ["--columns", "daisy,roses,tulip"]),
    "gandlf": ({"SubjectID": ROWS, "PredictedClass": "y", "{}": "a"}, ["--columns", "[dtr]*"]),
    "h2o": ({"predict": "predicted", "{}": "a"}, ["--columns", "daisy,roses,tulip"]),
    "automl benchmark": (
        {"{}": "a", "predictions": "predicted", "truth": "truth"},
        ["--columns", "daisy,roses,tulip", "--label-column", "truth"],
    ),
    "caret": (
        {"{}": "a", "pred": "predicted", "obs": "truth", "rowIndex": ROWS, "Resample": ["F"] * 60},
        ["--columns", "daisy,roses,tulip"],
    ),
    "tidymodels": (
        {".pred_class": "predicted", ".pred_{}": "a", "species": "truth"},
        ["--columns", ".pred_daisy,.pred_roses,.pred_tulip"],
    ),
    "collect_predictions": (
        {
            "id": ["Fold1"] * 60,
            ".pred_{}": "a",
            ".row": ROWS,
            "Class": "truth",
            ".config": ["m"] * 60,
        },
        ["--columns", ".pred_[drt]*", "--id-column", ".row"],
    ),
    "mlr3 with truth": (
        {"row_ids": ROWS, "truth": "truth", "response": "predicted", "prob.{}": "a"},
        ["--columns", "prob.*"],
    ),
    "openml": (
        {
            **{"repeat": ROWS * 0, "fold": ROWS % 10, "row_id": ROWS, "prediction": "predicted"},
            **{"correct": "truth", "confidence.{}": "a"},
        },
        ["--columns", "confidence.*"],
    ),
    "pycaret with features": (
        {
            "length": np.sin(ROWS),
            "species": "truth",
            "prediction_label": "y",
            "prediction_score_{}": "a",
        },
        ["--columns", "prediction_score_*"],
    ),
    "rapidminer": (
        {"confidence({})": "a", "prediction(label)": "predicted", "label": "truth"},
        ["--columns", "confidence*"],
    ),
    "knime with class": (
        {"species": "truth", "P (species={})": "a", "Prediction (species)": "predicted"},
        ["--columns", "P (*"],
    ),
    "azure with labels": (
        {"Scored Probabilities_{}": "a", "Scored Labels": "predicted"},
        ["--columns", "Scored Prob*"],
    ),
    "datarobot with partition": (
        {"row_id": ROWS, "Partition": ROWS * 0.0, "Prediction {}": "a"},
        ["--columns", "Prediction *"],
    ),
    "mljar": ({"prediction_{}": "a", "label": "truth"}, ["--columns", "prediction_*"]),
    "catboost with class": (
        {"SampleId": ROWS, "RawFormulaVal:Class={}": "log a", "Class": "predicted"},
        ["--columns", "RawFormulaVal*"],
    ),
    "confidence": ({"{}": "a", "confidence": "top"}, ["--columns", "daisy,roses,tulip"]),
}


@pytest.mark.parametrize("kind", SUSPECT)
def test_tables_whose_error_names_the_column_and_the_option(task, accuracy, refusal, kind):
    made, words = SUSPECT[kind]
    known = {
        **{"a": task.a, "log a": np.log(task.a), "top": task.a.max(axis=1)},
        **{"y": task.y, "truth": task.truth, "predicted": task.predicted},
    }
    columns = {
        (named(name) if "{}" in name else name): known[values]
        if isinstance(values, str)
        else values
        for name, values in made.items()
    }
    table("p.csv", columns)
    said = refusal("p.csv")
    assert "look" in said
    assert all(option in said for option in ("--columns", "--label-column", "--id-column"))
    assert (
        accuracy("p.csv", *words, labels="y.npy" if kind == "target" else "y.csv") == task.accuracy
    )


@pytest.mark.parametrize(
    "name",
    [
        *("answer", "category", "gt", "gold", "correct", "is_correct", "response", "subject"),
        *("seed", "epoch", "step", "loss", "entropy", "confidence", "weight", "split", "species"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_nothing_beside_logits_is_read_as_one_more_class(task, refusal, name, place):
    columns = [(each, np.log(task.a)[:, j]) for j, each in enumerate(NAMES)]
    is_real = name in ("loss", "entropy", "confidence", "weight")
    columns.insert(place, (name, task.a.max(axis=1) if is_real else task.y))
    table("p.csv", dict(columns))
    assert f"the column '{name}'" in refusal("p.csv")


def test_labels_do_not_leak_into_what_is_fitted(task, run_cli):
    names = ("3", "4", "5")
    table("clean.csv", {names: task.a})
    truth = np.array(names)[task.y]
    table("m.csv", {names: task.a, "predictions": truth, "truth": truth})
    table("t.csv", {"truth": truth})
    fit = ["--fit-labels", "t.csv", "--labels", "t.csv", "--json"]
    clean = run_cli("auto", "clean.csv", "--fit", "clean.csv", *fit, "-o", "a.csv")
    words = ["--columns", "[345]", "--label-column", "truth"]
    found = run_cli("auto", "m.csv", "--fit", "m.csv", *fit, *words, "-o", "b.csv")
    both = [json.loads(done.stdout)["report"]["models"][-1] for done in (clean, found)]
    assert both[0]["accuracy"] == both[1]["accuracy"]
    assert "'truth'" in run_cli("auto", "m.csv", "--fit", "m.csv", *fit, code=1).stderr


def test_classes_that_are_called_by_other_numbers(task, run_cli):
    for names in (("3", "4", "5"), ("p3", "p4", "p5")):
        table("p.csv", {names: task.a})
        table("t.csv", {"truth": task.y + 3})
        done = json.loads(run_cli("report", "p.csv", "--labels", "t.csv", "--json").stdout)
        assert done["models"][0]["accuracy"] == task.accuracy


# --- dialects ---


DIALECTS = {
    "tsv without a header": ("p.tsv", {"delimiter": "\t"}),
    "text of LightGBM": ("LightGBM_predict_result.txt", {"delimiter": "\t"}),
    "savetxt": ("p.txt", {}),
    "savetxt called csv": ("p.csv", {}),
    "savetxt with a header": ("p.csv", {"delimiter": ",", "header": ",".join(NAMES)}),
}


@pytest.mark.parametrize("kind", DIALECTS)
def test_what_numpy_writes(task, accuracy, kind):
    name, options = DIALECTS[kind]
    np.savetxt(name, task.a, **options)
    labels = "y.csv" if "header" in options else "y.npy"
    assert accuracy(name, labels=labels) == task.accuracy


def test_what_r_writes(task, accuracy):
    lines = ["\t".join(f'"{name}"' for name in NAMES)]
    lines += [f'"{row + 1}"\t' + "\t".join(map(str, values)) for row, values in enumerate(task.a)]
    Path("r.tsv").write_text("\n".join(lines) + "\n")
    Path("r.txt").write_text("\n".join(lines).replace("\t", " ") + "\n")
    for name in ("r.tsv", "r.txt"):
        assert accuracy(name) == task.accuracy
        assert load_predictions(name).ids.tolist()[:2] == ["1", "2"]


def test_what_spreadsheets_write(task, accuracy):
    table("plain.csv", {"id": ROWS, NAMES: task.a}, delimiter=";")
    text = Path("plain.csv").read_text()
    Path("sep.csv").write_text("sep=;\n" + text)
    Path("comma.csv").write_text("\ufeff" + text.replace(".", ","), encoding="utf-8")
    table("pipe.csv", {"id": ROWS, NAMES: task.a}, delimiter="|")
    for name in ("plain.csv", "sep.csv", "comma.csv", "pipe.csv"):
        assert accuracy(name) == task.accuracy


def test_lists_that_were_written_as_text(task, accuracy):
    spark = ["[" + ",".join(map(repr, row.tolist())) + "]" for row in task.a]
    numpy = [str(row) for row in task.a]
    torch = [f"tensor({row.tolist()})" for row in task.a]
    for texts in (spark, numpy, torch):
        table("p.csv", {"id": ROWS, "probability": texts, "prediction": task.y * 1.0})
        assert accuracy("p.csv", labels="y.npy") == task.accuracy


def test_top_k_lists_are_in_doubt(task, run_cli):
    order = np.argsort(-task.a, axis=1)
    top = np.take_along_axis(task.a, order, axis=1)
    table("p.csv", {("index_0", "index_1", "index_2"): order, ("prob_0", "prob_1", "prob_2"): top})
    assert "index_0" in run_cli("inspect", "p.csv", code=1).stderr
    words = ["p.csv", "--columns", "prob_*"]
    assert "top-k lists" in run_cli("inspect", *words).stdout
    assert "top-k lists" in run_cli("ensemble", "soft", *words, "-o", "s.npy").stderr


def test_lines_of_other_formats_are_no_labels(task, run_cli):
    fasttext = [
        f"__label__{name} {p:.5f}" for name, p in zip(task.predicted, task.a.max(1), strict=True)
    ]
    libsvm = [f"{j + 1}:{v:.6f}" for j, v in enumerate(task.a[:, 0])]
    for lines in (fasttext, libsvm):
        Path("p.txt").write_text("\n".join(lines) + "\n")
        assert "p.txt" in run_cli("report", "p.txt", "--labels", "y.npy", code=1).stderr
