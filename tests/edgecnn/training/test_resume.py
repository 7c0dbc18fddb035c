"""A run that was killed, stopped, or ran out of disk goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from lightning import Callback, Trainer

from edgecnn.commands.train import describe
from edgecnn.data import DataSet, load_data
from edgecnn.training import fit as fitting
from edgecnn.training.inputs import EpochSampler
from edgecnn.training.recipe import as_toml, load_recipe
from edgecnn.training.run import Run
from edgecnn.training.weights import load_tensors
from edgecnn_runtime.errors import InputError, InterruptedRunError

Data = Callable[..., DataSet]
DIGITS = ("train", "mnist5k", "--model", "lenet5", "--batch", "200")


def steps_of(checkpoint: Path) -> int:
    """How many steps a checkpoint has behind it; 0 where there is none."""
    try:
        with checkpoint.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except FileNotFoundError:
        return 0
    state = json.loads(header["__metadata__"]["state"])
    return int(dict(state["dict"])["global_step"])


@pytest.fixture
def one_thread() -> object:
    """Sums depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def start_training(*arguments: object) -> subprocess.Popen[str]:
    """A real process, which a signal can end."""
    command = [sys.executable, "-m", "edgecnn_runtime", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def wait_for_step(process: subprocess.Popen[str], checkpoint: Path, step: int) -> None:
    while steps_of(checkpoint) < step:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)


def assert_same_end(one: Path, other: Path) -> None:
    """The weights, the best ones, and the figures of each epoch."""
    for name in ("last", "best"):
        first, second = (load_tensors(run / f"{name}.safetensors") for run in (one, other))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[tensor], second[tensor]) for tensor in first)
    for name in ("metrics.csv", "best.json", "last.json"):
        assert (one / name).read_text() == (other / name).read_text()


@pytest.mark.slow
def test_a_run_killed_at_a_random_step_ends_with_the_weights_of_a_whole_one(
    tmp_path: Path, one_thread: object
) -> None:
    recipe = msgspec.structs.replace(load_recipe("digits"), ema=0.9, lr=0.1)
    (tmp_path / "mine.toml").write_text(as_toml(recipe))
    step = random.randrange(1, 40)
    print("killed after a checkpoint of step", step, "or later")
    settings = ("--recipe", tmp_path / "mine.toml", "--epochs", 3, "--checkpoint-steps", 3)
    killed = start_training(*DIGITS, *settings, "--out", tmp_path / "cut")
    wait_for_step(killed, tmp_path / "cut" / "resume.ckpt", step)
    time.sleep(random.random() / 5)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    data = load_data("mnist5k")
    mine = str(tmp_path / "mine.toml")
    run = describe(data, "lenet5", recipe=mine, epochs=3, batch=200)
    fitting.fit(run, data, tmp_path / "cut", resume=True, progress=False)
    fitting.fit(run, data, tmp_path / "whole", progress=False)
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


def tiny(data: DataSet) -> Run:
    """Everything that draws or remembers: six steps an epoch."""
    run = describe(data, "mobilenet_v1", width=0.25, resolution="32", recipe="modern", epochs=3)
    distorted = msgspec.structs.replace(run.recipe.augment, elastic=(8.0, 2.0), pad=0.1, pca=0.1)
    recipe = msgspec.structs.replace(
        run.recipe, augment=distorted, batch_size=2, ema=0.9, dropout=0.3, warmup_epochs=1.0
    )
    return msgspec.structs.replace(run, recipe=recipe)


@pytest.mark.parametrize(("every", "killed"), [(1, 8), (2, 9), (4, 11), (2, 12), (5, 17)])
def test_a_run_goes_on_within_an_epoch_whatever_it_draws_and_remembers(
    every: int,
    killed: int,
    colour_data: Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: object,
) -> None:
    data = colour_data()
    run = tiny(data)
    steps: list[int] = []

    class Kill(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            steps.append(trainer.global_step)
            if trainer.global_step == killed and steps[0] == 1:
                raise RuntimeError("killed")

    plain = fitting._trainer

    def with_kill(*arguments: object) -> Trainer:
        trainer = plain(*arguments)  # type: ignore[arg-type]
        trainer.callbacks.insert(0, Kill())
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_trainer", with_kill)
        with pytest.raises(RuntimeError, match="killed"):
            fitting.fit(run, data, tmp_path / "cut", progress=False, checkpoint_steps=every)
        saved = steps_of(tmp_path / "cut" / "resume.ckpt")
        assert saved == max(s for s in range(killed) if s % every == 0 or s % 6 == 0)
        del steps[:]
        fitting.fit(run, data, tmp_path / "cut", resume=True, progress=False)
        assert steps == list(range(saved + 1, 19))
    fitting.fit(run, data, tmp_path / "whole", progress=False)
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_signal_ends_a_run_after_the_step_with_a_checkpoint_and_a_line(
    signum: signal.Signals, status: int, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start_training(*DIGITS, "--epochs", 40, "--checkpoint-steps", 3, "--out", out)
    wait_for_step(process, out / "resume.ckpt", 3)
    process.send_signal(signum)
    said = process.communicate(timeout=120)[1].strip()
    assert process.returncode == status
    step = steps_of(out / "resume.ckpt")
    expected = f"stopped after step {step}; the same command with --resume goes on"
    assert said == f"edgecnn train: {expected}"


def test_a_stopped_run_goes_on_at_the_step_after(
    colour_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: object
) -> None:
    data = colour_data()
    run = tiny(data)

    class Stop(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
            if trainer.global_step == 8:
                os.kill(os.getpid(), signal.SIGTERM)

    plain = fitting._trainer

    def with_stop(*arguments: object) -> Trainer:
        trainer = plain(*arguments)  # type: ignore[arg-type]
        trainer.callbacks.append(Stop())
        return trainer

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_trainer", with_stop)
        with pytest.raises(InterruptedRunError, match=r"stopped after step 9; .*--resume"):
            fitting.fit(run, data, tmp_path / "cut", progress=False)
    assert signal.getsignal(signal.SIGTERM) == before
    assert steps_of(tmp_path / "cut" / "resume.ckpt") == 9
    fitting.fit(run, data, tmp_path / "cut", resume=True, progress=False)
    fitting.fit(run, data, tmp_path / "whole", progress=False)
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


def test_a_full_disk_ends_a_run_with_a_line_and_its_last_checkpoint(
    colour_data: Data,
    tmp_path: Path,
    small_disk: Callable[[str], Path],
    one_thread: object,
) -> None:
    data = colour_data()
    run = tiny(data)
    out = small_disk("64m") / "run"
    filler = out.parent / "filler"

    class Fill(Callback):
        """Leave less than a checkpoint needs after the eighth step."""

        def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
            if trainer.global_step == 8:
                disk = os.statvfs(out)
                filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - 100_000))

    with pytest.raises(
        InputError, match=r"No space left on device; free some space; .*--resume"
    ) as caught:
        fitting.fit(run, data, out, progress=False, watchers=[Fill()], checkpoint_steps=2)
    assert "\n" not in str(caught.value)
    assert steps_of(out / "resume.ckpt") == 8
    assert not list(out.glob(".*"))
    filler.unlink()
    fitting.fit(run, data, out, resume=True, progress=False)
    fitting.fit(run, data, tmp_path / "whole", progress=False)
    assert_same_end(tmp_path / "whole", out)


def test_what_a_killed_run_left_half_written_is_removed(colour_data: Data, tmp_path: Path) -> None:
    data = colour_data()
    run = msgspec.structs.replace(tiny(data), recipe=tiny(data).recipe.changed(epochs=1))
    fitting.fit(run, data, tmp_path / "run", progress=False)
    (tmp_path / "run" / ".resume.ckpt.x8f2").write_bytes(b"half")
    fitting.fit(run, data, tmp_path / "run", resume=True, progress=False)
    assert not list((tmp_path / "run").glob(".resume*"))


def test_a_sampler_that_goes_on_keeps_the_length_of_the_epoch() -> None:
    whole, rest = EpochSampler(50, seed=1, batch=8), EpochSampler(50, seed=1, batch=8)
    assert whole.steps == 7
    rest.begin_at(7 + 3)
    whole.set_epoch(1)
    assert list(rest) == list(whole)[24:]
    assert len(rest) == len(whole) == 50
    rest.set_epoch(2)
    whole.set_epoch(2)
    assert list(rest) == list(whole)
