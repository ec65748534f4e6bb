"""`postproc augment`, and the way round: variants, a model, pooled predictions."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from ensemble import TextClassifier, WordRoles, aeda
from postproc import load_predictions

TEXTS = [
    ("q2", 'say "no", or\nso', "a"),
    ("q1", "one two three four", "b"),
    ("q9", "ein Wörtchen; zwei", "a"),
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("texts.csv", TEXTS)


def write(path, rows, header=("id", "text", "label"), delimiter=","):
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])


def read(path, delimiter=","):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=delimiter))


def test_rows_are_the_variants_of_each_text(run_cli):
    output = run_cli("augment", "texts.csv", "-k", 3, "--seed", 5).output
    assert output == "3 texts, 9 rows (aeda)\nwritten: texts.augment.csv\n"
    expected = [
        [name, variant, label]
        for name, text, label in TEXTS
        for variant in aeda(text, 3, seed=5, text_id=name)
    ]
    assert read("texts.augment.csv") == [["id", "text", "label"], *expected]


def test_order_and_other_texts_do_not_matter(run_cli):
    write("few.csv", [TEXTS[2], TEXTS[0]])
    for name in ("texts", "few"):
        run_cli("augment", f"{name}.csv", "-o", f"{name}.v.csv")
    all_rows = read("texts.v.csv")
    assert read("few.v.csv") == [all_rows[0], *all_rows[17:25], *all_rows[1:9]]


def test_with_original_in_other_layouts(run_cli):
    write("t.tsv", [("x", "a b"), ("y", "c d")], ("body", "other"), "\t")
    words = ("augment", "t.tsv", "--text-column", "other", "--with-original", "-k", 1)
    run_cli(*words, "-o", "v.tsv")
    rows = read("v.tsv", "\t")
    assert rows[0] == ["id", "body", "other"]
    assert [row[:2] for row in rows[1:]] == [["0", "x"], ["0", "x"], ["1", "y"], ["1", "y"]]
    assert [row[2] for row in rows[1::2]] == ["a b", "c d"]
    write("t.csv", TEXTS, ("tweet_id", "text", "label"), ";")
    Path("t.csv.gz").write_bytes(gzip.compress(Path("t.csv").read_bytes()))
    for name in ("t.csv", "t.csv.gz"):
        run_cli("augment", name, "-o", "v.csv", "--overwrite")
        assert read("v.csv")[0] == ["tweet_id", "text", "label"]
        assert len(read("v.csv")) == 25


def test_roles_of_their_own_labels(run_cli):
    output = run_cli("augment", "texts.csv", "-k", 3, "--method", "roles", "--seed", 5).output
    assert "variants hold words of the labels of their own texts" in output
    roles = WordRoles().fit([row[1] for row in TEXTS], [row[2] for row in TEXTS])
    expected = [
        [name, variant, label]
        for name, text, label in TEXTS
        for variant in roles.variants(text, 3, label=label, seed=5, text_id=name)
    ]
    assert read("texts.augment.csv")[1:] == expected
    assert len({variant for _, variant, _ in expected}) > 3


def test_roles_of_other_texts_never_look_at_labels(run_cli):
    """The same bytes whatever the labels of the texts are, and without any."""
    write("train.csv", [row[1:] for row in TEXTS], ("text", "Category"))
    write("wrong.csv", [(name, text, "?") for name, text, _ in TEXTS])
    write("bare.csv", [row[:2] for row in TEXTS], ("id", "text"))
    words = ("--method", "roles", "--fit", "train.csv", "--label-column", "Category", "-k", 4)
    for name in ("texts", "wrong", "bare"):
        output = run_cli("augment", f"{name}.csv", *words, "-o", f"{name}.v.csv").output
        assert "hold words" not in output
    roles = WordRoles().fit([row[1] for row in TEXTS], [row[2] for row in TEXTS])
    expected = [[n, v] for n, t, _ in TEXTS for v in roles.variants(t, 4, text_id=n)]
    for name in ("texts", "wrong", "bare"):
        assert [row[:2] for row in read(f"{name}.v.csv")[1:]] == expected


def test_the_table_of_the_roles_is_never_replaced(run_cli):
    Path("train.csv").write_bytes(Path("texts.csv").read_bytes())
    words = ("--method", "roles", "--fit", "train.csv", "-o", "train.csv", "--overwrite")
    assert "must not be an input" in run_cli("augment", "texts.csv", *words, code=2).output
    assert Path("train.csv").read_bytes() == Path("texts.csv").read_bytes()


def test_augmented_predicted_and_pooled(run_cli):
    """A toy model that reads words and marks predicts the variants; pool makes a row of each."""
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=40)
    words = np.array([["red", "warm"], ["blue", "cold"], ["green", "mild"]])
    texts = [" ".join(rng.choice([*words[c], "the", "a"], size=12)) for c in truth]
    write(
        "t.csv", [(f"t{n}", text, c) for n, (text, c) in enumerate(zip(texts, truth, strict=True))]
    )
    done = run_cli("augment", "t.csv", "-k", 6, "-o", "variants.csv", "--json")
    summary = json.loads(done.output)
    assert (summary["texts"], summary["rows"], summary["id_column"]) == (40, 240, "id")

    def predict(text):
        score = [sum(text.count(word) for word in names) for names in words]
        return np.exp(score + 0.5 * np.array([text.count("."), text.count(","), text.count("!")]))

    _, *rows = read("variants.csv")
    probs = np.array([predict(text) for _, text, _ in rows])
    probs /= probs.sum(axis=1, keepdims=True)
    write("preds.csv", [(row[0], *p) for row, p in zip(rows, probs, strict=True)], ("id", *"abc"))
    run_cli("pool", "preds.csv", "-o", "pooled.npz")
    pooled = load_predictions("pooled.npz")
    assert pooled.ids.tolist() == [f"t{n}" for n in range(40)]
    np.testing.assert_allclose(pooled.scores, probs.reshape(40, 6, 3).mean(axis=1), atol=1e-12)
    assert np.mean(pooled.scores.argmax(axis=1) == truth) > 0.9


@pytest.mark.parametrize(
    ("header", "rows", "words", "code", "message"),
    [
        (("id", "a", "b"), [], (), 1, "`t.csv` must be a table with one column of texts"),
        (("id", "x_id", "b"), [], (), 1, "one column of ids, got 'id', 'x_id'; choose with --id-c"),
        (("id", "a"), [], ("--text-column", "c"), 1, "must be one of the columns 'id', 'a', got"),
        (("id", "a"), [], ("--text-column", "id"), 1, "another column than that of ids, got 'id'"),
        (("id", "a"), [(1, "x"), (1, "y")], (), 1, "`t.csv, line 3` must be a row with an id of"),
        (("id", "a"), [(1, "x", 3)], (), 1, "`t.csv, line 2` must be 2 cells like the header"),
        (("id", "a"), [], ("-o", "v.npy"), 1, 'must be one of .csv, .tsv, got ".npy"'),
        (("id", "a"), [], ("-o", "t.csv", "--overwrite"), 2, "must not be an input, got t.csv"),
        (("id", "a"), [], ("--method", "eda"), 2, "'eda' is not one of 'aeda', 'roles'"),
        (("id", "a"), [], ("--fit", "t.csv"), 2, "aeda learns from no labels; omit --fit"),
        (("id", "text"), [], ("--method", "roles"), 1, "a table with one column of labels, got"),
        (("id", "text", "label"), [], ("--method", "roles"), 1, "two labels or more, got none"),
        (
            ("id", "text", "label"),
            [(1, "...", "a"), (2, "!", "b")],
            ("--method", "roles"),
            1,
            "`texts` must be texts with words, got none",
        ),
        (
            ("id", "text", "y"),
            [(1, "x", "a")],
            ("--method", "roles", "--label-column", "text"),
            1,
            "another column than that of texts, got 'text'",
        ),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(run_cli, header, rows, words, code, message):
    write("t.csv", rows, header)
    before = sorted(Path().iterdir())
    output = run_cli("augment", "t.csv", *words, code=code).output
    assert message in output.splitlines()[-1]
    assert sorted(Path().iterdir()) == before


def test_damaged_files(run_cli):
    Path("t.csv").write_bytes(b"id,text\n1,\xff\n")
    assert "it must be UTF-8 text" in run_cli("augment", "t.csv", code=1).output
    Path("t.csv.gz").write_bytes(gzip.compress(b"id,text\n1,a\n" * 99)[:-20])
    assert "cannot be read" in run_cli("augment", "t.csv.gz", code=1).output
    Path("t.csv").write_text("")
    assert "got an empty file" in run_cli("augment", "t.csv", code=1).output


def test_a_text_member_predicts_variants_and_they_are_pooled(run_cli):
    """The way round with a model that was trained here: texts, variants, scores, pooled rows."""
    words = {"where": "where is my {} now", "close": "please close the {} today"}
    rows = [
        (f"{label}{k}", text.format(thing), label)
        for label, text in words.items()
        for k, thing in enumerate(["card", "money", "account", "order", "parcel"] * 4)
    ]
    member = TextClassifier(epochs=6).fit([row[1] for row in rows], [row[2] for row in rows])
    write("new.csv", [row[:2] for row in rows[::3]], header=("id", "text"))
    run_cli("augment", "new.csv", "-k", 4, "--with-original", "-o", "variants.csv")
    variants = read("variants.csv")[1:]
    scores = member.decision_function([text for _, text in variants])
    scored = [(name, *z) for (name, _), z in zip(variants, scores.tolist(), strict=True)]
    write("scores.csv", scored, header=("id", *member.classes_))
    run_cli("pool", "scores.csv", "--logits", "--rule", "log", "-o", "pooled.csv")
    pooled = load_predictions("pooled.csv")
    assert len(variants) == 5 * len(rows[::3])
    assert list(pooled.ids) == [row[0] for row in rows[::3]]
    wanted = [list(member.classes_).index(row[2]) for row in rows[::3]]
    assert np.asarray(pooled.scores).argmax(axis=1).tolist() == wanted
