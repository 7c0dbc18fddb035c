"""Results to an MQTT broker, by paho."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote

import msgspec

from edgecnn_runtime.errors import MissingPackageError
from edgecnn_runtime.stream.result import Result, record_of
from edgecnn_runtime.stream.sink import UndeliveredError

TIMEOUT = 5.0  # seconds
LONGEST_PAUSE = 30  # seconds between two tries to reach the broker
TOPIC = "edgecnn/results"


class Mqtt:
    """Publish each result as JSON; paho's own thread finds the broker again when it was away.

    Args:
        parts: `mqtt://user:password@host:port/topic` or `mqtts://`. `{source}` in the topic is the
            result's source.
        qos: 0 for at most once; 1 for at least once, which waits for the broker's word.

    Raises:
        MissingPackageError: paho-mqtt is not installed.
    """

    def __init__(self, parts: SplitResult, *, qos: int = 1, timeout: float = TIMEOUT) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                "an mqtt:// sink needs the package 'paho-mqtt', which is not installed:"
                " pip install 'edgecnn[mqtt]'"
            ) from error
        self._qos = qos
        self._timeout = timeout
        self._topic = unquote(parts.path.lstrip("/")) or TOPIC
        self._where = f"{parts.hostname}:{parts.port or _port(parts)}"
        self._encoder = msgspec.json.Encoder()
        self._tried = self._hurried = False
        client = self._client = Client(CallbackAPIVersion.VERSION2)
        if parts.username is not None:
            password = unquote(parts.password) if parts.password is not None else None
            client.username_pw_set(unquote(parts.username), password)
        if parts.scheme == "mqtts":
            client.tls_set()
        client.reconnect_delay_set(1, LONGEST_PAUSE)
        client.connect_timeout = timeout
        client.connect_async(str(parts.hostname), parts.port or _port(parts))
        client.loop_start()

    def write(self, result: Result) -> None:
        """Publish one result.

        Raises:
            UndeliveredError: the broker is away, or did not confirm it in time.
        """
        self._wait_for_the_first_connection()
        if not self._client.is_connected():
            raise UndeliveredError(f"no connection to the broker at {self._where}")
        topic = self._topic.replace("{source}", result.source)
        message = self._client.publish(topic, self._encoder.encode(record_of(result)), self._qos)
        try:
            message.wait_for_publish(self._timeout)
        except (RuntimeError, ValueError) as error:  # the connection went meanwhile
            raise UndeliveredError(str(error)) from error
        if not message.is_published():
            raise UndeliveredError(f"the broker at {self._where} did not confirm a message")

    def _wait_for_the_first_connection(self) -> None:
        from time import monotonic, sleep

        until = monotonic() + self._timeout
        while not self._tried and not self._client.is_connected():
            if self._hurried or monotonic() > until:
                break
            sleep(0.01)
        self._tried = True

    def hurry(self) -> None:
        self._hurried = True

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _port(parts: SplitResult) -> int:
    return 8883 if parts.scheme == "mqtts" else 1883
