"""Write names.txt: what TensorRT's Python bindings hold, version by version.

The bindings are on PyPI; the libraries that they belong to are not. They import against empty ones
all the same, and then tell their classes. Needs a C compiler, Linux on x86-64 and a package index:

    python tests/export/tensorrt/list_names.py
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# TensorRT's name for a version -> the wheel of its bindings
WHEELS = {
    "10.3": "tensorrt-cu12-bindings==10.3.0",
    "10.13": "tensorrt-cu12-bindings==10.13.0.35",
    "11.4": "tensorrt-cu13-bindings==11.4.0.106",
}
OUT = Path(__file__).with_name("names.txt")
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
FUNCTIONS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL"),
    *("getBuilderPluginRegistry", "getNvOnnxParserVersion", "getPluginRegistry"),
    "initLibNvInferPlugins",
)
# Of no use to us, and the larger half.
LEFT_OUT = r"I?Plugin|IAlgorithm|IInt8|IExprBuilder|IDimension|DimsExprs|FallbackString|.*_$"
TELL = """
import inspect, json, warnings
warnings.simplefilter("ignore")
import tensorrt_bindings as trt

def members(kind):
    found = {}
    for name in dir(kind):
        if not name.startswith("_"):
            what = getattr(kind, name)
            found[name] = members(what) if inspect.isclass(what) and what is not kind else None
    return found

public = {n: k for n, k in vars(trt).items() if not n.startswith("_") and not inspect.ismodule(k)}
found = {n: members(k) for n, k in public.items() if inspect.isclass(k)}
print(json.dumps(found | {"tensorrt": {n: None for n in public if n not in found}}))
"""


def names(version: str, folder: Path) -> dict[str, list[str]]:
    """Class -> its public members, of one version; a class within a class as `Outer.Inner`."""
    home = folder / version
    uv = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*uv, "--python", sys.executable, "--target", home, WHEELS[version]], check=True)
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
    for library in LIBRARIES:
        file = home / f"lib{library}.so.{version.split('.', maxsplit=1)[0]}"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", file, source], check=True)
    told = subprocess.run(
        [sys.executable, "-c", TELL],
        env=os.environ | {"PYTHONPATH": str(home), "LD_LIBRARY_PATH": str(home)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, list[str]] = {}
    for kind, members in json.loads(told.stdout).items():
        if not re.match(LEFT_OUT, kind):
            found[kind] = sorted(members)
            inner = {name: within for name, within in members.items() if within}
            found |= {f"{kind}.{name}": sorted(within) for name, within in inner.items()}
    return found


def table(versions: dict[str, dict[str, list[str]]]) -> str:
    """The text: of each class its members, those of all versions first."""
    lines = [
        "# Classes of TensorRT's Python bindings and their members.",
        "# Made by: python tests/export/tensorrt/list_names.py",
        f"# A line without versions holds for all: {' '.join(versions)}",
    ]
    for kind in sorted({kind for found in versions.values() for kind in found}):
        lines.append(kind)
        by_versions: dict[str, list[str]] = {}
        members = {m for found in versions.values() for m in found.get(kind, [])}
        for member in sorted(members):
            have = [v for v, found in versions.items() if member in found.get(kind, [])]
            where = "" if len(have) == len(versions) else f"[{' '.join(have)}] "
            by_versions.setdefault(where, []).append(member)
        lines += [f"  {where}{' '.join(by_versions[where])}" for where in sorted(by_versions)]
    return "\n".join(lines) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        OUT.write_text(table({version: names(version, Path(folder)) for version in WHEELS}))
    print(f"written to {OUT}")


if __name__ == "__main__":
    main()
