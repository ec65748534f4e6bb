"""Reports as one self-contained HTML page: no network, no script but its own."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from postproc.reports import plots
from postproc.reports.numbers import ModelReport, ReportNumbers
from postproc.reports.tables import (
    class_table,
    confusion_table,
    gain_table,
    interval,
    percent,
    points,
    score_table,
)
from postproc.scores.checks import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

#: Keeps number and sign on one line.
NINETY_FIVE = "95\N{NO-BREAK SPACE}%"


def report_page(report: ReportNumbers, *, title: str) -> str:
    """The page of a report; ImportError without Jinja2."""
    models = report.compared or report.models
    best = max(models, key=_gain)
    return render_page(
        "report.html",
        title=title,
        report=report,
        summary=_summary(report),
        scores=score_table(report),
        gains=gain_table(report) if report.compared else None,
        gain_plot=plots.gain_plot(report, key="gains") if report.compared else None,
        sections=[
            _section(report, model, f"m{number}", is_open=model is best)
            for number, model in enumerate(models)
        ],
    )


def render_page(template: str, **values: Any) -> str:
    """Fill a template that extends `base.html`; all values are escaped.

    Style and script are part of the page, and its policy allows no other script and no network.
    """
    environment = make_environment()
    from markupsafe import Markup

    folder = files("postproc.reports").joinpath("templates")
    style, script = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(template).render(
        style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **values
    )
    return printable(page) + "\n"


def make_environment() -> Environment:
    """The templates; ImportError without Jinja2."""
    if find_spec("jinja2") is None:
        message = "an HTML report needs jinja2; install it with: pip install 'postproc[report]'"
        raise ImportError(message)
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("postproc.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _section(
    report: ReportNumbers, model: ModelReport, key: str, *, is_open: bool
) -> dict[str, Any]:
    """What the page shows of one model."""
    compared = model.comparison is not None
    changed = compared and model.verdict != "no change"
    confusions = confusion_table(report, model)
    return {
        "key": key,
        "model": model,
        "is_open": is_open,
        "gain": points(model.comparison.gain) if model.comparison is not None else None,
        "ece": percent(model.metrics.ece),
        "baseline_ece": percent(report.baseline.metrics.ece),
        "reliability": plots.reliability_plot(report, model, key=f"{key}-reliability"),
        "class_plot": plots.class_plot(report, model, key=f"{key}-classes") if changed else None,
        "confusion_plot": plots.confusion_plot(report, model, key=f"{key}-confusions")
        if compared and confusions.rows
        else None,
        "confusions": confusions,
        "classes": class_table(report, model),
    }


def _summary(report: ReportNumbers) -> str:
    """The outcome in a sentence or two."""
    baseline = report.baseline
    if not report.compared:
        metrics = baseline.metrics
        within = interval(metrics.accuracy_ci, percent).text
        return (
            f"{baseline.name} is right on {percent(metrics.accuracy)} % of the rows "
            f"({NINETY_FIVE} interval {within})."
        )
    real = [model for model in report.compared if model.verdict == "real gain"]
    best = max(real or report.compared, key=_gain)
    assert best.comparison is not None  # only the baseline has none
    within = interval(best.comparison.gain_ci, points).text
    numbers = f"{points(best.comparison.gain)} points ({NINETY_FIVE} interval {within})"
    if not real:
        return (
            f"No model is significantly better than {baseline.name}; {best.name} comes closest: "
            f"{numbers}."
        )
    if len(report.compared) == 1:
        return f"{best.name} beats {baseline.name}: the gain of {numbers} is real."
    verb = "beats" if len(real) == 1 else "beat"
    return (
        f"{len(real)} of {len(report.compared)} models {verb} {baseline.name}; {best.name} gains "
        f"most, {numbers}."
    )


def _breakable(name: str) -> Markup:
    """A name that may break after punctuation that joins its words."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=\w)([_/.]+)(?=[^\W\d])", r"\1<wbr>", str(escape(name))))


def _gain(model: ModelReport) -> float:
    return model.comparison.gain if model.comparison is not None else 0.0
