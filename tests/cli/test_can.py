"""`postproc can`: every option, reopening what it wrote, and every way to get it wrong."""

import json
import math
import os
from functools import partial

import numpy as np
import pytest
import torch

from postproc import (
    CAN,
    class_prior,
    load_predictions,
    multilabel_prior,
    save_predictions,
    softmax,
    top_k_entropy,
)
from postproc.can.options import CANOptions, save_can_options
from postproc.scores.blocks import Sizes

KEYS = ["rows", "classes", "kind", "confident", "ambiguous", "changed", "output", "warnings"]
UNIFORM = ("--prior", "uniform")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with 200 rows of 5 classes, their labels and those of a training set."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    np.save("preds.npy", rng.dirichlet([0.4] * 5, 200))
    np.save("labels.npy", rng.integers(0, 5, 200))
    np.save("train_labels.npy", rng.choice(5, 300, p=[0.4, 0.3, 0.1, 0.1, 0.1]))
    return tmp_path


def expected(scores, prior=(1, 1, 1, 1, 1), reference=None, **options):
    """The estimator's answer, without its warnings."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        can = CAN(prior=np.asarray(prior, float), **options)
        return can.fit(scores if reference is None else reference).predict_proba(scores)


def summary(run_cli, *args):
    result = run_cli("can", *args, "--json")
    return json.loads(result.stdout)


def test_as_typed_in_the_issue(here, run_cli):
    result = run_cli("can", "preds.npy", "--prior", "train_labels")
    assert result.stdout.startswith("200 rows x 5 classes, probs: ")
    assert result.stdout.endswith("written: preds.can.npy\n")
    prior = class_prior(np.load("train_labels.npy"), n_classes=5)
    np.testing.assert_allclose(
        np.load("preds.can.npy"), expected(np.load("preds.npy"), prior), rtol=1e-12
    )


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_training_labels_in_text(here, run_cli, suffix):
    labels = np.load("train_labels.npy")
    run_cli("can", "preds.npy", "--prior", "train_labels.npy", "-o", "a.npy")
    (here / "train_labels.npy").unlink()
    heading = ["label"] if suffix == ".csv" else []
    (here / f"train_labels{suffix}").write_text("\n".join([*heading, *map(str, labels)]))
    run_cli("can", "preds.npy", "--prior", "train_labels", "-o", "b.npy")
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))


def test_json_is_one_object_and_nothing_else(here, run_cli):
    result = run_cli("can", "preds.npy", *UNIFORM, "--json")
    found = json.loads(result.stdout)
    assert set(KEYS) | {"report"} <= set(found)
    ambiguous = top_k_entropy(np.load("preds.npy"), 3) >= 0.9
    before, after = np.load("preds.npy").argmax(1), np.load("preds.can.npy").argmax(1)
    assert [found[key] for key in KEYS] == [
        200,
        5,
        "probs",
        int((~ambiguous).sum()),
        int(ambiguous.sum()),
        int((before != after).sum()),
        "preds.can.npy",
        [],
    ]
    assert found["report"] is None


def test_report_against_a_count_by_hand(here, run_cli):
    found = summary(run_cli, "preds", *UNIFORM, "--labels", "labels", "--threshold", "0.6")
    probs, labels = np.load("preds.npy"), np.load("labels.npy")
    after = np.load("preds.can.npy").argmax(1) == labels
    before = probs.argmax(1) == labels
    ambiguous = top_k_entropy(probs, 3) >= 0.6
    report = found["report"]
    groups = {"all": np.ones(200, bool), "confident": ~ambiguous, "ambiguous": ambiguous}
    for name, rows in groups.items():
        assert report["accuracy"][name] == {
            "rows": int(rows.sum()),
            "before": before[rows].mean(),
            "after": after[rows].mean(),
        }
    assert report["accuracy"]["confident"]["before"] == report["accuracy"]["confident"]["after"]
    fixed, broken = int((~before & after).sum()), int((before & ~after).sum())
    assert (report["fixed"], report["broken"]) == (fixed, broken)
    assert fixed
    assert broken
    assert report["gain"] == pytest.approx((fixed - broken) / 200)
    low, high = report["gain_ci"]
    assert low < report["gain"] < high
    n = fixed + broken
    tail = sum(math.comb(n, k) for k in range(min(fixed, broken) + 1)) / 2**n
    assert report["p_value"] == pytest.approx(min(1.0, 2 * tail))


def test_report_as_a_table(here, run_cli):
    output = run_cli("can", "preds", *UNIFORM, "--labels", "labels").stdout
    rows = {line.split()[0]: line.split() for line in output.splitlines() if line.strip()}
    assert rows["all"][1] == "200"
    assert "accuracy," in rows
    assert "confident" in rows
    assert "ambiguous" in rows
    assert "rows fixed," in output
    assert "exact McNemar p = " in output
    assert "95 % interval" in output


def test_report_where_no_row_is_doubtful(here, run_cli):
    np.save("sure.npy", np.eye(5)[np.load("labels.npy")])
    found = summary(run_cli, "sure", *UNIFORM, "--labels", "labels")
    assert found["report"]["accuracy"]["ambiguous"] == {"rows": 0, "before": None, "after": None}
    assert found["report"]["p_value"] == 1
    output = run_cli("can", "sure", *UNIFORM, "--labels", "labels", "--overwrite").stdout
    assert any(
        line.split()[:5] == ["ambiguous", "0", "-", "-", "-"] for line in output.splitlines()
    )


def test_labels_as_names_and_with_ids_in_another_order(here, run_cli):
    names = ["10", "20", "30", "[red]x", "ünï"]
    (here / "classes.txt").write_text("\n".join(names), encoding="utf-8")
    labels = np.load("labels.npy")
    save_predictions("named.npz", np.load("preds.npy"), classes=names, ids=range(200))
    lines = [f"{i},{names[labels[i]]}" for i in range(200)][::-1]
    (here / "y.csv").write_text("\n".join(["id,label", *lines]), encoding="utf-8")
    (here / "z.txt").write_text("\n".join(names[y] for y in labels), encoding="utf-8")
    reports = [
        summary(run_cli, path, *UNIFORM, "--labels", y, "-o", f"{path}{y}.npz")["report"]
        for path, y in (("preds", "z"), ("named", "y"), ("named", "z"))
    ]
    assert reports[0] == reports[1] == reports[2]
    assert reports[0]["fixed"] > 0
    np.save("n.npy", labels)  # 0..4 are not the names of these classes
    message = run_cli("can", "preds", *UNIFORM, "--labels", "n", "--overwrite", code=1).stderr
    assert "must be one of the classes 10, 20, 30, ..., got" in message


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        ([], {}),
        (["--alpha", "0.5"], {"alpha": 0.5}),
        (["--iterations", "3"], {"iterations": 3}),
        (["--top-k", "2"], {"top_k": 2}),
        (["--top-k", "5"], {"top_k": 5}),
        (["--top-k", "max"], {"top_k": "max"}),
        (["--threshold", "0.5"], {"threshold": 0.5}),
        (["--threshold", "0"], {"threshold": 0.0}),
        (["--threshold", "1"], {"threshold": 1.0}),
        (["--smoothing", "1"], {"smoothing": 1.0}),
        (["--preset", "blog"], {}),
        (["--preset", "paper-code"], {"top_k": "max", "reference_sample": "stratified"}),
        (
            ["--preset", "paper-code", "--top-k", "2", "--alpha", "2"],
            {"top_k": 2, "alpha": 2.0, "reference_sample": "stratified"},
        ),
    ],
)
def test_options_reach_the_method(here, run_cli, options, keywords):
    run_cli("can", "preds", "--prior", "5,4,3,2,1", *options)
    probs = np.load("preds.npy")
    result = expected(probs, [5, 4, 3, 2, 1], **keywords)
    np.testing.assert_allclose(np.load("preds.can.npy"), result, rtol=1e-12)


def test_preset_samples_the_reference_with_the_seed(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    np.save("preds.npy", np.random.default_rng(0).dirichlet([0.3] * 3, 4000))
    outputs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        args = ["--preset", "paper-code", "--threshold", "0.8", "--seed", seed]
        found = summary(run_cli, "preds", *UNIFORM, *args, "-o", f"{name}.npy")
        assert found["reference_rows"] > 1000
        outputs.append(np.load(f"{name}.npy"))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0] != outputs[2]).any()


def test_configuration_and_options_over_it(here, run_cli):
    save_can_options("can.json", CANOptions(alpha=2.0, iterations=2, threshold=0.5))
    run_cli("can", "preds", *UNIFORM, "--config", "can.json", "-o", "a.npy")
    run_cli("can", "preds", *UNIFORM, "--config", "can.json", "--alpha", "1", "-o", "b.npy")
    probs = np.load("preds.npy")
    for name, alpha in (("a", 2.0), ("b", 1.0)):
        result = expected(probs, alpha=alpha, iterations=2, threshold=0.5)
        np.testing.assert_allclose(np.load(f"{name}.npy"), result, rtol=1e-12)


@pytest.mark.parametrize(
    "text", ["{", '{"format_version": 1, "method": "can", "parameters": {"top_k": 9}}']
)
def test_configuration_that_is_none(here, run_cli, text):
    (here / "can.json").write_text(text)
    before = sorted(os.listdir())  # noqa: PTH208
    run_cli("can", "preds", *UNIFORM, "--config", "can.json", code=1)
    assert sorted(os.listdir()) == before  # noqa: PTH208


def test_reference_from_another_file(here, run_cli):
    rng = np.random.default_rng(1)
    np.save("val.npy", np.log(rng.dirichlet([0.2] * 5, 90)))
    found = summary(run_cli, "preds", *UNIFORM, "--reference", "val")
    reference = softmax(np.load("val.npy"))
    assert found["reference_rows"] == int((top_k_entropy(reference, 3) < 0.9).sum())
    result = expected(np.load("preds.npy"), reference=reference)
    np.testing.assert_allclose(np.load("preds.can.npy"), result, rtol=1e-12)


@pytest.mark.parametrize("named_by", ["header", "classes.txt"])
def test_reference_is_aligned_by_class_names(here, run_cli, named_by):
    rng = np.random.default_rng(1)
    reference, order = rng.dirichlet([0.2, 0.3, 0.4, 0.5, 0.6], 90), [4, 2, 0, 1, 3]
    names = np.array(list("abcde"))
    (here / "classes.txt").write_text("\n".join(names))
    other = here / "other"
    other.mkdir()
    if named_by == "header":
        save_predictions(other / "val.csv", reference[:, order], classes=names[order])
    else:
        np.save(other / "val.npy", reference[:, order])
        (other / "classes.txt").write_text("\n".join(names[order]))
    run_cli("can", "preds", *UNIFORM, "--reference", "other/val")
    result = expected(np.load("preds.npy"), reference=reference)
    np.testing.assert_allclose(np.load("preds.can.npy"), result, rtol=1e-12)


def test_reference_of_other_classes(here, run_cli):
    (here / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    save_predictions("val.csv", np.eye(5), classes=list("abcdx"))
    message = run_cli("can", "preds", *UNIFORM, "--reference", "val", code=1).stderr
    assert message.startswith("Error: `class names of val.csv` must be ")
    assert "'x'" in message
    np.save("few.npy", np.eye(3))
    (here / "classes.txt").unlink()
    message = run_cli("can", "preds", *UNIFORM, "--reference", "few", code=1).stderr
    assert (
        message == "Error: `few.npy` must be an array of 5 classes like preds.npy, got 3 columns\n"
    )


def test_logits_and_probabilities_of_them_give_the_same(here, run_cli):
    logits = np.log(np.load("preds.npy")) + 3
    np.save("logits.npy", logits)
    run_cli("can", "preds", *UNIFORM)
    assert summary(run_cli, "logits", *UNIFORM)["kind"] == "logits"
    np.testing.assert_allclose(np.load("logits.can.npy"), np.load("preds.can.npy"), rtol=1e-9)
    np.testing.assert_allclose(np.load("preds.can.npy").sum(1), 1, rtol=1e-12)


def test_declared_kind_is_kept(here, run_cli):
    assert summary(run_cli, "preds", *UNIFORM, "--logits")["kind"] == "logits"
    result = expected(softmax(np.load("preds.npy")))
    np.testing.assert_allclose(np.load("preds.can.npy"), result, rtol=1e-12)
    np.save("half.npy", np.load("preds.npy") / 2)
    message = run_cli("can", "half", *UNIFORM, code=1).stderr
    assert "sums to 0.5" in message
    assert "declare --votes, which" in message
    run_cli("can", "half", *UNIFORM, "--probs", code=1)
    run_cli("can", "half", *UNIFORM, "--logits")


@pytest.mark.parametrize(
    ("dtype", "output"),
    [("f2", "f4"), ("f4", "f4"), (">f4", "f4"), ("f8", "f8"), ("i8", "f8"), ("i1", "f8")],
)
def test_width_of_the_output(here, run_cli, dtype, output):
    np.save("x.npy", (np.load("preds.npy") * 9 - 4).astype(dtype))
    run_cli("can", "x", *UNIFORM)
    assert np.load("x.can.npy").dtype == output


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".tsv", ".parquet", ".safetensors", ".pt"])
def test_names_and_ids_go_through(here, run_cli, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    ids, names = [f"r {i}" for i in range(200)], ["a", "b,c", "[red]d", "é", "20"]
    save_predictions("in.csv", np.load("preds.npy"), classes=names, ids=ids)
    run_cli("can", "in", *UNIFORM, "-o", f"out{suffix}")
    loaded = load_predictions(f"out{suffix}")
    assert loaded.classes == tuple(names)
    assert loaded.ids.tolist() == ids
    np.testing.assert_allclose(loaded.scores, expected(np.load("preds.npy")), rtol=1e-12)


def test_ids_lost_in_npy_are_told(here, run_cli):
    save_predictions("in.csv", np.load("preds.npy"), ids=range(200))
    message = "in.can.npy does not keep row ids; choose another format with -o x.npz or x.csv"
    assert run_cli("can", "in", *UNIFORM).stderr == f"Warning: {message}\n"
    assert summary(run_cli, "in", *UNIFORM, "--overwrite")["warnings"] == [message]


def test_class_names_from_a_file(here, run_cli):
    (here / "names.txt").write_text("\n".join("abcde"))
    run_cli("can", "preds", *UNIFORM, "--classes", "names", "-o", "out.csv")
    assert load_predictions("out.csv").classes == tuple("abcde")
    (here / "train.txt").write_text("a\na\nb\ne\n")
    found = summary(run_cli, "preds", "--prior", "train", "--classes", "names.txt")
    assert any(w.startswith("the prior of 2 classes (c, d) is zero") for w in found["warnings"])
    assert (np.load("preds.can.npy")[:, 2:4] == 0).any()


def test_prior_with_class_names_follows_them(here, run_cli):
    (here / "classes.txt").write_text("\n".join("abcde"))
    (here / "q.csv").write_text("e,d,c,b,a\n1,2,3,4,5\n")
    (here / "r.csv").write_text("id,share\nb,.4\na,.5\nc,.3\ne,.1\nd,.2\n")
    for name in ("q", "r"):
        run_cli("can", "preds", "--prior", name, "--overwrite")
        result = expected(np.load("preds.npy"), [5, 4, 3, 2, 1])
        np.testing.assert_allclose(np.load("preds.can.npy"), result, rtol=1e-12)


def test_output_is_beside_the_input_unless_named(here, run_cli):
    (here / "sub").mkdir()
    np.save("sub/model.test.npy", np.load("preds.npy"))
    assert summary(run_cli, "sub/model.test", *UNIFORM)["output"] == "sub/model.test.can.npy"
    assert (here / "sub" / "model.test.can.npy").exists()


def test_an_output_is_replaced_only_on_request(here, run_cli):
    run_cli("can", "preds", *UNIFORM)
    before = (here / "preds.can.npy").read_bytes()
    result = run_cli("can", "preds", *UNIFORM, "--alpha", "2", "--threshold", "0", code=1)
    assert result.stderr == (
        "Error: preds.can.npy: exists already; name another output or allow overwriting "
        "(--overwrite)\n"
    )
    assert (here / "preds.can.npy").read_bytes() == before
    run_cli("can", "preds", *UNIFORM, "--alpha", "2", "--threshold", "0", "--overwrite")
    assert (here / "preds.can.npy").read_bytes() != before


def test_the_input_itself_may_be_replaced_on_request(here, run_cli):
    probs = np.load("preds.npy")
    run_cli("can", "preds.npy", *UNIFORM, "-o", "preds.npy", code=1)
    run_cli("can", "preds.npy", *UNIFORM, "-o", "preds.npy", "--overwrite")
    np.testing.assert_allclose(np.load("preds.npy"), expected(probs), rtol=1e-12)


def test_quiet_says_nothing(here, run_cli):
    args = ["--prior", "1,0,0,0,0", "--labels", "labels", "--quiet"]
    result = run_cli("can", "preds", *args)
    assert (result.stdout, result.stderr) == ("", "")
    assert json.loads(run_cli("can", "preds", *args, "--json", "--overwrite").stdout)["warnings"]


def test_warnings_go_to_stderr(here, run_cli):
    rng = np.random.default_rng(0)
    np.save("shifted.npy", rng.dirichlet([8, 1, 1, 1, 0.2], 400))
    result = run_cli("can", "shifted", "--prior", "1,1,1,1,0")
    lines = result.stderr.splitlines()
    assert "Warning: the prior of class 4 is zero: no ambiguous row can get it" in lines
    assert any("mean prediction lies far from the prior" in line for line in lines)
    assert "Warning" not in result.stdout
    flat = np.full((10, 3), 1 / 3)
    np.save("flat.npy", flat)
    assert "no row is confident" in run_cli("can", "flat", *UNIFORM).stderr


@pytest.mark.parametrize("n_classes", [2, 3])
def test_few_classes_with_the_default_k(tmp_path, monkeypatch, run_cli, n_classes):
    monkeypatch.chdir(tmp_path)
    probs = np.random.default_rng(0).dirichlet([0.5] * n_classes, 60)
    np.save("p.npy", probs)
    assert summary(run_cli, "p", *UNIFORM)["ambiguous"] > 0
    result = expected(probs, [1] * n_classes)
    np.testing.assert_allclose(np.load("p.can.npy"), result, rtol=1e-12)


def test_one_row_and_memory_orders(here, run_cli):
    probs = np.load("preds.npy")
    np.save("fortran.npy", np.asfortranarray(probs))
    np.save("big.npy", probs.astype(">f8"))
    for name in ("fortran", "big"):
        run_cli("can", name, *UNIFORM)
        np.testing.assert_allclose(np.load(f"{name}.can.npy"), expected(probs), rtol=1e-12)
    np.save("one.npy", probs[:1])
    run_cli("can", "one", *UNIFORM, "--reference", "preds")
    np.testing.assert_allclose(np.load("one.can.npy"), expected(probs)[:1], rtol=1e-12)


def test_blocks_do_not_matter(here, run_cli):
    run_cli("can", "preds", *UNIFORM, "--labels", "labels", "--iterations", "2", "-o", "a.npy")
    args = ("preds", *UNIFORM, "--labels", "labels", "--iterations", "2", "-o", "b.npy")
    found = summary(partial(run_cli, obj=Sizes(block=300)), *args)
    np.testing.assert_allclose(np.load("a.npy"), np.load("b.npy"), rtol=1e-12)
    assert found["report"]["accuracy"]["all"]["rows"] == 200


def test_tensors_in_files(here, run_cli):
    torch.save(torch.tensor(np.load("preds.npy")), "t.pt")
    torch.save(torch.tensor(np.load("train_labels.npy")), "q.pt")
    run_cli("can", "t", "--prior", "q")
    run_cli("can", "preds", "--prior", "train_labels")
    np.testing.assert_array_equal(np.load("t.can.npy"), np.load("preds.can.npy"))


def test_without_a_gpu_cuda_is_refused(here, run_cli, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = run_cli("can", "preds", *UNIFORM, "--device", "cuda", code=1)
    message = "`device` must be available, got cuda; no CUDA device was found; use cpu"
    assert result.stderr == f"Error: {message}\n"
    assert not (here / "preds.can.npy").exists()


# --- multi-label


@pytest.fixture
def multilabel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    probs = rng.beta(0.5, 1.0, size=(80, 6))
    truth = (rng.random((80, 6)) < probs).astype(int)
    np.save("preds.npy", probs)
    np.save("truth.npy", truth)
    return probs, truth


def test_multilabel(multilabel, run_cli):
    probs, truth = multilabel
    args = ("preds", "--prior", "truth", "--labels", "truth", "--multilabel")
    found = summary(run_cli, *args)
    assert (found["rows"], found["classes"]) == (80, 6)
    assert found["confident"] + found["ambiguous"] == 480
    prior = multilabel_prior(truth)
    after = expected(probs, prior, multilabel=True)
    np.testing.assert_allclose(np.load("preds.can.npy"), after, rtol=1e-12)
    accuracy = found["report"]["accuracy"]["all"]
    assert accuracy["rows"] == 480
    assert accuracy["before"] == pytest.approx(((probs >= 0.5) == truth).mean())
    assert accuracy["after"] == pytest.approx(((after >= 0.5) == truth).mean())


def test_multilabel_prior_in_other_shapes(multilabel, run_cli):
    _, truth = multilabel
    positive, negative = int(truth.sum()), int((1 - truth).sum())
    np.save("flat.npy", truth.reshape(-1))
    outputs = []
    for source in ("truth", "flat", f"{positive},{negative}"):
        run_cli("can", "preds", "--prior", source, "--multilabel", "--overwrite")
        outputs.append(np.load("preds.can.npy"))
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-12)
    np.testing.assert_allclose(outputs[2], outputs[0], rtol=1e-12)


def test_multilabel_labels_follow_names_and_ids(multilabel, run_cli):
    probs, truth = multilabel
    names, ids = np.array(list("abcdef")), np.array([f"r{i}" for i in range(80)])
    save_predictions("in.npz", probs, classes=names, ids=ids)
    columns, rows = [3, 1, 5, 0, 2, 4], np.arange(80)[::-1]
    lines = [",".join([ids[i], *map(str, truth[i, columns])]) for i in rows]
    header = ",".join(["id", *names[columns]])
    with open("y.csv", "w") as file:  # noqa: PTH123
        file.write("\n".join([header, *lines]))
    args = ("--prior", "truth", "--multilabel", "-o")
    plain = summary(run_cli, "preds", *args, "a.npz", "--labels", "truth")
    aligned = summary(run_cli, "in", *args, "b.npz", "--labels", "y")
    assert plain["report"] == aligned["report"]
    loaded = load_predictions("b.npz", multilabel=True)
    assert (loaded.classes, loaded.ids.tolist()) == (tuple(names), ids.tolist())


def test_multilabel_logits_and_a_single_label(multilabel, run_cli):
    probs, truth = multilabel
    np.save("logits.npy", np.log(probs) - np.log1p(-probs))
    run_cli("can", "preds", "--prior", "truth", "--multilabel")
    run_cli("can", "logits", "--prior", "truth", "--multilabel")
    np.testing.assert_allclose(np.load("logits.can.npy"), np.load("preds.can.npy"), rtol=1e-8)
    np.save("one.npy", probs[:, :1])
    np.save("y1.npy", truth[:, 0])
    run_cli("can", "one", "--prior", "y1", "--labels", "y1", "--multilabel")
    assert np.load("one.can.npy").shape == (80, 1)


# --- bad input: a clear line, exit code 1 or 2, and nothing written


def _save(name, array):
    np.save(name, array)
    return name


def _bad_files():
    """Predictions, labels and priors that are not what they should be."""
    probs = np.load("preds.npy")
    hurt = probs.copy()
    hurt[17, 3] = np.nan
    blown = probs * 9
    blown[17, 3] = np.inf
    _save("objects.npy", np.array([[1, None]], dtype=object))
    _save("deep.npy", probs[None])
    _save("empty.npy", probs[:0])
    _save("nan.npy", hurt)
    _save("inf.npy", blown)
    _save("sums.npy", np.vstack([probs, [0.5, 0.1, 0.1, 0.1, 0.1]]))
    _save("strings.npy", probs.astype(str))
    _save("complex.npy", probs.astype(complex))
    _save("y_short.npy", np.zeros(199, int))
    _save("y_long.npy", np.zeros(201, int))
    _save("y_out.npy", np.r_[np.zeros(199, int), 5])
    _save("y_negative.npy", np.r_[np.zeros(199, int), -1])
    _save("q_short.npy", np.full(4, 0.25))
    _save("q_negative.npy", [0.5, 0.6, -0.1, 0, 0])
    _save("q_zero.npy", np.zeros(5))
    os.mkdir("folder.npy")  # noqa: PTH102
    with open("preds.pkl", "wb") as file:  # noqa: PTH123
        file.write(b"pickle")


BAD = [
    (["missing.npy", *UNIFORM], 1, "missing.npy: no such file"),
    (["missing", *UNIFORM], 1, "missing: no such file, nor one with a suffix of .npy, .npz, "),
    (["preds.pkl", *UNIFORM], 1, "preds.pkl: the suffix must be one of .npy, .npz, .csv, .tsv, "),
    (["folder.npy", *UNIFORM], 1, "folder.npy: must be a file, got a folder"),
    (["objects.npy", *UNIFORM], 1, "objects.npy: cannot be read: it holds Python objects, and "),
    (["deep.npy", *UNIFORM], 1, "`deep.npy` must be two-dimensional, (rows, classes), got shape"),
    (["empty.npy", *UNIFORM], 1, "`empty.npy` must be an array of one row or more, got 0 rows"),
    (["nan.npy", *UNIFORM], 1, "`nan.npy, row 17, column 3` must be a finite number, got nan"),
    (["inf.npy", *UNIFORM], 1, "`inf.npy, row 17, column 3` must be a finite number, got inf"),
    (["strings.npy", *UNIFORM], 1, "`strings.npy` must be an array of real numbers, got text"),
    (["complex.npy", *UNIFORM], 1, "`complex.npy` must be an array of real numbers, got dtype c"),
    (["sums.npy", *UNIFORM], 1, "`sums.npy` must be clearly logits or clearly probabilities, go"),
    (["sums.npy", *UNIFORM, "--probs"], 1, "`sums.npy, row 200` must be a row that sums to 1 "),
    (["preds", *UNIFORM, "--labels", "y_short"], 1, "`y_short.npy` must be as long as the predi"),
    (["preds", *UNIFORM, "--labels", "y_long"], 1, "`y_long.npy` must be as long as the predict"),
    (["preds", *UNIFORM, "--labels", "y_negative"], 1, "`y_negative.npy[199]` must be an integer"),
    (["preds", *UNIFORM, "--labels", "none"], 1, "none: no such file, nor one with a suffix of"),
    (["preds", "--prior", "q_short"], 1, "`q_short.npy` must be of length 5, one number a class"),
    (["preds", "--prior", "1,1,1,1"], 1, "`prior` must be of length 5, one number a class, got "),
    (["preds", "--prior", "q_negative"], 1, "`q_negative.npy[2]` must be a finite number >= 0, "),
    (["preds", "--prior", "q_zero"], 1, "`q_zero.npy` must be a vector with mass, got zeros only"),
    (["preds", "--prior", "0,0,0,0,0"], 1, "`prior` must be a vector with mass, got zeros only"),
    (["preds", "--prior", "y_out"], 1, "`y_out.npy[199]` must be an integer in 0..4, got 5"),
    (["preds", "--prior", "nowhere"], 1, "nowhere: no such file, nor one with a suffix of .npy"),
    (["preds", *UNIFORM, "--alpha", "0"], 2, "`alpha` must be in (0, 1000], got 0.0"),
    (["preds", *UNIFORM, "--alpha", "-1"], 2, "`alpha` must be in (0, 1000], got -1.0"),
    (["preds", *UNIFORM, "--alpha", "nan"], 2, "`alpha` must be in (0, 1000], got nan"),
    (["preds", *UNIFORM, "--alpha", "inf"], 2, "`alpha` must be in (0, 1000], got inf"),
    (["preds", *UNIFORM, "--alpha", "1e9"], 2, "`alpha` must be in (0, 1000], got 1000000000.0"),
    (["preds", *UNIFORM, "--alpha", "one"], 2, "'one' is not a valid number"),
    (["preds", *UNIFORM, "--threshold", "1.3"], 2, "`threshold` must be in [0, 1], got 1.3"),
    (["preds", *UNIFORM, "--threshold", "-0.1"], 2, "`threshold` must be in [0, 1], got -0.1"),
    (["preds", *UNIFORM, "--top-k", "1"], 2, "`top_k` must be an integer >= 2, got 1"),
    (["preds", *UNIFORM, "--top-k", "0"], 2, "`top_k` must be an integer >= 2, got 0"),
    (["preds", *UNIFORM, "--top-k", "6"], 1, "`top_k` must be an integer in 2..5, got 6"),
    (["preds", *UNIFORM, "--top-k", "all"], 2, "'all' is not a valid integer"),
    (["preds", *UNIFORM, "--iterations", "0"], 2, "`iterations` must be an integer "),
    (["preds", *UNIFORM, "--iterations", "1.5"], 2, "'1.5' is not a valid integer"),
    (["preds", *UNIFORM, "--smoothing", "-1"], 2, "`smoothing` must be in [0, inf), got -1.0"),
    (["preds", *UNIFORM, "--seed", "-1"], 2, "`seed` must be an integer >= 0, got -1"),
    (["preds", *UNIFORM, "--preset", "magic"], 2, "'magic' is not one of 'blog', 'paper-code'"),
    (["preds", *UNIFORM, "--config", "no.json"], 1, "no.json: no such file"),
    (["preds", *UNIFORM, "--classes", "no.txt"], 1, "no.txt: no such file"),
    (["preds", *UNIFORM, "--reference", "no"], 1, "no: no such file, nor one with a suffix of "),
    (["preds", *UNIFORM, "--reference", "nan"], 1, "`nan.npy, row 17, column 3` must be a finite"),
    (["preds", *UNIFORM, "-o", "no/x.npy"], 1, "no/x.npy: the folder no does not exist; create"),
    (["preds", *UNIFORM, "-o", "x.pkl"], 1, "x.pkl: the suffix of an output must be one of .npy"),
    (["preds", *UNIFORM, "-o", "x"], 1, "x: the suffix of an output must be one of .npy, .npz, "),
    (["preds", *UNIFORM, "-o", "folder.npy"], 1, "folder.npy: must be a file, got a folder"),
    (["preds", *UNIFORM, "-o", "labels.npy"], 1, "labels.npy: exists already; name another outp"),
]


@pytest.mark.parametrize(("args", "code", "message"), BAD, ids=lambda v: str(v)[:60])
def test_bad_input(here, run_cli, args, code, message):
    _bad_files()
    before = {path: path.stat().st_mtime_ns for path in here.iterdir()}
    result = run_cli("can", *args, code=code)
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert len(result.stderr.splitlines()) == (1 if code == 1 else 4)
    assert {path: path.stat().st_mtime_ns for path in here.iterdir()} == before


def test_a_read_only_folder(here, run_cli, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    result = run_cli("can", "preds.npy", *UNIFORM, "-o", "x.npy", code=1)
    assert result.stderr == ("Error: x.npy: the folder . is read-only; name an output elsewhere\n")
    assert not (here / "x.npy").exists()


def test_an_unreadable_file(here, run_cli, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(np, "load", refuse)
    result = run_cli("can", "preds.npy", *UNIFORM, code=1)
    assert result.stderr == "Error: preds.npy: Permission denied\n"


def test_a_full_disk_leaves_nothing(here, run_cli, monkeypatch):
    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    before = sorted(here.iterdir())
    result = run_cli("can", "preds.npy", *UNIFORM, code=1)
    assert "No space left on device" in result.stderr
    assert sorted(here.iterdir()) == before


def test_real_predictions(shared_data, tmp_path, run_cli):
    run = shared_data / "banking77"
    args = ["--prior", run / "labels.train", "--labels", run / "labels.test"]
    found = summary(run_cli, run / "minilm_lr.test.npy", *args, "-o", tmp_path / "out.npy")
    assert (found["rows"], found["classes"]) == (3080, 77)
    assert 0.5 < found["report"]["accuracy"]["all"]["before"] < 1
    assert np.load(tmp_path / "out.npy").shape == (3080, 77)
