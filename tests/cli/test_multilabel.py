"""Multi-label predictions in every command: arrays, tables with ids, containers."""

import json
from pathlib import Path

import numpy as np
import pytest

from postproc import load_predictions, save_predictions

N = 150
NAMES = ["toxic", "obscene", "threat", "rare"]
FORMATS = ["array.npy", "table.csv", "arrays.npz"]


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Labels, and two members of a val and a test split in every format."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = {}
    for split in ("val", "test"):
        y = labels[split] = (rng.random((N, 4)) < [0.5, 0.3, 0.2, 5 / N]).astype(int)
        ids = [f"{split}{row}" for row in range(N)]
        order = rng.permutation(N)
        np.save(f"y.{split}.npy", y)
        lines = [f"{ids[i]},{y[i, 2]},{y[i, 0]},{y[i, 1]},{y[i, 3]}" for i in order]
        Path(f"y.{split}.csv").write_text("\n".join(["id,threat,toxic,obscene,rare", *lines]))
        named = [f"{ids[i]},{'|'.join(np.array(NAMES)[y[i] == 1])}" for i in order]
        Path(f"y.{split}.lists.csv").write_text("\n".join(["id,labels", *named]))
        for member, strength in (("a", 1.5), ("b", 1.0)):
            z = strength * (2 * y - 1) + 1.2 * rng.standard_normal((N, 4)) - 0.5
            p = 1 / (1 + np.exp(-z))
            np.save(f"{member}.{split}.array.npy", p)
            save_predictions(f"{member}.{split}.table.csv", p, classes=NAMES, ids=ids)
            np.savez(f"{member}.{split}.arrays.npz", probs=p, classes=NAMES, ids=ids)
    return labels


ALL = ["--fit", "a.val.{}", "--fit", "b.val.{}", "--fit-labels", "y.val.{y}"]
FIT = ["--fit", "a.val.{}", "--fit-labels", "y.val.{y}"]
MEMBERS = ["a.test.{}", "b.test.{}"]
LEARNED = ("weights", "blend", "calibrated", "greedy", "gumbel", "stack", "bagging", "ytuning")
WRITING = {
    "can": ["can", "a.test.{}", "--prior", "y.val.npy"],
    "calibrate": ["calibrate", "a.test.{}", *FIT],
    "adapt": ["adapt", "a.test.{}", *FIT],
    "adapt em": ["adapt", "a.test.{}", *FIT, "--method", "em"],
    "auto": ["auto", *MEMBERS, *ALL],
    "auto f1": ["auto", *MEMBERS, *ALL, "--metric", "micro_f1"],
    **{m: ["ensemble", m, *MEMBERS] for m in ("soft", "hard", "log", "median", "rank")},
    **{m: ["ensemble", m, *MEMBERS, *ALL] for m in LEARNED},
}
SAVED = [name for name in WRITING if name != "can"]
LABELS = {"array.npy": "npy", "table.csv": "csv", "arrays.npz": "lists.csv"}


def words_of(name, form):
    return [word.format(form, y=LABELS[form]) for word in WRITING[name]] + ["--multilabel"]


@pytest.mark.parametrize("name", WRITING)
def test_every_format_gives_the_same(task, run_cli, name):
    found = []
    for form in FORMATS:
        suffix = form.rpartition(".")[2]
        run_cli(*words_of(name, form), "-o", f"out.{suffix}", "--quiet")
        found.append(load_predictions(f"out.{suffix}", multilabel=True))
    for each in found[1:]:
        np.testing.assert_allclose(each.scores[:], found[0].scores[:], atol=1e-6)
        assert each.classes == tuple(NAMES)
        assert each.ids[0] == "test0"
    assert found[0].scores[:].sum(axis=1).max() > 1.1


@pytest.mark.parametrize("name", [name for name in SAVED if name not in ("soft", "blend")])
def test_saved_models_know_that_they_are_of_labels(task, run_cli, name):
    words = words_of(name, "table.csv")
    run_cli(*words, "-o", "out.npy", "--save", "model.json", "--quiet")
    members = [word for word in words if ".test." in word]
    run_cli("apply", "model.json", *members, "-o", "again.npy", "--quiet")
    np.testing.assert_array_equal(np.load("out.npy"), np.load("again.npy"))


@pytest.mark.parametrize("name", ["calibrate", "adapt", "auto", "weights", "soft"])
def test_a_report_compares_before_and_after(task, run_cli, name):
    words = words_of(name, "table.csv")
    labels = ["--labels", "y.test.lists.csv", "-o", "out.csv"]
    said = run_cli(*words, *labels, "--json").stdout
    report = json.loads(said)["report"]
    assert report["task"] == "multilabel"
    new = report["models"][-1]["metrics"]
    probs = np.asarray(load_predictions("out.csv", multilabel=True).scores[:])
    right = ((probs >= 0.5) == task["test"]).mean()
    assert new["hamming_loss"]["value"] == pytest.approx(1 - right)
    text = run_cli(*words, *labels, "--overwrite").stdout
    assert "micro-F1" in text
    assert "mAP" in text


def test_report_in_every_form(task, run_cli):
    words = ["report", *(f"{m}.test.table.csv" for m in "ab"), "--labels", "y.test.csv"]
    words.append("--multilabel")
    found = json.loads(run_cli(*words, "--json", "--per-class").stdout)
    lists = [*words[:-2], "y.test.lists.csv", "--multilabel", "--json", "--per-class"]
    assert json.loads(run_cli(*lists).stdout) == found
    assert [each["label"] for each in found["models"][1]["per_label"]] == NAMES
    assert "list of names separated by '|'" in run_cli(*lists).stderr
    run_cli(*words, "--html", "page.html")
    assert "Label by label" in Path("page.html").read_text()
    asked = json.loads(run_cli(*words, "--json", "--metric", "accuracy,auc").stdout)
    assert list(asked["models"][0]["metrics"]) == ["accuracy", "auc"]
    for form in ("--csv", "--markdown"):
        assert "micro" in run_cli(*words, form).stdout
    pairs = json.loads(run_cli(*words, "--json", "--diversity").stdout)["diversity"]
    decided = [np.load(f"{m}.test.array.npy") >= 0.5 for m in "ab"]
    wrong = [each != task["test"] for each in decided]
    assert pairs["disagreement"][0][1] == pytest.approx((wrong[0] ^ wrong[1]).mean())
    Path("groups.txt").write_text("\n".join(str(row // 3) for row in range(N)))
    grouped = run_cli(*words, "--groups", "groups.txt", "--json").stdout
    assert json.loads(grouped)["groups"] == 50


def test_a_run_directory_whose_labels_have_columns(task, run_cli):
    Path("run").mkdir()
    for split in ("val", "test"):
        np.save(f"run/labels.{split}.npy", task[split])
        for member in "ab":
            np.save(f"run/{member}.{split}.npy", np.load(f"{member}.{split}.array.npy"))
    Path("run/classes.txt").write_text("\n".join(NAMES) + "\n")
    report = json.loads(run_cli("ensemble", "weights", "run", "-o", "w.npy", "--json").stdout)
    assert report["report"]["task"] == "multilabel"
    run_cli(*words_of("weights", "array.npy"), "-o", "w2.npy", "--quiet")
    np.testing.assert_allclose(np.load("w.npy"), np.load("w2.npy"), atol=1e-12)
    run_cli("auto", "run", "-o", "a.npy", "--quiet")


def test_bench_counts_the_labels_of_drawn_rows(task, run_cli):
    Path("run").mkdir()
    for split in ("val", "test"):
        np.save(f"run/labels.{split}.npy", task[split])
        for member in "ab":
            np.save(f"run/{member}.{split}.npy", np.load(f"{member}.{split}.array.npy"))
    words = ["bench", "run", "-o", "bench.jsonl", "--draws", "3", "--jobs", "1", "--rows", N]
    said = json.loads(run_cli(*words, "--methods", "soft,weights,auto,devil,bcts", "--json").stdout)
    found = {(each["model"], each["method"]): each for each in said["results"]}
    assert {method for _, method in found} == {"soft", "weights", "auto"}
    assert {each["shift"] for each in said["results"]} == {"none"}
    assert not said["errors"]
    (soft,) = [each for (_, method), each in found.items() if method == "soft"]
    mean = (np.load("a.test.array.npy") + np.load("b.test.array.npy")) / 2
    assert soft["accuracy"] == pytest.approx(((mean >= 0.5) == task["test"]).mean(), abs=0.03)
    low, high = soft["gain_ci"]
    assert low < soft["gain"] < high
    said = run_cli("bench", "run", "--decisions", "--draws", "2", code=2).output
    assert "--decisions is for classes that exclude each other" in said
    words[words.index("3")] = "1"
    assert "2 or more for multi-label tasks" in run_cli(*words, "--overwrite", code=1).output


TUNED = {"can": ["--alpha", "1,2", "--iterations", "1,3"], "greedy": ["--bags", "1"]}


@pytest.mark.parametrize("method", TUNED)
def test_tuning_gives_the_same_in_every_format_and_is_applied(task, run_cli, method):
    found, members = [], "ab" if method == "greedy" else "a"
    for form in FORMATS:
        files = [f"{m}.val.{form}" for m in members]
        words = [*files, "--labels", f"y.val.{LABELS[form]}", "--multilabel", *TUNED[method]]
        said = run_cli("tune", method, *words, "--folds", "3", "-o", f"{form}.json", "--json")
        found.append(json.loads(said.stdout))
    assert found[0]["task"] == "multilabel"
    assert found[0]["metric"] == "micro_f1"
    assert (found[0]["rows"], found[0]["classes"]) == (N, 4)
    for each in found[1:]:
        assert each["nested_gain"] == pytest.approx(found[0]["nested_gain"])
        assert each["options"] == found[0]["options"]
    said = run_cli(
        "tune", method, *words, "--folds", "3", "-o", "other.json", "--metric", "accuracy"
    )
    assert f"{N} rows x 4 labels, probs" in said.stdout
    assert "; exact match of " in said.stdout
    test = [f"{m}.test.table.csv" for m in members]
    if method == "can":
        how = ["can", *test, "--prior", "y.val.npy", "--config", "table.csv.json", "--multilabel"]
    else:
        how = ["apply", "table.csv.json", *test, "--by-order"]
    run_cli(*how, "-o", "out.csv", "--labels-out", "tags.csv")
    out = load_predictions("out.csv", multilabel=True)
    assert out.classes == tuple(NAMES)
    assert out.ids[0] == "test0"
    assert Path("tags.csv").read_text().startswith("id,labels\ntest0,")


def test_inspect_pool_and_convert(task, run_cli):
    said = json.loads(run_cli("inspect", "a.test.table.csv", "--multilabel", "--json").stdout)
    (found,) = said["predictions"]
    p = np.load("a.test.array.npy")
    np.testing.assert_allclose(found["mean_prediction"], p.mean(axis=0))
    np.testing.assert_array_equal(found["predicted"], (p >= 0.5).sum(axis=0))
    assert found["mean_confidence"] == pytest.approx(np.maximum(p, 1 - p).mean())
    assert "150 rows x 4 labels" in run_cli("inspect", "a.test.table.csv", "--multilabel").stdout
    q = np.load("b.test.array.npy")
    z = (np.log(p / (1 - p)) + np.log(q / (1 - q))) / 2
    naive = {
        "soft": (p + q) / 2,
        "log": 1 / (1 + np.exp(-z)),
        "median": (p + q) / 2,
        "max": np.maximum(p, q),
        "hard": ((p >= 0.5).astype(float) + (q >= 0.5)) / 2,
    }
    for rule, wanted in naive.items():
        files = ["a.test.table.csv", "b.test.table.csv"]
        run_cli("pool", *files, "--multilabel", "--rule", rule, "-o", f"{rule}.npy")
        np.testing.assert_allclose(np.load(f"{rule}.npy"), wanted, atol=1e-9)
    run_cli("convert", "a.test.table.csv", "--multilabel", "-o", "c.npz")
    np.testing.assert_allclose(np.load("c.npz")["probs"], p)


def test_decided_labels_are_lists_or_columns_and_can_be_read_as_labels(task, run_cli):
    p = np.load("a.test.array.npy")
    words = ["decide", "a.test.table.csv", "--multilabel"]
    said = json.loads(run_cli(*words, "-o", "lists.csv", "--labels", "y.test.csv", "--json").stdout)
    assert said["judged"]["accuracy"] == pytest.approx(
        ((p >= 0.5) == task["test"]).all(axis=1).mean()
    )
    assert said["labels_per_row"] == pytest.approx((p >= 0.5).sum(axis=1).mean())
    run_cli(*words, "--integers", "-o", "columns.csv")
    run_cli(*words, "-o", "array.npy")
    np.testing.assert_array_equal(np.load("array.npy"), p >= 0.5)
    assert Path("columns.csv").read_text().startswith("id,toxic,obscene,threat,rare\ntest0,")
    for labels in ("lists.csv", "columns.csv"):
        judge = ["report", "a.test.table.csv", "--labels", labels, "--multilabel", "--json"]
        found = json.loads(run_cli(*judge).stdout)["models"][0]["metrics"]
        assert found["hamming_loss"]["value"] == 0.0
    run_cli("ensemble", "soft", "a.test.table.csv", "--multilabel", "-o", "s.npy",
            "--labels-out", "soft.csv")  # fmt: skip
    assert Path("soft.csv").read_text() == Path("lists.csv").read_text()


def test_thresholds_for_a_metric_are_saved_and_judged(task, run_cli):
    for split in ("val", "test"):
        p = np.load(f"a.{split}.array.npy") ** 3
        save_predictions(
            f"low.{split}.csv", p, classes=NAMES, ids=[f"{split}{i}" for i in range(N)]
        )
    fit = ["--fit", "low.val.csv", "--fit-labels", "y.val.lists.csv"]
    words = ["decide", "low.test.csv", "--multilabel", "--metric", "micro_f1", *fit, "--json"]
    words += ["--labels", "y.test.csv"]
    found = json.loads(run_cli(*words, "-o", "t.npy", "--save", "t.json").stdout)
    y = task["test"]
    decided = np.load("t.npy")
    np.testing.assert_array_equal(decided, p >= np.array(found["thresholds"]))
    assert found["improved"]
    assert found["gain_ci"][0] > 0

    def f1(labels):
        return 2 * (labels * y).sum() / (labels.sum() + y.sum())

    assert found["judged"]["value"] == pytest.approx(f1(decided))
    assert found["judged"]["gain"] == pytest.approx(f1(decided) - f1(p >= 0.5))
    run_cli("apply", "t.json", "low.test.csv", "-o", "again.npy", "--quiet")
    np.testing.assert_array_equal(np.load("again.npy"), decided)


#: What is wrong whatever the files hold (exit code 2), and with these files (1).
WRONG = {
    ("ensemble", "devil", *MEMBERS, *ALL): "exclude each other for the Devil's Advocate",
    ("tune", "can", "a.val.{}", "--labels", "y.val.npy", "--metric", "auc"): "micro_f1, hamming_",
    ("tune", "can", "a.val.{}", "--labels", "y.val.npy", "--metric", "mcc"): "multilabel pred",
    ("tune", "greedy", *MEMBERS, "--labels", "y.val.npy", "--metric", "top3"): "multilabel pred",
    ("decide", "a.test.{}", "--sets", "0.9", *FIT): "--sets is for classes that exclude each other",
    ("decide", "a.test.{}", "--coverage", "0.9"): "--coverage is for classes that exclude",
    ("decide", "a.test.{}", "--metric", "kappa", *FIT): "one of macro_f1, micro_f1 with",
    ("ensemble", "soft", *MEMBERS, "--labels-out", "x.txt"): "suffix of an output must be one of",
    ("adapt", "a.test.{}", *FIT, "--method", "bbse"): "use em or map",
    ("calibrate", "a.test.{}", *FIT, "--method", "bcts"): "--method bcts is for classes that",
    ("report", *MEMBERS, "--labels", "y.test.npy", "--metric", "top3"): "multilabel predictions",
    ("report", *MEMBERS, "--labels", "y.test.npy", "--metric", "mcc"): "multilabel predictions",
    ("ensemble", "soft", *MEMBERS, "--missing-class", "zero"): "not for labels",
    ("ensemble", "soft", *MEMBERS, "--votes"): "votes",
    ("ensemble", "greedy", *MEMBERS, *ALL, "--metric", "kappa"): "multilabel predictions",
}
DATA = [words for words in WRONG if words[1] in ("devil", "greedy")]
DATA += [words for words in WRONG if words[0] in ("report", "tune")]
DATA += [words for words in WRONG if words[-1] in ("--votes", "x.txt")]


@pytest.mark.parametrize("words", WRONG, ids=lambda words: " ".join(words[:2]))
def test_wrong_combinations_get_one_line(task, run_cli, words):
    given = [word.format("array.npy", y="npy") for word in words]
    written = {"report": [], "tune": ["-o", "x.json"], "decide": ["-o", "x.csv"]}
    outputs = written.get(given[0], ["-o", "x.npy"])
    code = 1 if words in DATA else 2
    said = run_cli(*given, "--multilabel", *outputs, code=code)
    lines = [line for line in said.output.splitlines() if line.startswith("Error")]
    assert len(lines) == 1
    assert WRONG[words] in lines[0]
    assert not list(Path().glob("x.*"))


def test_labels_without_the_option_and_classes_with_it(task, run_cli):
    """Public case: sigmoid scores whose rows do not sum to 1."""
    for words in (
        ["ensemble", "soft", "a.test.table.csv", "b.test.table.csv", "-o", "s.csv"],
        ["ensemble", "soft", "a.test.table.csv", "b.test.table.csv", "--probs", "-o", "s.csv"],
        ["report", "a.test.table.csv", "--labels", "y.test.csv"],
    ):
        assert "declare --multilabel" in run_cli(*words, code=1).output
    words = ["ensemble", "soft", "a.test.table.csv", "b.test.table.csv", "--multilabel"]
    run_cli(*words, "-o", "s.csv", "--quiet")
    mean = (np.load("a.test.array.npy") + np.load("b.test.array.npy")) / 2
    np.testing.assert_allclose(load_predictions("s.csv", multilabel=True).scores[:], mean)
    p = np.load("a.test.array.npy")
    np.save("p.npy", p / p.sum(axis=1, keepdims=True))
    np.save("one.npy", np.eye(4, dtype=int)[np.arange(N) % 4])
    said = run_cli("convert", "p.npy", "--multilabel", "-o", "q.npy").stderr
    assert "every row sampled sums to 1; omit --multilabel" in said
    said = json.loads(run_cli("inspect", "p.npy", "--multilabel", "--json").stdout)
    assert "sums to 1" in said["predictions"][0]["suspicions"][0]
    said = run_cli("report", "p.npy", "--labels", "one.npy", "--multilabel", code=1).output
    assert "omit multilabel (--multilabel)" in said
    said = run_cli("report", "p.npy", "--labels", "y.test.npy", code=1).output
    assert "declare --multilabel if each is a label of its own" in said


def test_sizes_count_labels_and_one_member_is_no_plural(task, run_cli):
    said = run_cli("ensemble", "soft", "a.test.table.csv", "--multilabel", "-o", "s.csv").stdout
    assert said.startswith("soft of 1 member: 150 rows x 4 labels\n")
    words = words_of("calibrate", "table.csv")
    assert run_cli(*words, "-o", "c.csv").stdout.startswith("150 rows x 4 labels, probs; one map")
