"""An RTSP server whose frames carry the time they were made: rtsp_server.py PORT PATH ...

Run by the system's Python, which has GStreamer's bindings; it imports nothing of ours. The time is
written as `edgecnn_runtime.camera.synthetic.burn` does.
"""

import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

WIDTH, HEIGHT, FPS = 320, 240, 15
BLOCK, COLUMNS = 8, 18
GRADIENT = b"".join(bytes((x + y) % 200 + 20 for x in range(WIDTH)) for y in range(HEIGHT))
PIPELINE = (
    f"( appsrc name=frames is-live=true do-timestamp=true format=time block=true max-buffers=1"
    f" caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={FPS}/1"
    " ! videoconvert ! video/x-raw,format=I420"
    f" ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={FPS} bitrate=800"
    " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def frame() -> bytes:
    """Grey, (HEIGHT, WIDTH), with the time now in its corner."""
    content = time.perf_counter_ns().to_bytes(8, "big")
    content += bytes([(sum(content) ^ 0x5A) & 0xFF])
    bits = f"{int.from_bytes(content, 'big'):072b}"
    picture = bytearray(GRADIENT)
    for row in range(4):
        line = b"".join(
            (b"\xff" if bit == "1" else b"\x00") * BLOCK
            for bit in bits[row * COLUMNS : (row + 1) * COLUMNS]
        )
        for y in range(row * BLOCK, (row + 1) * BLOCK):
            picture[y * WIDTH : y * WIDTH + len(line)] = line
    return bytes(picture)


def feed(source: Gst.Element) -> bool:
    return source.emit("push-buffer", Gst.Buffer.new_wrapped(frame())) == Gst.FlowReturn.OK


def configured(factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    source = media.get_element().get_child_by_name("frames")
    GLib.timeout_add(1000 // FPS, feed, source)


Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
for path in sys.argv[2:]:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE)
    factory.set_shared(True)
    factory.connect("media-configure", configured)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
print("serving", flush=True)
GLib.MainLoop().run()
