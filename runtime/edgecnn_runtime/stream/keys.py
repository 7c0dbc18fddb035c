"""Keys that are pressed in the terminal, one at a time and without Enter."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL = 0.1  # seconds


@contextmanager
def terminal_keys(on_key: Callable[[str], None]) -> Iterator[bool]:
    """Call `on_key` from a thread for every key until the block ends; gives whether there are keys.

    There are none where standard input is no terminal, or the system has no such terminals.
    """
    try:
        import termios
        import tty

        if not sys.stdin.isatty():
            raise OSError
        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
    except (ImportError, OSError, ValueError):
        yield False
        return
    done = threading.Event()
    thread = threading.Thread(target=_read, args=(handle, done, on_key), daemon=True)
    tty.setcbreak(handle)
    try:
        thread.start()
        yield True
    finally:
        done.set()
        thread.join()
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _read(handle: int, done: threading.Event, on_key: Callable[[str], None]) -> None:
    import os
    import select

    while not done.is_set():
        readable, _, _ = select.select([handle], [], [], POLL)
        if readable:
            data = os.read(handle, 1)
            if not data:
                return
            on_key(data.decode(errors="replace"))
