"""An engine is told to be another machine's before a byte of it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgecnn_runtime.backends.engine import open_engine
from edgecnn_runtime.backends.identity import Here, choose, fits_version, mismatch, runs_on
from edgecnn_runtime.bundle import Bundle, open_bundle
from edgecnn_runtime.errors import BackendError, BundleError
from edgecnn_runtime.manifest import EngineOptions

Machine = Any
HERE = Here("sm86", {"tensorrt": "10.3.0"}.get)


def choose_one(bundle: Bundle, here: Here, *compilers: str, batch: int = 1) -> Any:
    graph = bundle.manifest.onnx[0]
    return choose(bundle, graph, compilers or ("tensorrt", "tensorrt-rtx"), here, batch)


@pytest.mark.parametrize(
    ("changes", "here", "why"),
    [
        ({}, HERE, None),
        ({"target": "sm89"}, HERE, "needs sm89, tensorrt 10.3.0 (here: sm86, tensorrt 10.3.0)"),
        ({"version": "10.4.0"}, HERE, "needs sm86, tensorrt 10.4.0 (here: sm86, tensorrt 10.3.0)"),
        (
            {"compiler": "tensorrt-rtx", "version": "1.7.1"},
            HERE,
            "needs sm86, tensorrt-rtx 1.7.1 (here: sm86, no tensorrt-rtx)",
        ),
        (
            {},
            Here(None, {"tensorrt": "10.3.0"}.get),
            "needs sm86, tensorrt 10.3.0 (here: no NVIDIA GPU)",
        ),
        ({"onnx_sha256": "0" * 64}, HERE, "was compiled from another graph than the bundle has"),
        ({"batch": (4, 4, 8)}, HERE, "takes 4 to 8 frames at once, not 1"),
    ],
)
def test_what_speaks_against_an_engine_is_said(
    machine: Machine, copy: Path, changes: dict[str, Any], here: Here, why: str | None
) -> None:
    artifact = machine.add(copy, **changes)
    assert mismatch(open_bundle(copy), artifact, here) == why


def test_a_gpu_that_is_not_here_costs_no_look_for_libraries(machine: Machine, copy: Path) -> None:
    def never(compiler: str) -> str:
        raise AssertionError(compiler)

    artifact = machine.add(copy)
    assert mismatch(open_bundle(copy), artifact, Here(None, never)) is not None


def engine(**options: Any) -> Any:
    return SimpleNamespace(
        target="sm86", version="10.3.0.26", options=EngineOptions(**options), compiler="tensorrt"
    )


@pytest.mark.parametrize(
    ("compatible", "version", "fits"),
    [
        (False, "10.3.0.26", True),
        (False, "10.3.0.30", False),
        (True, "10.13.2.6", True),
        (True, "10.3.0.26", True),
        (True, "10.2.0.19", False),
        (True, "11.0.0.1", False),
        (True, None, False),
    ],
)
def test_a_later_version_reads_only_what_was_built_for_it(
    compatible: bool, version: str | None, fits: bool
) -> None:
    assert fits_version(engine(version_compatible=compatible), version) is fits


@pytest.mark.parametrize(
    ("compatible", "gpu", "runs"),
    [
        (False, "sm86", True),
        (False, "sm89", False),
        (True, "sm120", True),
        (True, "sm75", False),
        (True, None, False),
    ],
)
def test_a_hardware_compatible_engine_runs_from_sm80_on(
    compatible: bool, gpu: str | None, runs: bool
) -> None:
    assert runs_on(engine(hardware_compatible=compatible), gpu) is runs


def test_the_engine_of_this_machine_is_found_among_others(machine: Machine, copy: Path) -> None:
    machine.add(copy, target="sm89")
    right = machine.add(copy)
    machine.add(copy, compiler="tensorrt-rtx", version="1.7.1")
    assert choose_one(open_bundle(copy), HERE) == right


def test_engines_for_other_gpus_are_named_with_the_command_that_helps(
    machine: Machine, copy: Path
) -> None:
    machine.add(copy, target="sm89")
    machine.add(copy, target="sm86")
    with pytest.raises(BackendError) as caught:
        choose_one(open_bundle(copy), Here("sm120", HERE.version))
    assert str(caught.value) == (
        f"{copy} has engines for sm86 and sm89, this GPU is sm120;"
        f" compile one:  edgecnn compile {copy} --target local"
    )


@pytest.mark.parametrize(
    ("changes", "asked", "says"),
    [
        ({"target": "sm89"}, ("tensorrt-rtx",), "has no tensorrt-rtx engine of model.fp32.onnx"),
        (
            {"version": "10.0.1"},
            ("tensorrt",),
            "has an engine for sm86 of tensorrt 10.0.1, here is sm86, tensorrt 10.3.0",
        ),
        ({"onnx_sha256": "0" * 64}, ("tensorrt",), "was compiled from another graph"),
        ({"batch": (2, 2, 2)}, ("tensorrt",), "takes 2 frames at once, not 1"),
        ({"precision": "int8"}, ("tensorrt",), "has no tensorrt engine of model.fp32.onnx"),
    ],
)
def test_the_nearest_miss_is_what_is_told(
    machine: Machine, copy: Path, changes: dict[str, Any], asked: tuple[str], says: str
) -> None:
    machine.add(copy, **changes)
    with pytest.raises(BackendError) as caught:
        choose_one(open_bundle(copy), HERE, *asked)
    line = str(caught.value)
    assert says in line
    assert f"edgecnn compile {copy} --compiler {asked[0]} --target local" in line
    assert "\n" not in line


def test_an_engine_for_another_gpu_is_never_read(
    make_machine: Callable[..., Machine], copy: Path
) -> None:
    machine = make_machine(target="sm120")
    artifact = machine.add(copy, data=b"MZ of somebody else")
    with pytest.raises(BackendError, match="needs sm86"):
        open_engine(open_bundle(copy), artifact)
    assert machine.driver.entered == machine.driver.allocations == 0


@pytest.mark.parametrize("length", [0, 10])
def test_an_engine_that_was_cut_short_is_refused_before_it_is_read(
    machine: Machine, copy: Path, length: int
) -> None:
    artifact = machine.add(copy)
    file = copy / artifact.file
    file.write_bytes(file.read_bytes()[:length])
    bundle = open_bundle(copy)  # the rest of it is whole
    with pytest.raises(BundleError, match=f"has {length} bytes, the manifest says") as caught:
        open_engine(bundle, artifact)
    assert f"edgecnn compile {copy}" in str(caught.value)
    assert machine.tensorrt.loaded == 0


def test_an_engine_that_was_altered_is_refused_before_it_is_read(
    machine: Machine, copy: Path
) -> None:
    artifact = machine.add(copy)
    file = copy / artifact.file
    file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(BundleError, match="was altered: its sha256 is") as caught:
        open_engine(open_bundle(copy), artifact)
    assert "compile it again" in str(caught.value)
    assert machine.tensorrt.loaded == 0


def test_weights_that_were_left_out_come_from_the_bundles_graph(
    machine: Machine, copy: Path
) -> None:
    taken: list[str] = []

    def refitter(engine: Any, logger: Any) -> Any:
        return SimpleNamespace(refit_cuda_engine=lambda: True)

    def parser(refitter: Any, logger: Any) -> Any:
        def refit_from_file(path: str) -> bool:
            taken.append(path)
            return True

        return SimpleNamespace(refit_from_file=refit_from_file)

    machine.tensorrt.api.Refitter = refitter
    machine.tensorrt.api.OnnxParserRefitter = parser
    open_engine(open_bundle(copy), machine.add(copy)).close()
    assert not taken
    stripped = machine.add(copy, options=EngineOptions(strip=True))
    open_engine(open_bundle(copy), stripped).close()
    assert taken == [str(copy / "model.fp32.onnx")]
