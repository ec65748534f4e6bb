"""Every format: what is written comes back, and what is damaged is named."""

import json
import os
import pickle
import zipfile

import numpy as np
import pyarrow
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from pyarrow import parquet

from postproc.files import load_predictions, save_predictions

NAMES = ("cat", 'the "big, bad" one', "[red]ünï\tçode[/]", "10")
IDS = [f"row {i}, é" for i in range(20)]
KEYED = [
    *(".npz", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".jsonl", ".parquet", ".safetensors"),
    *(".pt", ".pth"),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", KEYED)
def test_what_is_saved_comes_back_with_names_and_ids(tmp_path, probs, suffix, dtype):
    path = tmp_path / f"preds{suffix}"
    values = probs.astype(dtype)
    assert save_predictions(path, values, classes=NAMES, ids=IDS) == path
    loaded = load_predictions(path)
    np.testing.assert_array_equal(np.asarray(loaded.scores, dtype=dtype), values)
    assert loaded.classes == NAMES
    assert loaded.ids.tolist() == IDS
    assert (loaded.kind, loaded.name) == ("probs", str(path))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".NPY", ".NPZ", ".CSV", ".TSV", ".Parquet", ".PT", ".CSV.GZ"])
def test_suffixes_in_capitals_are_the_same_formats(tmp_path, probs, suffix):
    path = tmp_path / f"preds{suffix}"
    save_predictions(path, probs)
    np.testing.assert_array_equal(load_predictions(path).scores, probs)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_npy_holds_the_array_alone_and_is_mapped(tmp_path, probs):
    path = save_predictions(tmp_path / "preds.npy", probs, classes=NAMES, ids=IDS)
    loaded = load_predictions(path)
    assert isinstance(loaded.scores.base, np.memmap)
    assert loaded.classes is None
    assert loaded.ids is None
    np.testing.assert_array_equal(np.load(path), probs)


def test_tensors_are_saved(tmp_path, probs):
    save_predictions(tmp_path / "preds.npz", torch.tensor(probs, requires_grad=True))
    np.testing.assert_array_equal(load_predictions(tmp_path / "preds.npz").scores, probs)


def test_small_probabilities_take_few_digits_in_a_table(tmp_path):
    tiny = np.array([[1.0, 1e-38], [0.1, 0.9]], dtype=np.float32)
    path = save_predictions(tmp_path / "preds.csv", tiny, classes=["a", "b"])
    assert path.read_text() == "a,b\n1.0,1e-38\n0.1,0.9\n"
    np.testing.assert_array_equal(load_predictions(path).scores.astype(np.float32), tiny)


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda x: x.astype(">f8"),
        lambda x: x.astype(">f4"),
        lambda x: x.astype(np.float16),
        lambda x: x.astype(np.longdouble),
        lambda x: np.eye(4, dtype=">i8")[x.argmax(1)],
        lambda x: np.eye(4, dtype=np.uint8)[x.argmax(1)],
        lambda x: np.eye(4, dtype=bool)[x.argmax(1)],
        lambda x: x[:1],
    ],
)
def test_memory_order_byte_order_and_width_do_not_matter(tmp_path, probs, change):
    np.save(tmp_path / "preds.npy", change(probs))
    loaded = load_predictions(tmp_path / "preds")
    assert loaded.kind == "probs"
    np.testing.assert_array_equal(np.asarray(loaded.scores), change(probs))


@pytest.mark.parametrize("key", ["scores", "logits", "probs", "anything"])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt"])
def test_keys_declare_the_kind(tmp_path, probs, suffix, key):
    path = tmp_path / f"preds{suffix}"
    if suffix == ".npz":
        np.savez(path, **{key: probs})
    elif suffix == ".pt":
        torch.save({key: torch.tensor(probs)}, path)
    else:
        safetensors.numpy.save_file({key: probs}, path)
    assert load_predictions(path).kind == ("logits" if key == "logits" else "probs")


def test_names_of_other_types_become_text(tmp_path, probs):
    np.savez(tmp_path / "a.npz", scores=probs, classes=np.arange(4), ids=np.arange(20))
    names = np.array(["a", "b", "c", "d"], dtype="S")
    np.savez(tmp_path / "b.npz", scores=probs, classes=names)
    torch.save({"scores": torch.tensor(probs), "classes": torch.arange(4)}, tmp_path / "c.pt")
    tensors = {"scores": probs, "ids": np.arange(20)}
    safetensors.numpy.save_file(tensors, tmp_path / "d.safetensors")
    assert load_predictions(tmp_path / "a").classes == ("0", "1", "2", "3")
    assert load_predictions(tmp_path / "a").ids.tolist() == [str(i) for i in range(20)]
    assert load_predictions(tmp_path / "b").classes == ("a", "b", "c", "d")
    assert load_predictions(tmp_path / "c").classes == ("0", "1", "2", "3")
    assert load_predictions(tmp_path / "d").ids.tolist() == [str(i) for i in range(20)]


def test_bfloat16_keeps_the_wide_tolerance_of_its_sums(tmp_path, probs):
    tensor = torch.tensor(probs).bfloat16()
    assert (tensor.float().sum(1) - 1).abs().max() > 1e-3
    torch.save(tensor, tmp_path / "a.pt")
    safetensors.torch.save_file({"probs": tensor}, tmp_path / "b.safetensors")
    for name in ("a.pt", "b.safetensors"):
        loaded = load_predictions(tmp_path / name)
        assert (loaded.kind, loaded.scores.dtype) == ("probs", np.float32)


def test_parquet_takes_what_tables_hold(tmp_path):
    from decimal import Decimal

    table = pyarrow.table(
        {
            "id": ["x", "y"],
            "decimal": [Decimal("0.25"), Decimal("0.50")],
            "coded": pyarrow.array([0.75, 0.5]).dictionary_encode(),
        }
    )
    parquet.write_table(table, tmp_path / "preds.parquet")
    loaded = load_predictions(tmp_path / "preds")
    assert loaded.scores.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert (loaded.classes, loaded.ids.tolist()) == (("decimal", "coded"), ["x", "y"])


class Malicious:
    """Would leave a mark if it were unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


PICKLE = "cannot be read: it holds Python objects, and nothing is unpickled; save plain arrays "


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.npy", lambda p: np.save(p, np.array([[Malicious()]], dtype=object))),
        ("a.npz", lambda p: np.savez(p, scores=np.array([[Malicious()]], dtype=object))),
        ("b.npz", lambda p: np.savez(p, scores=np.eye(2), ids=np.array([None, 1], dtype=object))),
        ("a.pt", lambda p: torch.save(Malicious(), p)),
        ("b.pt", lambda p: torch.save({"scores": Malicious()}, p)),
        ("c.pt", lambda p: p.write_bytes(pickle.dumps(Malicious()))),
        ("d.pt", lambda p: torch.save(torch.nn.Linear(2, 2), p)),
    ],
)
def test_nothing_is_unpickled(tmp_path, monkeypatch, name, write):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    write(path)
    with pytest.raises(ValueError) as caught:
        load_predictions(path)
    assert str(caught.value) == f"{path}: {PICKLE}instead"
    assert [p.name for p in tmp_path.iterdir()] == [name]


def _zip(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


def _truncate(path):
    np.save(path, np.eye(9))
    path.write_bytes(path.read_bytes()[:-8])


def _table(**columns):
    return lambda path: parquet.write_table(pyarrow.table(columns), path)


KEYS = "scores, logits, probs, predictions, probabilities, log_probs"
DAMAGED = [
    ("a.npy", lambda p: p.write_bytes(b""), "it is empty"),
    ("a.npy", lambda p: p.write_bytes(b"0.5 0.5"), "it is not an .npy file"),
    ("a.npy", lambda p: p.write_bytes(pickle.dumps([1])), "it is not an .npy file"),
    ("a.npy", _truncate, "it is shorter than its header says"),
    ("a.npz", lambda p: p.write_bytes(b"no zip"), "it is not an .npz archive"),
    ("a.npz", lambda p: _zip(p, scores="text"), "its members must be arrays"),
    ("a.npz", lambda p: _zip(p), f"it must hold one of the keys {KEYS}, got none"),
    (
        "a.npz",
        lambda p: np.savez(p, a=np.eye(2), b=np.eye(2)),
        f"it must hold one of the keys {KEYS}, got a, b; choose one with --key",
    ),
    (
        "a.npz",
        lambda p: np.savez(p, logits=np.eye(2), probs=np.eye(2)),
        "it holds several of the keys logits, probs; choose one with --key or --logits or --probs",
    ),
    (
        "a.npz",
        lambda p: np.savez(p, scores=np.eye(2), ids=np.eye(2)),
        "ids must be a list of names or integers, got int64 of shape (2, 2)",
    ),
    (
        "a.npz",
        lambda p: np.savez(p, scores=np.eye(2), classes=np.array("ab")),
        "classes must be a list of names or integers, got <U2 of shape ()",
    ),
    ("a.pt", lambda p: p.write_bytes(b""), "it is damaged, or was not written by torch.save"),
    ("a.pt", lambda p: p.write_bytes(b"hi"), "it is damaged, or was not written by torch.save"),
    (
        "a.pt",
        lambda p: torch.save([1, 2], p),
        "each of its batches must be a tensor of rows, got int as batch 0",
    ),
    (
        "a.pt",
        lambda p: torch.save([torch.eye(2), torch.ones(2, 3)], p),
        "its batches must have rows of one shape, (2,), got (3,) in 1",
    ),
    (
        "a.pt",
        lambda p: torch.save([[torch.eye(2)], [torch.eye(2)]], p),
        "each of its batches must be a tensor of rows, got list as batch 0",
    ),
    ("a.pt", lambda p: torch.save([], p), "it must hold batches of tensors, got an empty list"),
    ("a.pt", lambda p: torch.save({"scores": 1}, p), '"scores" must be a tensor, got int'),
    (
        "a.safetensors",
        lambda p: safetensors.numpy.save_file(
            {"scores": np.eye(2)}, p, metadata={"classes": json.dumps("ab")}
        ),
        "classes must be a list of names or integers, got <U2 of shape ()",
    ),
    (
        "a.safetensors",
        lambda p: safetensors.numpy.save_file({"a": np.eye(2), "b": np.eye(2)}, p),
        f"it must hold one of the keys {KEYS}, got a, b; choose one with --key",
    ),
    ("a.parquet", _table(id=["x"]), "it has no columns of numbers"),
    ("a.parquet", _table(a=[0.5, None], b=[1, 2]), "row 1, column 'a' must be a number, got none"),
    ("a.parquet", _table(id=["x", None], b=[1, 2]), "row 1, column 'id' must name the row, got n"),
    ("a.parquet", _table(a=[[0.5], [1.0, 2.0]]), "column 'a' must hold lists of one length, got 1"),
    ("a.parquet", _table(a=[[0.5], None]), "column 'a' must be without nulls, got 1"),
    ("a.parquet", _table(a=[[{"b": 1}]]), "it has no columns of numbers"),
]


@pytest.mark.parametrize(("name", "write", "message"), DAMAGED)
def test_damaged_files_are_named_with_the_reason(tmp_path, name, write, message):
    path = tmp_path / name
    write(path)
    with pytest.raises(ValueError) as caught:
        load_predictions(path)
    assert str(caught.value).startswith(f"{path}: cannot be read: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.safetensors", "a.parquet"])
@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 100])
def test_reasons_of_other_libraries_come_with_the_file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.\w+: cannot be read: \w+") as caught:
        load_predictions(path)
    assert "\n" not in str(caught.value)


COLUMN = (
    "a column that is clearly a probability or a logit of the positive class, got only zeros and "
    "ones; one column of integers looks like labels, not predictions; if not, declare "
    'kind="probs" (--probs) or kind="logits" (--logits)'
)
STACK = (
    "an (m, n, C) stack holds m members, which ensemble, auto, report and inspect take (in Python, "
    "load_members)"
)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 4)), "an array of one row or more, got 0 rows"),
        (np.zeros(4), COLUMN),
        (np.float64(1), "two-dimensional, (rows, classes), got shape ()"),
        (np.zeros((1, 2, 3)), f"two-dimensional, (rows, classes), got shape (1, 2, 3); {STACK}"),
        (np.zeros((2, 1)), COLUMN),
        (np.zeros((2, 0)), "an array of 1 or more columns, got 0 columns"),
        (np.eye(2).astype(str), "an array of real numbers, got text"),
        (np.eye(2).astype(complex), "an array of real numbers, got dtype complex128"),
        (np.zeros((2, 2), "M8[s]"), "an array of real numbers, got dtype datetime64[s]"),
        (np.zeros(2, [("a", "f8")]), "an array of real numbers, got dtype [('a', '<f8')]"),
    ],
)
def test_arrays_that_are_no_scores(tmp_path, array, message):
    path = tmp_path / "a.npy"
    np.save(path, array)
    with pytest.raises((TypeError, ValueError)) as caught:
        load_predictions(path)
    assert str(caught.value) == f"`{path}` must be {message}"


def test_missing_pyarrow_is_said_with_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    _table(a=[0.5], b=[0.5])(path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError) as caught:
        load_predictions(path)
    message = '.parquet needs pyarrow; pip install "postproc[parquet]"'
    assert str(caught.value) == f"{path}: {message}"
