"""Networks made in several processes, and on Ray's workers, are those that one process makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn_export.sweep.plan import Plan, grid
from edgecnn_export.sweep.sweep import Sweep, sweep
from edgecnn_export.sweep.trials import OnRay, Processes, Trials, one_by_one

PLAN = Plan(
    model="mobilenet_v1",
    data="terrain",
    points=grid("mobilenet_v1", "0.25,0.5", "48"),
    precisions=("fp32", "int8-cpu"),
    epochs=5,
    calibration="minmax",
    calibration_images=32,
)


def told(found: Sweep) -> list[tuple[object, ...]]:
    """All but latency."""
    return [
        (r.width, r.resolution, r.precision, r.parameters, r.macs, r.top1, r.top5, r.kept)
        for r in found.variants
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray itself
@pytest.mark.parametrize("where", ["processes", "ray"])
def test_two_workers_give_the_table_of_one_process(tmp_path: Path, where: str) -> None:
    trials: Trials = Processes(2)
    if where == "ray":
        pytest.importorskip("ray", reason="no Ray: pip install 'edgecnn[ray]'")
        trials = OnRay("local", 2)
    one = sweep(tmp_path / "one", PLAN, None, trials=one_by_one)
    two = sweep(tmp_path / "two", PLAN, None, trials=trials)
    assert told(two) == told(one)
    assert max(row.top1 or 0.0 for row in one.variants) > 0.4  # a third is chance
    for point in PLAN.points:
        files = [tmp_path / n / point.name / "run" / "best.safetensors" for n in ("one", "two")]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert (tmp_path / "two" / point.name / "bundle" / "manifest.json").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_ray_at_an_address_is_said_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="no Ray: pip install 'edgecnn[ray]'")
    from edgecnn_runtime.errors import InputError

    with pytest.raises(InputError, match=r"--ray auto: .*ray start --head"):
        sweep(tmp_path / "o", PLAN, None, trials=OnRay("auto"))
