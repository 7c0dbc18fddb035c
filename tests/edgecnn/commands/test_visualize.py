"""`edgecnn visualize`: pictures and one page, of all kinds of targets; one line where it cannot."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from edgecnn.data.terrain import photographs
from edgecnn.training.run import read_run, write_run
from edgecnn_runtime.cli import run as run_cli

OneLine = Callable[..., str]


def _drawn(*arguments: object, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capfd.readouterr()
    status = run_cli(["visualize", *map(str, arguments), "--json", "-"])
    captured = capfd.readouterr()
    assert status == 0, captured.err
    found: dict[str, Any] = json.loads(captured.out)
    return found


def test_a_run_is_drawn_in_all_ways_that_apply(
    trained_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pictures"
    found = _drawn(
        trained_run, "--out", out, "--stimuli", 256, "--images", 30, "--layer", "features.2",
        capfd=capfd,
    )  # fmt: skip
    names = [Path(p).name for p in found["pictures"]]
    # No evolution: this run has kept no snapshots, and nobody asked for it by name.
    assert names == [
        *("filters.png", "features.png", "deconv.png", "receptive-field.png", "grad-cam.png")
    ]
    for picture in found["pictures"]:
        with Image.open(picture) as image:
            assert min(image.size) > 80
            assert len(np.unique(np.asarray(image.convert("L")))) > 20
    (field,) = found["figures"]["receptive-field"]
    assert field["calculated"] == field["gradient not 0"] == "11x11"
    assert sorted(p.name for p in out.iterdir()) == sorted([*names, "index.html"])


def test_the_page_is_one_file_for_light_and_dark(
    trained_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = _drawn(trained_run, "--what", "filters,grad-cam", "--out", tmp_path, capfd=capfd)
    page = Path(found["page"]).read_text()
    assert not re.findall(r"(?:src|href|srcset)=\"(?!data:|#)", page)
    assert "://" not in page
    assert page.count('media="(prefers-color-scheme: dark)" srcset="data:image/png') == 2
    light, dark = (
        re.findall(rf'{name}="data:image/png;base64,([^"]+)"', page) for name in ("src", "srcset")
    )
    assert len(light) == len(dark) == 2
    assert not set(light) & set(dark)
    assert "mobilenet_v1 0.25 at 48x48, trained on terrain" in page


def test_the_same_seed_draws_the_same_pictures(
    trained_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = (trained_run, "--what", "deconv,receptive-field", "--layer", "features.1")
    few = ("--stimuli", 256, "--images", 20, "--channels", "2,3")
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        found = _drawn(*arguments, *few, "--seed", seed, "--out", tmp_path / name, capfd=capfd)
        files = [Path(p).read_bytes() for p in found["pictures"]]
        digests.append([hashlib.sha256(data).hexdigest() for data in files])
    assert digests[0] == digests[1]
    assert digests[0][0] == digests[2][0]  # no noise in it
    assert digests[0][1] != digests[2][1]


def test_pictures_of_ones_own_and_a_label(
    trained_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "both.png"
    brick, _, gravel = photographs()
    cv2.imwrite(str(picture), np.concatenate([brick[:96, :48], gravel[:96, :48]], 1))
    found = _drawn(
        trained_run, "--what", "grad-cam", "--image", picture, "--label", "gravel",
        "--out", tmp_path / "out", capfd=capfd,
    )  # fmt: skip
    assert Path(found["pictures"][0]).is_file()


def test_a_run_in_its_own_folder_and_the_chart_of_several(
    trained_run: Path, trained_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = _drawn(trained_run, trained_bundle, "--out", tmp_path, capfd=capfd)
    assert [Path(p).name for p in found["pictures"]] == ["chart.png"]
    names = [row["run"] for row in found["figures"]["chart"]]
    assert names == ["terrain", "terrain.bundle"]


def test_a_network_of_the_zoo_and_one_of_torchvision(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from torchvision import models

    torch.manual_seed(0)
    weights = tmp_path / "squeeze.pth"
    torch.save(models.squeezenet1_1(weights=None).state_dict(), weights)
    for target, more in (
        ("mobilenet_v2", ("--random", "--width", 0.25, "--resolution", 64)),
        ("torchvision:squeezenet1_1", ("--weights", weights, "--resolution", 64)),
        ("squeezenet1_1", ("--weights", weights, "--resolution", 64)),
    ):
        found = _drawn(
            target, *more, "--what", "filters,features,grad-cam", "--out", tmp_path / "out",
            capfd=capfd,
        )  # fmt: skip
        assert len(found["pictures"]) == 3
        page = Path(found["page"]).read_text()
        assert ("RANDOM WEIGHTS" in page) == ("--random" in more)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("RUN", "--what", "filtres"), "did you mean 'filters'"),
        (("RUN", "--what", "evolution"), "train it with --snapshots"),
        (("RUN", "--what", "chart,filters"), "stands alone"),
        (("RUN", "RUN", "--what", "filters", "--out", "x"), "only the chart"),
        (("RUN", "RUN"), "name a folder with --out"),
        (("RUN", "--layer", "featurs.3"), "did you mean 'features.3'"),
        (("RUN", "--what", "features", "--layer", "classifier"), "gives no map"),
        (("RUN", "--what", "filters", "--channels", "99"), "channel 99; features.0.0 has 8"),
        (("RUN", "--channels", "one"), "expected numbers with commas"),
        (("RUN", "--what", "grad-cam", "--label", "gras"), "did you mean 'grass'"),
        (("RUN", "--random"), "has its own weights"),
        (("RUN", "--image", "nowhere.jpg"), "nowhere.jpg"),
        (("RUN", "--data", "terain"), "did you mean 'terrain'"),
        (("BUNDLE", "--out", "x"), "the run that it was made from, "),
        (("lenet", "--out", "x"), "did you mean 'lenet5'"),
        (("lenet5", "--out", "x"), "without weights"),
        (("lenet5", "--random"), "name a folder with --out"),
        (("torchvision:resnet19", "--out", "x"), "did you mean"),
        (("lenet5", "--random", "--what", "deconv", "--out", "x"), "name one by --data"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    arguments: tuple[str, ...],
    says: str,
    refused: OneLine,
    trained_run: Path,
    trained_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"RUN": str(trained_run), "BUNDLE": str(trained_bundle)}
    assert says in refused("visualize", *(names.get(a, a) for a in arguments))
    assert not any(tmp_path.iterdir())
    assert not (trained_run / "visualize").exists()


def test_a_file_where_the_pictures_should_go(
    refused: OneLine, trained_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    line = refused("visualize", trained_run, "--out", tmp_path / "file" / "deep")
    assert "is a file; expected a folder" in line


def test_patches_at_the_edges_are_drawn_beside_the_others(
    trained_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Their fields are cut at the edge of the image: each channel has other sizes."""
    channels = ",".join(str(c) for c in range(12))
    found = _drawn(
        trained_run, "--what", "deconv", "--layer", "features.4", "--channels", channels,
        "--images", 60, "--out", tmp_path, capfd=capfd,
    )  # fmt: skip
    with Image.open(found["pictures"][0]) as image:
        assert image.height > 1000  # six rows of two


def test_a_run_whose_photographs_are_gone_shows_its_weights_still(
    trained_run: Path, tmp_path: Path, refused: OneLine, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    write_run(run, msgspec.structs.replace(read_run(run), data="gone/photos"))
    assert "name others with --data" in refused("visualize", run)
    assert not (run / "visualize").exists()
    assert len(_drawn(run, "--what", "filters", capfd=capfd)["pictures"]) == 1
    more = ("--what", "grad-cam", "--data", "terrain")
    assert (run / "visualize" / "grad-cam.png").samefile(
        _drawn(run, *more, capfd=capfd)["pictures"][0]
    )
