"""What opens where: the engine of this machine, else what the bundle falls back to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends import BACKENDS, open_artifact, open_backend
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError, InputError
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.opening import open_model
from edgecnn_runtime.stream.loop import Stream

Machine = Any


def test_auto_runs_the_engine_of_this_machine(
    machine: Machine, copy: Path, red: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    machine.add(copy)
    with Classifier.open(copy) as classify:
        assert classify.backend.name == "tensorrt"
        assert classify(red)[0].label == "red"
    assert machine.tensorrt.enqueues > 0
    assert machine.driver.memory == {}
    assert caplog.text == ""


def test_a_bundle_without_engines_runs_on_onnx_runtime_without_a_word(
    machine: Machine, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Classifier.open(copy) as classify:
        assert classify.backend.name == "onnxruntime"
    assert caplog.text == ""


def test_engines_for_a_device_say_nothing_on_a_workstation_without_a_gpu(
    make_machine: Callable[..., Machine], copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_machine(target="sm86").add(copy)
    make_machine(target=None)
    with Classifier.open(copy) as classify:
        assert classify.backend.name == "onnxruntime"
    assert caplog.text == ""


def test_a_gpu_that_fails_in_the_middle_of_a_film_does_not_end_it(
    machine: Machine, copy: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add(copy)
    with Classifier.open(copy) as classify:
        results = []
        for result in Stream(classify, clip):
            results.append(result)
            if result.index == 10:
                machine.tensorrt.refuses = machine.driver.launch = broken
        assert [r.index for r in results] == list(range(40))
        with Classifier.open(copy, backend="onnxruntime") as cpu:
            for result in results:
                assert result.best.label == cpu(result.frame)[0].label
    backends = [r.backend for r in results]
    assert backends[0] == "tensorrt"
    assert backends[-1] == "onnxruntime"
    assert len(caplog.messages) == 1


def broken(*arguments: Any) -> None:
    raise BackendError("CUDA's cuGraphLaunch failed: CUDA_ERROR_LAUNCH_FAILED")


def test_two_frames_of_a_film_are_on_the_gpu_at_once_and_one_of_a_camera(
    machine: Machine, copy: Path, clip: Path
) -> None:
    machine.add(copy)
    with Classifier.open(copy, backend="tensorrt") as classify:
        most = 0
        for _ in Stream(classify, clip):
            most = max(most, len(classify.backend._on_their_way))
        assert most == 1, "one is read while the other is on its way"
        assert machine.tensorrt.contexts == 2


def test_a_filter_has_no_engines(
    machine: Machine, filter_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BackendError, match="frames of any size, and engines are compiled for one"):
        ImageFilter.open(filter_bundle, backend="tensorrt")
    open_model(filter_bundle).close()
    assert caplog.text == ""
    open_model(filter_bundle, compile="background").close()
    assert "it runs on ONNX Runtime" in caplog.text


def test_a_graph_backend_is_not_told_to_compile(copy: Path) -> None:
    with pytest.raises(InputError, match="runs no engines"):
        Classifier.open(copy, backend="onnxruntime", compile="wait")
    with pytest.raises(InputError, match="did you mean 'background'"):
        Classifier.open(copy, compile="backround")


def test_an_engine_cannot_be_given_to_a_graph(machine: Machine, copy: Path) -> None:
    bundle = open_bundle(copy)
    with pytest.raises(
        BackendError, match=r"'tensorrt' runs engines, and model\.fp32\.onnx is a graph"
    ):
        open_artifact(bundle, bundle.manifest.artifacts[0], "tensorrt")


def test_an_artifact_that_loads_here_opens_as_what_it_is(machine: Machine, copy: Path) -> None:
    machine.add(copy)
    bundle = open_bundle(copy)
    names = []
    for artifact in bundle.manifest.artifacts:
        backend = open_artifact(bundle, artifact)
        names.append(backend.name)
        backend.close()
    assert names == ["onnxruntime", "tensorrt"]


@pytest.mark.parametrize("verb", ["stream", "profile"])
def test_help_names_every_backend(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    said = capsys.readouterr().out.replace("\n", "").replace(" ", "").replace("-", "")
    for name in BACKENDS:
        assert name.replace("-", "") in said


def test_a_backend_of_no_name_is_answered_with_the_nearest(copy: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'tensorrt-rtx'"):
        open_backend(open_bundle(copy), "tensort-rtx")
