"""Whether a graph that was just written gives the model's answers, on what this machine has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from edgecnn_export.agreement import Agreement, Answers, Frame, compare
from edgecnn_export.emulate import open_rounded
from edgecnn_export.outputs import inputs_of, outputs_of
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.manifest import Input


def parity(
    file: Path,
    spec: Input,
    frames: Sequence[Frame],
    reference: Answers,
    precision: str = "fp32",
) -> Agreement:
    """Compare an ONNX file with the training path's answers.

    FP16 and BF16 are computed as an accelerator computes them (`emulate_half`), and FP16 also by
    ONNX Runtime, which will run the file where there is no accelerator; the worse of both counts.

    Args:
        frames: raw BGR frames.

    Raises:
        CheckFailedError: ONNX Runtime cannot run it.
    """
    engines = [open_rounded(file, precision)]
    if precision == "fp16":
        engines.append(open_ort(file, "onnxruntime"))
    inputs, takes_frames, found = inputs_of(frames, spec), spec.frame is not None, []
    for engine in engines:
        with closing(engine):
            answers = outputs_of(engine, inputs).probabilities
        found.append(compare(reference, answers, precision, takes_frames=takes_frames))
    return max(found, key=lambda agreement: (not agreement.holds, agreement.max_share))
