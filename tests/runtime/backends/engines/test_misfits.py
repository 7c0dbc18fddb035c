"""An engine that cannot run here: said once, in one line, and the bundle falls back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.bundle import open_bundle, write_manifest
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError, BundleError
from edgecnn_runtime.manifest import EngineOptions

Machine = Any


@pytest.fixture(
    params=[
        "another GPU",
        "another version",
        "cut short",
        "a stranger's file",
        "out of memory",
        "batch outside",
        "another graph",
        "altered",
        "missing",
        "no context",
    ]
)
def misfit(request: pytest.FixtureRequest, machine: Machine, copy: Path) -> str:
    """An engine in the bundle that cannot run here; what the one line must say of it."""
    tensorrt = machine.tensorrt
    spoil = {
        "another GPU": lambda: machine.add(copy, target="sm89"),
        "another version": lambda: machine.add(copy, version="10.4.0"),
        "batch outside": lambda: machine.add(copy, batch=(4, 4, 8)),
        "another graph": lambda: machine.add(copy, onnx_sha256="0" * 64),
        "a stranger's file": lambda: machine.add(copy, data=b"MZ of somebody else"),
        "out of memory": lambda: machine.add(copy, data=tensorrt.build(scratch=1 << 40)),
    }
    says = {
        "another GPU": "has engines for sm89, this GPU is sm86",
        "another version": "of tensorrt 10.4.0, here is sm86, tensorrt 10.3.0",
        "batch outside": "takes 4 to 8 frames at once, not 1",
        "another graph": "was compiled from another graph",
        "a stranger's file": "does not load in tensorrt 10.3.0: Serialization assertion",
        "out of memory": "the GPU is out of memory: 1099511.6 MB asked for",
        "cut short": "has 10 bytes, the manifest says",
        "altered": "was altered: its sha256 is",
        "missing": "is missing, though the manifest lists it",
        "no context": "gets no context in tensorrt 10.3.0: Cuda Runtime (out of memory)",
    }
    if request.param == "no context":  # found at the first frame
        machine.add(copy, data=tensorrt.build(no_context=True))
    elif request.param in spoil:
        spoil[request.param]()
    else:
        file = copy / machine.add(copy).file
        content = file.read_bytes()
        changed = {"cut short": content[:10], "altered": content[::-1]}.get(request.param)
        file.unlink()
        if changed is not None:
            file.write_bytes(changed)
    return says[request.param]


def test_an_engine_that_cannot_run_here_is_one_line_and_the_classifier_goes_on(
    misfit: str,
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Classifier.open(copy) as classify:
        for _ in range(3):
            assert classify(red)[0].label == "red"
        assert classify.backend.name == "onnxruntime"
    (message,) = caplog.messages
    assert misfit in message
    first, *more = message.splitlines()
    assert "running on ONNX Runtime" in first or "going on with onnxruntime" in first
    assert all(line.startswith("  compile one:  edgecnn compile") for line in more)
    assert (machine.driver.memory, machine.driver.entered) == ({}, 0)


def test_asked_for_by_name_it_is_an_error_of_one_line(
    misfit: str, copy: Path, red: NDArray[np.uint8]
) -> None:
    with (
        pytest.raises((BackendError, BundleError)) as caught,
        Classifier.open(copy, backend="tensorrt") as classify,
    ):
        classify(red)
    assert misfit in str(caught.value)
    assert "\n" not in str(caught.value)


def without_graphs(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    write_manifest(bundle, msgspec.structs.replace(manifest, artifacts=manifest.engines))


def test_a_bundle_of_engines_alone_has_nothing_to_fall_back_to_and_says_so_once(
    misfit: str, copy: Path, red: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    without_graphs(copy)
    if "another graph" in misfit:  # there is none any more to compare its hash with
        with Classifier.open(copy) as classify:
            assert classify(red)[0].label == "red"
        return
    with (
        pytest.raises((BackendError, BundleError)) as caught,
        Classifier.open(copy) as classify,
    ):
        classify(red)
    assert misfit in str(caught.value)
    assert caplog.text == "", "nothing else runs it"


def test_a_bundle_of_engines_alone_says_that_it_needs_a_gpu(
    make_machine: Callable[..., Machine], copy: Path
) -> None:
    make_machine().add(copy)
    without_graphs(copy)
    make_machine(target=None)
    with pytest.raises(BackendError, match="engines need an NVIDIA GPU and its driver"):
        Classifier.open(copy)


def test_an_engine_without_weights_needs_the_graph_that_has_them(
    machine: Machine, copy: Path
) -> None:
    machine.add(copy, options=EngineOptions(strip=True))
    without_graphs(copy)
    with pytest.raises(BackendError, match=r"fp32\.engine has no weights, and the graph"):
        Classifier.open(copy)


def test_the_warning_is_the_one_that_the_manual_shows(
    machine: Machine, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add(copy, target="sm89")
    machine.add(copy, target="sm120")
    Classifier.open(copy).close()
    assert caplog.messages == [
        f"{copy} has engines for sm89 and sm120, this GPU is sm86; running on ONNX Runtime.\n"
        f"  compile one:  edgecnn compile {copy} --target local"
    ]
