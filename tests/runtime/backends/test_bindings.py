"""The real bindings, on a driver that computes on the host: their calls are right, GPU or not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def never_called(package: str) -> str:
    """What pycuda is linked against and we never call, so that it loads: C that refuses."""
    if package != "pycuda":
        return ""
    extension = next(Path(*find_spec(package).submodule_search_locations).glob("_driver*.so"))
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", extension], capture_output=True, text=True, check=True
    ).stdout
    names = set(re.findall(r" U (cu\w+)", listed))
    ours = set(re.findall(r"^Result (\w+)", (HERE / "host_cuda.c").read_text(), re.MULTILINE))
    return "".join(f"int {name}(void) {{ return 801; }}\n" for name in sorted(names - ours))


@pytest.mark.parametrize(("package", "binding"), [("cuda", "cuda-bindings"), ("pycuda", "pycuda")])
def test_the_tests_for_a_gpu_pass_on_a_driver_that_computes_on_the_host(
    package: str, binding: str, tmp_path: Path
) -> None:
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    if find_spec(package) is None:
        pytest.skip(f"{binding} is not installed")
    library = tmp_path / "libcuda.so.1"
    rest = tmp_path / "rest.c"
    rest.write_text(never_called(package))
    options = ["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library]
    subprocess.run([compiler, *options, HERE / "host_cuda.c", rest, "-ldl"], check=True)

    chosen = ["-m", "gpu", "-k", binding, "-p", "no:cacheprovider", "-rs"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen, HERE / "test_cuda.py"],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= 8
