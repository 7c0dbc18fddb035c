"""Quantisation-aware fine-tuning of a run, and the graph of what came out."""

from __future__ import annotations

from pathlib import Path

from edgecnn.data import DataSet
from edgecnn.training.run import load_network, read_run
from edgecnn_export.calibration import Ranges
from edgecnn_export.int8 import Tune, Tuned
from edgecnn_export.quantize import layers
from edgecnn_export.sources import Source
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.errors import InputError


def fine_tuning(source: Source, data: DataSet | None, options: GraphOptions, epochs: int) -> Tune:
    """How a model is fine-tuned, should it be necessary.

    Raises:
        InputError: the model is not a run, or its data is not the run's.
    """
    folder = source.provenance.get("run")
    if folder is None or data is None or data.labels != source.labels:
        raise InputError(
            "--qat-epochs trains a run on with its own data; expected a run folder as MODEL and"
            " data with its labels"
        )
    run = read_run(Path(folder))

    def tune(ranges: Ranges) -> Tuned:
        from edgecnn.training.quantized import Layer, fine_tune  # Lightning takes seconds to import

        network = load_network(folder, run)
        found = layers(to_onnx(network, source.spec, source.labels, options))
        order = [Layer(layer.input, layer.weights) for layer in found]
        largest = {name: max(-low, high) for name, (low, high) in ranges.items()}
        learned = fine_tune(network, run, data, order, largest, epochs)
        del learned[found[0].input]  # pixels, whose range the graph is calibrated for
        graph = to_onnx(network, source.spec, source.labels, options)
        return Tuned(graph, {name: (-value, value) for name, value in learned.items()})

    return tune
