"""Two processes train as one would: on shares of the same batches, to the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from lightning import Trainer

from edgecnn.commands.train import describe
from edgecnn.data import DataSet, load_data
from edgecnn.training import fit as fitting
from edgecnn.training.augment import augment
from edgecnn.training.inputs import EpochSampler
from edgecnn.training.loading import loaders
from edgecnn.training.module import Classification
from edgecnn.training.processes import Processes
from edgecnn.training.recipe import Augment, as_toml, load_recipe
from edgecnn.training.run import load_network, read_run
from edgecnn.training.share import Share
from edgecnn.training.weights import load_tensors
from edgecnn_runtime.errors import InputError

Data = Callable[..., DataSet]
TWO = ("--devices", "2", "--accelerator", "cpu")


def train(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgecnn_runtime", "train", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)


def test_two_processes_end_with_the_weights_of_one_after_20_steps(tmp_path: Path) -> None:
    """`lenet5` has no batch norm. Mirrored, turned, moved and coloured: distortions are shared."""
    digits = load_recipe("digits")
    recipe = msgspec.structs.replace(
        digits, lr=0.2, ema=0.9, augment=msgspec.structs.replace(digits.augment, brightness=0.3)
    )
    mine = tmp_path / "mine.toml"
    mine.write_text(as_toml(recipe))
    both = train("mnist5k", "--model", "lenet5", "--recipe", mine, "--epochs", 1, "--batch", 200,
                 *TWO, "--out", tmp_path / "two", "--json", "-")  # fmt: skip
    data = load_data("mnist5k")
    run = describe(data, "lenet5", recipe=str(mine), epochs=1, batch=200)
    alone = fitting.fit(run, data, tmp_path / "one", progress=False)
    out, said = both.communicate(timeout=240)
    assert both.returncode == 0, said
    assert said.count("2 processes, which share each batch of 200: 100 images each") == 1
    one, two = (load_tensors(tmp_path / run / "last.safetensors") for run in ("one", "two"))
    torch.manual_seed(0)
    fresh = run.network().state_dict()
    assert all((one[name] - fresh[name]).abs().max() > 1e-3 for name in one if "weight" in name)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    figures = [json.loads((tmp_path / run / "last.json").read_text()) for run in ("one", "two")]
    assert figures[0]["top1"] == figures[1]["top1"]
    assert figures[0]["val_loss"] == pytest.approx(figures[1]["val_loss"], abs=1e-5)
    lines = [(tmp_path / run / "metrics.csv").read_text().splitlines() for run in ("one", "two")]
    losses = [float(text[1].split(",")[2]) for text in lines]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    result = json.loads(out)
    assert result["top1"] == alone.top1
    # All images of both, in the time that training took: the start of the processes is not in it.
    assert result["images_per_second"] > 4000 / result["seconds"]


@pytest.mark.slow
def test_two_processes_with_batch_norm_judge_the_network_that_they_keep(tmp_path: Path) -> None:
    both = train("terrain", "--model", "mobilenet_v1", "--width", 0.25, "--resolution", 48,
                 "--epochs", 2, *TWO, "--out", tmp_path)  # fmt: skip
    said = both.communicate(timeout=280)[1]
    assert both.returncode == 0, said
    run, kept = read_run(tmp_path), json.loads((tmp_path / "last.json").read_text())
    module = Classification(load_network(tmp_path, run, "last"), run, 1)
    _, val = loaders(run, load_data("terrain"))
    with warnings.catch_warnings():
        fitting.quiet()
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        (found,) = trainer.validate(module, val, verbose=False)
    assert found["top1"] == pytest.approx(kept["top1"], abs=1e-6)
    assert found["val_loss"] == pytest.approx(kept["val_loss"], abs=1e-4)


@pytest.mark.slow
def test_two_processes_stop_together_and_one_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = ("mnist5k", "--model", "lenet5", "--epochs", 8, "--batch", 200, "--out", out)
    both = train(*settings, *TWO, "--checkpoint-steps", 3)
    while not (out / "resume.ckpt").is_file():
        assert both.poll() is None, both.communicate()[1]
        time.sleep(0.01)
    both.send_signal(signal.SIGTERM)
    said = both.communicate(timeout=120)[1].strip().splitlines()
    assert both.returncode == 143
    assert len(said) == 1
    assert "stopped after step" in said[0]
    data = load_data("mnist5k")
    run = describe(data, "lenet5", epochs=8, batch=200)
    fitting.fit(run, data, out, resume=True, progress=False)
    assert len((out / "metrics.csv").read_text().splitlines()) == 1 + 8


@pytest.mark.parametrize(("length", "batch", "world"), [(96, 8, 2), (103, 12, 3), (50, 16, 4)])
def test_processes_share_each_batch_of_one_permutation(length: int, batch: int, world: int) -> None:
    whole = EpochSampler(length, seed=3, batch=batch)
    shares = [EpochSampler(length, 3, batch, Share(rank, world)) for rank in range(world)]
    for sampler in (whole, *shares):
        sampler.set_epoch(5)
    alone, parts = list(whole), [list(s) for s in shares]
    assert {len(part) for part in parts} == {len(shares[0])}
    each = batch // world
    for step in range(length // batch):
        together = [key for part in parts for key in part[step * each : (step + 1) * each]]
        assert together == alone[step * batch : (step + 1) * batch]
    seen = {key for part in parts for key in part}
    assert len(seen) == sum(map(len, parts)) > length - world


def test_all_held_out_images_are_judged_once(colour_data: Data) -> None:
    data = colour_data(12, 7)
    run = describe(data, "mobilenet_v1", width=0.25, resolution="32")
    judged = [list(loaders(run, data, Share(rank, 3))[1].sampler) for rank in range(3)]
    assert sorted(chain(*judged)) == list(range(7))


@pytest.mark.parametrize(
    "settings",
    [
        Augment(hflip=True, vflip=True, rot90=True),
        Augment(degrees=20, translate=0.1, scale=(0.8, 1.2), shear=5),
        Augment(elastic=(6.0, 2.0)),
        Augment(pad=0.125),
        Augment(brightness=0.3, contrast=0.3, saturation=0.3, pca=0.1),
    ],
)
def test_an_image_is_distorted_alike_in_a_batch_and_in_a_share_of_it(
    settings: Augment, colour_data: Data
) -> None:
    frames = colour_data(12, 8).train
    small = np.stack([cv2.resize(frames.frame(i), (32, 32)) for i in range(12)])
    x = torch.from_numpy(small).permute(0, 3, 1, 2).float()
    whole = augment(x, settings, torch.Generator().manual_seed(4))
    for rank in range(3):
        generator = torch.Generator().manual_seed(4)
        mine = augment(x[4 * rank : 4 * rank + 4], settings, generator, share=Share(rank, 3))
        assert torch.allclose(mine, whole[4 * rank : 4 * rank + 4], atol=1e-3)


def test_a_batch_that_processes_cannot_share_is_refused_with_one_that_they_can() -> None:
    with pytest.raises(InputError, match=r"cannot share a batch of 10 .* --batch 12$"):
        Processes("cpu", devices=2, nodes=2).check(10)


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="finds no GPU"):
        Processes("gpu").check(8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(InputError, match=r"this machine has 1 GPU; .* --accelerator cpu"):
        Processes("auto", devices=4).check(8)
    with pytest.raises(InputError, match="expected one of: auto, cpu, gpu"):
        Processes("tpu").check(8)


def test_batch_norm_is_of_the_whole_batch_on_gpus_and_of_a_share_on_cpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not Processes("cpu", devices=2).trainer_settings(rests=False)["sync_batchnorm"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Processes("gpu", devices=2).trainer_settings(rests=False)["sync_batchnorm"]
    assert not Processes("gpu").trainer_settings(rests=False)["sync_batchnorm"]


@pytest.mark.parametrize(
    ("names", "rank"),
    [
        ({}, 0),
        ({"LOCAL_RANK": "1"}, 1),
        ({"NODE_RANK": "1"}, 2),
        ({"NODE_RANK": "1", "LOCAL_RANK": "1"}, 3),
        ({"RANK": "3", "LOCAL_RANK": "1"}, 3),
        ({"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "2"}, 2),
    ],
    ids=["alone", "Lightning", "second machine", "its second", "torchrun", "SLURM"],
)
def test_a_process_knows_its_rank_by_who_started_it(
    names: dict[str, str], rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_NTASKS", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    processes = Processes("cpu", devices=2, nodes=2)
    assert (processes.rank, processes.first) == (rank, rank == 0)
    assert processes.first_here == (rank in {0, 2})


def test_torchrun_with_another_number_of_processes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="torchrun started 4 processes, --devices 2"):
        Processes("cpu", devices=2).check(8)
