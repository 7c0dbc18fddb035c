"""`edgecnn demo`: the whole road, through the verbs that a person would type."""

from __future__ import annotations

import json as json_format
import shlex
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import CheckFailedError, InputError, MissingPackageError

CLIP_FRAMES, CLIP_FPS, CLIP_SIZE = 240, 30, (640, 480)


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes.")] = Path(
        "runs/demo"
    ),
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    json: JsonOption = None,
) -> None:
    """Train, evaluate, export, compile, profile and stream, on photographs of terrain."""
    for package in ("torch", "lightning", "onnx", "skimage", "cv2", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingPackageError(
                f"needs the package {package!r}, which is not installed:"
                " pip install 'edgecnn[train,export,cpu]'"
            )
    people = console(json)
    people.print(
        "Brick, grass or gravel: what a small robot would ask its camera. Every command below can"
        " be typed as it stands.\n"
    )
    began = time.perf_counter()
    road = _Road(out, people)
    result = road.walk(epochs)
    data = json_format.dumps(result, indent=2).encode() + b"\n"
    from edgecnn_runtime.bundle import atomic_write

    atomic_write(out / "demo.json", data)
    _say_what_is_there(people, out, result, time.perf_counter() - began)
    write_result(result, json)
    if road.compile_failed:
        raise CheckFailedError("the TensorRT compiler is installed and failed; see its line above")


class _Road:
    """Runs the verbs in turn, each as a process of its own, and keeps their results."""

    def __init__(self, out: Path, people: Any) -> None:
        self.out, self.people = out, people
        self.run, self.bundle = out / "run", out / "terrain.bundle"
        self.clip, self.annotated = out / "clip.mp4", out / "annotated.mp4"
        self.compile_failed = False
        if out.exists() and not out.is_dir():
            raise InputError(f"{out} is a file; expected a folder, or none yet")
        out.mkdir(parents=True, exist_ok=True)

    def walk(self, epochs: int | None) -> dict[str, Any]:
        run, bundle = str(self.run), str(self.bundle)
        size = ["--model", "mobilenet_v1", "--width", "0.25", "--resolution", "96"]
        few = ["--epochs", str(epochs)] if epochs else []
        result = {
            "train": self.verb("train", "terrain", *size, "--out", run, "--overwrite", *few),
            "evaluate": {},
            "export": self.verb("export", run, "--out", bundle),
        }
        pytorch = self.verb("evaluate", run, "terrain")
        result["evaluate"] = {**self.verb("evaluate", bundle, "terrain"), "pytorch": pytorch}
        result["compile"] = self.compile(bundle)
        self.verb("verify", bundle)
        result["profile"] = self.verb("profile", bundle)
        self.write_clip()
        sinks = ["--sink", str(self.annotated), "--headless"]
        result["stream"] = self.verb("stream", bundle, "--source", str(self.clip), *sinks)
        self.draw(result["profile"])
        return result

    def verb(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run a verb; its own line has said what is wrong when it fails."""
        file = self.out / f"{name}.json"
        status = self.call(name, *arguments, "--json", str(file))
        if status:
            raise typer.Exit(status)
        result: dict[str, Any] = json_format.loads(file.read_text(encoding="utf-8"))
        file.unlink()
        return result

    def call(self, name: str, *arguments: str) -> int:
        line = shlex.join(["edgecnn", name, *arguments])
        self.people.print(f"[bold cyan]$ {line}[/]", highlight=False)
        # The same interpreter, wherever `edgecnn` lies on the path.
        command = [sys.executable, "-m", "edgecnn_runtime", name, *arguments]
        to = sys.stderr if self.people.stderr else None
        status = subprocess.run(command, stdout=to, check=False).returncode
        self.people.print()
        return status

    def compile(self, bundle: str) -> dict[str, Any]:
        """Engines for two GPUs that need not be here; the road goes on where none can be made."""
        rtx, plain = find_spec("tensorrt_rtx"), find_spec("tensorrt")
        where = ["--target", "local"] if plain and not rtx else ["--target", "sm86,sm89"]
        which = ["--compiler", "tensorrt-rtx"] if rtx else []
        file = self.out / "compile.json"
        status = self.call("compile", bundle, *which, *where, "--json", str(file))
        if status == 0:
            result: dict[str, Any] = json_format.loads(file.read_text(encoding="utf-8"))
            file.unlink()
            return result
        self.compile_failed = rtx is not None
        self.people.print("No engines: the line above says why. The demo goes on.\n")
        return {"bundle": bundle, "engines": []}

    def write_clip(self) -> None:
        """A film of the strips that training never saw."""
        from PIL import Image

        from edgecnn.data.terrain import pan
        from edgecnn_runtime.stream.recording import Recording

        with Recording(self.clip, CLIP_FPS) as film:
            for frame, _ in pan(CLIP_FRAMES):
                large = Image.fromarray(frame).resize(CLIP_SIZE, Image.Resampling.BICUBIC)
                film.append(_array(large))

    def draw(self, profile: dict[str, Any]) -> None:
        from PIL import Image

        from edgecnn.visualization.latency import plot_latency
        from edgecnn_runtime.camera.sources import open_source

        plot_latency(
            profile,
            self.out / "latency.png",
            title="mobilenet_v1, width 0.25, 96x96, 640x480 frames",
        )
        film = open_source(str(self.annotated))
        for _ in range(CLIP_FRAMES // 2):
            captured = film.read()
        film.close()
        assert captured is not None
        Image.fromarray(captured.frame[:, :, ::-1]).save(self.out / "annotated.png")


def _array(image: Any) -> Any:
    import numpy as np

    return np.asarray(image)


def _say_what_is_there(people: Any, out: Path, result: dict[str, Any], seconds: float) -> None:
    from rich.table import Table

    parity = result["export"]["artifacts"][0]["parity"]
    end_to_end, stream = result["profile"]["end_to_end"], result["stream"]
    engines = ", ".join(e["target"] for e in result["compile"]["engines"]) or "none"
    table = Table(show_header=False, box=None)
    rows = {
        "top-1 in PyTorch": f"{result['evaluate']['pytorch']['top1']:.3f}",
        "top-1 of the bundle": f"{result['evaluate']['top1']:.3f}",
        "same decisions": f"{parity['top1_agreement']:.4f} on {parity['frames']} images",
        "engines for": engines,
        "frame to label": f"p50 {end_to_end['p50']:.2f} ms, p99 {end_to_end['p99']:.2f} ms",
        "stream": f"{stream['frames']} frames, {stream['fps']:.0f} fps, {stream['errors']} errors",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    people.print(table)
    people.print(f"\n{seconds:.0f} s. In {out}:")
    things = {
        "terrain.bundle/": "the model for a device",
        "annotated.mp4": "the clip with its answers",
        "annotated.png": "one picture of it",
        "latency.png": "where the time goes",
        "demo.json": "every figure",
    }
    for name, what in things.items():
        people.print(f"  {name:16} {what}")
