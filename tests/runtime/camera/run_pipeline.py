"""Run a pipeline until its appsink has three frames: run_pipeline.py PIPELINE

Run by the system's Python, which has GStreamer's bindings. Prints the caps of the last frame, its
bytes, and the properties of the sink by which only the newest frame is kept.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)
pipeline = Gst.parse_launch(sys.argv[1])
found = pipeline.iterate_all_by_element_factory_name("appsink")
sink = found.next()[1]
pipeline.set_state(Gst.State.PLAYING)
sample = None
for _ in range(3):
    sample = sink.emit("try-pull-sample", 10 * Gst.SECOND)
    assert sample is not None, "no frame came"
caps = sample.get_caps().get_structure(0)
kept = [sink.get_property(name) for name in ("drop", "max-buffers", "sync")]
pipeline.set_state(Gst.State.NULL)
print(caps.get_string("format"), caps.get_int("width")[1], caps.get_int("height")[1], end=" ")
print(caps.get_fraction("framerate")[1:], sample.get_buffer().get_size(), *kept)
