"""Notebooks of the gallery: kept as Python files, executed when the site is built."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
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
    """Run a notebook beside the demo's files; keep a page, its pictures and the notebook."""
    import jupytext
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    notebook = jupytext.reads(source, fmt="py:percent")
    notebook.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python",
        "language": "python",
    }
    with tempfile.TemporaryDirectory() as work:
        resources = {"metadata": {"path": work}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    page, extras = MarkdownExporter().from_notebook_node(
        notebook, resources={"output_files_dir": "", "unique_key": name}
    )
    folder.mkdir(parents=True)
    source_link = f"\n\nThis page was executed when the site was built: [notebook]({name}.ipynb).\n"
    (folder / f"{name}.md").write_text(page + source_link, encoding="utf-8")
    (folder / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    for file, content in extras["outputs"].items():
        (folder / Path(file).name).write_bytes(content)
