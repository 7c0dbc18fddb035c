from __future__ import annotations

import os
import threading

import pytest

from edgecnn_runtime.camera.ffmpeg import _OPTIONS, _Options


@pytest.mark.parametrize("users", [None, "timeout;7"])
def test_options_are_a_users_or_ours_while_several_open_and_afterwards_as_before(
    users: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(_OPTIONS, raising=False)
    if users is not None:
        monkeypatch.setenv(_OPTIONS, users)
    options = _Options()
    first, second = options.set_to("a;1"), options.set_to("a;1")
    first.__enter__()
    second.__enter__()
    assert os.environ[_OPTIONS] == (users or "a;1")
    first.__exit__(None, None, None)
    assert os.environ[_OPTIONS] == (users or "a;1"), "the second still opens with them"
    second.__exit__(None, None, None)
    assert os.environ.get(_OPTIONS) == users


def test_an_attempt_with_other_options_waits_for_those_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(_OPTIONS, raising=False)
    options = _Options()
    seen: list[str] = []

    def open_other() -> None:
        with options.set_to("b;2"):
            seen.append(os.environ[_OPTIONS])

    other = threading.Thread(target=open_other)
    with options.set_to("a;1"):
        other.start()
        other.join(0.1)
        seen.append(os.environ[_OPTIONS])
    other.join(10)
    assert seen == ["a;1", "b;2"]
    assert _OPTIONS not in os.environ
