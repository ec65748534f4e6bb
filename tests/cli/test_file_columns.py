"""FILE:COLUMN in place of FILE: scores, fit rows and labels from the columns of one table."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from postproc import load_labels, load_predictions
from postproc.files.paths import file_and_column

N_ROWS = 400


@pytest.fixture
def table(tmp_path, monkeypatch):
    """One table with a probability, a score on another scale, labels and groups."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.random(N_ROWS) < 0.3
    z = 1.5 * y + rng.normal(size=N_ROWS) - 1
    columns = {
        "customer_id": np.arange(1000, 1000 + N_ROWS),
        "region": rng.choice(["East", "West"], N_ROWS),
        "p_churn": np.round(1 / (1 + np.exp(-z)), 4),
        "old_score": np.round(500 + 40 * z + 60 * rng.normal(size=N_ROWS)).astype(int),
        "churned": np.where(y, "yes", "no"),
    }
    with Path("march.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(c.tolist() for c in columns.values()), strict=True))
    return columns


def test_parts_of_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.csv", "c:d.npy"):
        Path(name).touch()
    assert file_and_column("m.csv:p") == ("m.csv", "p")
    assert file_and_column("m.csv:a:b") == ("m.csv:a", "b")
    for whole in ("m.csv", "a:b.csv", "c:d", ":p", "m.csv:", "x:y/m.csv", "C:/m.csv", r"C:\m.csv"):
        assert file_and_column(whole) == (whole, None)


def test_python_reads_columns_too(table):
    loaded = load_predictions("march.csv:p_churn")
    assert loaded.name == "march.csv:p_churn"
    assert loaded.heading == "p_churn"
    np.testing.assert_array_equal(loaded.ids, table["customer_id"].astype(str))
    np.testing.assert_array_equal(loaded.scores[:, 1], table["p_churn"])
    y = load_labels("march:churned", n_classes=2, ids=loaded.ids)  # the suffix may be omitted
    np.testing.assert_array_equal(y == 1, table["churned"] == "yes")
    with pytest.raises(ValueError, match=r"march.csv: .*no column 'p', got"):
        load_predictions("march.csv:p")
    np.save("a.npy", table["p_churn"])
    for load in (load_predictions, lambda path: load_labels(path, n_classes=2)):
        with pytest.raises(ValueError, match=r"must be a table, as a\.npy:p names a column"):
            load("a.npy:p")


def test_columns_of_one_table_are_compared(table, run_cli):
    words = ("report", "march.csv:p_churn", "march.csv:old_score", "--labels", "march.csv:churned")
    ran = run_cli(*words, "--metric", "auc", "--json")
    assert "march.csv:old_score: one column, read as logits" in ran.stderr
    assert "give probability 1 for all rows sampled" in ran.stderr
    models = json.loads(ran.stdout)["models"]
    assert [model["name"] for model in models] == ["p_churn", "old_score"]
    for model in models:
        wanted = roc_auc_score(table["churned"] == "yes", table[model["name"]])
        assert model["metrics"]["auc"]["value"] == pytest.approx(wanted)
    assert "real loss" in run_cli(*words, "--metric", "auc", "--baseline", "p_churn").stdout
    grouped = run_cli(*words, "--metric", "auc", "--groups", "march.csv:region")
    assert "in 2 groups" in grouped.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("march.csv:old_score", "--labels", "march.csv:churned"),
        ("march.csv", "--columns", "old_score", "--labels", "march.csv:churned"),
    ],
)
def test_whole_numbers_are_scores_where_that_is_declared(table, run_cli, words):
    error = run_cli("report", *words, code=1, coded=True).stderr
    assert "declare --logits or --probs if they are scores" in error
    assert "PP210" not in error
    ran = run_cli("report", *words, "--logits", "--json")
    wanted = roc_auc_score(table["churned"] == "yes", table["old_score"])
    found = json.loads(ran.stdout)["models"][-1]
    assert found["metrics"]["auc"]["value"] == pytest.approx(wanted)
    assert found["log_loss"] is not None


def test_whole_numbers_beside_probabilities_are_scores_on_another_scale(table, run_cli):
    words = ("report", "march.csv:p_churn", "march.csv:old_score", "--labels", "march.csv:churned")
    error = run_cli(*words, "--metric", "auc,log_loss", code=1, coded=True).stderr
    assert "leave only metrics of the order (--metric auc) for FILE:COLUMN, or calibrate" in error
    run_cli(*words, "--metric", "auc")
    fit = ("--fit", words[2], "--fit-labels", "march.csv:churned")
    run_cli("calibrate", words[2], "--logits", *fit, "-o", "old.csv")
    run_cli(*words[:2], "old.csv", *words[3:], "--metric", "auc,log_loss")


def test_one_class_may_be_far_from_labels_by_name(table, run_cli):
    Path("old.csv").write_text("id,score\n" + "".join(f"{i},{s}\n" for i, s in zip(
        table["customer_id"], table["old_score"], strict=True)))  # fmt: skip
    error = run_cli("report", "old.csv", "--labels", "march.csv:churned", code=1).stderr
    assert "must be among the true ones ('no', 'yes'), got" in error


def test_other_commands_take_columns(table, run_cli):
    fit = ("--fit", "march.csv:p_churn", "--fit-labels", "march.csv:churned")
    run_cli("calibrate", "march.csv:p_churn", *fit)
    assert Path("march.p_churn.calibrate.npy").is_file()
    labels = ("--labels", "march.csv:churned")
    run_cli("adapt", "march.csv:p_churn", *fit, *labels, "-o", "adapted.csv")
    assert Path("adapted.csv").read_text().startswith("customer_id,p_churn\n")
    both = ("march.csv:p_churn", "march.csv:old_score")
    run_cli("ensemble", "rank", *both, "--logits", "--over", "rows", "-o", "ranks.csv")
    run_cli(
        *("ensemble", "weights", "march.csv:p_churn", "march.csv:p_churn", "-o", "w.npy"), code=2
    )
    assert "march.csv:p_churn" in run_cli("inspect", "march.csv:p_churn").stdout
    assert "must not be an input" in run_cli(
        "ensemble", "rank", *both, "--logits", "-o", "march.csv", "--overwrite", code=2
    ).stderr  # fmt: skip
    run_cli(
        "adapt", "march.csv:p_churn", *fit, "--prior", "march.csv:churned", "-o", "x.npy", code=2
    )
    run_cli("can", "march.csv:p_churn", "--prior", "march.csv:churned", "-o", "can.npy")


def test_scores_that_fall_where_labels_rise_are_told(table, run_cli):
    with Path("safe.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "safe"], *zip(table["customer_id"].tolist(),
            (1 - table["p_churn"]).tolist(), strict=True)])  # fmt: skip
    words = ("report", "safe.csv", "--labels", "march.csv:churned")
    said = run_cli(*words, coded=True).stderr
    assert "safe ranks rows the other way round: AUC is" in said
    assert "PP206" not in said
    assert "[PP221]" in said
    assert "PP221" not in run_cli(*words, "--positive", "no", coded=True).stderr
    assert "PP221" not in run_cli("report", "march.csv:p_churn", *words[2:], coded=True).stderr


def test_one_column_is_read_as_the_score_of_the_other_class(table, run_cli):
    lines = [line.split(",") for line in Path("march.csv").read_text().splitlines()]
    safe = np.round(1 - table["p_churn"], 4)
    with Path("both.csv").open("w", newline="") as file:
        csv.writer(file).writerows([
            [*lines[0], "safe", "calm", "-x", "x"],
            *([*row, p, round(-400 * p), p, 1 - p]
              for row, p in zip(lines[1:], safe.tolist(), strict=True)),
        ])  # fmt: skip
    words = ("report", "both.csv:p_churn", "both.csv:safe", "--labels", "both.csv:churned")
    said = run_cli(*words, "--metric", "auc").stderr
    assert "name both.csv:-safe in its place" in said
    turned = [word.replace(":safe", ":-safe") for word in words]
    ran = run_cli(*turned, "--metric", "auc,log_loss", "--json", coded=True)
    assert "PP221" not in ran.stderr
    assert "both.csv:-safe: one column, read as probabilities of 'yes'" in ran.stderr
    first, second = json.loads(ran.stdout)["models"]
    assert second["name"] == "-safe"
    assert second["log_loss"] == pytest.approx(first["log_loss"])
    assert second["metrics"]["auc"]["value"] == pytest.approx(first["metrics"]["auc"]["value"])
    ran = run_cli("report", "both.csv:calm", "both.csv:-calm", *words[3:], "--metric", "auc",
                  "--json")  # fmt: skip
    up, down = (m["metrics"]["auc"]["value"] for m in json.loads(ran.stdout)["models"])
    assert up + down == pytest.approx(100 if up > 1 else 1)
    run_cli("convert", "both.csv:-safe", "-o", "risk.csv")
    assert Path("risk.csv").read_text().startswith("customer_id,-safe\n")
    np.testing.assert_allclose(load_predictions("risk.csv").scores[:, 1], table["p_churn"])


def test_a_minus_may_belong_to_the_name_of_a_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,-x,x,z,w\na,0.2,0.5,-3.5,-inf\nb,0.3,0.6,2.5,1.5\n")
    scores = {c: load_predictions(f"{path}:{c}").scores for c in ("-x", "x", "--x", "z", "-z")}
    np.testing.assert_array_equal(scores["-x"][:, 1], [0.2, 0.3])
    np.testing.assert_array_equal(scores["--x"], scores["-x"][:, ::-1])
    np.testing.assert_array_equal(scores["-z"], -scores["z"])
    streamed = load_predictions(f"{path}:-z", mapped=False)
    np.testing.assert_array_equal(np.asarray(streamed.scores), scores["-z"])
    with pytest.raises(ValueError, match="no column '-q', got"):
        load_predictions(f"{path}:-q")
    with pytest.raises(ValueError, match="finite logits to be read in reverse"):
        load_predictions(f"{path}:-w")
    with pytest.raises(ValueError, match="one column of two classes"):
        load_predictions(f"{path}:-z", multilabel=True)


def test_labels_and_costs_name_the_classes(table, run_cli):
    fit = ("--fit", "march.csv:p_churn", "--fit-labels", "march.csv:churned")
    named = "march.csv:p_churn: one column, read as probabilities of 'yes'"
    assert named in run_cli("calibrate", "march.csv:p_churn", *fit, "-o", "c.csv").stderr
    ran = run_cli("report", "march.csv:p_churn", "--labels", "march.csv:churned", "--per-class")
    assert named in ran.stderr
    assert "Calibration of class yes, which" in ran.stdout
    assert "share of yes in the target" in run_cli(
        "adapt", "march.csv:p_churn", *fit, "-o", "a.csv"
    ).stdout  # fmt: skip
    Path("costs.csv").write_text("true,no,yes\nno,0,1\nyes,5,0\n")
    decided = run_cli("decide", "c.csv", "--cost", "costs.csv", "-o", "calls.csv")
    assert "c.csv: one column, read as probabilities of 'yes'" in decided.stderr
    assert set(np.loadtxt("calls.csv", str, delimiter=",", skiprows=1)[:, 1]) == {"no", "yes"}
    assert Path("c.csv").read_text().startswith("customer_id,p_churn\n")
    Path("costs.csv").write_text("true,ill,well\nill,0,9\nwell,1,0\n")
    words = ("decide", "c.csv", "--cost", "costs.csv", "-o", "calls.csv", "--overwrite")
    assert "--classes" in run_cli(*words, code=1).stderr  # which of the two is scored?
    run_cli(*words, "--positive", "ill")
    assert "well" in Path("calls.csv").read_text()


def test_saved_deciders_know_the_names_of_the_labels(table, run_cli):
    fit = ("--fit", "march.csv:p_churn", "--fit-labels", "march.csv:churned")
    words = ("decide", "march.csv:p_churn", "--metric", "f1", *fit)
    run_cli(*words, "-o", "one.csv", "--save", "m.json")
    said = run_cli("apply", "m.json", "march.csv:p_churn", "-o", "two.csv", coded=True).stderr
    assert Path("two.csv").read_text() == Path("one.csv").read_text()
    assert "PP205" not in said


def test_names_of_models_are_not_wrapped_where_there_is_room(table, run_cli):
    run_cli("convert", "march.csv:p_churn", "-o", "march_calibrated.csv")
    words = ("report", "march.csv:p_churn", "march_calibrated.csv", "--labels")
    shown = run_cli(*words, "march.csv:churned", "--metric", "auc,log_loss,brier").stdout
    assert "march_calibrated  " in shown.split("Metrics with intervals")[1]


def test_adapt_takes_groups_of_both_tables(table, run_cli):
    fit = ("--fit", "march.csv:p_churn", "--fit-labels", "march.csv:churned")
    words = ("adapt", "march.csv:p_churn", *fit, "--method", "em", "--json", "--overwrite")
    with Path("accounts.csv").open("w", newline="") as file:
        rows = enumerate(table["customer_id"].tolist())
        csv.writer(file).writerows([["customer_id", "account"], *((i, n // 4) for n, i in rows)])
    alone = json.loads(run_cli(*words, "-o", "a.npy").stdout)
    groups = ("--groups", "accounts.csv:account", "--fit-groups", "accounts.csv:account")
    grouped = json.loads(run_cli(*words, *groups, "-o", "b.npy").stdout)
    assert grouped["prior"] == pytest.approx(alone["prior"])
    assert (alone["groups"], grouped["groups"]) == (None, N_ROWS // 4)
    assert min(np.subtract(grouped["prior_std"], alone["prior_std"])) > -1e-9
    assert "--multilabel" in run_cli(*words, *groups, "--multilabel", "-o", "c.npy", code=2).stderr


def test_decisions_may_keep_their_probabilities(table, run_cli):
    words = ("decide", "march.csv:p_churn", "--probability", "--overwrite")
    run_cli(*words, "--labels", "march.csv:churned", "-o", "calls.csv")
    lines = np.loadtxt("calls.csv", str, delimiter=",")
    assert lines[0].tolist() == ["customer_id", "label", "probability"]
    np.testing.assert_allclose(lines[1:, 2].astype(float), table["p_churn"])
    np.testing.assert_array_equal(lines[1:, 1] == "yes", table["p_churn"] > 0.5)
    run_cli(*words, "--columns-as", "probability:p,label:call", "-o", "calls.csv")
    assert Path("calls.csv").read_text().startswith("customer_id,call,p\n")
    assert "must be a table" in run_cli(*words, "-o", "calls.npy", code=1).stderr
    three = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    np.save("three.npy", three)
    run_cli("decide", "three.npy", "--probability", "-o", "three.jsonl")
    found = [json.loads(line) for line in Path("three.jsonl").read_text().splitlines()]
    np.testing.assert_allclose([each["probability"] for each in found], three.max(axis=1))
    for more in (("--multilabel",), ("--sets", "0.9", "--fit", "x", "--fit-labels", "y")):
        assert "--probability is for" in run_cli(*words, *more, code=2).stderr


def test_convert_takes_headings_of_scores(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    np.save("p.npy", [0.25, 0.75])
    Path("rows.csv").write_text("Tid,isFraud\n7,0\n9,1\n")
    words = ("convert", "p.npy", "--ids", "rows.csv", "-o", "out.csv")
    run_cli(*words, "--columns-as", "probability:isFraud")
    assert Path("out.csv").read_text().splitlines() == ["Tid,isFraud", "7,0.25", "9,0.75"]
    refused = run_cli(*words, "--overwrite", "--columns-as", "label:isFraud", code=1)
    assert "must be of the columns id, probability, got 'label'" in refused.stderr
