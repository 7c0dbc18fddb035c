"""Where frames come from: cameras, video files, images; and how they reach the loop."""

import edgecnn_runtime.preprocess  # noqa: F401  # where OpenCV does not load, it says so in one line
