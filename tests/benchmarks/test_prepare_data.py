"""Loaders: one's own CSV, and data sets that are fetched, by fakes that fetch nothing."""

import json
import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets
from sklearn.utils import Bunch

from benchmarks.gains import text_classifiers
from benchmarks.gains.catalogue import find
from benchmarks.gains.csv_dataset import load_csv
from benchmarks.gains.datasets import OFFLINE, Where, encode
from benchmarks.gains.prepare import main
from benchmarks.gains.remote_datasets import load_hugging_face, load_openml
from postproc.files import RunDirectory

WORDS = {"sport": "ball goal team match", "food": "salt bread soup plate", "law": "court judge act"}


def texts(per_class=30, seed=0):
    """Rows of a text and its class."""
    rng = np.random.default_rng(seed)
    common = ["the", "one", "that", "was", "with"]
    return [
        (" ".join(rng.choice([*words.split(), *common], 6)) + f" n{row}{label}", label)
        for label, words in WORDS.items()
        for row in range(per_class)
    ]


@pytest.fixture
def csv_file(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("text,label\n" + "".join(f'"{t}",{c}\n' for t, c in texts()), encoding="utf-8")
    return path


def fails(words, capsys, code=1):
    with pytest.raises(SystemExit) as error:
        main([str(word) for word in words])
    assert error.value.code == code
    return capsys.readouterr().err.splitlines()[-1]


def test_all_text_models_on_ones_own_file(csv_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.gains.task.util.find_spec", lambda name: None)
    run = tmp_path / "run"
    main([f"csv:{csv_file}", "-o", str(run), "--out-of-fold", "--folds", "2"])
    said = capsys.readouterr().err
    assert "embedding_logistic is left out: sentence-transformers is not installed" in said
    meta = json.loads((run / "meta.json").read_text())
    assert len(meta["models"]) == 6
    assert {entry["kind"] for entry in meta["models"].values()} == {"logits", "probs"}
    for name, entry in meta["models"].items():
        assert entry["test_accuracy"] > 0.6, name
        assert entry["train_oof_accuracy"] > 0.6, name
    assert RunDirectory.open(run).classes == ("food", "law", "sport")
    words = [f"csv:{csv_file}", "-o", tmp_path / "no", "--models", "embedding_logistic"]
    assert "sentence-transformers is not installed" in fails(words, capsys)


def test_sentence_embeddings_are_made_once(csv_file, tmp_path, monkeypatch):
    asked = []

    class SentenceTransformer:
        def __init__(self, name):
            assert name == "mine"

        def encode(self, new, show_progress_bar):
            asked.extend(new)
            return np.array([[w in text for w in ["goal", "soup", "court"]] for text in new], float)

    fake = SimpleNamespace(SentenceTransformer=SentenceTransformer)
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    monkeypatch.setattr("benchmarks.gains.task.util.find_spec", lambda name: fake)
    monkeypatch.setattr(text_classifiers.SentenceEmbedding, "_vectors", {})
    words = ["--models", "embedding_logistic", "--embedding-model", "mine", "--out-of-fold"]
    main([f"csv:{csv_file}", "-o", str(tmp_path / "run"), *words])
    assert len(asked) == len(set(asked)) == 90


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must be a CSV file with a header, got an empty file"),
        ("text,label\n", "got 0 rows"),
        ("body,label\na,b\n", "must be a file with the column 'text', got body, label; name"),
        ("text,label\na,b\n ,b\n", "row 1, column 'text'` must be not empty"),
        ("text,label\na,b\nc,\n", "row 1, column 'label'` must be not empty"),
        ("text,label\na,b\nc,b\n", "got one class only, 'b'"),
        ("text,label\na,b\nc\n", "row 1` must be as long as the header (2 cells), got 1 cells"),
        ("text,label,split\na,b,train\nc,d,later\n", "row 1, split` must be train, val or test"),
        ("text,label,split\na,b,test\nc,d,val\n", "must be a file with training rows"),
        ("text,label\na,b\na,c\nb,c\nd,c\ne,c\n", "too few in 1 of 2 classes: 'b' (1 rows)"),
    ],
)
def test_faults_of_ones_own_file(content, message, tmp_path, capsys):
    path = tmp_path / "own.csv"
    path.write_text(content, encoding="utf-8")
    assert message in fails([f"csv:{path}", "-o", tmp_path / "run"], capsys)
    assert not (tmp_path / "run").exists()


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes("text,label\ncaf\xe9,b\n".encode("latin-1"))
    with pytest.raises(ValueError, match="must be text in UTF-8, got byte 14"):
        load_csv(path)


def test_columns_of_other_names_and_a_split(tmp_path):
    path = tmp_path / "own.csv"
    rows = [("a", 7, "Train"), ("b", 10, "dev"), ("c", 7, "test"), ("a", 10, "train")]
    path.write_text("body,class,part\n" + "".join(f"{t},{c},{s}\n" for t, c, s in rows))
    own = load_csv(path, text_column="body", label_column="class", split_column="part")
    assert own.splits.tolist() == ["train", "val", "test", "train"]
    assert own.classes == ("class 7", "class 10")
    assert own.y.tolist() == [0, 1, 0, 1]
    assert own.remarks == ("1 of 4 texts are copies of others, which may lie in another split",)
    with pytest.raises(ValueError, match="the column 'set'"):
        load_csv(path, text_column="body", label_column="class", split_column="set")


def test_names_of_classes():
    y, classes = encode(["b", "a\n x", "b"])
    assert (y.tolist(), classes) == ([1, 0, 1], ("a x", "b"))
    assert encode(["1", "0"])[1] == ("0", "1")
    assert encode(["10", "9"])[1] == ("class 9", "class 10")
    assert encode(["a", "b"], ["z", "b", "a"])[1] == ("b", "a")


@pytest.mark.parametrize("name", ["synthetic20", "synthetic50_longtail"])
def test_synthetic_data_say_so(name):
    data = OFFLINE[name].load(Where())
    assert data.note.startswith("SYNTHETIC")
    assert len(data.classes) == int(name[9:11])
    counts = np.bincount(data.y)
    assert (counts.max() / counts.min() > 10) == name.endswith("longtail")
    np.testing.assert_array_equal(data.x, OFFLINE[name].load(Where()).x)


def frame(rows=120, seed=0):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows)
    colour = np.array(["red", "green", "blue"], dtype=object)[y]
    colour[::10] = None
    size = y + rng.normal(0, 1, rows)
    size[5] = np.nan
    table = pandas.DataFrame({"size": size, "colour": pandas.Categorical(colour), "word": colour})
    return table, pandas.Series(np.array(["x", "y", "z"], dtype=object)[y])


def test_openml_with_categories_and_gaps(tmp_path, monkeypatch):
    table, target = frame()
    target[7] = None
    asked = {}

    def fetch(**given):
        asked.update(given)
        details = {"id": "61", "name": "colours", "version": "1", "licence": "Public"}
        return Bunch(data=table, target=target, details=details)

    monkeypatch.setattr(sklearn_datasets, "fetch_openml", fetch)
    main(["openml:61", "-o", str(tmp_path / "run"), "--data-home", "kept"])
    assert (asked["data_id"], asked["data_home"]) == (61, "kept")
    meta = json.loads((tmp_path / "run" / "meta.json").read_text())
    assert (meta["name"], meta["licence"]) == ("colours", "Public")
    assert sum(meta["sizes"].values()) == 119
    assert "1 rows without a label are left out" in meta["remarks"]
    assert len(meta["models"]) == 7
    for name, entry in meta["models"].items():
        assert entry["test_accuracy"] > 0.8, name
    assert load_openml("colours").categorical == (1, 2)
    assert asked["name"] == "colours"


def test_openml_that_will_not_do(tmp_path, monkeypatch, capsys):
    table, _ = frame()
    answers = [
        (Bunch(data=table, target=None), "must be a data set with one target"),
        (Bunch(data=table, target=np.arange(120) / 7), "got a target of 120 different numbers"),
        (URLError("no route"), "openml:x cannot be fetched: <urlopen error no route>"),
    ]
    for answer, message in answers:

        def fetch(answer=answer, **given):
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(sklearn_datasets, "fetch_openml", fetch)
        assert message in fails(["openml:x", "-o", tmp_path / "run"], capsys)
    assert not (tmp_path / "run").exists()


def test_newsgroups_and_covtype(monkeypatch):
    def newsgroups(subset, remove, data_home):
        assert remove == ("headers", "footers", "quotes")
        names = ["alt.atheism", "sci.med"]
        return Bunch(data=[subset, ""], target=np.array([1, 0]), target_names=names)

    monkeypatch.setattr(sklearn_datasets, "fetch_20newsgroups", newsgroups)
    data = find("20newsgroups").load(Where())
    assert data.splits.tolist() == ["train", "train", "test", "test"]
    assert [data.classes[c] for c in data.y] == ["sci.med", "alt.atheism"] * 2
    assert data.remarks[0].startswith("2 posts are empty")

    cover = Bunch(data=np.ones((3, 54)), target=np.array([7, 1, 7]))
    monkeypatch.setattr(sklearn_datasets, "fetch_covtype", lambda data_home: cover)
    data = find("covtype").load(Where())
    assert [data.classes[c] for c in data.y] == ["Krummholz", "Spruce/Fir", "Krummholz"]
    assert find("covtype").most_rows == 20000


class Part:
    """A split as the package `datasets` has them."""

    def __init__(self, rows, names=None, text="text", label="label"):
        self.column_names = [text, label]
        codes = [c if names is None or c == -1 else names.index(c) for _, c in rows]
        self.columns = {text: [t for t, _ in rows], label: codes}
        self.features = {text: object(), label: SimpleNamespace(names=names) if names else object()}
        self.info = SimpleNamespace(license="mit")

    def __getitem__(self, column):
        return self.columns[column]


@pytest.fixture
def hugging_face(monkeypatch):
    """Stand in for the package; `parts` is what it answers, `asked` what it was asked."""
    fake = SimpleNamespace(parts={}, asked=[])

    def load_dataset(name, config, *, cache_dir, revision=None):
        fake.asked.append((name, config, cache_dir, revision))
        if isinstance(fake.parts, Exception):
            raise fake.parts
        if "scripted" in fake.parts and revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found x.py")
        return fake.parts

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return fake


def test_hugging_face_splits_and_names(hugging_face, tmp_path):
    names = ["law", "food", "sport", "unused"]
    hidden = Part([("a", -1)], names)
    hugging_face.parts = {
        "train": Part(texts(), names),
        "test": Part(texts(10, seed=1), names),
        "validation": hidden,
    }
    words = ["--models", "multinomial_nb", "--config", "small"]
    main(["banking77", "-o", str(tmp_path / "run"), *words])
    assert hugging_face.asked == [("legacy-datasets/banking77", "small", None, None)]
    meta = json.loads((tmp_path / "run" / "meta.json").read_text())
    assert meta["sizes"] == {"train": 72, "val": 18, "test": 30}
    assert meta["official_splits"] == ["train", "test"]
    assert meta["licence"].startswith("CC BY 4.0")
    assert "its split validation has rows without a label and is not used" in meta["remarks"]
    assert RunDirectory.open(tmp_path / "run").classes == ("law", "food", "sport")


def test_hugging_face_columns_and_scripts(hugging_face):
    hugging_face.parts = {"scripted": 1, "train": Part([("a", "x"), ("b", "y")], None, "q", "fine")}
    data = find("hf:own/set:q:fine").load(Where(cache="kept"))
    assert hugging_face.asked[1] == ("own/set", None, "kept", "refs/convert/parquet")
    assert (data.name, data.classes, data.licence) == ("set", ("x", "y"), "mit")
    with pytest.raises(ValueError, match=r"the column 'text', got q, fine; name yours"):
        load_hugging_face("own/set")
    hugging_face.parts = {"test": Part([("a", "x"), ("b", "y")])}
    with pytest.raises(ValueError, match="labelled rows in a split train, got test"):
        load_hugging_face("own/set")
    hugging_face.parts = ConnectionError("no\nroute")
    with pytest.raises(OSError, match="hf:own/set cannot be fetched: no route"):
        load_hugging_face("own/set")


def test_a_missing_package_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = fails(["trec", "-o", tmp_path / "run"], capsys)
    assert message == (
        "Error: hf:CogComp/trec needs the package datasets, which is not installed: "
        "pip install datasets"
    )
