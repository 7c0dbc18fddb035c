from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn_runtime.machine.access import Machine
from edgecnn_runtime.machine.load import CpuTimes, cpu_times, load_between
from edgecnn_runtime.machine.memory import resident_mb


def test_what_others_used_is_what_we_did_not() -> None:
    before = CpuTimes(busy=100.0, stolen=1.0, own=10.0, wall=0.0)
    after = CpuTimes(busy=113.0, stolen=2.0, own=15.0, wall=4.0)
    load = load_between(before, after)
    assert load.other_cores == pytest.approx(2.0)
    assert load.stolen_cores == pytest.approx(0.25)


def test_a_machine_that_does_not_tell_is_no_error(tmp_path: Path) -> None:
    silent = Machine(root=tmp_path, system="darwin")
    load = load_between(cpu_times(silent), cpu_times(silent))
    assert (load.other_cores, load.stolen_cores) == (None, None)
    assert resident_mb(silent) is not None, "then getrusage tells"


def test_the_kernels_count_is_read_without_idleness(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text("cpu  100 200 300 9999 50 10 20 400 7 7\ncpu0 1 1\n")
    times = cpu_times(Machine(root=tmp_path))
    assert times.busy == pytest.approx(6.3)
    assert times.stolen == pytest.approx(4.0)


def test_memory_is_this_process_own_and_not_its_parents(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("VmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\n")
    assert resident_mb(Machine(root=tmp_path)) == (100, 200)
