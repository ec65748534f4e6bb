"""Plots of trainings: gradient accordance over epochs, representations over temperatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ensemble.training.flooding import turning_point
from ensemble.training.representations import tolerance, uniformity
from postproc.reports.picture import picture
from postproc.reports.svg import AXIS_ROOM, MARGIN, SHAPES, WIDTH, Chart, Plot, Scale
from postproc.scores.checks import check_number, fail

#: Height of one chart of a plot, its axis left out.
HEIGHT = 190.0
#: Least distance in pixels between labels of temperatures.
APART = 26


def accordance_plot(accordance: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Draw the gradient accordance of a training over its epochs.

    Modules have a thin line each, and their mean a thick one. A mark shows where a module's
    accordance is first zero or less after it was positive, where ``flooding="auto"`` begins. Phases
    follow each other.

    Parameters
    ----------
    accordance : dict of str to list
        The trainer's `accordance_`: by phase, for each epoch one value a module.

    Returns
    -------
    str
        The plot as SVG.

    Raises
    ------
    ValueError
        If there is no epoch.
    """
    curves = {phase: np.array(values, dtype=float) for phase, values in accordance.items()}
    curves = {phase: values for phase, values in curves.items() if len(values)}
    if not curves:
        fail("accordance", "of one epoch or more", "none", 'train with flooding="auto"')
    n_epochs = sum(map(len, curves.values()))
    lows, highs = zip(*((c.min(), c.max()) for c in curves.values()), strict=True)
    low, high = min(0.0, *lows), max(0.0, *highs)
    pad = 0.08 * (high - low or 1.0)
    x = Scale(0.5, n_epochs + 0.5, 40, WIDTH - MARGIN)
    chart = Chart(x, Scale(low - pad, high + pad, HEIGHT, 24))
    ticks = [tick for tick in x.ticks() if tick == int(tick) and 1 <= tick <= n_epochs]
    chart.axis("epoch", top=24, bottom=HEIGHT, ticks=ticks)
    several = any(values.shape[1] > 1 for values in curves.values())
    chart.y_axis("cosine of gradients" + " (bold: mean)" * several)
    chart.line((x.low, x.high), (0, 0), "ink thin")
    says, done, some_flooded = [], 0, False
    for phase, values in curves.items():
        epochs = range(done + 1, done + len(values) + 1)
        if done:
            chart.line((done + 0.5, done + 0.5), (chart.y.low, chart.y.high), "muted dashed")
        if len(curves) > 1:
            chart.text(phase, x(done + 0.5) + 4, HEIGHT - 5, "start")
        means = values.mean(axis=1).tolist()
        if values.shape[1] > 1:
            for curve in values.T:
                chart.line(epochs, curve.tolist(), "muted thin")
        chart.line(epochs, means, "accent")
        for curve in values.T:
            turn = turning_point(curve)
            if turn is not None:
                chart.mark(epochs[turn], float(curve[turn]), "bad")
                some_flooded = True
        says.append(f"{phase}: " + ", ".join(f"{mean:.3g}" for mean in means))
        done += len(values)
    if some_flooded:
        key = {"d": SHAPES["disc"], "transform": f"translate({WIDTH - MARGIN - 88} 9)"}
        chart.add("path", "mark bad", **key)
        chart.text("flooding begins", WIDTH - MARGIN, 12, "end")
    title = "Gradient accordance by epoch"
    return picture(chart.plot("accordance", title, "; ".join(says), HEIGHT + AXIS_ROOM))


def temperature_plot(representations: Mapping[float, Any], y: Any) -> str:
    """Draw uniformity and tolerance of representations over the temperature τ.

    A contrastive loss of small τ spreads representations evenly, and tears classes apart; one of
    large τ keeps classes together. The plot shows how much of one is paid for the other.

    Parameters
    ----------
    representations : dict of float to array-like of shape (n, d)
        By temperature, the representations of the same rows, of a module trained with it.
    y : array-like of shape (n,)
        Classes of the rows.

    Returns
    -------
    str
        The plot as SVG, with a logarithmic axis of temperatures.

    Raises
    ------
    ValueError
        If there are fewer than two temperatures, or `uniformity` or `tolerance` is not defined.
    """
    if len(representations) < 2:
        fail("representations", "of two temperatures or more", len(representations))
    for value in representations:
        check_number(value, "representations", low=0.0, open_low=True)
    temperatures = sorted(representations)
    evenness = [uniformity(representations[value]) for value in temperatures]
    closeness = [tolerance(representations[value], y) for value in temperatures]
    upper = _over_temperatures(temperatures, evenness, "uniformity (the lower, the more even)", 0)
    offset = HEIGHT + AXIS_ROOM
    label = "tolerance (the higher, the closer a class)"
    lower = _over_temperatures(temperatures, closeness, label, offset)
    says = "; ".join(
        f"τ {value:g}: uniformity {even:.3g}, tolerance {close:.3g}"
        for value, even, close in zip(temperatures, evenness, closeness, strict=True)
    )
    elements = [*upper.elements, *lower.elements]
    title = "Uniformity and tolerance by temperature"
    return picture(Plot("temperature", title, says, 2 * offset, elements, []))


def _over_temperatures(
    temperatures: Sequence[float], values: Sequence[float], label: str, offset: float
) -> Chart:
    """A curve over temperatures, drawn below an offset."""
    pad = 0.08 * (max(values) - min(values) or 1.0)
    top, bottom = offset + 24, offset + HEIGHT
    x = Scale(temperatures[0] / 1.1, temperatures[-1] * 1.1, 40, WIDTH - MARGIN, is_log=True)
    chart = Chart(x, Scale(min(values) - pad, max(values) + pad, bottom, top))
    ticks: list[float] = []
    for value in temperatures:
        if not ticks or x(value) - x(ticks[-1]) >= APART:
            ticks.append(value)
    chart.axis("temperature τ", top=top, bottom=bottom, ticks=ticks)
    chart.y_axis(label, top=offset)
    chart.line(temperatures, values, "accent")
    for place in zip(temperatures, values, strict=True):
        chart.mark(*place, "accent")
    return chart
