"""Whether a graph that was just written gives the model's answers, on what this machine has."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx

from edgecnn_export.agreement import Agreement, Answers, Frame
from edgecnn_export.emulate import emulate_half
from edgecnn_export.graph_file import write_graph
from edgecnn_export.half import HALVES
from edgecnn_export.verify import parity
from edgecnn_runtime.manifest import Input


def prove(
    graph: onnx.ModelProto,
    file: Path,
    spec: Input,
    frames: Sequence[Frame],
    reference: Answers,
    precision: str,
) -> Agreement:
    """Compare a graph with the training path's answers.

    FP16 and BF16 are computed as an accelerator computes them (`emulate_half`), and FP16 also by
    ONNX Runtime, which will run the file where there is no accelerator; the worse of both counts.

    Args:
        file: where the graph was written.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [] if precision == "bf16" else [file]
        if precision in HALVES:
            rounding = Path(folder) / "rounding.onnx"
            write_graph(emulate_half(graph), rounding)
            files.append(rounding)
        found = [parity(each, spec, frames, reference, precision) for each in files]
    return max(found, key=lambda agreement: agreement.max_share)
