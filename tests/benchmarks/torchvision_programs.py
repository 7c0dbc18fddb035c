"""The programs of torchvision_loop.py, each in a process of its own; prints JSON.

python torchvision_programs.py data FOLDER
python torchvision_programs.py ours|theirs FOLDER RECIPE.toml OUT SEED

`theirs` is a plain loop as torchvision's references/classification describes it: its training and
evaluation presets for PIL images, a DataLoader with workers, accuracy and loss read at every step,
evaluation and a checkpoint after every epoch. It is written here, since torchvision's wheel does
not carry it. Network, start, optimiser and schedule are those of the recipe, in both.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler
from torchvision import datasets, transforms
from torchvision.transforms.functional import InterpolationMode

from edgecnn.models import build
from edgecnn.training.recipe import Recipe, load_recipe
from edgecnn_runtime.latency.device import cores

MODEL, WIDTH, SIDE = "mobilenet_v1", 0.25, 96
SHORTER = round(SIDE / 0.875)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRAIN, VAL, CROP = 300, 100, 192  # files a class, and their side in pixels


def write_data(folder: Path) -> None:
    """JPEG files of brick, grass and gravel; what is held out comes from other columns."""
    import cv2

    from edgecnn.data.terrain import LABELS, photographs

    rng = np.random.default_rng(0)
    for label, photo in zip(LABELS, photographs(), strict=True):
        for part, count, (left, right) in (("train", TRAIN, (0, 312)), ("val", VAL, (320, 512))):
            (folder / part / label).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                y = rng.integers(0, 512 - CROP + 1)
                x = rng.integers(left, right - CROP + 1)
                path = folder / part / label / f"{i:03}.jpg"
                cv2.imwrite(str(path), photo[y : y + CROP, x : x + CROP])


def ours(folder: Path, recipe: str, out: Path, seed: int) -> dict[str, Any]:
    from learned import right

    from edgecnn.commands.train import describe
    from edgecnn.data import load_data
    from edgecnn.training.fit import fit

    data = load_data(str(folder))
    run = describe(data, MODEL, width=WIDTH, resolution=str(SIDE), recipe=recipe, seed=seed)
    result = fit(run, data, out, progress=False)
    return {"seconds": result.seconds, "right": right(out, data).tolist()}


def theirs(folder: Path, recipe_file: str, out: Path, seed: int) -> dict[str, Any]:
    recipe = load_recipe(recipe_file)
    torch.manual_seed(seed)
    network = build(MODEL, width=WIDTH, num_classes=3)
    out.mkdir(parents=True)
    began = time.perf_counter()
    train, val = _loaders(folder, recipe)
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    optimizer = torch.optim.SGD(
        network.parameters(),
        recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=recipe.epochs * len(train), cycle_momentum=False
    )
    right: list[bool] = []
    for epoch in range(recipe.epochs):
        network.train()
        for images, targets in train:
            output = network(images)
            loss = criterion(output, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            _accuracy(output, targets)
            loss.item()
        right = _evaluate(network, criterion, val)
        state = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "lr_scheduler": schedule.state_dict(), "epoch": epoch}, out / "c.pth")
    return {"seconds": time.perf_counter() - began, "right": right}


def _loaders(folder: Path, recipe: Recipe) -> tuple[DataLoader[Any], DataLoader[Any]]:
    a = recipe.augment
    tensor = [
        transforms.PILToTensor(),
        transforms.ConvertImageDtype(torch.float),
        transforms.Normalize(MEAN, STD),
    ]
    linear = InterpolationMode.BILINEAR
    crop = transforms.RandomResizedCrop(SIDE, a.crop_scale, a.crop_aspect, interpolation=linear)
    mirror = transforms.RandomHorizontalFlip(0.5 if a.hflip else 0.0)
    resize = transforms.Resize(SHORTER, interpolation=linear)
    train = datasets.ImageFolder(str(folder / "train"), transforms.Compose([crop, mirror, *tensor]))
    val = datasets.ImageFolder(
        str(folder / "val"), transforms.Compose([resize, transforms.CenterCrop(SIDE), *tensor])
    )
    workers = cores()  # theirs are 16 wherever they run, which suits no small machine
    return (
        DataLoader(train, recipe.batch_size, sampler=RandomSampler(train), num_workers=workers),
        DataLoader(val, recipe.batch_size, sampler=SequentialSampler(val), num_workers=workers),
    )


def _accuracy(output: torch.Tensor, targets: torch.Tensor) -> float:
    return float((output.argmax(1) == targets).float().mean().item())


def _evaluate(network: nn.Module, criterion: nn.Module, val: DataLoader[Any]) -> list[bool]:
    network.eval()
    right: list[bool] = []
    with torch.inference_mode():
        for images, targets in val:
            output = network(images)
            criterion(output, targets).item()
            right += (output.argmax(1) == targets).tolist()
    return right


if __name__ == "__main__":
    which, where = sys.argv[1], Path(sys.argv[2])
    if which == "data":
        write_data(where)
    else:
        program = ours if which == "ours" else theirs
        print(json.dumps(program(where, sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]))))
