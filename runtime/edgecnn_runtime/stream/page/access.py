"""Who may look: on this machine everybody, from elsewhere whoever has the token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

COOKIE = "edgecnn-token"


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Decides about requests.

    Args:
        host: that the server listens on.
        token: that others must show; on an address that others reach, one is made where None.
    """

    def __init__(self, host: str, token: str | None = None) -> None:
        self.is_made_here = token is None and not is_loopback(host)
        self.token = secrets.token_urlsafe(16) if self.is_made_here else token

    def is_allowed(self, given: str | None, bearer: str | None, cookies: str | None) -> bool:
        """Whether a request may be answered.

        Args:
            given: `token` of its query. `bearer` is its Authorization, `cookies` its Cookie.
        """
        if self.token is None:
            return True
        shown = [given, _bearer(bearer), _cookie(cookies)]
        return any(s is not None and _same(s, self.token) for s in shown)

    def is_our_name(self, host: str | None) -> bool:
        """Whether the browser meant this server, not a name that somebody pointed at this machine.

        Without a token, a page from elsewhere could otherwise read everything.
        """
        if self.token is not None:
            return True
        name = urlsplit(f"//{host or ''}").hostname
        return name is not None and is_loopback(name)


def is_same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a browser's POST comes from our own page; what is no browser sends no Origin."""
    return origin is None or urlsplit(origin).netloc == host


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _bearer(header: str | None) -> str | None:
    kind, _, token = (header or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _cookie(header: str | None) -> str | None:
    try:
        morsel = SimpleCookie(header or "").get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None
