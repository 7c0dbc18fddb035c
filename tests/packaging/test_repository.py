"""Facts about the tracked files that no other tool looks at."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

import edgecnn_runtime

ROOT = Path(__file__).parents[2]
# Written in pieces, so that this file does not hold them.
REGISTRIES = ("py" + "pi.org", "python" + "hosted.org", "deb." + "debian.org", "files." + "python")
LOCKS = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "pylock.toml", "conda-lock.yml"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def test_version_is_the_same_in_pyproject_and_package() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    declared = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    assert declared is not None
    assert declared[1] == edgecnn_runtime.__version__


@pytest.mark.parametrize("extra", ["gpu", "tensorrt", "tensorrt-rtx"])
def test_what_runs_on_a_gpu_brings_a_cuda_binding(extra: str) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.search(rf"^{extra} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert '"cuda-bindings>=' in listed[1]


def test_changelog_has_this_version() -> None:
    assert f"## [{edgecnn_runtime.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_no_lock_file(tracked: list[Path]) -> None:
    assert [path for path in tracked if path.name in LOCKS] == []


def test_no_registry_host_and_no_machine_path(tracked: list[Path]) -> None:
    unwanted = re.compile("|".join([*map(re.escape, REGISTRIES), r"(?<![\w.])/(work|home|root)/"]))
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked
        if (match := unwanted.search(path.read_bytes().decode("utf-8", "ignore")))
    ]
    assert found == []


def test_each_picture_of_the_docs_is_there_and_small(tracked: list[Path]) -> None:
    shown = [
        page.parent / name
        for page in tracked
        if page.suffix == ".md"
        for name in re.findall(r"!\[[^\]]*\]\(([^):]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(shown) > 5
    assert [picture for picture in shown if not picture.is_file()] == []
    assert [p.name for p in shown if p.stat().st_size > 260_000] == []


@pytest.mark.parametrize("name", ["export.edgecnn_export", "runtime.edgecnn_runtime"])
def test_a_folder_of_the_repository_is_not_a_second_copy_of_its_package(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ImportError, match=f"import {name.split('.')[1]}"):
        importlib.import_module(name)
