"""The loop from a source to results, and where results go."""

import edgecnn_runtime.preprocess  # noqa: F401  # where OpenCV does not load, it says so in one line
