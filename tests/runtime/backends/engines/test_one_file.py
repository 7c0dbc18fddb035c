"""A graph or an engine outside of its bundle, with the manifest that describes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends import trt
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError, InputError
from edgecnn_runtime.manifest import EngineOptions
from edgecnn_runtime.one_file import open_file

Machine = Any
OneLine = Callable[..., str]


class Taken(NamedTuple):
    """An engine and a manifest that were taken out of a bundle."""

    engine: Path
    manifest: Path


@pytest.fixture
def take(copy: Path, tmp_path: Path) -> Callable[..., Taken]:
    """take(machine, target="sm89") -> an engine that is put into the bundle and taken out of it."""

    def out(machine: Machine, **changes: Any) -> Taken:
        file = copy / machine.add(copy, **changes).file
        folder = tmp_path / "taken"
        folder.mkdir(exist_ok=True)
        engine = Path(shutil.copy(file, folder / "seen.engine"))
        return Taken(engine, copy / "manifest.json")

    return out


def test_an_engine_answers_as_the_bundle_that_it_was_taken_from(
    machine: Machine,
    copy: Path,
    take: Callable[..., Taken],
    photographs: dict[str, NDArray[np.uint8]],
) -> None:
    engine, manifest = take(machine)
    with open_file(engine, manifest) as classify, Classifier.open(copy) as whole:
        assert (classify.backend.name, whole.backend.name) == ("tensorrt", "tensorrt")
        for frame in photographs.values():
            assert classify(frame) == whole(frame)
    assert (machine.driver.memory, machine.driver.entered) == ({}, 0)


def test_a_manifest_beside_the_engine_need_not_be_named(
    machine: Machine, take: Callable[..., Taken], red: NDArray[np.uint8]
) -> None:
    engine, manifest = take(machine)
    shutil.copy(manifest, engine.parent)
    with open_file(engine) as classify:
        assert classify(red)[0].label == "red"


def test_nothing_is_written_beside_the_engine(
    make_machine: Callable[..., Machine], take: Callable[..., Taken], red: NDArray[np.uint8]
) -> None:
    engine, manifest = take(make_machine("tensorrt-rtx", "1.7.1"))
    shutil.copy(manifest, engine.parent)
    with open_file(engine) as classify:
        assert classify(red)[0].label == "red"
    assert sorted(p.name for p in engine.parent.iterdir()) == ["manifest.json", "seen.engine"]


COLOURS = ("1 red", "2 green", "3 blue")  # in the order of folders and of the network


@pytest.fixture
def three_colours(copy: Path, tmp_path: Path) -> Path:
    """A folder of photographs of three plain colours, eight each, and the bundle's labels so."""
    manifest = copy / "manifest.json"
    rng = np.random.default_rng(0)
    for channel, label in zip((2, 1, 0), COLOURS, strict=True):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for i in range(8):
            picture = rng.integers(0, 30, (50 + i, 70, 3), np.uint8)
            picture[:, :, channel] += 180
            cv2.imwrite(str(folder / f"{i}.png"), picture)
        manifest.write_text(manifest.read_text().replace(f'"{label[2:]}"', f'"{label}"'))
    return tmp_path / "photos"


def test_evaluate_measures_an_engine_as_it_does_its_bundle_and_its_graph(
    machine: Machine,
    copy: Path,
    take: Callable[..., Taken],
    three_colours: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    engine, manifest = take(machine)
    told = []
    for target in ([engine, "--manifest", manifest], [copy], [copy / "model.fp32.onnx"]):
        first, *more = map(str, target)
        assert run(["evaluate", first, str(three_colours), *more, "--json", "-"]) == 0
        told.append(capfd.readouterr().out.replace(first, "TARGET"))
    assert told[0] == told[1] == told[2]
    assert json.loads(told[0])["top1"] == 1.0
    assert machine.tensorrt.enqueues > 0
    assert machine.driver.memory == {}


def test_without_a_gpu_it_says_what_the_engine_needs(
    make_machine: Callable[..., Machine], take: Callable[..., Taken], refused: OneLine
) -> None:
    engine, manifest = take(make_machine())
    make_machine(target=None)
    line = refused("evaluate", engine, "terrain", "--manifest", manifest)
    assert f"{engine} needs sm86, tensorrt 10.3.0 (here: no NVIDIA GPU)" in line
    assert "evaluate the ONNX graph" in line


def test_without_tensorrt_it_says_what_to_install(
    make_machine: Callable[..., Machine], take: Callable[..., Taken], refused: OneLine
) -> None:
    engine, manifest = take(make_machine("tensorrt"))
    make_machine("tensorrt-rtx", "1.7.1")
    line = refused("evaluate", engine, "terrain", "--manifest", manifest)
    assert "tensorrt is not installed: pip install" in line


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"target": "sm89"}, "needs sm89, tensorrt 10.3.0 (here: sm86, tensorrt 10.3.0)"),
        ({"version": "10.4.0"}, "needs sm86, tensorrt 10.4.0 (here: sm86, tensorrt 10.3.0)"),
        ({"onnx_sha256": "0" * 64}, "was compiled from another graph than the bundle has"),
        ({"batch": (4, 4, 8)}, "takes 4 to 8 frames at once, not 1"),
    ],
)
def test_another_machines_engine_is_never_read(
    machine: Machine,
    copy: Path,
    take: Callable[..., Taken],
    refused: OneLine,
    changes: dict[str, Any],
    says: str,
) -> None:
    engine, manifest = take(machine, **changes)
    line = refused("evaluate", engine, "terrain", "--manifest", manifest)
    assert f"{engine} {says}" in line
    assert f"compile one:  edgecnn compile {copy} --compiler tensorrt --target local" in line
    assert machine.tensorrt.loaded == machine.driver.allocations == 0


@pytest.mark.parametrize(
    ("built", "says"),
    [
        (b"MZ of somebody else", "does not load in tensorrt 10.3.0: Serialization assertion"),
        ({"scratch": 1 << 40}, "the GPU is out of memory: 1099511.6 MB asked for"),
        ({"kind": "BF16"}, "tensor 'frames' is BF16"),
    ],
)
def test_an_engine_that_tensorrt_or_the_gpu_does_not_take_is_one_line(
    machine: Machine, take: Callable[..., Taken], refused: OneLine, built: Any, says: str
) -> None:
    data = built if isinstance(built, bytes) else machine.tensorrt.build(**built)
    engine, manifest = take(machine, data=data)
    assert says in refused("evaluate", engine, "terrain", "--manifest", manifest)
    assert (machine.driver.memory, machine.driver.entered) == ({}, 0)


def test_a_strangers_engine_is_refused_before_it_is_read(
    machine: Machine, take: Callable[..., Taken], refused: OneLine
) -> None:
    engine, manifest = take(machine)
    engine.write_bytes(machine.tensorrt.build(scratch=4))  # a good one, and not this bundle's
    line = refused("evaluate", engine, "terrain", "--manifest", manifest)
    assert f"{engine} is no engine of {manifest}, by its sha256" in line
    assert "which lists tensorrt-sm86-fp32.engine" in line
    assert machine.tensorrt.loaded == 0


def test_an_engine_that_was_cut_short_is_told_by_its_name(
    machine: Machine, copy: Path, refused: OneLine
) -> None:
    engine = copy / machine.add(copy).file
    whole = engine.stat().st_size
    engine.write_bytes(engine.read_bytes()[:10])
    line = refused("evaluate", engine, "terrain", "--manifest", copy / "manifest.json")
    assert "another bundle's, altered or cut short: it has 10 bytes" in line
    assert f"lists {whole} and" in line


def test_a_bundle_without_engines_has_none_to_compare(
    machine: Machine, copy: Path, tmp_path: Path
) -> None:
    engine = tmp_path / "x.engine"
    engine.write_bytes(machine.tensorrt.build())
    with pytest.raises(InputError, match=r"which lists none; name the manifest\.json"):
        open_file(engine, copy / "manifest.json")


@pytest.mark.parametrize("name", ["x.engine", "x.onnx"])
def test_a_file_without_a_manifest_asks_for_one(
    name: str, tmp_path: Path, refused: OneLine
) -> None:
    (tmp_path / name).write_bytes(b"anything")
    assert "name its bundle's with --manifest" in refused("evaluate", tmp_path / name, "terrain")
    elsewhere = tmp_path / "else.json"
    line = refused("evaluate", tmp_path / name, "terrain", "--manifest", elsewhere)
    assert f"no file {elsewhere}; expected the manifest.json of the bundle of {name}" in line
    elsewhere.write_text("{")
    line = refused("evaluate", tmp_path / name, "terrain", "--manifest", elsewhere)
    assert f"{elsewhere} cannot be read" in line


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*x\.engine; expected an engine"):
        open_file(tmp_path / "x.engine")


def test_pictures_cannot_be_evaluated(filter_bundle: Path, refused: OneLine) -> None:
    line = refused("evaluate", filter_bundle / "model.fp32.onnx", "terrain")
    assert "answers with pictures; expected what answers with labels" in line


@pytest.mark.parametrize(
    ("backend", "runs"), [("onnxruntime", "no engines"), ("tensorrt-rtx", "another compiler's")]
)
def test_a_backend_that_runs_no_such_engine_is_refused(
    machine: Machine, take: Callable[..., Taken], backend: str, runs: str
) -> None:
    engine, manifest = take(machine)
    with pytest.raises(BackendError, match=f"backend '{backend}' runs {runs}"):
        open_file(engine, manifest, backend=backend)


def test_a_backend_of_no_name_is_answered_with_the_nearest(
    machine: Machine, take: Callable[..., Taken]
) -> None:
    engine, manifest = take(machine)
    with pytest.raises(InputError, match="did you mean 'tensorrt'"):
        open_file(engine, manifest, backend="tensorr")


def test_weights_that_were_left_out_are_looked_for_beside_the_manifest(
    machine: Machine, copy: Path, take: Callable[..., Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    monkeypatch.setattr(trt.Engine, "_refit", lambda self, graph: taken.append(graph))
    engine, manifest = take(machine, options=EngineOptions(strip=True))
    open_file(engine, manifest).close()
    assert taken == [open_bundle(copy).path / "model.fp32.onnx"]
    shutil.copy(manifest, engine.parent)
    with pytest.raises(InputError, match=r"model\.fp32\.onnx is missing"):
        open_file(engine)
