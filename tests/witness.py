"""Hashes of what every command and estimator gives, to show that a rearrangement changes nothing.

Run by hand, before and after, on the same machine with the same packages:

    python tests/witness.py > before.txt
    python tests/witness.py --compare before.txt

A line is `sha256  name`. Names that start with `text:` stand for wording and layout, with `page:`
for HTML, Markdown and plots, with `model:` for saved models as they are loaded again, and all
others for numbers. What fails gives a line with its error in place of a hash.
"""

from __future__ import annotations

import os

# Before NumPy is imported: the order of sums, and so the last bits, depend on the threads of BLAS.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "SOURCE_DATE_EPOCH": "0"}

import argparse
import hashlib
import json
import re
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

ROOT = str(Path(__file__).resolve().parents[1])
sys.path[0] = ROOT  # in place of tests/, whose folders are called like the packages
os.environ["PYTHONPATH"] = ROOT  # for the workers of Dask

import ensemble as en  # noqa: E402
import postproc as pp  # noqa: E402


class Parts(dict[str, Any]):
    """Results that get a line each."""


def feed(digest: Any, value: Any) -> None:
    """Add a value to a digest: its numbers and names, whatever module its class lives in."""
    if type(value).__module__ == "torch":
        digest.update(b"tensor")
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str | bytes):
        digest.update(f"{value!r};".encode())
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode() + value.tobytes())
    elif isinstance(value, Mapping):
        feed(digest, [(str(key), value[key]) for key in sorted(value, key=str)])
    elif isinstance(value, list | tuple):
        digest.update(b"[")
        for item in value:
            feed(digest, item)
        digest.update(b"]")
    elif is_dataclass(value):
        feed(digest, {field.name: getattr(value, field.name) for field in fields(value)})
    elif hasattr(value, "get_params"):
        state = {key: item for key, item in vars(value).items() if re.search(r"^[^_].*_$", key)}
        feed(digest, value.get_params(deep=False) | state)
    else:
        raise TypeError(f"cannot hash {type(value).__name__}")


def sha(value: Any) -> str:
    digest = hashlib.sha256()
    feed(digest, value)
    return digest.hexdigest()


def plain(text: str) -> str:
    """Text without what differs from run to run: places, measured times, Matplotlib's names."""
    text = text.replace(str(Path.cwd()), "HERE").replace(ROOT, "ROOT")
    text = re.sub(r"\b(tcp|https?)://(localhost|[0-9.]+):\S+", "ADDRESS", text)
    text = re.sub(r"Warning: starting Dask took .*\n", "", text)
    text = re.sub(r'(seconds": )[0-9.e-]+', r"\1null", text)
    text = re.sub(r"\b[mp][0-9a-f]{10}\b", "ID", text)
    svg = r"<svg(?:(?!</svg>).)*over seconds.*?</svg>"
    text = re.sub(svg, "TIMES", text, flags=re.DOTALL)
    bar = r"(?m)^.*: (\d+ %|\d+ of \d+ \w+, .*/(s|min))(, .* left)?\n"  # on a busy machine
    text = re.sub(bar, "", text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def numbers(value: Any) -> Any:
    """What JSON holds, with sentences left out: those are wording."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return "..." if isinstance(value, str) and " " in value else value


class Witness:
    """Prints the lines of the steps that are wanted, and keeps them."""

    def __init__(self, only: str) -> None:
        self.only = only
        self.lines: dict[str, str] = {}

    def add(self, name: str, value: Any) -> None:
        found = value
        if isinstance(value, Exception):
            found = f"failed: {type(value).__name__}: {' '.join(plain(str(value)).split())[:300]}"
        self.lines[name] = found = found if isinstance(value, Exception) else sha(value)
        sys.stdout.write(f"{found}  {name}\n")
        sys.stdout.flush()

    def take(self, step: str, function: Callable[[], Any]) -> None:
        """Hash the result of a function, and its warnings as text."""
        if self.only not in step:
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = function()
            except Exception as error:
                found = error
        for key, value in found.items() if isinstance(found, Parts) else [("", found)]:
            prefix, _, what = key.rpartition(":")
            self.add(f"{prefix}:{step}" if prefix else f"{step} {what}".rstrip(), value)
        ours = [str(each.message) for each in caught if each.category is UserWarning]
        if ours:
            self.add(f"text:{step} warnings", ours)

    def commands(self, section: str, lines: str) -> None:
        """Run commands, one a line, in this folder; up to the last of those that are wanted."""
        steps = [(f"{section}: {line}", shlex.split(line)) for line in lines.strip().splitlines()]
        while steps and self.only not in steps[-1][0]:
            steps.pop()
        for step, words in steps:
            self.command(step, words)

    def command(self, step: str, words: list[str]) -> None:
        """Hash what a command prints, and every file that it makes or changes."""
        from click.testing import CliRunner

        from cli.main import main

        before = files()
        result = CliRunner().invoke(main, words, prog_name="postproc")
        if self.only not in step:
            return
        if result.exit_code:
            told = isinstance(result.exception, SystemExit)
            self.add(f"text:{step}", ValueError(result.stderr) if told else result.exception)
        else:
            self.add(f"text:{step} printed", [plain(result.stdout), plain(result.stderr)])
        if "--json" in words and not result.exit_code:
            self.add(f"{step} json", numbers(json.loads(plain(result.stdout))))
        for path, stamp in files().items():
            if before.get(path) != stamp:
                prefix, read = reader(path)
                try:
                    self.add(f"{prefix}{step} -> {path.as_posix()}", read(path))
                except Exception as error:
                    self.add(f"{prefix}{step} -> {path.as_posix()}", error)


def files() -> dict[Path, tuple[int, int]]:
    """The files of this folder in order; models bring their arrays, and times are left out."""
    left_out = (".arrays.npz", ".seconds.jsonl")
    found = (path for path in sorted(Path().rglob("*")) if not path.name.endswith(left_out))
    stats = {path: path.stat() for path in found if path.is_file()}
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


def reader(path: Path) -> tuple[str, Callable[[Path], Any]]:
    """Prefix of a file's line, and what reads its content."""
    if path.suffix in (".html", ".md", ".svg"):
        return "page:", lambda path: plain(path.read_text())
    if path.suffix == ".npz":
        return "", lambda path: dict(np.load(path, allow_pickle=False))
    if path.name == "bench.csv":  # whose eighth and ninth columns are times
        cells = [line.split(",") for line in path.read_text().splitlines()]
        return "", lambda path: [row[:7] + row[9:] for row in cells]
    if path.suffix != ".json":
        return "", Path.read_bytes
    try:
        model = en.load_model(path)
    except ValueError:  # what tune has chosen, or the demo's notes
        return "", lambda path: numbers(json.loads(plain(path.read_text())))
    return "model:", lambda path: model


def task(rows: int, n: int, seed: int, *, gain: float = 3.0, tail: float = 1.0) -> Any:
    """Labels with a tail of classes, and a function that makes another member's scores of them."""
    rng = np.random.default_rng([seed, rows, n])
    shares = tail ** -(np.arange(n) / n)
    y = rng.choice(n, rows, p=shares / shares.sum())

    def member(kind: str, dtype: str, noise: float = 1.0) -> Any:
        z = rng.standard_normal((rows, n), dtype=np.float32).astype(np.float64) * noise
        z[np.arange(rows), y] += gain
        if kind == "probs":
            z = np.exp(z - z.max(axis=1, keepdims=True))
            z /= z.sum(axis=1, keepdims=True)
        return z.astype(dtype)

    return y, member


def results(model: Any, target: Any) -> dict[str, Any]:
    """All that a fitted model says of a target."""
    methods = ("predict_proba", "predict", "predict_set", "predict_bounds")
    return {name: getattr(model, name)(target) for name in methods if hasattr(model, name)}


def use(model: Any, target: Any, *fit: Any, **options: Any) -> Parts:
    """Fit and predict, and again with the saved model, whose content is a line of its own."""
    model.fit(*fit, **options)
    found = Parts(results(model, target))
    found[""] = found.pop("predict_proba", None)
    if isinstance(model, pp.CAN):  # is not saved
        return found
    path = Path("model.json")
    en.save_model(model, path, overwrite=True)
    again = en.load_model(path)
    return Parts(found | {"loaded": list(results(again, target).values()), "model:": again})


CANS: tuple[dict[str, Any], ...] = (
    {}, {"alpha": 2.0}, {"alpha": 0.5, "threshold": 0.6}, {"iterations": 3}, {"top_k": 2},
    {"iterations": 3, "alpha": 2.0, "smoothing": 0.5}, {"top_k": "max", "threshold": 0.5},
    {"iterations": 3, "reference_size": "auto"}, {"iterations": 4, "reference_size": 40},
    {"reference_sample": "stratified"}, {"multilabel": True, "prior": [0.3, 0.7]},
)  # fmt: skip


def one_array(witness: Witness, name: str, n: int, kind: str, dtype: str) -> None:
    """All that takes one array."""
    y, member = task(400, n, seed=1)
    new_y, new_member = task(300, n, seed=2, tail=20.0)
    fit, x = member(kind, dtype), new_member(kind, dtype)
    prior, even = pp.class_prior(y, n_classes=n), np.full(n, 1 / n)
    for options in CANS:
        can = pp.CAN(**({"prior": prior, "kind": kind} | options))
        witness.take(f"{name} CAN {options}", partial(use, can, x, fit))
    names = ("Temperature", "BiasCorrectedTemperature", "Structured", "ResidualMatrix", "Pooled")
    for cls in names:
        model = getattr(pp, f"{cls}Scaling")(kind=kind)
        witness.take(f"{name} {cls}", partial(use, model, x, fit, y))
        more = lambda model=model: [model.out_of_fold_, model.temperature_]  # noqa: E731
        witness.take(f"{name} {cls} more", more)
    for method in ("em", "map", "bbse", "sinkhorn", "can"):
        for options in ({}, {"calibration": "bcts", "soft": False, "strength": 0.5}):
            model = pp.LabelShiftAdapter(method=method, kind=kind, **options)
            witness.take(f"{name} adapter {method} {options}", partial(use, model, x, fit, y))
    for model in (
        pp.ClassWeights(metric="macro_f1", kind=kind),
        pp.SelectiveClassifier(max_error=0.3, kind=kind),
        pp.SelectiveClassifier(coverage=0.7, kind=kind),
        *(pp.ConformalSets(score=score, per_class=n == 3, kind=kind) for score in ("lac", "aps")),
    ):
        witness.take(f"{name} {model}", partial(use, model, x, fit, y))
    p, q = pp.probabilities(x, kind), pp.probabilities(fit, kind)
    two = {"a": x, "b": new_member(kind, dtype, 0.8)}
    won, also = (scores.argmax(axis=1) for scores in two.values())
    far = {"alpha": 1.5, "iterations": 3, "smoothing": 0.1, "all_iterations": True}
    grid = {"alpha": [0.5, 1.0], "threshold": [0.5, 0.9]}

    def report() -> Parts:
        made = pp.accuracy_report(two, new_y, kinds=dict.fromkeys(two, kind))
        text = [made.to_text(), made.to_markdown(), made.to_csv()]
        return Parts({"": made.to_dict(), "text:": text, "page:": plain(made.to_html())})

    for what, function in {
        "probabilities": lambda: [p, pp.log_probabilities(x, kind), pp.log_softmax(x)],
        "softmax": lambda: pp.softmax(x),
        "top_k_entropy": lambda: [pp.top_k_entropy(p, k) for k in (2, 3, "max")],
        "alternating_normalization": lambda: pp.alternating_normalization(p, q, prior),
        "alternating_normalization far": lambda: pp.alternating_normalization(p, q, prior, **far),
        "em_prior": lambda: pp.em_prior(p, prior),
        "map_prior": lambda: [pp.map_prior(p, prior, strength=s) for s in (0.5, 4.0)],
        "map_prior by evidence": lambda: pp.map_prior(p, prior, fit_probs=q),
        "bbse_prior": lambda: [pp.bbse_prior(p, q, y, soft=soft) for soft in (True, False)],
        "joint_normalization": lambda: pp.joint_normalization(p, prior),
        "joint_normalization less": lambda: pp.joint_normalization(p, prior, strength=0.4),
        "reweight": lambda: pp.reweight(p, prior, even),
        "no_shift_test": lambda: pp.no_shift_test(p, q),
        "tune_can": lambda: numbers(pp.tune_can(fit, y, kind=kind, grid=grid).to_dict()),
        "evaluate": lambda: pp.evaluate(x, new_y, kind=kind),
        "compare": lambda: pp.compare(won, also, new_y),
        "accuracy_report": report,
        "inspect_predictions": lambda: pp.inspect_predictions(
            pp.Predictions.check(x, kind=kind), prior=prior
        ),
        "class_metrics": lambda: pp.class_metrics(won, new_y, n_classes=n),
        "reliability_bins": lambda: pp.reliability_bins(p.max(axis=1), won == new_y),
    }.items():
        witness.take(f"{name} {what}", function)


def many_arrays(witness: Witness, n: int, kind: str, dtype: str, *, fast: bool) -> None:
    """All that takes several arrays; their kinds and types differ where `kind` is mixed."""
    name, mixed = f"{n} {kind} {dtype}", kind == "mixed"
    y, member = task(300, n, seed=3, gain=2.5)
    new_y, new_member = task(250, n, seed=4, gain=2.5, tail=10.0)
    kinds = ["probs", "logits", "probs"] if mixed else [kind] * 3
    types = ["float32", "float64", "float32"] if mixed else [dtype] * 3
    each = list(zip(kinds, types, (1.0, 1.2, 0.9), strict=True))
    fit, x = [member(*given) for given in each], [new_member(*given) for given in each]
    models: list[Any] = [
        en.Voting(rule, weights=weights, tie=tie, seed=5)
        for rule in ("soft", "hard", "log", "median", "rank")
        for weights, tie in ((None, "support"), ([2, 1, 0.5], "random"), (None, "lowest"))
    ]
    models += [en.LearnedLogPool(), en.LearnedLogPool(bias=True, bias_ridge=0.1)]
    models += [en.DiscriminantPool(), en.GumbelSelection(size=2, n_steps=20)]
    models += [en.CalibratedVoting(), en.Stacking(n_folds=3, cs=(0.01, 0.1)), en.Blend(n_folds=3)]
    models += [en.Bagging(n_estimators=3, n_folds=3, cs=(0.01, 0.1))]
    models += [en.GreedySelection(metric=m, n_bags=2) for m in ("accuracy", "log_loss")]
    if (n == 3 or mixed) and not fast:
        models += [en.DevilsAdvocate(epochs=4, seeds=1, n_folds=2, controls=True)]
        models += [en.YTuning(seeds=1, epochs=3), en.Stacking(training="auto", n_folds=2)]
        models += [en.DevilsAdvocate(head="affine", epochs=3, seeds=2, vote="published")]
    auto = en.AutoPostprocessor(n_rehearsals=12)
    for model in [*models, auto]:
        options = {key: value for key, value in model.get_params().items() if key != "seed"}
        step = f"{name} {type(model).__name__} {options}"
        witness.take(step, partial(use, model, x, fit, y, kinds=kinds))

    def adapted() -> Parts:
        told = auto.fit(fit[:1], y, kinds=kinds[:1]).adapt_to(x[:1]).to_dict()
        return Parts({"": auto.predict_proba(x[:1]), "told": numbers(told), "text:": told})

    def tuned() -> Any:
        return numbers(en.tune_greedy(fit, y, kinds=kinds, n_folds=3).to_dict())

    witness.take(f"{name} auto of one", adapted)
    for vote in (en.soft_vote, en.hard_vote, en.log_pool, en.median_vote, en.rank_vote):
        witness.take(f"{name} {vote.__name__}", partial(vote, x, kinds=kinds))
    witness.take(f"{name} diversity", lambda: en.pairwise_diversity(x, new_y, kinds=kinds))
    if n < 20:
        witness.take(f"{name} tune_greedy", tuned)


def two_classes(witness: Witness) -> None:
    """Two classes, also in one column."""
    y, member = task(400, 2, seed=11)
    fit, x = member("logits", "float64"), member("logits", "float32", 1.2)
    for cls in ("Beta", "VennAbers", "Binary"):
        model = getattr(pp, f"{cls}Calibration")()
        witness.take(f"binary {cls}", partial(use, model, x, fit, y))
    witness.take("binary Quadratic", partial(use, pp.QuadraticScaling(), x, fit, y))
    column = [each[:, 1] - each[:, 0] for each in (x, fit)]
    for model in (pp.TemperatureScaling(), pp.ClassWeights(metric="f1"), pp.LabelShiftAdapter()):
        witness.take(f"column {model}", partial(use, model, *column, y))
    witness.take("column report", lambda: pp.accuracy_report({"a": column[0]}, y).to_dict())


def many_labels(witness: Witness) -> None:
    """Labels that do not exclude each other."""
    for kind, dtype in product(("logits", "probs"), ("float32", "float64")):
        rng = np.random.default_rng(12)
        y = (rng.random((400, 4)) < [0.5, 0.3, 0.2, 0.1]).astype(int)
        z = [2 * y - 1.5 + rng.standard_normal(y.shape) for _ in range(4)]
        each = [(1 / (1 + np.exp(-v)) if kind == "probs" else v).astype(dtype) for v in z]
        fit, x = each[:2], each[2:]
        for model in (
            pp.MultilabelCalibration(kind=kind),
            pp.MultilabelShiftAdapter(kind=kind),
            *(pp.LabelThresholds(metric=m, kind=kind) for m in ("macro_f1", "micro_f1")),
            pp.CAN("uniform", kind=kind, multilabel=True),
        ):
            fitted = partial(use, model, x[0], fit[0], y)
            witness.take(f"labels {kind} {dtype} {model}", fitted)
        for model in (
            en.MultilabelPostprocessor(),
            en.LabelPool(),
            en.LearnedLogPool(),
            en.GreedySelection(metric="micro_f1", n_steps=3),
            en.Voting("hard"),
        ):
            fitted = partial(use, model, x, fit, y, kinds=kind, multilabel=True)
            witness.take(f"labels {kind} {dtype} {model}", fitted)
        report = partial(pp.multilabel_report, {"a": x[0], "b": x[1]}, y)
        witness.take(
            f"labels {kind} {dtype} report",
            lambda report=report, kind=kind: report(kinds=dict.fromkeys("ab", kind)).to_dict(),
        )


def others(witness: Witness) -> None:
    """Torch tensors in and out, and helpers that take numbers or labels."""
    import torch

    y, member = task(300, 5, seed=6)
    for dtype in ("float32", "float64"):
        x = torch.as_tensor(member("logits", dtype))
        for model in (pp.CAN("uniform", iterations=2), pp.ResidualMatrixScaling()):
            witness.take(f"torch {dtype} {type(model).__name__}", partial(use, model, x, x, y))
        witness.take(f"torch {dtype} soft_vote", partial(en.soft_vote, [x, 2 * x]))
    for shift in ("none", "dirichlet:0.5", "longtail:50"):
        witness.take(f"draw_target {shift}", partial(pp.draw_target, y, shift, 200, 3, 5))
    witness.take("holm", lambda: [pp.holm([0.01, 0.2, 0.03]), pp.mcnemar_exact(9, 3)])
    gain = pp.paired_gain_interval(9, 3, 99)
    witness.take("intervals", lambda: [pp.wilson_interval(80, 99), gain])
    witness.take("multilabel_prior", lambda: pp.multilabel_prior(np.eye(4, dtype=int)[y % 4]))


NAMES = ("adapt", "apply", "augment", "auto", "bench", "calibrate", "can", "convert", "decide")
NAMES += ("demo", "ensemble", "examples", "inspect", "pool", "report", "tune")
HELP = "\n".join(["-h", *(f"{name} -h" for name in NAMES)])

README = """
demo --folder d
inspect d/digits/forest.test.npy --prior uniform
can d/digits/neighbours.test --prior uniform --labels d/digits/labels.test -o better.csv
can d/digits/forest.test.npy --prior uniform --reference d/digits/forest.val.npy --alpha 2 --iterations 3 --threshold 0.8 -o better.npz --json
ensemble soft d/digits/forest.test.npy d/digits/naive_bayes.test.npy --weights 2,1 -o soft.npy
auto d/digits_longtail -o auto.npy --save auto.json
apply auto.json d/digits -o auto_digits.npy
calibrate d/digits/forest.test.npy --fit d/digits/forest.val.npy --fit-labels d/digits/labels.val --labels d/digits/labels.test -o calibrated.npy --save calibrator.json
apply calibrator.json d/digits_longtail/forest.test.npy -o calibrated_longtail.npy
adapt d/digits_longtail/forest.test.npy --fit d/digits/forest.val.npy --fit-labels d/digits/labels.val -o adapted.npy --save adapter.json
tune can d/digits/neighbours.val.npy --labels d/digits/labels.val --prior uniform -o can.json
can d/digits/neighbours.test.npy --prior uniform --config can.json -o tuned.npy
ensemble blend d/digits -o blend.npy --save blend.json
apply blend.json d/digits_longtail -o blend_longtail.npy
report d/digits/naive_bayes.test.npy d/digits/neighbours.test.can.npy d/combined.npy --labels d/digits/labels.test.npy
report d/digits --diversity --per-class --html report.html
"""  # noqa: E501

# The rest of the options, formats and faults, on the demo's files.
MORE = """
inspect d/digits/forest.test.npy d/digits/naive_bayes.test.npy --json
report d/digits --diversity --per-class --json
report d/digits --per-class --markdown
report d/digits --csv --baseline neighbours
auto d/digits_longtail -o auto2.npy --json
apply auto.json d/digits -o auto_digits.csv --labels d/digits/labels.test.npy --json
apply adapter.json d/digits/forest.test.npy -o adapted.parquet --json
tune greedy d/digits/forest.val.npy d/digits/naive_bayes.val.npy --labels d/digits/labels.val --folds 3 -o greedy.json --json
can d/digits/forest.test.npy --prior 9,8,7,6,5,4,3,2,1,1 --preset paper-code -o paper.safetensors --json
can d/digits/forest.test.npy --prior d/digits/labels.train.npy --multilabel --logits -o never.npy
decide d/digits/forest.test.npy -o labels.csv --json
decide d/digits/forest.test.npy --metric macro_f1 --fit d/digits/forest.val.npy --fit-labels d/digits/labels.val --labels d/digits/labels.test -o labels.jsonl --save weights.json --json
decide d/digits/forest.test.npy --max-error 0.1 --fit d/digits/forest.val.npy --fit-labels d/digits/labels.val --labels d/digits/labels.test -o labels.txt
decide d/digits/forest.test.npy --sets 0.9 --prior estimate --fit d/digits/forest.val.npy --fit-labels d/digits/labels.val --labels d/digits/labels.test -o sets.csv --save sets.json --json
decide d/digits/forest.test.npy --sets 0.8 --fit d/digits/forest.val.npy --fit-labels d/digits/labels.val -o sets.npy
apply sets.json d/digits_longtail/forest.test.npy -o sets.jsonl --json
report d/digits --metric macro_f1,auc,risk_coverage,log_loss --json
convert d/digits/forest.test.npy -o forest.csv --json
convert forest.csv -o forest.npz
ensemble greedy d/digits --metric log_loss -o greedy.npy --json
ensemble calibrated d/digits --labels-out likeliest.csv -o calibrated2.npy
ensemble rank d/digits/forest.test.npy d/digits/naive_bayes.test.npy --over rows -o ranks.npy
can d/digits/nothing.npy --prior uniform
report d/digits/forest.test.npy --labels d/digits/labels.val.npy
"""  # noqa: E501

NAMED = """
can named.npz --prior uniform -o named.tsv --json
ensemble soft named.npz permuted.csv -o both.csv --labels y.txt
ensemble log permuted.csv named.npz -o both.npz --json
ensemble soft named.npz fewer.csv -o never.npy
ensemble soft named.npz fewer.csv --missing-class zero -o zero.parquet
report named.npz permuted.csv --labels y.txt --json
decide named.npz --labels y.txt --columns-as id:row,label:class -o labels.csv
decide named.npz --cost costs.csv -o cheapest.parquet --json
pool fewer.csv fewer.csv --rule log -o pooled.csv --json
pool named.npz --by groups.txt --rule median -o groups.npz
convert tags.csv --multilabel --id-column id -o tags.jsonl
auto tags.csv --fit tags.csv --fit-labels truth.csv --multilabel -o auto_tags.csv --json
adapt tags.csv --fit tags.csv --fit-labels truth.csv --multilabel -o adapted_tags.npy
calibrate tags.csv --fit tags.csv --fit-labels truth.csv --multilabel --save tags.json -o calibrated_tags.csv
decide tags.csv --multilabel --metric macro_f1 --fit tags.csv --fit-labels truth.csv -o decided_tags.csv
decide tags.csv --multilabel --integers -o decided_tags2.csv --json
report tags.csv --labels truth.csv --multilabel --per-class
augment texts.csv -k 2 -o variants.csv --json
augment texts.csv -k 2 --method roles -o roles.csv
"""  # noqa: E501

# Many blocks; {} is empty, or asks for Dask.
STREAMED = """
can big.npy --prior uniform --threshold 0.93 -o can{n}.npy --json{e}
can a.npy --prior uniform --threshold 0.96 --iterations 3 --reference-size auto -o auto_size{n}/ --json{e}
can probs.npy --prior uniform --reference fit.npy --alpha 2 --iterations 3 --threshold 0.9 -o exact{n}.npy --json{e}
ensemble soft a.npy probs.npy --weights 2,1 -o soft{n}.zarr --json{e}
ensemble hard shards/ a.npy -o hard{n}.npy{e}
calibrate shards/ --fit fit.npy --fit-labels fit_labels.npy --labels labels.npy --method bcts -o cal{n}.npy --save c{n}.json --json{e}
adapt a.npy --fit fit.npy --fit-labels fit_labels.npy --calibration bcts -o adapted{n}/ --json{e}
auto a.npy --fit fit.npy --fit-labels fit_labels.npy -o pipeline{n}.npy --save p{n}.json --json{e}
report a.npy probs.npy shards/ --labels labels.npy --json{e}
"""  # noqa: E501

SERIAL = """
apply p.json a.npy --by-order -o applied.npy --json
can soft.zarr --prior uniform --threshold 0.96 -o from_zarr.npz --json
inspect a.npy probs.npy soft.zarr --json
"""

BENCH = """
bench r1 r2 --methods auto,matrix-map,can-blog,em,soft,weights --draws 2 --rows 100 --jobs 1 -o bench.jsonl --json --html bench.html --csv bench.csv --markdown bench.md
bench r1 r2 --methods auto,matrix-map,can-blog,em,soft,weights --draws 2 --rows 100 --jobs 1 -o bench.jsonl
ensemble devil r1 --controls --epochs 4 --seeds 1 --plot curves.svg --save devil.json -o devil.npy --json
"""  # noqa: E501


def make_named() -> None:
    """Files with class names and row ids, in unlike orders."""
    y, member = task(200, 6, seed=7)
    names, ids = np.array([f"class{c}" for c in "abcdef"]), np.array([f"r{i}" for i in range(200)])
    rows, columns = np.random.default_rng(0).permutation(200), np.array([3, 1, 0, 5, 4, 2])
    np.savez("named.npz", logits=member("logits", "float32"), classes=names, ids=ids)
    probs = member("probs", "float64")[np.ix_(rows, columns)]
    pp.save_predictions("permuted.csv", probs, classes=names[columns], ids=ids[rows])
    probs = probs[:, 1:] / probs[:, 1:].sum(axis=1, keepdims=True)
    pp.save_predictions("fewer.csv", probs, classes=names[columns][1:], ids=ids[rows])
    Path("y.txt").write_text("\n".join(names[y]) + "\n")
    Path("groups.txt").write_text("\n".join(f"g{i // 3}" for i in range(200)) + "\n")
    costs = [",".join(["", *names])]
    costs += [
        f"{name},{','.join(str(abs(i - j)) for j in range(6))}" for i, name in enumerate(names)
    ]
    Path("costs.csv").write_text("\n".join(costs) + "\n")
    rng = np.random.default_rng(13)
    truth = (rng.random((200, 3)) < 0.3).astype(int)
    shares = np.clip(0.5 * truth + 0.4 * rng.random(truth.shape), 0, 1).round(4)
    for file, table in (("tags.csv", shares), ("truth.csv", truth)):
        lines = [f"r{i},{','.join(map(str, row))}" for i, row in enumerate(table.tolist())]
        Path(file).write_text("\n".join(["id,red,green,blue", *lines]) + "\n")
    words = ["lovely", "film", "about", "trains", "dull", "one", "on", "boats"]
    texts = [f"{i},{' '.join(rng.permutation(words)[:6])},{'ab'[i % 2]}" for i in range(20)]
    Path("texts.csv").write_text("\n".join(["id,text,label", *texts]) + "\n")


def make_large() -> None:
    """Three blocks of 20 classes in one file and in shards; more of 60 for the longer ones."""
    y, member = task(120_000, 20, seed=8, gain=6.0, tail=4.0)
    np.save("labels.npy", y)
    np.save("a.npy", member("logits", "float32"))
    np.save("probs.npy", member("probs", "float64"))
    Path("shards").mkdir()
    for at, part in enumerate(np.array_split(member("logits", "float32", 1.2), 4)):
        np.save(f"shards/part-{at:05d}.npy", part)
    np.save("big.npy", task(150_000, 60, seed=9, gain=7.0)[1]("logits", "float32"))
    y, member = task(1000, 20, seed=10, gain=6.0)
    np.save("fit.npy", member("logits", "float32"))
    np.save("fit_labels.npy", y)


def make_runs() -> None:
    for number, n in ((1, 3), (2, 5)):
        run = Path(f"r{number}")
        run.mkdir()
        for split, rows in (("val", 250), ("test", 200)):
            y, member = task(rows, n, seed=10 + number, gain=2.0)
            np.save(run / f"labels.{split}.npy", y)
            for at, model in enumerate("ab"):
                np.save(run / f"{model}.{split}.npy", member("probs", "float32", 1 + at / 5))


def everything(witness: Witness, *, fast: bool) -> None:
    others(witness)
    two_classes(witness)
    many_labels(witness)
    settings = list(product((3, 10, 20), ("logits", "probs"), ("float32", "float64")))
    for n, kind, dtype in settings[:: 3 if fast else 1]:
        one_array(witness, f"{n} {kind} {dtype}", n, kind, dtype)
        many_arrays(witness, n, kind, dtype, fast=fast)
    many_arrays(witness, 7, "mixed", "types", fast=fast)
    witness.commands("help", HELP)
    witness.commands("demo", README + MORE.lstrip())
    make_named()
    witness.commands("named", NAMED)
    make_large()
    witness.commands("local", STREAMED.format(n="", e="") + SERIAL.lstrip())
    if not fast:
        witness.commands("dask", STREAMED.format(n="_d", e=" --engine dask --workers 2"))
        make_runs()
        witness.commands("bench", BENCH)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compare", type=Path, metavar="FILE", help="a list to compare with")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="steps with this in them")
    parser.add_argument("--fast", action="store_true", help="less; no Dask, bench or devil")
    options = parser.parse_args()
    lines = options.compare.read_text().splitlines() if options.compare else []
    old = {name: found for found, name in (line.split("  ", 1) for line in lines)}
    witness = Witness(options.only)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        everything(witness, fast=options.fast)
    if not options.compare:
        return 0
    new = witness.lines
    changed = [f"differs  {name}" for name in new if new[name] != old.get(name, new[name])]
    changed += [f"new  {name}" for name in new if name not in old]
    if not options.fast:  # which leaves much out
        changed += [f"missing  {name}" for name in old if name not in new and options.only in name]
    sys.stderr.write("\n".join([*changed, f"{len(changed)} of {len(new)} lines changed\n"]))
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
