"""`postproc report` from end to end: files in, tables, JSON and pages out."""

import csv
import io
import json

import numpy as np
import pytest

from cli.task.members import file_names, member_names
from postproc import softmax
from postproc.files import save_predictions
from postproc.reports.report import accuracy_report


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two models' logits of 200 rows and 7 classes, and labels."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 200)
    for name, strength in (("old", 1.5), ("new", 4.0)):
        logits = rng.normal(size=(200, 7))
        logits[np.arange(200), labels] += strength
        np.save(tmp_path / f"{name}.npy", logits)
    np.save(tmp_path / "y.npy", labels)
    return tmp_path


@pytest.fixture
def run(run_cli):
    return lambda *arguments, code=0: run_cli("report", *arguments, code=code)


def expected(folder, *names):
    predictions = {name: np.load(folder / f"{name}.npy") for name in names}
    return accuracy_report(predictions, np.load(folder / "y.npy"))


def test_json_is_the_report_and_nothing_else(run, folder):
    result = run("old.npy", "new.npy", "--labels", "y", "--json")
    wanted = expected(folder, "old", "new").to_dict()
    assert json.loads(result.stdout) == {**wanted, "warnings": []}
    assert result.stderr == ""


def test_the_table_is_that_of_the_report(run, folder):
    report = expected(folder, "old", "new")
    assert run("old.npy", "new.npy", "--labels", "y.npy").stdout == report.to_text()
    with_classes = run("old.npy", "new.npy", "--labels", "y.npy", "--per-class").stdout
    assert with_classes == report.to_text(per_class=True)


def test_csv_and_markdown(run, folder):
    report = expected(folder, "old", "new")
    table = run("old", "new", "--labels", "y", "--csv").stdout
    assert [line["name"] for line in csv.DictReader(io.StringIO(table))] == ["old", "new"]
    assert run("old", "new", "--labels", "y", "--markdown").stdout == report.to_markdown()


@pytest.mark.parametrize("baseline", ["new", "new.npy"])
def test_the_baseline_is_a_name_or_a_file(run, folder, baseline):
    result = run("old.npy", "new.npy", "--labels", "y", "--json", "--baseline", baseline)
    report = json.loads(result.stdout)
    assert report["baseline"] == "new"
    assert [model["name"] for model in report["models"]] == ["new", "old"]
    assert report["models"][1]["gain"] < 0


def test_the_page_is_written_beside_the_table(run, folder):
    result = run("old.npy", "new.npy", "--labels", "y", "--html", "r.html", "--title", "A < B")
    assert result.stdout.endswith("written: r.html\n")
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert "<h1>A &lt; B</h1>" in page
    assert sorted(path.name for path in folder.iterdir()) == [
        "new.npy",
        "old.npy",
        "r.html",
        "y.npy",
    ]


def test_a_page_that_exists_stays(run, folder):
    (folder / "r.html").write_text("mine")
    result = run("old.npy", "--labels", "y", "--html", "r.html", code=1)
    assert result.stderr == (
        "Error: r.html: exists already; name another output or allow overwriting (--overwrite)\n"
    )
    assert (folder / "r.html").read_text() == "mine"
    run("old.npy", "--labels", "y", "--html", "r.html", "--overwrite", "--quiet")
    assert (folder / "r.html").read_text() != "mine"


def test_quiet_prints_nothing(run, folder):
    assert run("old.npy", "--labels", "y", "--html", "r.html", "--quiet").output == ""


def test_diversity_counts_pairs(run, folder):
    report = json.loads(run("old", "new", "--labels", "y", "--diversity", "--json").stdout)
    labels = np.load("y.npy")
    old, new = (np.load(f"{name}.npy").argmax(axis=1) for name in ("old", "new"))
    unlike = report["diversity"]
    assert unlike["names"] == ["old", "new"]
    assert unlike["difference"][0][1] == pytest.approx(np.mean(old != new))
    disagreement = np.mean((old == labels) != (new == labels))
    double_fault = np.mean((old != labels) & (new != labels))
    assert unlike["disagreement"][0][1] == pytest.approx(disagreement)
    table = run("old", "new", "--labels", "y", "--diversity").stdout
    assert f"{100 * disagreement:.2f}" in table
    assert f"{100 * double_fault:.2f}" in table.split("Diversity")[1]
    assert "| old | new |" in run("old", "new", "--labels", "y", "--diversity", "--markdown").stdout


def test_columns_and_rows_are_matched_by_name(run, folder):
    classes, ids = list("abcdefg"), [f"r{i}" for i in range(200)]
    rng = np.random.default_rng(1)
    for name, suffix in (("old", "csv"), ("new", "npz")):
        probs = np.exp(np.load(folder / f"{name}.npy"))
        probs /= probs.sum(axis=1, keepdims=True)
        columns, rows = rng.permutation(7), rng.permutation(200)
        save_predictions(
            folder / f"{name}.{suffix}",
            probs[rows][:, columns],
            classes=[classes[j] for j in columns],
            ids=[ids[i] for i in rows],
        )
    labels = [f"{i},{classes[y]}" for i, y in zip(ids, np.load(folder / "y.npy"), strict=True)]
    (folder / "y.csv").write_text("id,label\n" + "\n".join(labels) + "\n")
    for baseline in ("old", "new"):
        arguments = ("--json", "--baseline", baseline)
        by_name = json.loads(run("old.csv", "new.npz", "--labels", "y.csv", *arguments).stdout)
        by_place = json.loads(run("old.npy", "new.npy", "--labels", "y.npy", *arguments).stdout)
        for one, other in zip(by_name["models"], by_place["models"], strict=True):
            assert one["name"] == other["name"]
            assert (one["fixed"], one["broken"]) == (other["fixed"], other["broken"])
            assert one["log_loss"] == pytest.approx(other["log_loss"], rel=1e-6)


def test_a_run_directory_stands_for_its_test_split(run, shared_data):
    report = json.loads(run(shared_data / "agnews", "--json").stdout)
    assert (report["rows"], report["classes"]) == (7600, 4)
    assert {"tfidf_lr", "minilm_lr"} <= {model["name"] for model in report["models"]}


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.npy"], ["a"]),
        (["x/a.test.npy", "x/b.test.npy"], ["a.test", "b.test"]),
        (["x/test.npy", "y/test.npy"], ["x/test", "y/test"]),
        (["k/x/test.npy", "l/x/test.npy"], ["k/x/test", "l/x/test"]),
        (["a.npy", "a.csv"], ["a.npy", "a.csv"]),
        (["a.npy", "x/a.npy"], ["a", "x/a"]),
    ],
)
def test_names_tell_the_files_apart(paths, names):
    assert file_names(paths) == names
    assert member_names(paths) == [name.removesuffix(".test") for name in names]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("old.npy",), 2, "Missing option '--labels': a report needs the true labels."),
        (
            ("old.npy", "old.npy", "--labels", "y"),
            2,
            "Invalid value for PREDS: must be different files, got old.npy twice",
        ),
        (
            ("old.npy", "--labels", "y", "--baseline", "older"),
            2,
            "Invalid value for --baseline: must be one of old, got older",
        ),
        (("old.npy", "--labels", "y", "--json", "--csv"), 2, "--json and --csv exclude each other"),
        (
            ("old.npy", "--labels", "y", "--per-class", "--csv"),
            2,
            "--csv and --per-class exclude each other",
        ),
        (
            ("task",),
            2,
            "Missing option '--labels': task has no labels of its test split.",
        ),
        (("old.npy", "--labels", "y", "--diversity"), 2, "--diversity needs two models or more"),
        (
            ("task", "--logits"),
            2,
            "a run directory knows its classes and kinds; omit --classes and --logits",
        ),
        (
            ("old.npy", "--labels", "y", "--html", "r.txt"),
            1,
            'r.txt: the suffix of an output must be one of .html, .htm, got ".txt"',
        ),
        (
            ("old.npy", "short.npy", "--labels", "y"),
            1,
            "`short` must be as long as `old` (200 rows), got 3 rows",
        ),
        (
            ("old.npy", "nan.npy", "--labels", "y"),
            1,
            "`nan.npy, row 2, column 1` must be a finite number, got nan",
        ),
    ],
)
def test_errors(run, folder, arguments, code, message):
    logits = np.load(folder / "old.npy")
    np.save(folder / "short.npy", logits[:3])
    (folder / "task").mkdir()
    for split in ("val", "test"):
        np.save(folder / "task" / f"old.{split}.npy", logits)
    logits[2, 1] = np.nan
    np.save(folder / "nan.npy", logits)
    result = run(*arguments, code=code)
    assert result.stderr.splitlines()[-1] == f"Error: {message}"
    assert result.stdout == ""


JUDGED = ("--metric", "macro_f1,auc,log_loss,top2")


@pytest.fixture
def judged(folder):
    """Groups and weights of the rows, and a table of costs."""
    rng = np.random.default_rng(1)
    groups, weights = np.arange(200) // 4, rng.uniform(0, 2, 200)
    np.save("groups.npy", groups)
    np.save("weights.npy", weights)
    np.savetxt("costs.csv", np.arange(49).reshape(7, 7) % 5, delimiter=",", fmt="%d")
    return groups, weights


def test_metrics_groups_and_weights_are_those_of_the_report(run, folder, judged):
    units = ("--groups", "groups", "--row-weights", "weights")
    found = json.loads(run("old", "new", "--labels", "y", *JUDGED, *units, "--json").stdout)
    predictions = {name: np.load(f"{name}.npy") for name in ("old", "new")}
    wanted = accuracy_report(
        predictions, np.load("y.npy"), metrics=JUDGED[1].split(","),
        groups=judged[0], row_weights=judged[1],
    )  # fmt: skip
    assert found == {**wanted.to_dict(), "warnings": []}
    assert found["groups"] == 50


def test_groups_and_weights_are_looked_up_by_id(run, folder, judged):
    ids = np.array([f"r{i}" for i in range(200)])
    for name in ("old", "new"):
        save_predictions(f"{name}.csv", softmax(np.load(f"{name}.npy")), ids=ids)
    order = np.random.default_rng(2).permutation(200)
    for name, values in (("g", judged[0]), ("w", judged[1]), ("l", np.load("y.npy"))):
        lines = [f"{ids[i]},{values[i]}" for i in order]
        (folder / f"{name}.csv").write_text("\n".join([f"id,{name}", "more,1", *lines]))
    plain = run("old.npy", "new.npy", "--labels", "y.npy", *JUDGED, "--groups", "groups.npy",
                "--row-weights", "weights.npy", "--json")  # fmt: skip
    by_id = run("old.csv", "new.csv", "--labels", "l.csv", *JUDGED,
                "--groups", "g.csv", "--row-weights", "w.csv", "--json")  # fmt: skip
    for one, other in zip(
        json.loads(plain.stdout)["models"], json.loads(by_id.stdout)["models"], strict=True
    ):
        for name in JUDGED[1].split(","):
            for key in ("value", "ci"):
                value = one["metrics"][name][key]
                assert other["metrics"][name][key] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("names", [False, True])
def test_costs_from_a_table(run, run_cli, folder, judged, names):
    table = np.loadtxt("costs.csv", delimiter=",")
    if names:
        classes = list("abcdefg")
        (folder / "classes.txt").write_text("\n".join(classes))
        order = [3, 1, 0, 2, 6, 5, 4]
        lines = [",".join(["true", *(classes[j] for j in order)])]
        lines += [",".join([classes[i], *(f"{table[i, j]:g}" for j in order)]) for i in range(7)]
        (folder / "costs.csv").write_text("\n".join(lines))
    found = json.loads(run("old", "--labels", "y", "--metric", "cost:costs.csv", "--json").stdout)
    right, scores = np.load("y.npy"), np.load("old.npy")
    value = found["models"][0]["metrics"]["cost:costs.csv"]["value"]
    decided = (softmax(scores, axis=1) @ table).argmin(axis=1)
    assert value == pytest.approx(table[right, decided].mean())
    words = ("--cost", "costs.csv", "--labels", "y.npy", "-o", "calls.npy", "--json")
    classes = ("--classes", "classes.txt") if names else ()
    same = json.loads(run_cli("decide", "old.npy", *words, *classes).stdout)
    assert same["judged"]["cost"] == pytest.approx(value)
    interval = found["models"][0]["metrics"]["cost:costs.csv"]["ci"]
    assert same["judged"]["cost_ci"] == pytest.approx(interval)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--metric", "f2"), 2, "`metric` must be one of accuracy, balanced_accuracy"),
        (("--metric", "auc,"), 2, "`metric` must be one of accuracy"),
        (("--metric", "auc,auc"), 1, "`metrics` must be unique, got 'auc' more than once"),
        (("--metric", "cost:none.csv"), 1, "none.csv: no such file"),
        (
            ("--metric", "cost:y.npy"),
            1,
            "or one column more for abstaining, got shape",
        ),
        (("--groups", "none.npy"), 1, "none.npy: no such file"),
        (("--groups", "short.npy"), 1, "as long as the predictions (200 rows), got 3 rows"),
        (("--row-weights", "short.npy"), 1, "as long as the predictions (200 rows), got 3 rows"),
        (("--row-weights", "negative.npy"), 1, "negative.npy[0]` must be a finite number >= 0"),
        (("--row-weights", "words.txt"), 1, "words.txt, row 0` must be numbers, got 'many'"),
    ],
)
def test_bad_judging(run, folder, judged, options, code, message):
    np.save("short.npy", np.arange(3))
    np.save("negative.npy", np.full(200, -1.0))
    (folder / "words.txt").write_text("many\n" * 200)
    error = run("old", "new", "--labels", "y", *options, code=code).stderr
    assert message in error
    assert error.count("\n") == (1 if code == 1 else 4)


@pytest.mark.parametrize("name", ["top3"])
def test_metrics_that_two_classes_lack(run, folder, name):
    np.save("two.npy", np.load("old.npy")[:, :2])
    np.save("bits.npy", np.load("y.npy") % 2)
    error = run("two", "--labels", "bits", "--metric", name, code=1).stderr
    assert "for binary predictions, got top3" in error


def test_the_page_shows_curves_of_two_classes(run, folder):
    np.save("two.npy", np.load("old.npy")[:, :2])
    np.save("bits.npy", np.load("y.npy") % 2)
    run("two", "--labels", "bits", "--html", "two.html")
    page = (folder / "two.html").read_text()
    assert "ROC curve of class 1" in page
    assert "Precision-recall curve of class 1" in page
    run("old", "--labels", "y", "--html", "seven.html")
    assert "ROC curve" not in (folder / "seven.html").read_text()


def test_the_first_ids_that_a_model_lacks_are_named(run, folder):
    probs, ids = softmax(np.load(folder / "old.npy")), [f"r{i}" for i in range(200)]
    for name, n_rows in (("all", 200), ("few", 195)):
        save_predictions(folder / f"{name}.csv", probs[:n_rows], ids=ids[:n_rows])
    labelled = [f"{each},{label}" for each, label in zip(ids, np.load("y.npy"), strict=True)]
    (folder / "y.csv").write_text("\n".join(["id,label", *labelled]))
    rule = "must be those of the other models, in any order, got"
    for files, got in (
        (("all.csv", "few.csv"), "all but 'r195', 'r196', 'r197', ... (5 in all)"),
        (("few.csv", "all.csv"), "'r195', 'r196', 'r197', ... (5 in all) in addition"),
    ):
        said = run(*files, "--labels", "y.csv", code=1).stderr
        assert f"{rule} {got}; --common-rows keeps only the rows" in said
    said = run("old.npy", "few.csv", "--labels", "y.csv", code=1).stderr
    assert "`few` must be as long as `old` (200 rows), got 195 rows" in said


def test_long_names_are_not_broken_where_no_terminal_is_narrow(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    names = ["base", "qwen-temperature-of-all-layers-and-heads"]
    for name in names:
        np.save(f"{name}.npy", softmax(3 * np.eye(3)[y] + rng.normal(size=(200, 3))))
    np.save("y.npy", y)
    files = [f"{name}.npy" for name in names]
    said = run_cli("report", *files, "--labels", "y.npy").stdout
    assert said.count(f"  {names[1]} ") == 2
    notes = [line for line in said.splitlines() if not line.startswith("  ") and "─" not in line]
    assert max(map(len, notes)) <= 100
