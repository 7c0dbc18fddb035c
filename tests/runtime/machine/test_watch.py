"""What a profile says of a GPU that is not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn_runtime.latency.watch import Watch

from .fakes import FakeCuda, FakeNvml, machine


def test_a_gpus_conditions_energy_and_memory_are_told(tmp_path: Path) -> None:
    library = FakeNvml()
    watch = Watch(machine(tmp_path, nvidia=library, cuda=FakeCuda())).computes_on("tensorrt")
    library.used_mb = 800  # it was opened
    with watch:
        library.joules += 6
    seen = watch.conditions
    assert seen is not None
    assert seen.power_mode == "GPU limited to 70 W"
    assert {clock.name: clock.after_mhz for clock in seen.clocks} == {
        "GPU": 1410,
        "GPU memory": 5001,
    }
    assert seen.throttled == ("the GPU's heat (hardware)",)
    (energy,) = watch.energy(frames=100)
    assert (energy.of, energy.joules, energy.mj_per_frame) == ("GPU board", 6, 60)
    assert energy.mean_w > 0
    memory = watch.memory()
    assert memory is not None
    assert memory.gpu_mb == pytest.approx(300)


def test_a_gpu_that_does_not_compute_is_left_out(tmp_path: Path) -> None:
    watch = Watch(machine(tmp_path, nvidia=FakeNvml(), cuda=FakeCuda())).computes_on("onnxruntime")
    with watch:
        pass
    assert watch.conditions is not None
    assert (watch.conditions.clocks, watch.conditions.throttled) == ((), ())
    assert watch.energy(frames=1) == []
