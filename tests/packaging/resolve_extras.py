"""Which extras can be installed where: resolves every extra for every platform and Python.

Prints a table and exits 1 where it differs from `KNOWN`: a combination that stopped resolving, or
one declared missing that has begun to. Nothing is downloaded but metadata, and nothing is built
but `FROM_SOURCE`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

# name in the table -> what uv calls it; JetPack 6 is Ubuntu 22.04 with glibc 2.35
PLATFORMS = {
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_35",
    "macOS arm64": "aarch64-apple-darwin",
}
PYTHONS = ("3.10", "3.11", "3.13")
WORKERS = 12  # they mostly wait for the index

# extra -> the package that it is for: a marker may leave an extra empty on a platform
EXTRAS = {
    "cpu": "onnxruntime",
    "gpu": "onnxruntime-gpu",
    "jetson": "onnxruntime",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx-cu13-libs",
    "pycuda": "pycuda",
    "openvino": "openvino",
    "mqtt": "paho-mqtt",
    "train": "torch",
    "export": "onnx",
    "ray": "ray",
    "dev": "pytest",
}

# What JetPack 6 has in its own builds: from PyPI it would hide those. (package, below which version
# it may be installed all the same: NumPy 1 and CUDA 12 fit JetPack's, NumPy 2 and CUDA 13 do not)
JETPACKS = {
    "numpy": 2,
    "cuda-bindings": 13,
    **dict.fromkeys(("opencv-python", "opencv-python-headless", "opencv-contrib-python"), 0),
    **dict.fromkeys(("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "torch", "onnxruntime-gpu"), 0),
}

# packages that come as source archives, which we accept
FROM_SOURCE = {
    "pycuda": "needs the CUDA toolkit and a C++ compiler",
    "tensorrt-rtx": "a front of a few lines; its libraries are wheels",
    "tensorrt-rtx-cu13": "a front of a few lines; its libraries are wheels",
}


class Missing(NamedTuple):
    """A combination that is known not to exist, and why; `python` None stands for every one."""

    extra: str
    platform: str
    why: str
    python: str | None = None


_STUB = "the public package is a stub that fetches from NVIDIA's index; JetPack brings its own"
_NO_CUDA = "no CUDA there"
_NUMPY_1 = "NumPy 1, which JetPack 6 has, ends at Python 3.12"
KNOWN = (
    Missing("gpu", "Linux aarch64", "onnxruntime-gpu has no wheel; JetPack's comes from NVIDIA"),
    Missing("gpu", "macOS arm64", _NO_CUDA),
    Missing("jetson", "Linux x86-64", _NUMPY_1, "3.13"),
    Missing("jetson", "Linux aarch64", _NUMPY_1, "3.13"),
    Missing("jetson", "macOS arm64", _NUMPY_1, "3.13"),
    Missing("tensorrt", "Linux x86-64", _STUB),
    Missing("tensorrt", "Linux aarch64", _STUB),
    Missing("tensorrt", "macOS arm64", _NO_CUDA),
    Missing("tensorrt-rtx", "macOS arm64", _NO_CUDA),
    Missing("pycuda", "macOS arm64", _NO_CUDA),
)


class Combination(NamedTuple):
    extra: str
    platform: str
    python: str


class Answer(NamedTuple):
    """Whether the extra's package is in the resolution; `why` is uv's first reason if it is not."""

    found: bool
    why: str


def resolve(asked: Combination) -> Answer:
    """Ask uv for one combination."""
    command = [
        *(_uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate"),
        *("--python", sys.executable, "--python-version", asked.python),
        *("--python-platform", PLATFORMS[asked.platform], "--extra", asked.extra),
        *("--only-binary", ":all:"),
        *(part for name in FROM_SOURCE for part in ("--no-binary", name)),
        str(ROOT / "pyproject.toml"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        reason = " ".join(done.stderr.split())
        return Answer(False, re.sub(r"^error: No solution found.*?cause: ", "", reason)[:200])
    lines = (line.split(";")[0].strip() for line in done.stdout.splitlines())
    pinned = dict(line.split("==") for line in lines if "==" in line)
    if EXTRAS[asked.extra] not in pinned:
        return Answer(False, f"{EXTRAS[asked.extra]} is excluded by its marker")
    hides = hidden(pinned) if asked.extra == "jetson" else ""
    return Answer(not hides, hides)


def hidden(pinned: dict[str, str]) -> str:
    """What of JetPack's a resolution would hide, or nothing."""
    found = [
        f"{name} {pinned[name]}"
        for name, below in JETPACKS.items()
        if name in pinned and int(pinned[name].split(".")[0]) >= below
    ]
    return f"it hides JetPack's own: {', '.join(found)}" if found else ""


def declared(asked: Combination) -> Missing | None:
    """The entry of `KNOWN` for a combination."""
    for entry in KNOWN:
        if (entry.extra, entry.platform) == (asked.extra, asked.platform) and entry.python in (
            None,
            asked.python,
        ):
            return entry
    return None


def surprises(answers: dict[Combination, Answer]) -> list[str]:
    """One line for each combination, and each extra, that is not as declared."""
    declares = set(metadata("edgecnn").get_all("Provides-Extra") or ())
    lines = [f"[{extra}] is not in EXTRAS" for extra in sorted(declares - set(EXTRAS))]
    for asked, answer in answers.items():
        where = f"[{asked.extra}] on {asked.platform}, Python {asked.python}"
        entry = declared(asked)
        if entry is None and not answer.found:
            lines.append(f"{where} does not resolve: {answer.why}")
        elif entry is not None and answer.found:
            lines.append(f"{where} resolves now; take it out of KNOWN ({entry.why})")
    return lines


def table(answers: dict[Combination, Answer]) -> str:
    """A row for each extra, a column for each platform: the Pythons that it resolves for."""
    width = max(len(name) for name in EXTRAS)
    rows = ["  ".join(["extra".ljust(width), *(name.ljust(16) for name in PLATFORMS)]).rstrip()]
    for extra in EXTRAS:
        cells = []
        for platform in PLATFORMS:
            found = [p for p in PYTHONS if answers[Combination(extra, platform, p)].found]
            cells.append((" ".join(found) or "-").ljust(16))
        rows.append("  ".join([extra.ljust(width), *cells]).rstrip())
    notes = sorted(
        f"[{e.extra}] {e.platform}{f', Python {e.python}' if e.python else ''}: {e.why}"
        for e in KNOWN
    )
    sources = [f"{name} is built from source: {why}" for name, why in FROM_SOURCE.items()]
    return "\n".join([*rows, "", *notes, *sources])


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def main() -> int:
    """Resolve everything, print the table and the surprises."""
    asked = [Combination(e, p, v) for e in EXTRAS for p in PLATFORMS for v in PYTHONS]
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        answers = dict(zip(asked, pool.map(resolve, asked), strict=True))
    print(table(answers))
    found = surprises(answers)
    for line in found:
        print(f"not as declared: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
