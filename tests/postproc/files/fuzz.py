"""Random tables of predictions as people have them, and what must be read from them."""

import csv
import gzip
import io
import json
from dataclasses import dataclass, field

import numpy as np
import pyarrow
from pyarrow import parquet

NAMES = [
    *("cat", "dog", "é", "orchid", "valid", "n01440764", "class_0", "true", "LABEL_1", "a b"),
    *("3", "10", "-1", "0", "1", "2", "x,y", 'say "so"', "it", "Acid"),
]
PREFIXES = ["", "", "", "prob_", ".pred_", "Probability:Class=", "p."]
IDS = ["id", "ID", "image_id", "SampleId", "doc.id", "Unnamed: 0", "", "file"]
SUSPECTS = [
    *("truth", "Target", "label", "y", "obs", "pred", "predict", "prediction", "predictions"),
    *("class", "fold", "repeat", "split", "row", "index", "y_true", "PredictedClass", "rowIndex"),
    *("true label", "GT-label", "_index_", "Row.", "ground_truth"),
]
ODD = ["loss", "weight", "confidence", "age"]
MISSING = ["", "NA", "nan", "NULL"]


@dataclass
class Made:
    """A table, and what is to be found in it."""

    suffix: str
    content: bytes
    scores: np.ndarray
    classes: tuple[str, ...]
    ids: list[str] | None
    #: Whether it has to be read: nothing in it is in doubt.
    clear: bool
    #: Rows without predictions, and whether a row lacks some of its scores.
    unpredicted: list[int]
    partial: bool
    columns: dict[str, list] = field(repr=False)


def make(rng: np.random.Generator) -> Made:
    """A random table."""
    n_rows, n_classes = int(rng.integers(1, 7)), int(rng.integers(2, 6))
    suffix = str(rng.choice([".csv", ".tsv", ".csv.gz", ".jsonl", ".parquet"], p=[0.6, *[0.1] * 4]))
    is_text = suffix in (".csv", ".tsv", ".csv.gz")
    scores, is_probs = _scores(rng, n_rows, n_classes)
    prefix = str(rng.choice(PREFIXES))
    classes = tuple(map(str, rng.choice(NAMES, n_classes, replace=False)))
    if classes == ("1", "0") and not prefix:  # the row of a certain case, by the rule for headers
        return make(rng)
    columns = [(prefix + name, list(scores[:, j])) for j, name in enumerate(classes)]
    clear = not all(_is_whole(name) for name in classes) or bool(prefix)
    clear = clear and "" not in classes
    # Whole numbers of a class like `orchid` may be ids.
    clear = clear and not any(
        name.lower().endswith("id") and (scores[:, j] % 1 == 0).all()
        for j, name in enumerate(classes)
    )

    unpredicted, partial = [], False
    if rng.random() < 0.15:
        unpredicted = sorted(rng.choice(n_rows, int(rng.integers(1, n_rows + 1)), replace=False))
        for _, values in columns:
            for row in unpredicted:
                values[row] = None
    elif rng.random() < 0.05:
        partial = True
        columns[int(rng.integers(n_classes))][1][int(rng.integers(n_rows))] = None

    ids = None
    if rng.random() < 0.6:
        ids, values = _ids(rng, n_rows)
        name = str(rng.choice(IDS if is_text else IDS[:6]))
        if name == "file":
            ids = values = [f"f{row}.png" for row in range(n_rows)]
        columns.insert(_place(rng, columns) if name else 0, (name, values))
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        clear = False
        name, values = _intruder(rng, scores, is_probs)
        if name not in dict(columns):
            columns.insert(_place(rng, columns), (name, values))
    named = dict(columns)
    if len(named) < len(columns):
        return make(rng)
    if suffix == ".parquet":
        content = _parquet(columns)
    elif suffix == ".jsonl":
        lines = (dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True))
        content = "\n".join(json.dumps(line) for line in lines).encode()
    else:
        content, has_header = _text(rng, columns, suffix)
        clear = clear and has_header
    return Made(suffix, content, scores, classes, ids, clear, unpredicted, partial, named)


def _scores(rng, n_rows, n_classes):
    """Probabilities, precise or rounded, or logits; and whether they are the former."""
    probs = rng.dirichlet(np.full(n_classes, float(rng.choice([0.1, 1.0]))), n_rows)
    what = rng.random()
    if what < 0.5:
        return probs, True
    if what < 0.7:
        return probs.round(int(rng.integers(1, 4))), True
    if what < 0.75:
        return np.eye(n_classes)[probs.argmax(1)], True
    return (np.log(probs + 1e-9) + rng.normal()).round(int(rng.integers(1, 9))), False


def _ids(rng, n_rows):
    """Ids as they are to be read, and as they are written."""
    numbers = rng.permutation(n_rows) + int(rng.choice([int(n_rows == 1), 2, 100]))
    if rng.random() < 0.3:
        return [str(number) for number in numbers], [float(number) for number in numbers]
    if rng.random() < 0.3:
        texts = [f"r-{number}" for number in numbers]
        return texts, texts
    return [str(number) for number in numbers], [int(number) for number in numbers]


def _intruder(rng, scores, is_probs):
    """A column that knows something, and must not be taken for scores."""
    labels = rng.integers(0, scores.shape[1], len(scores)).tolist()
    labels[0] = labels[0] or 1  # zeros alone could be a class that is never predicted
    if rng.random() < 0.75:
        values = labels if rng.random() < 0.6 else [f"c{label}" for label in labels]
        return str(rng.choice(SUSPECTS)), values
    if is_probs and len(scores) > 1:
        return str(rng.choice(ODD)), [float(v) for v in rng.random(len(scores)) + 0.5]
    return "kind", ["same"] * len(scores) if len(scores) > 1 else ["1.2.3"]


def _place(rng, columns):
    return int(rng.integers(len(columns) + 1))


def _is_whole(name):
    return name.lstrip("-").isdigit()


def _parquet(columns):
    file = io.BytesIO()
    names = [name for name, _ in columns]
    arrays = [pyarrow.array(values) for _, values in columns]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, names=names), file)
    return file.getvalue()


def _text(rng, columns, suffix):
    """A text table in some dialect, and whether it has a header."""
    delimiter = "\t" if suffix == ".tsv" else str(rng.choice([",", ",", ";", "\t"]))
    comma = delimiter != "," and rng.random() < 0.5
    missing = str(rng.choice(MISSING))
    style = str(rng.choice(["repr", "g"]))
    end = str(rng.choice(["\n", "\r\n"]))
    quoting = int(rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))

    def cell(value):
        if value is None:
            return missing
        if isinstance(value, float):
            text = repr(float(value)) if style == "repr" else f"{value:.17g}"
            return text.replace(".", ",") if comma else text
        return str(value)

    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    has_header = rng.random() < 0.85
    if has_header:
        writer.writerow([name for name, _ in columns])
    for row in zip(*(values for _, values in columns), strict=True):
        writer.writerow([cell(value) for value in row])
    text = file.getvalue() + end * int(rng.integers(0, 3))
    raw = text.encode("utf-8-sig" if rng.random() < 0.2 else "utf-8")
    return (gzip.compress(raw) if suffix.endswith(".gz") else raw), has_header
