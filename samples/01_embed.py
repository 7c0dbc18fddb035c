"""Classify one photograph: python samples/01_embed.py terrain.bundle photo.jpg"""

import sys

from edgecnn_runtime import Classifier
from edgecnn_runtime.camera.image import read_image

with Classifier.open(sys.argv[1]) as classify:
    for prediction in classify(read_image(sys.argv[2])):  # uint8 (H, W, 3), BGR
        print(f"{prediction.probability:6.1%}  {prediction.label}")
