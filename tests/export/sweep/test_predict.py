"""Latency from counts."""

from __future__ import annotations

import pytest
import torch

from edgecnn.models import build
from edgecnn.models.cost import cost
from edgecnn_export.sweep.folder import Features
from edgecnn_export.sweep.make import features
from edgecnn_export.sweep.plan import grid
from edgecnn_export.sweep.predict import Sample, choose_measured, fit_latency
from edgecnn_runtime.errors import InputError


@pytest.fixture(scope="module")
def family() -> list[Features]:
    """The counts of MobileNetV1's sixteen variants."""
    found = []
    for point in grid("mobilenet_v1", None, None):
        with torch.device("meta"):
            network = build("mobilenet_v1", width=point.width)
        counted = cost(network, (3, point.height, point.across))
        found.append(features(counted, point.height * point.across))
    return found


def takes(counts: Features) -> Sample:
    """A device of 10 GMAC/s and 2 G values/s; 5 µs for a layer, and for a pixel 10 ns before it."""
    infer_ms = counts.layers * 5e-3 + counts.macs / 1e7 + counts.activations / 2e6
    return Sample(counts, infer_ms, counts.pixels * 1e-5)


def test_layers_macs_and_values_are_counted(family: list[Features]) -> None:
    largest = family[0]
    assert largest.layers == 28
    assert largest.macs == 568_740_352
    assert largest.weights == 4_209_088 + 1000  # without batch norm; the last layer has biases
    assert largest.pixels == 224 * 224


def test_a_device_that_follows_the_model_is_predicted_exactly(family: list[Features]) -> None:
    fitted = fit_latency([takes(f) for f in family])
    assert len(fitted.errors) == 16
    assert fitted.worst_error == pytest.approx(0, abs=1e-6)
    for counts in family:
        assert fitted.model.predict(counts) == pytest.approx(takes(counts).whole_ms)


def test_six_measured_variants_predict_the_other_ten(family: list[Features]) -> None:
    chosen = choose_measured(family, 6)
    fitted = fit_latency([takes(family[i]) for i in chosen])
    assert fitted.measured == 6
    for counts in family:
        # A resolution that was not measured takes what the nearest one takes before inference.
        assert fitted.model.predict(counts) == pytest.approx(takes(counts).whole_ms, rel=0.05)


def test_the_error_is_that_of_variants_which_the_model_has_not_seen(
    family: list[Features],
) -> None:
    """One variant is twice as slow as its counts say; the others' own errors stay smaller."""
    samples = [takes(f) for f in family]
    odd = samples[5]
    samples[5] = Sample(odd.features, 2 * odd.infer_ms, odd.rest_ms)
    fitted = fit_latency(samples)
    assert fitted.errors[5] == pytest.approx(0.5, abs=0.03)  # it is predicted as if it were not odd
    assert fitted.errors[5] == fitted.worst_error


def test_no_factor_makes_a_network_faster(family: list[Features]) -> None:
    samples = [Sample(f, 1.0 + 1e7 / f.macs, 0.1) for f in family]  # faster where there is more
    fitted = fit_latency(samples)
    assert all(factor >= 0 for factor in fitted.model.factors)


def test_the_limits_are_measured_first_and_then_what_is_farthest(family: list[Features]) -> None:
    chosen = choose_measured(family, 16)
    assert chosen[0] == 0  # the largest
    assert chosen[1] == 15  # the smallest
    assert sorted(chosen) == list(range(16))
    assert choose_measured(family, 5) == chosen[:5]


def test_two_measurements_are_no_model(family: list[Features]) -> None:
    with pytest.raises(InputError, match="needs 3 or more"):
        fit_latency([takes(f) for f in family[:2]])
    with pytest.raises(InputError, match="--measure 2; expected 3 or more"):
        choose_measured(family, 2)
