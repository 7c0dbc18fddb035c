"""From photographs to a bundle in one program: python samples/03_train_on_a_folder.py PHOTOS OUT

PHOTOS holds a folder of images for each class.
"""

import sys
from pathlib import Path

from edgecnn.commands.train import describe
from edgecnn.data import load_data
from edgecnn.training.fit import fit
from edgecnn_export.export import export
from edgecnn_export.sources import Options, open_source


def main(photographs: str, out: str, epochs: str = "30") -> None:
    data = load_data(photographs)
    print(f"{len(data.train)} photographs to train, {len(data.val)} held out: {data.labels}")

    run = describe(data, "mobilenet_v1", width=0.25, resolution="96", epochs=int(epochs))
    trained = fit(run, data, Path(out) / "run")
    print(f"top-1 {trained.top1:.3f} on photographs that training never saw")

    exported = export(open_source(trained.run, Options()), Path(out) / "model.bundle")
    print(f"stream it:  edgecnn stream {exported.bundle} --source 0")


if __name__ == "__main__":
    main(*sys.argv[1:])
