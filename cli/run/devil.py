"""The Devil's Advocate on the command line: its options, its summary, its training curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ensemble import DevilsAdvocate, Members
    from ensemble.base import Ensemble

#: Options that only the Devil's Advocate has a use for, as click calls their values.
ONLY = ("head", "discussion_weight", "devil_weight", "epochs", "seeds", "controls", "plot")

#: Formats of the plot.
PLOT_SUFFIXES = (".svg", ".png", ".pdf")


def devil_options(function: options.Command) -> options.Command:
    """Options of `postproc ensemble devil`."""
    for decorate in (
        click.option(
            "--plot",
            type=click.Path(path_type=Path),
            help="devil: draw the training curves into this file (.svg, .png, .pdf).",
        ),
        click.option(
            "--controls",
            is_flag=True,
            help="devil: also fit plain fine-tuning and the discussion without the devil, to show "
            "what the devil adds.",
        ),
        click.option(
            "--seeds", type=options.Count(1), help="devil: trainings averaged.  [default: 3]"
        ),
        click.option("--epochs", type=options.Count(0), help="devil: most epochs.  [default: 40]"),
        click.option(
            "--devil-weight",
            type=options.Number(low=0.0),
            help="devil: its weight w in the published vote, where all others count 1.  [default: "
            "all weights learned out of fold]",
        ),
        click.option(
            "--discussion-weight",
            type=options.Number(low=0.0),
            help="devil: weight λ of the MSE in the discussion, 1 as published.  [default: by "
            "cross-validation]",
        ),
        click.option(
            "--head",
            type=click.Choice(["auto", "bias", "scale-bias", "affine"]),
            help="devil: what each norm model learns.  [default: auto, by cross-validation]",
        ),
    ):
        function = decorate(function)
    return function


def check_devil_usage(method: str, given: dict[str, Any]) -> None:
    """Options of the devil, given to another method; and whether the plot can be written."""
    from postproc.files import check_output

    for name in ONLY:
        if method != "devil" and given[name] not in (None, False):
            message = f"{method} has no devil; leave --{name.replace('_', '-')} away"
            raise click.UsageError(message)
    if given["plot"] is not None:
        check_output(given["plot"], overwrite=given["overwrite"], suffixes=PLOT_SUFFIXES)


def make_devil(given: dict[str, Any]) -> DevilsAdvocate:
    """The estimator with the options that were given, and its own defaults for the others."""
    import ensemble

    named = ("head", "discussion_weight", "devil_weight", "epochs", "seeds")
    chosen = {name: given[name] for name in named if given[name] is not None}
    return ensemble.DevilsAdvocate(
        vote="learned" if given["devil_weight"] is None else "published",
        controls=given["controls"],
        device=given["device"],
        seed=given["seed"],
        **chosen,
    )


def contestants_of(combiner: Ensemble, members: Members) -> dict[str, Any]:
    """What a Devil's Advocate is compared with; nothing for other ensembles."""
    if type(combiner).__name__ != "DevilsAdvocate":
        return {}
    from ensemble.devil.estimator import FULL

    found = combiner.contestants(members)
    del found[FULL]
    return dict(found)


def devil_summary(
    combiner: Ensemble, members: Members, labels: NDArray[Any] | None
) -> dict[str, Any] | None:
    """Choices of a Devil's Advocate, and its devil's share; None for other ensembles."""
    if type(combiner).__name__ != "DevilsAdvocate":
        return None
    devil: Any = combiner
    share = None
    if devil.controls_ and labels is not None:
        compared = devil.devil_share(members, labels)
        share = {
            "gain": compared.gain,
            "gain_ci": list(compared.gain_ci),
            "fixed": compared.fixed,
            "broken": compared.broken,
            "p_value": compared.p_value,
        }
    return {
        "head": devil.head_,
        "discussion_weight": devil.discussion_weight_,
        "devil_weight": devil.devil_weight_,
        "cv_log_loss": devil.cv_log_loss_,
        "share": share,
    }


def devil_lines(summary: dict[str, Any]) -> list[str]:
    """The summary in words."""
    lines = [
        f"head: {summary['head']}, discussion weight: {summary['discussion_weight']:g}, "
        f"devil's weight: {summary['devil_weight']:.3f}"
    ]
    share = summary["share"]
    if share is not None:
        low, high = (100 * limit for limit in share["gain_ci"])
        lines.append(
            f"devil's share (against the discussion without it): {100 * share['gain']:+z.2f} "
            f"points, 95 % interval {low:+z.2f} to {high:+z.2f}, {share['fixed']} fixed, "
            f"{share['broken']} broken, p = {share['p_value']:.2g}"
        )
    return lines


def plot_curves(combiner: Any, path: Path, *, overwrite: bool) -> None:
    """Draw the losses on the inner rows, one line a seed for the devil and each norm model."""
    from matplotlib.figure import Figure

    from cli.messages import note_written
    from postproc.files.paths import atomic_path

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for curve in combiner.curves_["devil"]:
        left.plot(range(len(curve)), curve[:, 0], color="tab:red", linewidth=1)
    left.set(title="devil", xlabel="epoch", ylabel="devil's loss, nats")
    for k, curve in enumerate(combiner.curves_["norm"]):
        for m, name in enumerate(combiner.names_):
            label = None if k else name
            right.plot(range(len(curve)), curve[:, m], color=f"C{m % 10}", linewidth=1, label=label)
    right.set(title=f"norm models ({combiner.head_})", xlabel="epoch", ylabel="log-loss, nats")
    if combiner.curves_["norm"]:
        right.legend(fontsize=8)
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=150)
    note_written(path)
