"""Reports as one self-contained HTML page: no network, no script but its own."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from postproc.reports import plots
from postproc.reports.numbers import Compared, Judged, ModelReport, ReportNumbers
from postproc.reports.tables import (
    Table,
    class_table,
    confusion_table,
    gain_table,
    interval,
    metric_table,
    more_metrics,
    percent,
    positive_table,
    score_table,
    texts_of,
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
    best = max(models, key=partial(_gain, report))
    return render_page(
        "report.html",
        title=title,
        report=report,
        summary=summary_of(report),
        methods=_methods(report),
        scores=score_table(report),
        gains=gain_table(report) if report.compared and "accuracy" in report.asked else None,
        gain_plot=plots.gain_plot(report, key="gains") if report.compared else None,
        metrics=metric_table(report, wide=True) if more_metrics(report) else None,
        calibration=positive_table(report),
        sections=[
            _section(report, model, f"m{number}", is_open=model is best)
            for number, model in enumerate(models)
        ],
    )


def notebook_html(report: Compared[Any], shown: list[Table]) -> str:
    """The outcome and the tables of a report for a notebook; ImportError without Jinja2."""
    environment = make_environment()
    from markupsafe import Markup

    return environment.get_template("notebook.html").render(
        style=Markup(_template("notebook.css")), summary=summary_of(report), tables=shown
    )


def render_page(template: str, **values: Any) -> str:
    """Fill a template that extends `base.html`; all values are escaped.

    Style and script are part of the page, and its policy allows no other script and no network.
    """
    environment = make_environment()
    from markupsafe import Markup

    style, script = map(_template, ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(template).render(
        style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **values
    )
    return printable(page) + "\n"


def _template(name: str) -> str:
    return files("postproc.reports").joinpath("templates", name).read_text(encoding="utf-8")


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
    result = model.results[report.first.name]
    confusions = confusion_table(report, model)
    return {
        "key": key,
        "model": model,
        "is_open": is_open,
        "gain": None if result.gain is None else _gain_text(report, result.gain),
        "verdict": result.verdict,
        "curves": [
            plots.risk_plot(report, model, key=key),
            *plots.curve_plots(report, model, key=key),
        ],
        "ece": percent((model.metrics.positive or model.metrics).ece),
        "baseline_ece": percent((report.baseline.metrics.positive or report.baseline.metrics).ece),
        "reliability": plots.reliability_plot(report, model, key=f"{key}-reliability"),
        "class_plot": plots.class_plot(report, model, key=f"{key}-classes") if changed else None,
        "confusion_plot": plots.confusion_plot(report, model, key=f"{key}-confusions")
        if compared and confusions.rows
        else None,
        "confusions": confusions,
        "classes": class_table(report, model),
    }


def summary_of(report: Compared[Any]) -> str:
    """The outcome in a sentence or two, by the metric that was asked for first."""
    baseline, metric = report.baseline, report.first
    of_value, of_gain = texts_of(metric)
    if not report.compared:
        result = baseline.results[metric.name]
        within = f"({NINETY_FIVE} interval {interval(result.ci, of_value).text})"
        if metric.name == "accuracy" and report.is_counted:
            return f"{baseline.name} is right on {percent(result.value)} % of the rows {within}."
        return f"{baseline.name} has {metric.heading} {of_value(result.value)} {within}."
    real = [m for m in report.compared if m.results[metric.name].verdict == "real gain"]
    best = max(real or report.compared, key=partial(_gain, report))
    within = interval(best.results[metric.name].gain_ci or (nan, nan), of_gain).text
    gain = _gain_text(report, _gain(report, best))
    if metric.name != "accuracy" or not report.is_counted:
        gain += f" in {metric.heading}"
    numbers = f"{gain} ({NINETY_FIVE} interval {within})"
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


def _methods(report: ReportNumbers) -> str:
    """Where intervals and tests come from."""
    exact = (
        "Intervals: Wilson for accuracies, Tango’s score interval for paired gains. Tests: exact "
        "McNemar, corrected by Holm."
    )
    others = "from the influence of each row; t-tests, corrected by Holm."
    if report.groups is not None or report.weighted:
        return f"Intervals: {others}"
    return f"{exact} Other metrics: {others}" if more_metrics(report) else exact


def _gain_text(report: Compared[Any], gain: float) -> str:
    _, text = texts_of(report.first)
    return f"{text(gain)} points" if report.first.is_share else text(gain)


def _breakable(name: str) -> Markup:
    """A name that may break after punctuation that joins its words."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=\w)([_/.]+)(?=[^\W\d])", r"\1<wbr>", str(escape(name))))


def _gain(report: Compared[Any], model: Judged) -> float:
    gain = model.results[report.first.name].gain
    return 0.0 if gain is None or isnan(gain) else gain
