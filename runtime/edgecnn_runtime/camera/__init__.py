"""Where frames come from: cameras, video files, images; and how they reach the loop."""
