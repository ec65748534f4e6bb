"""Binary predictions in one column, in every command and format: as two columns, written as one."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from postproc import load_predictions, save_predictions
from postproc.scores.blocks import Sizes

N = 120
FORMATS = ["flat.npy", "column.npy", "table.csv", "named.csv", "table.parquet", "arrays.npz"]


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Labels, and three members of a val and a test split in every format and in two columns."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (2, N))
    for split, y in zip(("val", "test"), labels, strict=True):
        np.save(f"y.{split}.npy", y)
        for member, strength in (("a", 1.5), ("b", 1.0), ("c", 0.6)):
            z = strength * (2 * y - 1) + 1.2 * rng.standard_normal(N)
            write(Path(f"{member}.{split}"), 1 / (1 + np.exp(-z)))
    return labels


def write(stem, p):
    ids = [f"r{row}" for row in range(N)]
    np.save(f"{stem}.flat.npy", p)
    np.save(f"{stem}.column.npy", p[:, None])
    np.save(f"{stem}.both.npy", np.stack([1 - p, p], axis=1))
    np.savez(f"{stem}.arrays.npz", probs=p[:, None], ids=ids)
    save_predictions(f"{stem}.table.csv", p[:, None], classes=["claim"], ids=ids)
    save_predictions(f"{stem}.table.parquet", p[:, None], classes=["P(class=1)"], ids=ids)
    lines = [f"{name},{value!r}" for name, value in zip(ids, p.tolist(), strict=True)]
    Path(f"{stem}.named.csv").write_text("\n".join(["id,target", *lines]) + "\n")


FIT = ["--fit", "a.val.{}", "--fit-labels", "y.val.npy"]
ALL = [*(word for m in "abc" for word in ("--fit", m + ".val.{}")), "--fit-labels", "y.val.npy"]
MEMBERS = ["a.test.{}", "b.test.{}", "c.test.{}"]
WRITING = {
    "can": ["can", "a.test.{}", "--prior", "0.4"],
    "can reference": ["can", "a.test.{}", "--prior", "y.val.npy", "--reference", "b.test.{}"],
    "calibrate": ["calibrate", "a.test.{}", *FIT, "--method", "temperature"],
    "calibrate default": ["calibrate", "a.test.{}", *FIT],
    "adapt": ["adapt", "a.test.{}", *FIT, "--calibration", "bcts"],
    "adapt can": ["adapt", "a.test.{}", *FIT, "--calibration", "none", "--method", "can"],
    "auto": ["auto", *MEMBERS, *ALL],
    "pool": ["pool", "a.test.{}", "b.test.{}", "--by", "ids.txt"],
    "convert": ["convert", "a.test.{}"],
    **{m: ["ensemble", m, *MEMBERS] for m in ("soft", "hard", "log", "median", "rank")},
    "devil": ["ensemble", "devil", *MEMBERS, *ALL],
    **{
        m: ["ensemble", m, *MEMBERS, *ALL]
        for m in ("weights", "blend", "calibrated", "greedy", "stack", "bagging")
    },
}
SLOW = {"auto", "blend", "bagging", "stack", "calibrate default", "adapt can"}
RULES = {"hard", "log", "median", "rank", "can reference", "calibrated", "greedy", "weights"}
CELLS: list = [pytest.param("devil", "flat.npy", marks=pytest.mark.slow)]
CELLS += [
    (name, form)
    for name in WRITING
    if name != "devil"
    for form in FORMATS[: 1 if name in SLOW else 3 if name in RULES else None]
]


@pytest.mark.parametrize(("name", "form"), CELLS)
def test_one_column_gives_what_two_columns_give(task, run_cli, name, form):
    Path("ids.txt").write_text("\n".join(f"g{row // 2 % N}" for row in range(2 * N)) + "\n")
    words = WRITING[name]
    suffix = "." + form.rpartition(".")[2]
    run_cli(*(w.format("both.npy") for w in words), "-o", "two.npy", "--json")
    said = run_cli(*(w.format(form) for w in words), "-o", f"one{suffix}", "--json").stdout
    assert json.loads(said)["classes"] == 2
    two, one = np.load("two.npy"), load_predictions(f"one{suffix}")
    assert one.task == "binary"
    np.testing.assert_allclose(one.probabilities()[:, 1], two[:, 1], atol=2e-7)
    if suffix == ".npy":
        shape = (len(two),) if form == "flat.npy" else (len(two), 1)
        assert np.load("one.npy").shape == shape
    given = load_predictions(f"a.test.{form}")
    assert one.heading == given.heading or suffix == ".npz"
    if name != "pool":
        assert (one.ids is None) == (given.ids is None)


FEWEST = ["--folds", "3", "--repeats", "1"]
READING = {
    "report": ["report", *MEMBERS, "--labels", "y.test.npy"],
    "inspect": ["inspect", "a.test.{}", "--prior", "0.3"],
    "tune can": ["tune", "can", "a.val.{}", "--labels", "y.val.npy", "--folds", "3"],
    "tune greedy": ["tune", "greedy", "a.val.{}", "b.val.{}", "--labels", "y.val.npy", *FEWEST],
}
MEASURED = ("accuracy", "macro_f1", "log_loss")
COMPARED = ("mean_prediction", "entropy_histogram", "accuracy", "nested_gain")


@pytest.mark.parametrize("name", READING)
def test_reading_commands_say_of_one_column_what_they_say_of_two(task, run_cli, name):
    def said(form):
        words = [word.format(form) for word in READING[name]]
        words += ["-o", "model.json", "--overwrite"] if words[0] == "tune" else []
        found = json.loads(run_cli(*words, "--json").stdout)
        models = enumerate(found.get("models", []))
        found |= {f"{at} {k}": model[k] for at, model in models for k in MEASURED}
        return {key: value for key, value in found.items() if key.endswith((*COMPARED, *MEASURED))}

    two = said("both.npy")
    for form in FORMATS if name in ("report", "inspect") else FORMATS[:1]:
        one = said(form)
        assert one.keys() == two.keys()
        for key, value in one.items():
            assert value == pytest.approx(two[key]), key


@pytest.mark.parametrize("form", ["flat.npy", "table.csv"])
def test_saved_models_apply_to_one_column(task, run_cli, form):
    for words, members in (
        (["calibrate", "a.test.{}", *FIT, "--method", "temperature"], ["a.test.{}"]),
        (["adapt", "a.test.{}", *FIT], ["a.test.{}"]),
        (["ensemble", "weights", *MEMBERS, *ALL], MEMBERS),
    ):
        words = [word.format(form) for word in words]
        run_cli(*words, "-o", "first.npz", "--save", "model.json", "--overwrite")
        for given in (form, "both.npy"):
            files = [member.format(given) for member in members]
            run_cli("apply", "model.json", *files, "--by-order", "-o", "again.npz", "--overwrite")
            first, again = load_predictions("first.npz"), load_predictions("again.npz")
            np.testing.assert_allclose(again.probabilities(), first.probabilities(), atol=1e-12)
            assert (again.column is None) == (given == "both.npy")


def test_results_do_not_depend_on_blocks_shards_or_zarr(task, run_cli):
    pytest.importorskip("zarr")
    import zarr

    small = Sizes(block=64, cached=64, member=64)
    p = np.load("a.test.flat.npy")
    Path("shards").mkdir()
    for number, part in enumerate(np.split(p, 3)):
        np.save(f"shards/p-{number:05d}.npy", part)
    array = zarr.create_array("p.zarr", shape=p.shape, chunks=(50,), dtype=p.dtype)
    array[:] = p
    for at, words in enumerate(
        (["can", "--prior", "0.4"], ["calibrate", *FIT], ["adapt", *FIT], ["ensemble", "soft"])
    ):
        words = [word.format("flat.npy") for word in words]
        at = 2 if words[0] == "ensemble" else 1
        run_cli(*words[:at], "a.test.flat.npy", *words[at:], "-o", "whole.npy", "--overwrite")
        whole = np.load("whole.npy")
        for given, out in (
            ("a.test.flat.npy", "cut.npy"),
            ("shards", "cut.csv"),
            ("shards", "cut/"),
            ("p.zarr", "cut.zarr"),
        ):
            run_cli(*words[:at], given, *words[at:], "-o", out, "--overwrite", obj=small)
            cut = load_predictions(out, kind="probs")
            np.testing.assert_allclose(
                cut.probabilities(slice(0, N))[:, 1], whole, rtol=1e-9, atol=1e-9
            )


def test_a_stopped_job_with_one_column_is_resumed(task, run_cli, monkeypatch):
    small = Sizes(block=64, cached=64, member=64)
    words = ["can", "a.test.column.npy", "--prior", "0.4", "-o"]
    run_cli(*words, "whole.npy", obj=small)
    from postproc.can.streaming.adjust import AdjustRows

    original = AdjustRows.__call__

    def fails_late(self, rows):
        if rows.start > N // 2:
            raise OSError(28, "No space left on device")
        return original(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(AdjustRows, "__call__", fails_late)
        run_cli(*words, "cut.npy", obj=small, code=1)
    run_cli(*words, "cut.npy", "--resume", obj=small)
    np.testing.assert_array_equal(np.load("cut.npy"), np.load("whole.npy"))


def test_members_in_one_and_two_columns_are_aligned_by_the_heading(task, run_cli):
    p, q = np.load("a.test.flat.npy"), np.load("b.test.flat.npy")
    ids = [f"r{row}" for row in range(N)]
    save_predictions("one.csv", p, classes=["spam"], ids=ids)
    both = np.stack([q, 1 - q], axis=1)
    save_predictions("two.csv", both[::-1], classes=["spam", "ham"], ids=ids[::-1])
    run_cli("ensemble", "soft", "one.csv", "two.csv", "-o", "x.npz")
    mixed = load_predictions("x.npz")
    assert (mixed.heading, mixed.n_rows) == ("spam", N)
    np.testing.assert_allclose(mixed.probabilities()[:, 1], (p + q) / 2)
    run_cli("ensemble", "soft", "two.csv", "one.csv", "-o", "y.csv")
    mixed = load_predictions("y.csv")
    assert mixed.classes == ("spam", "ham")
    np.testing.assert_allclose(mixed.probabilities()[::-1, 0], (p + q) / 2)


def accuracy(run_cli, *words):
    words = ["report", "a.test.flat.npy", *words, "--json", "--quiet"]
    return json.loads(run_cli(*words).stdout)["models"][0]["accuracy"]


WRITTEN = {
    "numbers": (("0", "1"), []),
    "signs": (("-1", "1"), []),
    "words": (("False", "True"), []),
    "answers": (("no", "YES"), []),
    "positive": (("ham", "spam"), ["--positive", "spam"]),
    "names": (("ham", "spam"), ["--classes", "names.txt"]),
    "reversed names": (("ham", "spam"), ["--classes", "reversed.txt", "--positive", "spam"]),
    "numbers with a name": (("1", "2"), ["--positive", "2"]),
}


def test_two_unnamed_columns_take_the_same_labels(task, run_cli):
    Path("y.txt").write_text("".join(("ham\n", "spam\n")[label] for label in task[1]))
    words = ["report", "a.test.both.npy", "--labels", "y.txt", "--json"]
    assert "--positive NAME" in run_cli(*words, code=1).stderr
    found = json.loads(run_cli(*words, "--positive", "spam").stdout)["models"][0]
    assert found["accuracy"] == pytest.approx(accuracy(run_cli, "--labels", "y.test.npy"))


@pytest.mark.parametrize(("written", "options"), WRITTEN.values(), ids=WRITTEN)
def test_labels_of_two_classes_in_every_writing(task, run_cli, written, options):
    y = task[1]
    Path("names.txt").write_text("ham\nspam\n")
    Path("reversed.txt").write_text("spam\nham\n")
    Path("y.txt").write_text("".join(f"{written[label]}\n" for label in y))
    expected = np.mean((np.load("a.test.flat.npy") > 0.5) == y)
    assert accuracy(run_cli, "--labels", "y.txt", *options) == pytest.approx(expected)


def test_a_positive_class_of_label_0_turns_the_column_around(task, run_cli):
    flipped = accuracy(run_cli, "--labels", "y.test.npy", "--positive", "0")
    assert flipped == pytest.approx(1 - accuracy(run_cli, "--labels", "y.test.npy"))


def test_one_class_against_the_rest(task, run_cli):
    names = np.array(["roses", "tulip", "daisy"])
    y = np.where(task[1] == 1, 2, np.arange(N) % 2)
    Path("y.txt").write_text("".join(f"{name}\n" for name in names[y]))
    expected = np.mean((np.load("a.test.flat.npy") > 0.5) == (y == 2))
    found = accuracy(run_cli, "--labels", "y.txt", "--positive", "daisy")
    assert found == pytest.approx(expected)
    said = run_cli("report", "a.test.flat.npy", "--labels", "y.txt", "--positive", "daisy").stderr
    assert "labels other than 'daisy' are negative ('tulip', 'roses')" in said


def test_the_heading_names_the_positive_label(task, run_cli):
    save_predictions("a.csv", np.load("a.test.flat.npy"), classes=["ham"])
    Path("y.txt").write_text("".join(("spam\n", "ham\n")[label] for label in task[1]))
    words = ["report", "a.csv", "--labels", "y.txt", "--json", "--quiet"]
    assert json.loads(run_cli(*words).stdout)["models"][0]["accuracy"] > 0.7


REFUSED = {
    "labels": ("labels", [], "looks like labels"),
    "float labels": ("float_labels", [], "looks like labels"),
    "percentages": ("percent", [], "declare --probs, which divides them by 100, or --logits"),
    "rounded out": ("rounded", [], "clip"),
    "votes": ("flat", ["--votes"], "a column for each class"),
    "unnamed": ("flat", ["--labels", "names.txt"], "--positive"),
    "three classes": ("flat", ["--classes", "three.txt"], "two"),
    "positive of three": ("three", ["--positive", "x"], "binary"),
    "unknown positive": ("flat", ["--classes", "two.txt", "--positive", "x"], "ham, spam"),
    "top-k": ("flat", ["--top-k", "3"], "2..2"),
}


@pytest.mark.parametrize(("name", "options", "says"), REFUSED.values(), ids=REFUSED)
def test_doubts_and_wrong_combinations_get_one_clear_line(task, run_cli, name, options, says):
    p = np.load("a.test.flat.npy")
    np.save("flat.npy", p)
    np.save("labels.npy", task[1])
    np.save("float_labels.npy", task[1].astype(float))
    np.save("percent.npy", 100 * p)
    np.save("rounded.npy", np.append(p[1:], 1 + 1e-6))
    np.save("three.npy", np.stack([p / 2, p / 2, 1 - p], axis=1))
    Path("two.txt").write_text("ham\nspam\n")
    Path("three.txt").write_text("a\nb\nc\n")
    Path("names.txt").write_text("".join(("ham\n", "spam\n")[label] for label in task[1]))
    words = ["can", f"{name}.npy", "--prior", "uniform", *options, "-o", "out.npy"]
    said = run_cli(*words, code=1).stderr
    line = next(line for line in said.splitlines() if line.startswith("Error"))
    assert says in line
    assert not Path("out.npy").exists()


def test_probabilities_declared_as_logits_are_doubted(task, run_cli):
    words = ["report", "a.test.flat.npy", "--logits", "--labels", "y.test.npy"]
    said = run_cli(*words).stderr
    assert "declared logits, but every score sampled lies in [0, 1]; declare --probs" in said


def test_xgboost_and_lightgbm_outputs(task, run_cli):
    p = np.load("a.test.flat.npy").astype(np.float32)
    np.save("binary_logistic.npy", p)  # xgboost's objective of that name
    np.save("raw_score.npy", np.log(p) - np.log1p(-p))  # LightGBM's raw_score=True
    run_cli("ensemble", "soft", "binary_logistic.npy", "raw_score.npy", "-o", "mean.npy")
    mean = np.load("mean.npy")
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, p, atol=1e-6)


def test_bench_and_run_directories(task, run_cli):
    folder = Path("run")
    folder.mkdir()
    for split in ("val", "test"):
        for member in "ab":
            np.save(folder / f"{member}.{split}.npy", np.load(f"{member}.{split}.flat.npy"))
        np.save(folder / f"labels.{split}.npy", np.load(f"y.{split}.npy"))
    words = ["--methods", "temperature,soft,em", "--shift", "none", "--draws", "2"]
    said = run_cli("bench", "run", *words, "--json", "--jobs", "1").stdout
    assert {cell["method"] for cell in json.loads(said)["results"]} >= {"temperature", "soft"}
    run_cli("ensemble", "soft", "run", "-o", "out.npy")
    assert np.load("out.npy").shape == (N,)
    words = [*words, "--metric", "auc", "-o", "auc.jsonl"]
    said = json.loads(run_cli("bench", "run", *words, "--json", "--jobs", "1").stdout)
    assert not said["errors"]
    assert {cell["metric"] for cell in said["results"]} == {"auc"}


@pytest.mark.slow
def test_dask_gives_the_same_bits(task, run_cli):
    pytest.importorskip("distributed")
    words = ["can", "a.test.flat.npy", "--prior", "0.4", "-o"]
    small = Sizes(block=64, cached=64, member=64)
    run_cli(*words, "here.npy", obj=small)
    run_cli(*words, "there.npy", "--engine", "dask", "--workers", "1", obj=small)
    np.testing.assert_array_equal(np.load("there.npy"), np.load("here.npy"))


def test_nothing_of_it_loads_torch_or_scikit_learn(task):
    code = (
        "import sys; from cli.main import main; "
        "main(['can', 'a.test.flat.npy', '--prior', '0.4', '-o', 'o.npy'], standalone_mode=False); "
        "assert not {'torch', 'sklearn'} & set(sys.modules)"
    )
    import sys

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("method", ["beta", "quadratic", "venn-abers", "binary"])
def test_calibrators_of_two_classes_on_the_command_line(task, run_cli, method):
    words = ["calibrate", "a.test.table.csv", "--fit", "a.val.table.csv"]
    words += ["--fit-labels", "y.val.npy", "--method", method, "-o", "out.csv", "--json"]
    said = json.loads(run_cli(*words, "--save", "m.json").stdout)
    assert said["method"] == method
    assert said["log_loss_after"] < said["log_loss_before"] or not said["improved"]
    run_cli("apply", "m.json", "a.test.table.csv", "-o", "again.csv")
    assert Path("again.csv").read_text() == Path("out.csv").read_text()
    np.save("three.npy", np.full((N, 3), 1 / 3))
    words[1], words[3] = "three.npy", "three.npy"
    assert "of two classes" in run_cli(*words, "--overwrite", code=1).stderr


def test_the_default_of_two_classes_is_their_own(task, run_cli):
    words = ["calibrate", "a.test.flat.npy", *FIT, "-o", "out.npy"]
    words = [word.format("both.npy") for word in words]
    assert "calibrated by " in run_cli(*words).stdout
    found = run_cli(*words, "--overwrite", "--json").stdout
    assert json.loads(found)["method"] == "binary"


def test_adapting_prints_one_share_with_its_interval(task, run_cli):
    words = ["adapt", "a.test.table.csv", "--fit", "a.val.table.csv", "--fit-labels", "y.val.npy"]
    words += ["-o", "out.csv", "--method", "em", "--calibration", "bcts"]
    said = run_cli(*words).stdout
    assert "share of class 1 in the target:" in said  # the heading may name a model
    assert "95 % interval" in said
    found = json.loads(run_cli(*words, "--overwrite", "--json").stdout)
    share = found["positive_share"]
    assert share["target"] == found["prior"][1]
    assert share["ci"][0] < share["target"] < share["ci"][1]
    assert abs(share["target"] - np.mean(task[1])) < 0.15
