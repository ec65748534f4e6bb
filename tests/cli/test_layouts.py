"""Files of other tools on the command line: columns, kinds, pooling, conversion, unknown labels."""

import json
from pathlib import Path

import numpy as np
import pytest

from postproc import load_predictions, softmax

NAMES = ["daisy", "rose", "tulip"]


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A table with a column `truth` beside the scores, and its labels by id."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    probs = softmax(1.5 * np.eye(3)[y] + rng.normal(size=(60, 3)))
    rows = [
        [f"r{i}", *map(repr, map(float, row)), NAMES[label]]
        for i, (row, label) in enumerate(zip(probs, y, strict=True))
    ]
    write("truth.csv", ["name", *NAMES, "truth"], rows)
    write("plain.csv", ["id", *NAMES], [row[:-1] for row in rows])
    write("labels.csv", ["id", "truth"], [[row[0], row[-1]] for row in reversed(rows)])
    return probs, y


def write(path, header, rows):
    lines = [",".join(header), *(",".join(row) for row in rows)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


COMMANDS = [
    ["inspect"],
    ["can", "--prior", "uniform"],
    ["calibrate", "--fit", "plain.csv", "--fit-labels", "labels.csv"],
    ["adapt", "--fit", "plain.csv", "--fit-labels", "labels.csv"],
    ["auto", "--fit", "plain.csv", "--fit-labels", "labels.csv"],
    ["report", "--labels", "labels.csv"],
    ["tune", "can", "--labels", "labels.csv", "-o", "c.json"],
    ["ensemble", "soft"],
    ["pool"],
    ["convert"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_column_that_could_be_a_label_stops_every_command(task, run_cli, tmp_path, words):
    before = sorted(tmp_path.iterdir())
    at = 2 if words[0] in ("tune", "ensemble") else 1
    said = run_cli(*words[:at], "truth.csv", *words[at:], code=1).stderr
    assert "truth" in said
    assert "--label-column" in said
    assert sorted(tmp_path.iterdir()) == before


def test_the_mend_that_the_error_names_gives_the_right_number(task, run_cli):
    probs, y = task
    words = ["report", "truth.csv", "--labels", "labels.csv", "--label-column", "truth", "--json"]
    report = json.loads(run_cli(*words, "--quiet").stdout)
    assert report["models"][0]["accuracy"] == pytest.approx(np.mean(probs.argmax(axis=1) == y))
    words[4:6] = ["--columns", "daisy,rose,tulip", "--id-column", "name", "--label-column", "truth"]
    assert json.loads(run_cli(*words, "--quiet").stdout)["models"] == report["models"]


def test_votes_are_divided_by_their_sum(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    np.save("votes.npy", np.array([[3, 1, 1], [0, 5, 0], [2, 2, 1]]))
    assert "--votes" in run_cli("convert", "votes.npy", code=1).stderr
    run_cli("convert", "votes.npy", "--votes", "-o", "probs.npy")
    np.testing.assert_allclose(np.load("probs.npy")[0], [0.6, 0.2, 0.2])
    assert run_cli("convert", "votes.npy", "--votes", "--logits", code=2)


def test_labels_that_no_model_knows_count_as_wrong_aloud(task, run_cli):
    probs, y = task
    lines = [NAMES[label] for label in y]
    lines[0] = "orchid"
    Path("y.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = run_cli("report", "plain.csv", "--labels", "y.txt", "--json")
    right = probs.argmax(axis=1) == y
    right[0] = False
    assert json.loads(done.stdout)["models"][0]["accuracy"] == pytest.approx(right.mean())
    assert "orchid" in done.stderr
    fit = ["calibrate", "plain.csv", "--fit", "plain.csv", "--fit-labels", "y.txt"]
    assert "orchid" in run_cli(*fit, code=1).stderr


def test_rows_that_share_an_id_are_pooled(task, run_cli):
    probs, _ = task
    rows = [[f"r{i // 2}", *map(repr, map(float, row))] for i, row in enumerate(probs)]
    write("tta.csv", ["id", *NAMES], rows)
    assert "postproc pool" in run_cli("inspect", "tta.csv", code=1).stderr
    done = run_cli("pool", "tta.csv", "-o", "pooled.csv", "--json")
    assert json.loads(done.stdout)["pooled_rows"] == 30
    pooled = load_predictions("pooled.csv")
    assert pooled.ids.tolist() == [f"r{i}" for i in range(30)]
    np.testing.assert_allclose(pooled.scores, (probs[::2] + probs[1::2]) / 2, atol=1e-9)


def test_folds_are_put_together_in_the_wanted_order(task, run_cli):
    probs, _ = task
    np.save("preds.npy", probs)
    ids = [f"r{i}" for i in np.random.default_rng(1).permutation(60)]
    write("by.txt", [ids[0]], [[name] for name in ids[1:]])
    rows = [[name, *map(repr, map(float, row))] for name, row in zip(ids, probs, strict=True)]
    write("f0.csv", ["id", *NAMES], rows[:25])
    write("f1.csv", ["id", *NAMES], rows[25:])
    order = [f"r{i}" for i in range(60)]
    write("order.txt", [order[0]], [[name] for name in order[1:]])
    run_cli("pool", "f0.csv", "f1.csv", "--order", "order.txt", "-o", "all.csv")
    run_cli("pool", "preds.npy", "--by", "by.txt", "--order", "order.txt", "-o", "by.npy")
    np.testing.assert_allclose(load_predictions("all.csv").scores, np.load("by.npy"), atol=1e-9)
    assert load_predictions("all.csv").ids.tolist() == order
    assert "no ids" in run_cli("pool", "preds.npy", code=1).stderr


def test_sample_logs_become_predictions_and_labels(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    records = [
        {"doc_id": i, "target": i % 2, "filtered_resps": [[-1.0 - i, False], [-2.0, False]]}
        for i in range(4)
    ]
    Path("s.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    run_cli("convert", "s.jsonl", "--layout", "lm-eval", "-o", "p.npz", "--labels-out", "y.txt")
    found = load_predictions("p.npz")
    assert found.kind == "logits"
    assert found.ids.tolist() == ["0", "1", "2", "3"]
    report = json.loads(run_cli("report", "p.npz", "--labels", "y.txt", "--json").stdout)
    assert report["models"][0]["accuracy"] == pytest.approx(0.5)


def test_arrays_get_ids_and_class_names(task, run_cli):
    probs, _ = task
    np.save("bare.npy", probs)
    ids = [f"r{i}" for i in range(60)]
    write("truth.csv", ["id", "label"], [[each, "rose"] for each in ids])
    Path("names.txt").write_text("\n".join(NAMES))
    words = ["convert", "bare.npy", "--classes", "names.txt", "--ids"]
    run_cli(*words, "truth.csv", "-o", "named.csv")
    found = load_predictions("named.csv")
    assert (found.classes, found.ids.tolist()) == (tuple(NAMES), ids)
    np.testing.assert_allclose(found.scores, probs, atol=1e-12)
    assert "does not keep row ids" in run_cli(*words, "truth.csv", "-o", "named.npy").stderr
    Path("few.txt").write_text("r0\nr1\n")
    said = run_cli(*words, "few.txt", "-o", "few.csv", code=1).stderr
    assert "`ids of few.txt` must be one for each of the 60 rows of bare.npy, got 2" in said
    Path("same.txt").write_text("r0\n" * 60)
    said = run_cli(*words, "same.txt", "-o", "same.csv", code=1).stderr
    assert "must be unique, got 'r0' more than once" in said


def test_ids_of_a_file_replace_those_that_repeat(task, run_cli):
    probs, _ = task
    rows = [[f"p{i // 2}", *map(repr, map(float, row))] for i, row in enumerate(probs)]
    write("patients.csv", ["patient_id", *NAMES], rows)
    Path("ids.txt").write_text("".join(f"r{i}\n" for i in range(60)))
    assert "must be unique" in run_cli("convert", "patients.csv", "-o", "x.csv", code=1).stderr
    run_cli("convert", "patients.csv", "--ids", "ids.txt", "-o", "x.csv")
    assert load_predictions("x.csv").ids.tolist() == [f"r{i}" for i in range(60)]


def test_the_record_without_a_label_is_named(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    records = [
        {"doc_id": i, "target": "neither" if i == 2 else 0, "resps": [[-1.0], [-2.0]]}
        for i in range(4)
    ]
    Path("s.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    words = ["convert", "s.jsonl", "--layout", "lm-eval", "-o", "p.npz"]
    said = run_cli(*words, "--labels-out", "y.txt", code=1).stderr
    assert "`s.jsonl, line 3` must be a record whose `target` is one of its choices" in said
    assert "got 'neither'; omit --labels-out" in said
    assert not Path("p.npz").exists()
    run_cli(*words)
    Path("t.jsonl").write_text('{"A": -0.1, "label": "A"}\n\n{"A": -0.3}\n')
    words = ["convert", "t.jsonl", "--layout", "logprobs", "--labels-out", "t.txt"]
    said = run_cli(*words, code=1).stderr
    assert "`t.jsonl, line 3` must be a record with one of the answers A in a field `label`" in said


def test_one_softmax_too_many_is_undone(task, run_cli):
    probs, _ = task
    np.save("twice.npy", softmax(probs))
    run_cli("convert", "twice.npy", "--undo-softmax", "-o", "once.npy")
    np.testing.assert_allclose(np.load("once.npy"), probs, atol=1e-12)
    assert "softmax" in run_cli("convert", "once.npy", "--undo-softmax", code=1).stderr


def test_labels_that_lack_a_class_are_in_doubt(task, run_cli):
    _, y = task
    Path("y.txt").write_text("".join(f"{min(label, 1)}\n" for label in y))
    assert "predicts 'tulip' for" in run_cli("report", "plain.csv", "--labels", "y.txt").stderr
    fit = ["--fit", "plain.csv", "--fit-labels", "y.txt"]
    assert "predicts 'tulip' for" in run_cli("calibrate", "plain.csv", *fit).stderr


def test_files_of_folds_are_said_to_be_put_together_by_pool(task, run_cli):
    probs, _ = task
    rows = [[f"r{i}", *map(repr, map(float, row))] for i, row in enumerate(probs)]
    for fold in range(2):
        write(f"f{fold}.csv", ["id", *NAMES], rows[fold::2])
    said = run_cli("report", "f0.csv", "f1.csv", "--labels", "labels.csv", code=1).stderr
    assert "postproc pool" in said


def test_sample_logs_are_said_to_be_converted(tmp_path, run_cli):
    record = {"doc_id": 0, "filtered_resps": [[-1.0, False], [-2.0, False]], "target": 0}
    named = {f"gen_args_{i}": {"arg_0": "q", "arg_1": f" {i}"} for i in range(2)}
    top = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -3.0}]
    choice = {"logprobs": {"content": [{**top[0], "top_logprobs": top}]}}
    logs = [
        ("lm-eval", record),
        ("lm-eval", {**record, "arguments": named}),
        ("logprobs", {"choices": [choice]}),
        ("logprobs", {"custom_id": "q", "response": {"body": {"choices": [choice]}}}),
    ]
    for layout, each in logs:
        (tmp_path / "s.jsonl").write_text(json.dumps(each) + "\n")
        said = run_cli("inspect", tmp_path / "s.jsonl", code=1).stderr
        assert f"postproc convert --layout {layout}" in said


#: Commands that take labels, each with the option for them, for rows to fit to and for the target.
LABELLED = [
    ["report", "plain.csv", "--labels", "LABELS"],
    ["ensemble", "soft", "plain.csv", "-o", "o.npy", "--labels", "LABELS"],
    ["can", "plain.csv", "--prior", "uniform", "-o", "o.npy", "--labels", "LABELS"],
    *(
        [*words, "plain.csv", "-o", "o.npy", "--fit", "plain.csv", "--fit-labels", "LABELS"]
        for words in (["calibrate"], ["adapt"], ["auto"], ["ensemble", "weights"])
    ),
    ["tune", "can", "plain.csv", "-o", "o.json", "--labels", "LABELS"],
]


@pytest.mark.parametrize("words", LABELLED, ids=lambda words: " ".join(words[:2]))
def test_labels_are_looked_up_by_id_in_a_larger_table(task, run_cli, words):
    _, y = task
    order = np.random.default_rng(3).permutation(70)
    rows = [[f"r{i}", str(i % 7), NAMES[y[i]] if i < 60 else "rose", NAMES[i % 3]] for i in order]
    write("wide.csv", ["id", "fold", "truth", "guess"], rows)
    write("exact.csv", ["id", "truth"], [[f"r{i}", NAMES[y[i]]] for i in range(60)])
    said = []
    for path, more in (("exact.csv", []), ("wide.csv", ["--label-column", "truth"])):
        call = [path if word == "LABELS" else word for word in words]
        said.append(run_cli(*call, *more, "--json", "--quiet").stdout)
        Path("o.npy").unlink(missing_ok=True)
        Path("o.json").unlink(missing_ok=True)
    assert said[0] == said[1]
    call = ["wide.csv" if word == "LABELS" else word for word in words]
    assert "--label-column" in run_cli(*call, code=1).stderr


def test_rows_that_were_never_predicted_are_in_no_output(task, run_cli):
    probs, y = task
    probs[[3, 8]] = np.nan
    np.save("holes.npy", probs)
    write("named.csv", ["id", *NAMES], [[f"r{i}", *map(str, row)] for i, row in enumerate(probs)])
    words = ["can", "--prior", "uniform", "--skip-unpredicted", "-o"]
    assert "outputs lack the rows 3, 8" in run_cli(*words, "a.npy", "holes.npy").stderr
    run_cli(*words, "a.csv", "named.csv")
    found = load_predictions("a.csv")
    assert found.ids.tolist() == [f"r{i}" for i in range(60) if i not in (3, 8)]
    np.testing.assert_allclose(found.scores, np.load("a.npy"), atol=1e-12)
    np.save("y.npy", y)
    report = run_cli("report", "holes.npy", "--labels", "y.npy", "--skip-unpredicted", "--json")
    assert json.loads(report.stdout)["rows"] == 58


def test_tokens_that_are_taken_for_answers_are_named(task, run_cli):
    lines = ['{"A": -0.1, "B": -2.4}', '{"B": -0.1, "The": -9}']
    Path("answers.jsonl").write_text("\n".join(lines), encoding="utf-8")
    Path("choices.txt").write_text("A\nB\n", encoding="utf-8")
    words = ["convert", "answers.jsonl", "--layout", "logprobs"]
    assert "every token that occurs is a class: A, B, The" in run_cli(*words).stderr
    assert not run_cli(*words, "--classes", "choices.txt", "-o", "b.npz").stderr


def test_one_score_beside_a_label_and_a_fold_is_named_in_the_mend(task, run_cli):
    header = ["id", "churned", "fold", "score"]
    write("churn.csv", header, [["a", "yes", "0", "0.8"], ["b", "no", "1", "0.3"]])
    said = run_cli("inspect", "churn.csv", code=1).stderr
    assert "name the score columns (score) with" in said
