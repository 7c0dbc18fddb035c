from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.sink import Sink, SinkSummary, UndeliveredError
from edgecnn_runtime.stream.sinks import open_sinks
from edgecnn_runtime.stream.webhook import Webhook

Start = Callable[..., Any]


def posted(uri: str, results: list[Result]) -> SinkSummary:
    (sink,) = open_sinks([uri], lossless=True)
    for result in results:
        sink.put(result)
    return sink.close()


def test_every_result_is_posted_as_json_with_the_query_that_is_not_ours(
    results: list[Result], receiver: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = receiver()
    uri = f"webhook+http://me:${{HOOK_PASSWORD}}@127.0.0.1:{server.port}/in?key=1&on=frame"
    monkeypatch.setenv("HOOK_PASSWORD", "se%20cret")
    summary = posted(uri, results)
    assert [json.loads(body)["index"] for body in server.bodies] == list(range(40))
    assert set(server.paths) == {"/in?key=1"}
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.headers[0]["Authorization"] == "Basic bWU6c2UgY3JldA=="
    assert summary == SinkSummary("webhook+http://127.0.0.1", 40, 0, None)


def test_a_server_that_is_busy_is_tried_again_and_nothing_is_lost(
    results: list[Result], receiver: Start
) -> None:
    server = receiver()
    server.answers = [503, 429]
    webhook = Webhook(f"http://127.0.0.1:{server.port}/", first_pause=0.001)
    for result in results[:3]:
        webhook.write(result)
    webhook.close()
    assert [json.loads(body)["index"] for body in server.bodies] == [0, 1, 2]


def test_a_dead_server_is_said_once_and_results_are_dropped_and_counted(
    results: list[Result], free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"webhook+http://me:secret@127.0.0.1:{free_port}/services/T0K3N"
    summary = posted(uri, results)
    assert (summary.frames, summary.dropped) == (0, 40)
    assert summary.error == "Connection refused"
    assert caplog.text.count("Connection refused; results are dropped until") == 1
    assert "secret" not in caplog.text + summary.uri
    assert "T0K3N" not in caplog.text + summary.uri


def test_a_server_that_comes_back_gets_results_again(
    results: list[Result], free_port: int, receiver: Start, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink("hook", Webhook(f"http://127.0.0.1:{free_port}/", first_pause=0.001), lossless=True)
    for result in results[:5]:
        sink.put(result)
    while sink.summary().error is None:
        time.sleep(0.01)
    server = receiver(free_port)
    while not server.bodies:
        sink.put(results[5])
    summary = sink.close()
    assert summary.error is None
    assert summary.dropped > 0
    assert caplog.text.count("takes results again") == 1


def test_a_server_that_refuses_is_not_delivered_to(results: list[Result], receiver: Start) -> None:
    server = receiver()
    server.answers = [404] * 9
    webhook = Webhook(f"http://127.0.0.1:{server.port}/", first_pause=0.001)
    with pytest.raises(UndeliveredError, match="the server answers 404"):
        webhook.write(results[0])
    webhook.close()


def test_only_changes_of_the_answer_are_posted_where_that_is_asked(
    results: list[Result], receiver: Start
) -> None:
    server = receiver()
    posted(f"webhook+http://127.0.0.1:{server.port}/?on=change", results)
    labels = [json.loads(body)["label"] for body in server.bodies]
    expected = [results[0].best.label]
    for result in results:
        if result.best.label != expected[-1]:
            expected.append(result.best.label)
    assert labels == expected


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("webhook+http:///x", "names no host"),
        ("webhook+http://host:99999/", "out of range"),
        ("webhook+http://host/?on=frames", "did you mean 'frame'"),
    ],
)
def test_a_webhook_that_cannot_be_meant_is_an_input_error(uri: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_sinks([uri], lossless=True)
