"""The annotated stream over RTSP, by GStreamer's server in a process of its own."""
