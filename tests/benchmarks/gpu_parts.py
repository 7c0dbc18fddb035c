"""One way to run a bundle's network on the GPU, timed; `gpu_latency.py` starts one after the other.

Each runs in a process of its own: a GPU that fails in one must not fail in the next. From frames in
the host's memory to answers there, copies included, FP32 without TF32.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import one_line

Frames = NDArray[np.uint8]
Figures = dict[str, Any]
WARM_UP = 50
NAME = "mobilenet_v1"


class Asked(argparse.Namespace):
    """What is to be measured, on which frames."""

    part: str
    bundle: Path
    batch: int
    count: int
    device: str

    def frames(self) -> Frames:
        """Golden inputs of the bundle, as the graph takes them: uint8 (batch, H, W, C)."""
        from edgecnn_runtime.bundle import open_bundle, read_golden

        inputs = read_golden(open_bundle(self.bundle)).inputs
        return np.ascontiguousarray(np.resize(inputs, (self.batch, *inputs.shape[1:])))

    def graph(self) -> Path:
        from edgecnn_runtime.bundle import open_bundle

        opened = open_bundle(self.bundle)
        return opened.file(opened.onnx("fp32"))


def percentiles(times_ms: Sequence[float], prefix: str = "") -> Figures:
    ordered = sorted(times_ms)
    last = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return {
        f"{prefix}p50_ms": round(statistics.median(ordered), 4),
        f"{prefix}p99_ms": round(last, 4),
    }


def timed(once: Callable[[], object], count: int) -> Figures:
    """p50 and p99 of a call that waits for its answer."""
    for _ in range(WARM_UP):
        once()
    times = []
    for _ in range(count):
        began = perf_counter_ns()
        once()
        times.append((perf_counter_ns() - began) / 1e6)
    return percentiles(times)


def backend_figures(backend: Any, asked: Asked) -> Figures:
    """A backend's own latency, and the GPU's part of it."""
    frames = asked.frames()
    found = timed(partial(backend.infer, frames), asked.count)
    if hasattr(backend, "gpu_times_ms"):
        found |= percentiles(backend.gpu_times_ms(frames, asked.count), "gpu_")
        found["share_of_gpu"] = round(found["p50_ms"] / found["gpu_p50_ms"], 4)
    if hasattr(backend, "is_captured"):
        found["cuda_graph"] = backend.is_captured
    if hasattr(backend, "has_graphs"):
        found["cuda_graph"] = backend.has_graphs
    return found


def launch_floor(asked: Asked) -> Figures:
    """What a launch and a wait cost when there is nothing to do."""
    from edgecnn_runtime.backends.cuda import open_cuda

    cuda = open_cuda("cuda-bindings")
    with cuda:
        stream = cuda.stream()
        graph = stream.capture(lambda: None)

        def launch() -> None:
            stream.launch(graph)
            stream.synchronize()

        found = timed(launch, asked.count)
        frames = asked.frames()
        memory, pinned = cuda.allocate(frames.nbytes), cuda.pin(frames.nbytes)

        def copy() -> None:
            stream.upload(memory, pinned.bytes)
            stream.synchronize()

        found |= {f"upload_{key}": value for key, value in timed(copy, asked.count).items()}
        found["upload_bytes"] = frames.nbytes
    return found


def torch_floor(asked: Asked) -> Figures:
    """The same for PyTorch: a kernel that does nothing."""
    import torch

    def kernel() -> None:
        torch.cuda._sleep(1)
        torch.cuda.synchronize()

    return timed(kernel, asked.count)


def ort_plain(asked: Asked) -> Figures:
    """ONNX Runtime's own `run` with numpy arrays."""
    import onnxruntime as ort

    from edgecnn_runtime.backends.ort.providers import load_libraries, require

    require("onnxruntime-cuda")
    load_libraries("onnxruntime-cuda")
    providers = [("CUDAExecutionProvider", {"use_tf32": "0"})]
    session = ort.InferenceSession(asked.graph(), providers=providers, enable_fallback=0)
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise RuntimeError(f"the session runs on {session.get_providers()[0]}")
    feed, output = {session.get_inputs()[0].name: asked.frames()}, session.get_outputs()[0].name
    return timed(lambda: session.run([output], feed), asked.count)


def ort_bound(asked: Asked, *, graphs: bool) -> Figures:
    """ONNX Runtime on our memory and stream."""
    from edgecnn_runtime.backends.ort import open_ort

    backend = open_ort(asked.graph(), "onnxruntime-cuda", precision="fp32", graphs=graphs)
    return backend_figures(backend, asked)


def torch_network(asked: Asked) -> Any:
    """The bundle's network in PyTorch, normalisation and softmax included."""
    import torch

    from edgecnn.evaluation.deployed import Deployed
    from edgecnn.models import build
    from edgecnn_runtime.bundle import open_bundle

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    spec = open_bundle(asked.bundle).classifier().input
    return Deployed(build(NAME), spec).eval().to(asked.device)


def torch_figures(network: Callable[[Any], Any], asked: Asked) -> Figures:
    """Pinned memory up, the network, and the answers back."""
    import torch

    on_gpu = asked.device == "cuda"
    host = torch.from_numpy(asked.frames())
    host = host.pin_memory() if on_gpu else host
    there = host.to(asked.device)

    def once() -> Any:
        there.copy_(host, non_blocking=True)
        return network(there).cpu()  # waits

    with torch.inference_mode():
        found = timed(once, asked.count)
        if on_gpu:
            found |= percentiles(torch_gpu_times(once, asked.count), "gpu_")
    return found


def torch_gpu_times(once: Callable[[], Any], count: int) -> list[float]:
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    times = []
    for _ in range(count):
        begin.record()
        once()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return times


def torch_eager(asked: Asked) -> Figures:
    return torch_figures(torch_network(asked), asked)


def torch_compile(asked: Asked, *, mode: str | None = None) -> Figures:
    import torch

    return torch_figures(torch.compile(torch_network(asked), mode=mode), asked)


def torch_graphs(asked: Asked) -> Figures:
    """PyTorch's own CUDA graph of the eager network."""
    import torch

    network = torch_network(asked)
    entry = torch.from_numpy(asked.frames()).cuda()
    side = torch.cuda.Stream()
    with torch.inference_mode():
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                network(entry)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = network(entry)

        def replay(frames: Any) -> Any:
            entry.copy_(frames)
            graph.replay()
            return answer

        return torch_figures(replay, asked)


def engine(asked: Asked, *, compiler: str, cuda: str = "auto") -> Figures:
    """An engine compiled for this GPU; where that cannot be, what the compiler says."""
    from edgecnn_runtime.backends.engine import open_engine
    from edgecnn_runtime.bundle import open_bundle

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(asked.bundle, Path(folder) / "bench.bundle"))
        compile_for(copy, compiler, "local")
        opened = open_bundle(copy)
        backend = open_engine(opened, opened.manifest.engines[-1], cuda=cuda)
        found = backend_figures(backend, asked)
        backend.close()
    return found


def foreign_engine(asked: Asked) -> Figures:
    """What TensorRT-RTX says on this GPU to an engine for another, past our own check."""
    from edgecnn_runtime.backends import trt
    from edgecnn_runtime.backends.cuda import compute_capability, open_cuda
    from edgecnn_runtime.bundle import open_bundle
    from edgecnn_runtime.errors import BackendError

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(asked.bundle, Path(folder) / "bench.bundle"))
        compile_for(copy, "tensorrt-rtx", "sm89")
        data = open_bundle(copy).file(open_bundle(copy).manifest.engines[-1]).read_bytes()
    with open_cuda():
        try:
            trt.Engine("tensorrt-rtx", data, "an engine for sm89")
        except BackendError as error:
            return {"gpu": compute_capability(), "says": str(error)}
    return {"gpu": compute_capability(), "says": "it loads"}


def compile_for(bundle: Path, compiler: str, target: str) -> None:
    command = [sys.executable, "-m", "edgecnn_runtime", "compile", str(bundle), "--target", target]
    done = subprocess.run(
        [*command, "--compiler", compiler, "--batch", "1:1:32"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


def classifier(asked: Asked) -> Figures:
    """The classifier as a program embeds it, against the GPU's part of it."""
    from edgecnn_runtime import Classifier
    from edgecnn_runtime.bundle import open_bundle, read_golden

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(asked.bundle, Path(folder) / "bench.bundle"))
        said = ""
        try:
            compile_for(copy, "auto", "local")
        except RuntimeError as error:
            said = str(error)
        frame = read_golden(open_bundle(copy)).frames[0]
        with Classifier.open(copy, precision="fp32") as classify:
            inputs = classify.preprocess(frame)[None]
            found: Figures = {"backend": classify.backend.name, "no_engine": said}
            found |= timed(lambda: classify(frame), asked.count)
            stages = {
                "preprocess": lambda: classify.preprocess(frame),
                "infer": lambda: classify.infer(inputs),
            }
            for name, stage in stages.items():
                figures = timed(stage, asked.count)
                found |= {f"{name}_{key}": value for key, value in figures.items()}
            backend: Any = classify.backend
            running = getattr(backend, "running", backend)
            if hasattr(running, "gpu_times_ms"):
                found |= percentiles(running.gpu_times_ms(inputs, asked.count), "gpu_")
                found["infer_share_of_gpu"] = found["infer_p50_ms"] / found["gpu_p50_ms"]
                found["share_of_gpu"] = found["p50_ms"] / found["gpu_p50_ms"]
    return found


PARTS: dict[str, Callable[[Asked], Figures]] = {
    "launch floor": launch_floor,
    "launch floor, PyTorch": torch_floor,
    "ONNX Runtime, run": ort_plain,
    "ONNX Runtime, bound": partial(ort_bound, graphs=False),
    "ONNX Runtime, bound, graph": partial(ort_bound, graphs=True),
    "PyTorch eager": torch_eager,
    "PyTorch CUDA graph": torch_graphs,
    "torch.compile": torch_compile,
    "torch.compile, reduce-overhead": partial(torch_compile, mode="reduce-overhead"),
    "TensorRT": partial(engine, compiler="tensorrt"),
    "TensorRT, pycuda": partial(engine, compiler="tensorrt", cuda="pycuda"),
    "TensorRT-RTX": partial(engine, compiler="tensorrt-rtx"),
    "TensorRT-RTX, engine for sm89": foreign_engine,
    "classifier": classifier,
}


def main() -> None:
    """Print what was measured as one line of JSON, after whatever libraries print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--device", default="cuda", help="of PyTorch; cpu to try the script")
    asked = parser.parse_args(namespace=Asked())
    logging.basicConfig(level=logging.WARNING)
    try:
        found = PARTS[asked.part](asked)
    except Exception as error:  # of any library: it is the result
        found = {"error": f"{type(error).__name__}: {one_line(error)}"}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
