"""Serves pictures over RTSP: serve.py HOST PORT FPS, with the pictures on standard input.

Run as a program by a Python that has GStreamer's bindings, often the system's and not the one that
the rest runs in: it imports nothing of ours. First comes a line of JSON with user and password;
then for each picture a line of JSON (mount, width, height, bytes) and the picture, BGR. On standard
output it tells `serving ENCODER`, and `watched MOUNT` or `left MOUNT` when somebody comes or goes.
Ends with standard input. Exit status 3: something is not installed, which the last line names.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any, NamedTuple

MISSING = 3  # exit status
SECONDS = 5  # for an encoder to show that it works
VIEWERS = 64
ROLE = "viewer"


class Encoder(NamedTuple):
    """A way to H.264: the raw format that it takes, and its part of a pipeline."""

    element: str
    raw: str
    launch: str


# The first that works is taken. Properties change with versions, and some elements are there
# without the hardware: each one is tried on a few pictures before.
ENCODERS = (
    Encoder(
        "nvv4l2h264enc",
        "I420",
        "nvvidconv ! video/x-raw(memory:NVMM), format=NV12 ! nvv4l2h264enc bitrate={bits}"
        " iframeinterval={gop} idrinterval={gop} insert-sps-pps=true preset-level=1",
    ),
    Encoder("nvh264enc", "NV12", "nvh264enc zerolatency=true gop-size={gop} bitrate={kbits}"),
    Encoder("vah264enc", "NV12", "vah264enc key-int-max={gop} bitrate={kbits} b-frames=0"),
    Encoder(
        "v4l2h264enc",
        "I420",
        "v4l2h264enc"
        ' extra-controls="controls, video_bitrate={bits}, h264_i_frame_period={gop}"'
        " ! video/x-h264, level=(string)4",
    ),
    Encoder(
        "x264enc",
        "I420",
        # One thread: several cut a frame into slices, of which FFmpeg loses the first, or delay it.
        "x264enc threads=1 tune=zerolatency speed-preset=ultrafast key-int-max={gop}"
        " bitrate={kbits}",
    ),
    Encoder("openh264enc", "I420", "openh264enc gop-size={gop} bitrate={bits} complexity=low"),
)


class MissingError(Exception):
    """Something is not installed; the message names it."""


def load() -> tuple[Any, Any, Any]:
    """GLib, GStreamer and its RTSP server.

    Raises:
        MissingError: one of them, or an element that is needed, is not installed.
    """
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer
    except (ImportError, ValueError) as error:
        raise MissingError(str(error)) from None
    Gst.init(None)
    for name in ("appsrc", "videoconvert", "rtph264pay"):
        if Gst.ElementFactory.find(name) is None:
            raise MissingError(f"no GStreamer element {name}")
    return GLib, Gst, GstRtspServer


def find_encoder(gst: Any) -> Encoder:
    """The first encoder that makes something of a few pictures.

    Raises:
        MissingError: there is none.
    """
    for encoder in ENCODERS:
        if gst.ElementFactory.find(encoder.element) is not None and _works(gst, encoder):
            return encoder
    raise MissingError("no GStreamer element for H.264, as x264enc")


def _works(gst: Any, encoder: Encoder) -> bool:
    try:
        pipeline = gst.parse_launch(
            "videotestsrc num-buffers=10 ! video/x-raw, width=320, height=240, framerate=30/1,"
            f" format={encoder.raw} ! {encoded(encoder, 320, 240, 30)} ! fakesink"
        )
    except Exception:  # GLib.Error: a property that this version has not
        return False
    pipeline.set_state(gst.State.PLAYING)
    ends = gst.MessageType.EOS | gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(SECONDS * gst.SECOND, ends)
    pipeline.set_state(gst.State.NULL)
    return message is not None and message.type == gst.MessageType.EOS


def encoded(encoder: Encoder, width: int, height: int, fps: int) -> str:
    """The part of a pipeline that takes raw pictures and gives packets."""
    bits = max(500_000, width * height * fps * 15 // 100)
    launch = encoder.launch.format(gop=fps, bits=bits, kbits=bits // 1000)
    return f"{launch} ! rtph264pay name=pay0 pt=96 config-interval=-1"


class Mount:
    """One film: pictures of one size, encoded once however many watch, and only while some do."""

    def __init__(self, gst: Any, path: str) -> None:
        self.path = path
        self._gst = gst
        self._source: Any = None
        self._is_full = False

    def launch(self, encoder: Encoder, width: int, height: int, fps: int) -> str:
        """Its pipeline."""
        return (
            "( appsrc name=pictures is-live=true do-timestamp=true format=time"
            f" max-bytes={2 * 3 * width * height}"
            f" caps=video/x-raw,format=BGR,width={width},height={height},framerate={fps}/1"
            f" ! videoconvert ! video/x-raw, format={encoder.raw}"
            f" ! {encoded(encoder, width, height, fps)} )"
        )

    def configured(self, factory: Any, media: Any) -> None:
        """Somebody has come."""
        source = media.get_element().get_child_by_name("pictures")
        source.connect("enough-data", lambda *_: self._fill(True))
        source.connect("need-data", lambda *_: self._fill(False))
        media.connect("unprepared", lambda _: self._left(source))
        self._source, self._is_full = source, False
        tell(f"watched {self.path}")

    def _fill(self, is_full: bool) -> None:
        self._is_full = is_full

    def _left(self, source: Any) -> None:
        if self._source is source:
            self._source = None
            tell(f"left {self.path}")

    def push(self, picture: bytes) -> None:
        """Give a picture to those who watch; where the encoder is behind, it is left out."""
        source = self._source
        if source is not None and picture and not self._is_full:
            source.emit("push-buffer", self._gst.Buffer.new_wrapped(picture))


class Server:
    """GStreamer's RTSP server with a mount for each film.

    Raises:
        MissingError: something is not installed.
    """

    def __init__(self, host: str, port: str, fps: int, user: str, password: str) -> None:
        self.glib, self._gst, self._rtsp = load()
        self.encoder = find_encoder(self._gst)
        self.loop = self.glib.MainLoop()
        self._fps = fps
        self._mounts: dict[str, Mount] = {}
        self._is_closed_to_others = bool(password)
        server = self._server = self._rtsp.RTSPServer()
        server.set_address(host)
        server.set_service(port)
        server.get_session_pool().set_max_sessions(VIEWERS)
        if password:
            server.set_auth(self._auth(user, password))
        self.glib.timeout_add_seconds(5, self._forget_the_gone)

    def _auth(self, user: str, password: str) -> Any:
        """A password that travels as a digest."""
        auth, token = self._rtsp.RTSPAuth(), self._rtsp.RTSPToken()
        token.set_string("media.factory.role", ROLE)
        from gi.repository import GstRtsp

        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
        return auth

    def _forget_the_gone(self) -> bool:
        self._server.get_session_pool().cleanup()
        return True

    def attach(self) -> bool:
        """Listen; False where the port is taken."""
        return bool(self._server.attach(None))

    def mount(self, path: str, width: int, height: int) -> Mount:
        """The film at a path, made where there is none."""
        if path not in self._mounts:
            mount = self._mounts[path] = Mount(self._gst, path)
            factory = self._rtsp.RTSPMediaFactory()
            factory.set_launch(mount.launch(self.encoder, width, height, self._fps))
            factory.set_shared(True)
            factory.connect("media-configure", mount.configured)
            if self._is_closed_to_others:
                permissions = self._rtsp.RTSPPermissions()
                for what in ("access", "construct"):
                    permissions.add_permission_for_role(ROLE, f"media.factory.{what}", True)
                factory.set_permissions(permissions)
            self._server.get_mount_points().add_factory(path, factory)
        return self._mounts[path]

    def read_pictures(self) -> None:
        """Pass on what comes, until standard input ends."""
        try:
            while line := sys.stdin.buffer.readline():
                head = json.loads(line)
                mount = self.mount(head["mount"], head["width"], head["height"])
                mount.push(sys.stdin.buffer.read(head["bytes"]))
        finally:
            self.glib.idle_add(self.loop.quit)


def tell(line: str) -> None:
    """Say something to whoever started this."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(host: str, port: str, fps: str) -> int:
    """Serve until standard input ends."""
    secret = json.loads(sys.stdin.buffer.readline())
    try:
        server = Server(host, port, int(fps), secret["user"], secret["password"])
    except MissingError as error:
        tell(str(error))
        return MISSING
    if not server.attach():
        tell(f"port {port} of {host} is taken, or not ours to take")
        return 1
    threading.Thread(target=server.read_pictures, daemon=True).start()
    tell(f"serving {server.encoder.element}")
    server.loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
