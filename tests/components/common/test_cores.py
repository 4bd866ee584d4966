import os
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common import cores as module
from components.common.cores import available_cores, cores

# As a container with control groups of its own has it, in version 2 and in version 1.
OF_ITS_OWN = "0::/\n"
OLD = "2:cpu,cpuacct:/\n1:name=systemd:/\n"
SERVICE, HOLDS = "0::/system.slice/job.service\n", "system.slice/job.service/cpu.max"
OLD_SERVICE = "2:cpu,cpuacct:/system.slice/job.service\n0::/system.slice/job.service\n"
QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"
System = Callable[[str, dict[str, str]], None]


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """Make a system of eight cores, given the control groups of this process and the files of all groups."""

    def make(own: str, files: dict[str, str]) -> None:
        (tmp_path / "own").write_text(own)
        for name, content in files.items():
            file = tmp_path / "all" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)

    monkeypatch.setattr(module, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(module, "CGROUPS", tmp_path / "all")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return make


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (OF_ITS_OWN, {}, 8),
        (OF_ITS_OWN, {"cpu.max": "max 100000\n"}, 8),
        (OF_ITS_OWN, {"cpu.max": "200000 100000\n"}, 2),
        (OF_ITS_OWN, {"cpu.max": "150000 100000\n"}, 2),
        (OF_ITS_OWN, {"cpu.max": "10000 100000\n"}, 1),
        (OF_ITS_OWN, {"cpu.max": "6400000 100000\n"}, 8),
        (OLD, {f"cpu/{QUOTA}": "-1\n", f"cpu/{PERIOD}": "100000\n"}, 8),
        (OLD, {f"cpu/{QUOTA}": "300000\n", f"cpu/{PERIOD}": "100000\n"}, 3),
    ],
)
def test_the_limit_of_a_container_counts(
    own: str, files: dict[str, str], expected: int, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system(own, files)
    assert cores() == available_cores() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert (cores(), available_cores()) == (5, expected)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (SERVICE, {HOLDS: "200000 100000\n"}, 2),
        (SERVICE, {HOLDS: "max 100000\n", "system.slice/cpu.max": "300000 100000\n"}, 3),
        (SERVICE, {HOLDS: "400000 100000\n", "system.slice/cpu.max": "300000 100000\n"}, 3),
        (SERVICE, {"system.slice/other.service/cpu.max": "200000 100000\n"}, 8),
        (
            OLD_SERVICE,
            {
                f"cpu/system.slice/job.service/{QUOTA}": "200000\n",
                f"cpu/system.slice/job.service/{PERIOD}": "100000\n",
                f"cpu/{QUOTA}": "-1\n",
                f"cpu/{PERIOD}": "100000\n",
            },
            2,
        ),
        # A container that sees its own group as the root, under the host's name.
        ("0::/../../job.scope\n", {"cpu.max": "200000 100000\n"}, 2),
        ("4:cpu:/docker/0f3e\n", {f"cpu/{QUOTA}": "200000\n", f"cpu/{PERIOD}": "100000\n"}, 2),
    ],
)
def test_the_least_limit_of_a_service_and_what_it_is_in_counts(
    own: str, files: dict[str, str], expected: int, system: System
) -> None:
    system(own, files)
    assert available_cores() == expected


@pytest.mark.usefixtures("system")
def test_a_system_without_affinities_and_groups_has_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert available_cores() == 3
