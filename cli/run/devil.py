"""The Devil's Advocate on the command line: its options, its summary, its training curves."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.messages import refuse
from cli.options import OUTPUT, Running, given
from cli.parameter_types import Choice, Count, Number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ensemble import DevilsAdvocate, Members
    from ensemble.base import Ensemble

#: Formats of the plot.
PLOT_SUFFIXES = (".svg", ".png", ".pdf")


@dataclass(frozen=True)
class Devil:
    """Options that only the Devil's Advocate has."""

    head: str | None = given(
        "devil: what each norm model learns.  [default: auto, by cross-validation]",
        type=Choice(["auto", "bias", "scale-bias", "affine"]),
    )
    discussion_weight: float | None = given(
        "devil: weight λ of the MSE in the discussion, 1 as published.  [default: by "
        "cross-validation]",
        type=Number(low=0.0),
    )
    devil_weight: float | None = given(
        "devil: its weight w in the published vote, where each norm model has weight 1.  "
        "[default: all weights are learned out of fold]",
        type=Number(low=0.0),
    )
    epochs: int | None = given("devil: maximum number of epochs.  [default: 40]", type=Count(0))
    seeds: int | None = given("devil: number of trainings to average.  [default: 3]", type=Count(1))
    controls: bool = given(
        "devil: also fit plain fine-tuning and the discussion without the devil, to show "
        "what the devil adds."
    )
    plot: Path | None = given(
        "devil: draw the training curves into this file (.svg, .png or .pdf).", group=OUTPUT
    )

    def check_usage(self, method: str, *, overwrite: bool) -> None:
        """Refuse these options for other methods, and plots that cannot be written."""
        from postproc.files import check_output

        for name, value in vars(self).items():
            if method != "devil" and value not in (None, False):
                refuse(f"{method} has no devil; omit --{name.replace('_', '-')}")
        if self.plot is not None:
            check_output(self.plot, overwrite=overwrite, suffixes=PLOT_SUFFIXES)
            if find_spec("matplotlib") is None:
                msg = f"{self.plot}: plots require matplotlib; pip install matplotlib"
                raise ImportError(msg)

    def make(self, running: Running, training: Any) -> DevilsAdvocate:
        """The estimator with these options, and its own defaults for those not given."""
        import ensemble

        named = ("head", "discussion_weight", "devil_weight", "epochs", "seeds")
        chosen = {name: getattr(self, name) for name in named}
        return ensemble.DevilsAdvocate(
            vote="learned" if self.devil_weight is None else "published",
            controls=self.controls,
            training=training,
            device=running.device,
            seed=running.seed,
            **{name: value for name, value in chosen.items() if value is not None},
        )

    def draw_curves(self, combiner: Any, *, overwrite: bool) -> None:
        """Draw the losses on held-out rows: one line per seed for the devil and each norm model."""
        if self.plot is None:
            return
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
                style = {"color": f"C{m % 10}", "linewidth": 1, "label": None if k else name}
                right.plot(range(len(curve)), curve[:, m], **style)
        right.set(title=f"norm models ({combiner.head_})", xlabel="epoch", ylabel="log-loss, nats")
        if combiner.curves_["norm"]:
            right.legend(fontsize=8)
        with atomic_path(self.plot, overwrite=overwrite) as temporary:
            figure.savefig(temporary, dpi=150)
        note_written(self.plot)


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
    """Choices of a Devil's Advocate, and the devil's share; None for other ensembles."""
    if type(combiner).__name__ != "DevilsAdvocate":
        return None
    devil: Any = combiner
    share = None
    if devil.controls_ and labels is not None:
        share = devil.devil_share(members, labels).to_dict()
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
            f"devil's share (compared with the discussion without it): {100 * share['gain']:+z.2f} "
            f"points, 95 % interval {low:+z.2f} to {high:+z.2f}, {share['fixed']} fixed, "
            f"{share['broken']} broken, p = {share['p_value']:.2g}"
        )
    return lines
