"""Top-1 on mnist5k, 4,000 digits to train on and 1,000 held out: the mean of three seeds.

python accuracy.py [--seeds 3] [--epochs N] [MODEL ...]
Each seed has its own split, weights and order. The weights are those of the last epoch.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

from learned import summary, train, write

from edgecnn.data import load_data


class Row(NamedTuple):
    """How one network is trained, and what its mean top-1 is to reach."""

    resolution: str | None
    recipe: str
    epochs: int | None  # in place of the recipe's
    at_least: float


ROWS = {
    "lenet5": Row(None, "digits-elastic", None, 0.983),
    "resnet18": Row("48", "digits-elastic", 30, 0.99),
}


def main() -> int:
    """1 if a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(ROWS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="in place of the recipe's, to try it")
    asked = parser.parse_args()
    met = []
    print("| network | input | recipe | epochs | seeds | top-1 | of each | minutes a run |")
    print("|---|---|---|---:|---:|---:|---|---:|")
    for model in asked.models or ROWS:
        row = ROWS[model]
        runs = [
            train(
                load_data("mnist5k", seed),
                model,
                f"{model}-{seed}",
                resolution=row.resolution,
                recipe=row.recipe,
                epochs=asked.epochs or row.epochs,
                seed=seed,
            )
            for seed in range(asked.seeds)
        ]
        entry = {"model": model, **row._asdict(), **run_settings(runs[0].run), **summary(runs)}
        met.append(entry["top1"] >= row.at_least)
        each = ", ".join(f"{100 * top1:.1f}" for top1 in entry["top1_of_each"])
        print(
            f"| `{model}` | {entry['input']} | `{row.recipe}` | {entry['epochs']} | {asked.seeds} |"
            f" {100 * entry['top1']:.2f}% | {each} | {entry['minutes']:.1f} |",
            flush=True,
        )
        title = f"{model} on mnist5k, 4,000 to train on and 1,000 held out"
        write(f"accuracy_{model}", title, {**entry, "met": met[-1]})
    return int(not all(met))


def run_settings(folder: object) -> dict[str, object]:
    from edgecnn.training.run import read_run

    run = read_run(str(folder))
    return {"input": f"{run.input.height}x{run.input.width}", "epochs": run.recipe.all_epochs}


if __name__ == "__main__":
    sys.exit(main())
