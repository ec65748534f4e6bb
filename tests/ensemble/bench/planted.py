"""Results whose gains are known."""

from ensemble.bench.results import Result

SHIFTS = ("none", "longtail:50")
#: Gains in rows of a thousand of each method, the same in every cell.
GAINS = {"bcts": 20, "auto": 5, "temperature": 0, "sinkhorn": -60, "true-prior": 40}
TEAM_GAINS = {"calibrated": 10, "blend": 30, "auto": 15, "best-single": 0, "oracle": 90}


def result(
    method,
    gain,
    *,
    task="a",
    model="m",
    scope="member",
    shift="none",
    draws=4,
    spread=2,
    error=None,
    seconds=0.5,
):
    """A cell of a thousand rows, 800 of them right before, whose draws vary about the gain."""
    if error is not None:
        return Result(task, model, scope, shift, method, (), (), (), (), (), None, None, error)
    gains = [gain + spread * (-1) ** d for d in range(draws)] if draws > 1 else [gain]
    fixed = tuple(100 + max(g, 0) for g in gains)
    broken = tuple(100 + max(-g, 0) for g in gains)
    return Result(
        task,
        model,
        scope,
        shift,
        method,
        (1000,) * draws,
        tuple(800 + g for g in gains),
        (800,) * draws,
        fixed,
        broken,
        seconds,
        0.1,
        None,
    )


def results(
    *,
    tasks=("a", "b", "c", "d", "e"),
    members=("m1", "m2"),
    shifts=SHIFTS,
    gains=GAINS,
    team_gains=TEAM_GAINS,
    **values,
):
    """All cells of the methods on each member and on all."""
    found = []
    for number, task in enumerate(tasks):
        for shift in shifts:
            for method, gain in gains.items():
                # Tasks differ a little, so that no two gains tie.
                extra = {**values, "task": task, "shift": shift}
                moved = gain + number * (gain != 0)
                found += [result(method, moved, model=name, **extra) for name in members]
            for method, gain in team_gains.items():
                extra = {**values, "task": task, "shift": shift}
                moved = gain + number * (gain != 0)
                spread = {"spread": 0} if method == "best-single" else {}
                found.append(
                    result(
                        method,
                        moved,
                        model="all members",
                        scope="ensemble",
                        **{**extra, **spread},
                    )
                )
    return found
