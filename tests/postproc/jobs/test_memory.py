"""Memory that is left: what the files of a container say."""

import pytest

from postproc.jobs import memory

FILES = {
    "/proc/meminfo": "MemTotal: 100 kB\nMemAvailable:  80 kB\n",
    "/sys/fs/cgroup/memory.max": "50000\n",
    "/sys/fs/cgroup/memory.current": "45000\n",
    "/sys/fs/cgroup/memory.stat": "anon 5000\ninactive_file 30000\nactive_file 8000\nfile 38000\n",
}


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, 43000),  # pages of files are given back
        ({"/sys/fs/cgroup/memory.stat": ""}, 5000),
        ({"/sys/fs/cgroup/memory.stat": "", "/sys/fs/cgroup/memory.current": "60000"}, 0),
        ({"/sys/fs/cgroup/memory.max": "max\n"}, 80 * 1024),
        ({"/sys/fs/cgroup/memory.max": "", "/proc/meminfo": ""}, None),
    ],
)
def test_what_is_left(monkeypatch, changes, left):
    files = FILES | changes
    monkeypatch.setattr(memory, "_read", lambda path: files[path])
    assert memory.available_bytes() == left
