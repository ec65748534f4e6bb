"""`python -m postproc` runs the command `postproc`, found by its entry point."""

from importlib.metadata import distribution

(command,) = distribution("postproc").entry_points.select(group="console_scripts")
raise SystemExit(command.load()())
