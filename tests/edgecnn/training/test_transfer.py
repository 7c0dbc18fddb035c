"""What was learned before is carried over: frozen at first, thawed, or taught by another run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.commands.train import describe
from edgecnn.data import DataSet, load_data
from edgecnn.models import ZOO, build
from edgecnn.models.layers import AuxiliaryLogits
from edgecnn.training import fit as fitting
from edgecnn.training.head import Backbone, distances, head_layers, output_layers
from edgecnn.training.initial import initialise
from edgecnn.training.module import Batch, Classification
from edgecnn.training.optimizer import make_optimizer
from edgecnn.training.recipe import load_recipe
from edgecnn.training.run import Run, load_network, read_run, write_run
from edgecnn.training.schedule import make_schedule, rate
from edgecnn.training.teacher import Teacher, as_input, distillation_loss, load_teacher, teacher_of
from edgecnn.training.weights import load_tensors, save_tensors
from edgecnn_runtime.cli import run as run_cli
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input

OneLine = Callable[..., str]
Tensors = dict[str, torch.Tensor]


def test_the_loss_of_distillation_is_hintons() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 5)
    t = 3.0
    p, q = (teacher.double() / t).softmax(1), (student / t).softmax(1)
    expected = t**2 * (p * (p / q).log()).sum(1).mean()
    got = distillation_loss(student, teacher, t)
    assert float(got) == pytest.approx(float(expected), rel=1e-5)
    assert float(distillation_loss(teacher, teacher, t)) == pytest.approx(0, abs=1e-6)
    # At a high temperature it is the distance of centred logits, whatever T (the paper's eq. 4).
    centred = [x - x.mean(1, keepdim=True) for x in (student.float(), teacher)]
    limit = (centred[0] - centred[1]).square().sum(1).mean() / (2 * 5)
    hot = float(distillation_loss(student, teacher.double(), 100.0))
    assert hot == pytest.approx(float(limit), rel=0.05)


@pytest.mark.parametrize("name", ZOO)
def test_the_outputs_are_the_layers_that_the_classes_size(name: str) -> None:
    with torch.device("meta"):
        few, many = build(name, num_classes=5), build(name, num_classes=7)
    other = many.state_dict()
    sized = {k.rpartition(".")[0] for k, t in few.state_dict().items() if t.shape != other[k].shape}
    assert set(output_layers(few)) == sized
    assert all(list(layer.parameters()) for layer in head_layers(few)[:1])
    assert distances(few)[head_layers(few)[0]] == 0
    assert distances(few).keys() == set(few.modules())


def test_a_run_with_auxiliary_heads_gives_its_weights_to_other_classes(tmp_path: Path) -> None:
    theirs, ours = build("googlenet", num_classes=4), build("googlenet", num_classes=3)
    file = tmp_path / "w.safetensors"
    save_tensors(file, theirs.state_dict())
    fresh = initialise(ours, "googlenet", str(file))
    assert {key.rpartition(".")[0] for key in fresh} == set(output_layers(ours))
    key = next(iter(theirs.state_dict()))
    assert torch.equal(ours.state_dict()[key], theirs.state_dict()[key])


def test_what_is_not_the_head_stands_still_while_frozen_and_moves_when_thawed(
    trained_run: Path, tmp_path: Path, colour_data: Callable[..., DataSet]
) -> None:
    data = colour_data(24, 8)
    options = {"width": 0.25, "resolution": "48", "batch": 8, "lr": 0.05}
    run = describe(data, "mobilenet_v1", init=str(trained_run), freeze=2, epochs=1, **options)
    torch.manual_seed(0)
    network = run.network()
    initialise(network, "mobilenet_v1", str(trained_run))
    module = Classification(network, run, steps=3)
    seen: list[Tensors] = []

    class Look(fitting.Callback):
        def on_train_epoch_end(self, *_: object) -> None:
            seen.append({k: v.clone() for k, v in network.state_dict().items()})

    before = {k: v.clone() for k, v in network.state_dict().items()}
    train, val = fitting.loaders(run, data)
    trainer = fitting.Trainer(
        max_epochs=run.recipe.all_epochs,
        callbacks=[Look()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        accelerator="cpu",
    )
    fitting.quiet()
    trainer.fit(module, train, val)
    assert len(seen) == 3
    assert _moved(before, seen[0]) == _moved(seen[0], seen[1]) == {"classifier"}
    assert _moved(seen[1], seen[2]) == {key.rpartition(".")[0] for key in before}


def _moved(before: Tensors, after: Tensors) -> set[str]:
    """Names of the layers with a tensor that changed, counters of batches included."""
    return {k.rpartition(".")[0] for k in before if not torch.equal(before[k], after[k])}


def test_frozen_batch_norm_answers_by_its_statistics_and_dropout_goes_on() -> None:
    network = build("mobilenet_v3_small", width=0.5, num_classes=3).train()
    backbone = Backbone(network)
    backbone.freeze()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(norm.training for norm in norms)
    assert all(m.training for m in network.modules() if isinstance(m, nn.Dropout))
    training = [n for n, p in network.named_parameters() if p.requires_grad]
    assert training == ["classifier.3.weight", "classifier.3.bias"]
    backbone.thaw()
    assert all(m.training for m in network.modules())
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_the_schedule_begins_when_the_network_thaws(schedule: str) -> None:
    recipe = load_recipe("default")
    recipe = msgspec.structs.replace(recipe, schedule=schedule, lr=0.1, epochs=4)
    thawing = recipe.changed(transfer={"freeze_epochs": 2})
    assert thawing.all_epochs == 6
    plain, after = _rates(recipe, 40), _rates(thawing, 40)
    assert after[:20] == [0.1] * 20
    np.testing.assert_allclose(after[20:], plain, rtol=1e-9)
    assert rate(recipe, 40, 11) == pytest.approx(plain[11] / 0.1)


def _rates(recipe: fitting.Recipe, steps: int) -> list[float]:
    optimizer = make_optimizer(nn.Linear(2, 2), recipe)
    schedule = make_schedule(optimizer, recipe, steps)
    assert schedule is not None
    rates = []
    for _ in range(steps // recipe.epochs * recipe.all_epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_layers_far_from_the_outputs_learn_slower() -> None:
    recipe = load_recipe("default").changed(lr=0.1, transfer={"layer_decay": 0.5})
    network = build("lenet5_modern")
    rates = {
        p: group["lr"]
        for group in make_optimizer(network, recipe).param_groups
        for p in group["params"]
    }
    assert rates.keys() == set(network.parameters())
    named = {n: rates[p] for n, p in network.named_parameters() if n.endswith("weight")}
    expected = [0.1 * 0.5**distance for distance in reversed(range(len(named)))]
    assert list(named.values()) == pytest.approx(expected)


def test_weights_are_trained_on_with_the_normalisation_that_they_know(
    trained_run: Path, tmp_path: Path
) -> None:
    source = read_run(trained_run)
    other = msgspec.structs.replace(source.input, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.4))
    write_run(tmp_path / "run", msgspec.structs.replace(source, input=other))
    (tmp_path / "run" / "best.safetensors").write_bytes(
        (trained_run / "best.safetensors").read_bytes()
    )
    options = {"width": 0.25, "resolution": "48"}
    data = load_data("terrain")
    started = describe(data, "mobilenet_v1", init=str(tmp_path / "run"), **options)
    assert (started.input.mean, started.input.std) == (other.mean, other.std)


@pytest.fixture(scope="module")
def teaching_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeNet that knows its digits, trained in seconds."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    data = load_data("mnist5k")
    fitting.fit(describe(data, "lenet5_modern", epochs=4), data, out, progress=False)
    assert read_run(out).metrics["top1"] > 0.9
    return out


def _student(teacher: Path, data: DataSet, **options: object) -> Run:
    run = describe(data, "lenet5_modern", distill=str(teacher), alpha=1.0, lr=0.05, **options)  # type: ignore[arg-type]
    plain = msgspec.structs.replace(run.recipe, augment=type(run.recipe.augment)())
    return msgspec.structs.replace(run, recipe=plain)


def test_a_student_learns_from_answers_alone(teaching_run: Path, tmp_path: Path) -> None:
    whole = load_data("mnist5k")

    class Unlabelled:
        """The images, each with a label that says nothing."""

        targets = np.zeros(800, np.int64)

        def __len__(self) -> int:
            return len(self.targets)

        def frame(self, index: int, rng: np.random.Generator | None = None) -> fitting.Any:
            return whole.train.frame(index * 5)

    data = dataclasses.replace(whole, train=Unlabelled())
    run = _student(teaching_run, data, epochs=6)
    result = fitting.fit(run, data, tmp_path / "student", progress=False)
    assert result.top1 > 0.6  # of ten digits; chance is 0.1, and so is what its labels say
    taught = read_run(tmp_path / "student").teacher
    assert taught is not None
    assert (taught.run, taught.model) == (str(teaching_run), "lenet5_modern")


def test_the_teacher_is_no_part_of_the_run_and_does_not_learn(
    teaching_run: Path, tmp_path: Path
) -> None:
    data = load_data("mnist5k")
    run = _student(teaching_run, data, epochs=1, batch=500)
    teacher = load_teacher(run)
    assert teacher is not None
    module = Classification(run.network(), run, 8, teacher)
    assert not [key for key in module.state_dict() if "teacher" in key]
    before = load_tensors(teaching_run / "best.safetensors")
    fitting.fit(run, data, tmp_path / "student", progress=False)
    after = load_tensors(teaching_run / "best.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before)
    weights = load_tensors(tmp_path / "student" / "last.safetensors")
    assert weights.keys() == load_network(teaching_run, read_run(teaching_run)).state_dict().keys()


class Recorder(nn.Module):
    """Keeps what it is asked."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x
        return x.flatten(1)[:, :2]


def _input(size: int, color: str, **fields: object) -> Input:
    channels = 1 if color == "gray" else 3
    content = {"crop": (size, size), "shorter_side": size, "mean": (0.5,) * channels}
    given = {"height": size, "width": size, "channels": channels, "color": color, **content}
    return msgspec.convert({**given, "std": (0.25,) * channels, **fields}, Input)


def test_a_teacher_sees_the_students_images_in_its_own_size_colours_and_normalisation() -> None:
    x = torch.zeros(2, 3, 32, 32)
    x[:, 0], x[:, 1], x[:, 2] = 200, 100, 50  # red, green, blue
    student = _input(32, "rgb")
    network = Recorder()
    Teacher(network, _input(64, "bgr", mean=(0, 0, 0), std=(1, 1, 1))).logits(x, student)
    assert network.seen.shape == (2, 3, 64, 64)
    told = network.seen[0, :, 5, 5] * 255
    torch.testing.assert_close(told, torch.tensor([50.0, 100.0, 200.0]))
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    Teacher(network, _input(32, "gray")).logits(x, student)
    assert float(network.seen[0, 0, 0, 0]) == pytest.approx((luma / 255 - 0.5) / 0.25, rel=1e-5)
    dark = as_input(x[:, :1], _input(32, "gray"), _input(32, "rgb", invert=True))
    assert dark[0, :, 0, 0].tolist() == [55, 55, 55]


def test_a_teacher_for_other_labels_views_or_losses_is_one_line(
    teaching_run: Path, trained_run: Path, tmp_path: Path, refused: OneLine
) -> None:
    out = tmp_path / "run"
    train = ("train", "mnist5k", "--model", "lenet5_modern", "--out", out)
    line = refused(*train, "--distill", trained_run)
    assert "answers with brick, grass, gravel; expected the labels of mnist5k" in line
    assert "is not a run folder" in refused(*train, "--distill", tmp_path)
    assert "belong to --distill" in refused(*train, "--temperature", 2)
    assert "alpha" in refused(*train, "--distill", teaching_run, "--alpha", 2)
    assert "expected weights that have, --init" in refused(*train, "--freeze", 2)
    run = describe(load_data("mnist5k"), "lenet5_modern")
    for change, message in (
        ({"input": _input(32, "gray")}, "expected the same part of a picture"),
        ({"recipe": msgspec.structs.replace(run.recipe, loss="sse")}, "cross_entropy in both"),
    ):
        with pytest.raises(InputError, match=message):
            teacher_of(str(teaching_run), msgspec.structs.replace(run, **change))
    broken = tmp_path / "broken"
    write_run(broken, read_run(teaching_run))
    assert "no weights at" in refused(*train, "--distill", broken)
    assert not out.exists()


def test_a_run_that_is_taught_says_by_whom_and_at_what_cost(
    teaching_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    options = ["--distill", str(teaching_run), "--epochs", "1", "--batch", "500", "--out", str(out)]
    assert (
        run_cli(["train", "mnist5k", "--model", "lenet5_modern", *options, "--alpha", "0.5"]) == 0
    )
    said = " ".join(capfd.readouterr().out.split())
    assert "temperature 4, alpha 0.5; its answers add about 33% to the arithmetic" in said
    assert load_recipe(str(out / "recipe.toml")).distill.alpha == 0.5


def test_weights_to_start_from_are_said_and_another_width_is_one_line(
    trained_run: Path, tmp_path: Path, refused: OneLine, capfd: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "mnist5k", "--model", "mobilenet_v1", "--resolution", "32", "--init"]
    line = refused(*train, trained_run, "--width", "0.5", "--out", tmp_path / "run")
    assert "is a run of width 0.25, and its weights fit no other; expected 0.5" in line
    options = ["--width", "0.25", "--epochs", "1", "--freeze", "1", "--batch", "1000"]
    assert run_cli([*train, str(trained_run), *options, "--out", str(tmp_path / "run")]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "weights loaded, fresh are classifier.weight, classifier.bias" in said
    assert "1 epochs of the head alone, batch norm as it is, then 1 of all layers" in said


@pytest.mark.parametrize("kill_at", [12, 20])  # in the second frozen epoch; in the first after
def test_a_frozen_and_taught_run_resumes_to_the_same_weights(
    kill_at: int, teaching_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data("mnist5k")
    run = _student(teaching_run, data, epochs=2, freeze=2, init=str(teaching_run), batch=500)
    fitting.fit(run, data, tmp_path / "whole", progress=False)
    step = Classification.training_step

    def killed(module: Classification, batch: Batch, index: int) -> torch.Tensor:
        if module.global_step == kill_at:
            raise RuntimeError("killed")
        return step(module, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Classification, "training_step", killed)
        with pytest.raises(RuntimeError, match="killed"):
            fitting.fit(run, data, tmp_path / "cut", progress=False)
    fitting.fit(run, data, tmp_path / "cut", resume=True, progress=False)
    whole = load_tensors(tmp_path / "whole" / "last.safetensors")
    resumed = load_tensors(tmp_path / "cut" / "last.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_auxiliary_heads_learn_from_labels_and_the_outputs_from_both(teaching_run: Path) -> None:
    run = _student(teaching_run, load_data("mnist5k"))
    share = {"temperature": 2.0, "alpha": 0.25}
    run = msgspec.structs.replace(run, recipe=run.recipe.changed(distill=share))
    teacher = load_teacher(run)
    assert teacher is not None
    module = Classification(run.network(), run, 1, teacher)
    x = torch.rand(4, 1, 32, 32) * 255
    logits, labels_loss = torch.randn(4, 10), torch.tensor(1.5)
    outputs = AuxiliaryLogits(logits, (torch.randn(4, 10),), 0.3)
    got = module._taught(teacher, labels_loss, outputs, x)
    answers = teacher.logits(x, run.input)
    soft = 4 * F.kl_div(
        (logits / 2).log_softmax(1), (answers / 2).softmax(1), reduction="batchmean"
    )
    torch.testing.assert_close(got, 0.25 * soft + 0.75 * labels_loss)


def test_a_teacher_that_may_have_learned_what_is_held_out_is_said(
    teaching_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "mnist5k", "--model", "lenet5_modern", "--epochs", "1", "--batch", "1000"]
    for seed, told in (("1", True), ("0", False)):
        out = tmp_path / seed
        options = ["--distill", str(teaching_run), "--seed", seed, "--out", str(out)]
        assert run_cli([*train, *options]) == 0
        said = " ".join(capfd.readouterr().out.split())
        assert ("had another split of mnist5k" in said) == told


def test_batch_norm_that_is_replaced_for_several_gpus_is_frozen_too() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    backbone = Backbone(network)
    network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    backbone.freeze()
    assert isinstance(network[1], nn.SyncBatchNorm)
    assert not network[1].training
    backbone.thaw()
    assert network[1].training
