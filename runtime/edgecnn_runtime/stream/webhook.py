"""Results by POST to somebody's server."""

from __future__ import annotations

import base64
import http.client
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from edgecnn_runtime.stream.result import Result, record_of
from edgecnn_runtime.stream.retries import Retries

TIMEOUT = 5.0  # seconds


class Webhook:
    """POST each result as JSON over one connection that is kept open.

    A server that is away, slow or gives any other answer than 2xx is tried again, and then left for
    growing pauses, see `Retries`. Redirects are not followed, so that results go nowhere else.

    Args:
        url: http or https; user and password in it become an Authorization header.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, first_pause: float = 0.25) -> None:
        parts = urlsplit(url)
        self._retries = Retries(first_pause)
        self._connection = _connection(parts, timeout)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "User-Agent": "edgecnn"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            basic = base64.b64encode(pair.encode()).decode()
            self._headers["Authorization"] = f"Basic {basic}"
        self._encoder = msgspec.json.Encoder()

    def write(self, result: Result) -> None:
        """Post one result.

        Raises:
            UndeliveredError: the server did not take it.
        """
        body = self._encoder.encode(record_of(result))
        self._retries.deliver(lambda: self._post(body))

    def _post(self, body: bytes) -> None:
        try:
            self._connection.request("POST", self._target, body, self._headers)
            answer = self._connection.getresponse()
            answer.read(1 << 16)
        except http.client.HTTPException as error:
            self._connection.close()
            raise OSError(f"no answer in HTTP: {error or type(error).__name__}") from error
        except OSError:
            self._connection.close()
            raise
        if not answer.isclosed():  # more than anyone would say; the connection cannot be used again
            self._connection.close()
        if not 200 <= answer.status < 300:
            raise OSError(f"the server answers {answer.status} {answer.reason}")

    def hurry(self) -> None:
        self._retries.hurry()

    def close(self) -> None:
        self._connection.close()


def _connection(parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
    assert parts.hostname is not None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=timeout, context=context
        )
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
