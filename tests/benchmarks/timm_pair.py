"""One network of timm with random weights, exported by us and by timm itself.

python timm_pair.py NAME FOLDER
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
from skimage import data
from timm.utils.onnx import onnx_export

from edgecnn_export.export import export
from edgecnn_export.random_weights import randomise
from edgecnn_export.sources import Options, make_input, numbered, torch_source

HERE = Path(__file__).parent
SIDE, SHORTER = 224, 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")


def camera_frames() -> np.ndarray:
    """uint8 (4, 480, 640, 3) BGR."""
    photographs = [getattr(data, name)()[:, :, ::-1] for name in PHOTOGRAPHS]
    return np.stack([cv2.resize(p, (640, 480), interpolation=cv2.INTER_AREA) for p in photographs])


def answers(program: str, model: Path, frames: Path) -> np.ndarray:
    command = [sys.executable, HERE / program, model, frames]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return np.array(json.loads(result.stdout)["probabilities"])


if __name__ == "__main__":
    name, folder = sys.argv[1], Path(sys.argv[2])
    frames, bundle, graph = (folder / n for n in ("frames.npy", f"{name}.bundle", f"{name}.onnx"))
    np.save(frames, camera_frames())
    torch.manual_seed(0)
    # The preprocessing of frame_by_hand.py, and not the network's own as `timm:NAME` has it.
    spec = make_input(Options(), (SIDE, SIDE), 3, MEAN, STD, shorter_side=SHORTER)
    network = timm.create_model(name).eval()
    randomise(network, spec)
    export(torch_source(network, spec, numbered(1000), name=name, weights="random"), bundle)
    theirs = timm.create_model(name, exportable=True)
    theirs.load_state_dict(network.state_dict())
    onnx_export(theirs, str(graph), batch_size=2, input_size=(3, SIDE, SIDE))
    ours, others = (
        answers(program, model, frames)
        for program, model in (("frame_by_bundle.py", bundle), ("frame_by_hand.py", graph))
    )
    np.testing.assert_allclose(ours, others, atol=1e-4)
    difference = float(np.abs(ours - others).max())
    (folder / f"{name}.json").write_text(json.dumps({"largest_difference": difference}))
