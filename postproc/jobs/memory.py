"""Available memory, as far as the system reports it."""

from __future__ import annotations

from pathlib import Path


def available_bytes() -> int | None:
    """Bytes that a process can still allocate within its container; None if unknown."""
    found = [value for value in (_system(), _container()) if value is not None]
    return min(found, default=None)


def _system() -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _container() -> int | None:
    limit, used = (_read(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if not (limit.isdigit() and used.isdigit()):
        return None
    lines = (line.split() for line in _read("/sys/fs/cgroup/memory.stat").splitlines())
    # Cached pages of files count as used, but are freed when a process needs memory.
    files = sum(int(words[1]) for words in lines if words[0] in ("inactive_file", "active_file"))
    return min(int(limit), max(0, int(limit) - int(used) + files))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
