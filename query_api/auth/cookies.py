"""Logins by cookie, as SPS's clients know them (sps-facts 1.1). They live in the memory of this process.

A restart ends them all and clients log in again, as they do after an idle time: nothing has to be stored, encrypted or
shared for that. A login ends at once when its user is revoked or gets another password.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from email.utils import formatdate

import msgspec

from query_api.auth.credentials import Credentials, principal
from query_api.auth.principal import ANYBODY, Principal

COOKIE = "session_id"
#: Seconds a login may live however busy it is (sps-facts 1.1: Max-Age=43200).
LIFETIME = 43_200
#: Logins kept at once, and of one user; beyond that the one that was idle for longest ends.
LIMIT, LIMIT_OF_USER = 10_000, 100


class Login(msgspec.Struct):
    """``proof``: the password's hash at the time of the login, None while there were no credentials."""

    user: str
    proof: str | None
    opened: float
    used: float


class Logins:
    """``idle``: seconds without a request after which a login ends. ``clock``: seconds that only grow."""

    def __init__(self, idle: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.idle = idle
        self._clock = clock
        # By hash, in the order of their last use: a look at the memory shows no cookie that works.
        self._logins: OrderedDict[bytes, Login] = OrderedDict()

    def open(self, user: str, proof: str | None) -> str:
        """A new login; the text is its cookie: 40 hex digits."""
        now = self._clock()
        cookie = secrets.token_hex(20)
        self._logins[_key(cookie)] = Login(user, proof, now, now)
        of_user = [key for key, login in self._logins.items() if login.user == user]
        if len(of_user) > LIMIT_OF_USER:
            del self._logins[of_user[0]]
        if len(self._logins) > LIMIT:
            self._logins.popitem(last=False)
        return cookie

    def principal(self, cookie: str, credentials: Credentials) -> Principal | None:
        """Whose login it is; using it begins its idle time anew. None when it has ended or never was."""
        key = _key(cookie)
        login = self._logins.get(key)
        if login is None:
            return None
        found = None if self._left(login) <= 0 else _owner(login, credentials)
        if found is None:
            del self._logins[key]
            return None
        login.used = self._clock()
        self._logins.move_to_end(key)
        return found

    def remaining(self, cookie: str) -> int:
        """Whole seconds until the login ends if nobody uses it; 0 when there is none."""
        login = self._logins.get(_key(cookie))
        return 0 if login is None else max(0, int(self._left(login)))

    def close(self, cookie: str) -> None:
        self._logins.pop(_key(cookie), None)

    def _left(self, login: Login) -> float:
        now = self._clock()
        return min(login.used + self.idle, login.opened + LIFETIME) - now

    def __len__(self) -> int:
        return len(self._logins)


def _owner(login: Login, credentials: Credentials) -> Principal | None:
    if login.proof is None:
        return ANYBODY if not credentials.entries else None
    user = credentials.user(login.user)
    return principal(user, "cookie") if user is not None and user.password == login.proof else None


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()


def set_cookie(value: str, *, secure: bool, now: float) -> str:
    """The header Set-Cookie: ``expires`` in lower case, RFC 1123, GMT; ``Secure`` exactly when TLS is on."""
    expires = formatdate(now + LIFETIME, usegmt=True)
    return _header(value, expires, LIFETIME, secure)


def unset_cookie(*, secure: bool) -> str:
    return _header("", formatdate(0, usegmt=True), 0, secure)


def _header(value: str, expires: str, seconds: int, secure: bool) -> str:
    parts = [f"{COOKIE}={value}", f"expires={expires}", "HttpOnly", f"Max-Age={seconds}", "Path=/", "SameSite=Strict"]
    return "; ".join([*parts, "Secure"] if secure else parts)
