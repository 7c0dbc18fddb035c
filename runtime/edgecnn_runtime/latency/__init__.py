"""Honest latency: histograms of constant size, percentiles, profiles. Nothing is clipped."""
