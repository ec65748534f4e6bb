"""Notebooks of the gallery: kept as Python files, executed when the site is built."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

GALLERY = Path(__file__).parents[1] / "gallery"


def titles() -> dict[str, str]:
    """Name and title of every notebook, in the order of their names."""
    found = {}
    for path in sorted(GALLERY.glob("[a-z]*.py")):
        heading = next(
            line for line in path.read_text(encoding="utf-8").splitlines() if line[:4] == "# # "
        )
        found[path.stem] = heading[4:]
    return found


def pages(cache: Path) -> Iterator[tuple[str, str | bytes]]:
    """Pages and pictures of all notebooks; what has not changed comes from the cache."""
    for name in titles():
        source = (GALLERY / f"{name}.py").read_bytes()
        kept = cache / f"{name}-{hashlib.sha256(source).hexdigest()[:16]}"
        if not kept.is_dir():
            shutil.rmtree(cache / name, ignore_errors=True)
            _execute(source.decode(), name, kept)
        for path in sorted(kept.iterdir()):
            yield f"gallery/{path.name}", path.read_bytes()


def _execute(source: str, name: str, folder: Path) -> None:
    """Run a notebook; keep a page, its pictures and the notebook with its output."""
    import jupytext
    import matplotlib as mpl
    import nbformat.v4 as nbf

    mpl.use("agg")
    from matplotlib import pyplot as plt

    notebook = jupytext.reads(source, fmt="py:percent")
    folder.mkdir(parents=True)
    names: dict[str, object] = {"__name__": name}
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(cell.source, f"{name}, cell {number}", "exec"), names)
        cell.outputs = []
        if printed.getvalue():
            parts.append(f"```text\n{printed.getvalue().rstrip()}\n```")
            cell.outputs.append(nbf.new_output("stream", text=printed.getvalue()))
        for figure in map(plt.figure, plt.get_fignums()):
            file = folder / f"{name}-{number}.png"
            figure.savefig(file, dpi=160)
            parts.append(f"![What this cell draws]({file.name})")
            data = {"image/png": base64.b64encode(file.read_bytes()).decode()}
            cell.outputs.append(nbf.new_output("display_data", data=data))
        plt.close("all")
    parts.append(f"Executed when this site was built: [notebook]({name}.ipynb).")
    (folder / f"{name}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook, indent=1), encoding="utf-8")
