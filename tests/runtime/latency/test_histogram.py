from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.latency.histogram import Histogram
from edgecnn_runtime.latency.stages import Percentiles

FRACTIONS = (0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999)


def histogram_of(samples: NDArray[np.int64]) -> Histogram:
    histogram = Histogram()
    for sample in samples.tolist():
        histogram.record(sample)
    return histogram


def distributions() -> dict[str, NDArray[np.int64]]:
    random = np.random.default_rng(7)
    steady = random.normal(8e6, 2e5, 100_000)
    stalls = np.where(random.random(100_000) < 0.002, 3e8, 1) * 1.0 + steady
    return {
        "steady": steady.astype(np.int64),
        "with stalls": stalls.astype(np.int64),
        "from microseconds to seconds": np.exp(random.uniform(7, 21, 100_000)).astype(np.int64),
    }


@pytest.mark.parametrize("name", distributions())
def test_percentiles_are_within_a_fifth_of_a_percent_of_numpys(name: str) -> None:
    samples = distributions()[name]
    expected = np.quantile(samples, FRACTIONS, method="inverted_cdf")
    np.testing.assert_allclose(
        histogram_of(samples).percentiles_ns(*FRACTIONS), expected, rtol=0.002
    )


def test_count_mean_and_extremes_are_exact() -> None:
    samples = distributions()["from microseconds to seconds"]
    histogram = histogram_of(samples)
    assert histogram.count == len(samples)
    assert histogram.total_ns == samples.sum()
    assert (histogram.min_ns, histogram.max_ns) == (samples.min(), samples.max())
    assert histogram.percentiles_ns(0.0, 1.0)[1] == samples.max()


@pytest.mark.parametrize("duration", [0, 1, 511, 512, 1023, 1024, 10**6, 3600 * 10**9])
def test_a_single_duration_is_every_percentile(duration: int) -> None:
    histogram = Histogram()
    histogram.record(duration)
    assert histogram.percentiles_ns(0.5, 0.999) == [duration, duration]


def test_an_outlier_beyond_the_last_bucket_is_counted_and_stands_as_the_largest() -> None:
    histogram = Histogram()
    histogram.record(1_000_000)
    histogram.record(10**18)  # thirty years
    assert histogram.count == 2
    assert histogram.max_ns == 10**18
    assert histogram.percentiles_ns(0.5, 0.9) == [pytest.approx(10**6, rel=1e-3), 10**18]


def test_a_clock_that_went_back_counts_as_zero() -> None:
    histogram = Histogram()
    histogram.record(-5)
    assert (histogram.count, histogram.min_ns, histogram.max_ns) == (1, 0, 0)


def test_an_empty_histogram_has_zeros_for_percentiles() -> None:
    percentiles = Percentiles.of(Histogram())
    assert (percentiles.p50, percentiles.p999, percentiles.max) == (0, 0, 0)
