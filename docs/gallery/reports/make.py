"""Write the pages of the gallery that commands make: python docs/gallery/reports/make.py."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from cli.main import main

FOLDER = Path(__file__).parent
DIGITS, LONGTAIL = "postproc-demo/digits", "postproc-demo/digits_longtail"


def run(command: str, *more: object) -> None:
    """Run a command of postproc."""
    main([*command.split(), *map(str, more)], standalone_mode=False)


def write_binary() -> None:
    """Scores of two models of two classes in one column each, with labels."""
    X, y = load_breast_cancer(return_X_y=True)
    for name, model in (("bayes", GaussianNB()), ("logistic", LogisticRegression(max_iter=5000))):
        scores = model.fit(X[:150, :4], y[:150]).predict_proba(X[150:, :4])[:, 1]
        lines = (f"{row},{score:.6f}" for row, score in enumerate(scores))
        Path(f"{name}.csv").write_text("\n".join(["id,benign", *lines, ""]))
    Path("labels.txt").write_text("".join(f"{label}\n" for label in y[150:]))


def make() -> None:
    """Write all pages."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run("demo")
        run(f"ensemble blend {DIGITS} -o blend.npz --quiet")
        members = " ".join(
            f"{DIGITS}/{name}.test.npy" for name in ("naive_bayes", "forest", "neighbours")
        )
        how = f"--labels {DIGITS}/labels.test.npy --diversity --per-class --overwrite --quiet"
        run(f"report {members} blend.npz {how} --html", FOLDER / "models.html")
        write_binary()
        how = "--labels labels.txt --metric auc,log_loss --overwrite --quiet"
        run(f"report bayes.csv logistic.csv {how} --html", FOLDER / "binary.html")
        run(
            f"bench {DIGITS} {LONGTAIL} --methods auto,map,can-blog,soft,weights,blend --draws 20 "
            "-o bench.jsonl --overwrite --quiet --html",
            FOLDER / "bench.html",
        )


if __name__ == "__main__":
    make()
