"""From a request to who asks: the one place that decides whether somebody comes in."""

import base64
import binascii
import re
from pathlib import Path

import structlog
from aiohttp import web

from query_api.auth.cookies import COOKIE, Logins
from query_api.auth.file import CredentialsFile
from query_api.auth.passwords import PasswordCheck
from query_api.auth.principal import ANYBODY, NOBODY, Principal
from query_api.auth.throttle import Throttle
from query_api.documents import query_pairs
from query_api.errors import UnauthorizedError
from query_api.owners import Owner, Shown, is_public

log = structlog.get_logger()

_BEARER = re.compile(r"Bearer +(\S+)", re.IGNORECASE)


class Access:
    """``loopback``: whether the server listens there alone; only then no credentials may mean open to all.

    Raises CredentialsError for a file that cannot be used.
    """

    def __init__(self, file: Path, *, loopback: bool, idle: float) -> None:
        self.credentials = CredentialsFile(file)
        self.logins = Logins(idle)
        self._throttle = Throttle()
        self._passwords = PasswordCheck()
        self._loopback = loopback

    @property
    def open(self) -> bool:
        """Whether anybody may do anything: there are no credentials, and only this machine can ask."""
        return self._loopback and not self.credentials.current.entries

    def principal(self, request: web.Request, owner: Owner) -> Principal:
        """Who asks. Raises UnauthorizedError."""
        if self.open:
            return ANYBODY
        for shown in owner.shown:
            text = _credential(request, shown)
            if text is None:
                continue
            current = self.credentials.current
            found = self.logins.principal(text, current) if shown == "cookie" else current.bearer(text)
            if found is not None:
                return found
            if not is_public(request.method, request.path):
                # What was shown and does not count is not passed over for the next.
                raise UnauthorizedError("the credential does not count (any more)", challenge=owner.challenge)
        if is_public(request.method, request.path):
            return NOBODY
        raise UnauthorizedError("a credential is needed here", challenge=owner.challenge)

    async def log_in(self, request: web.Request) -> str:
        """Opens a login for the user and password of ``Authorization: Basic``; the text is its cookie.

        Raises UnauthorizedError, and TooManyRequestsError when too many of them failed. While the server is open
        anybody gets a cookie.
        """
        challenge = 'Basic realm="sojourn", charset="UTF-8"'
        basic = _basic(request.headers.get("Authorization", ""))
        if self.open:
            return self.logins.open(basic[0] if basic else ANYBODY.name, None)
        if basic is None:
            raise UnauthorizedError("Authorization: Basic with user and password is needed", challenge=challenge)
        name, password = basic
        address = request.remote or ""
        self._throttle.attempt(name, address)
        user = self.credentials.current.user(name)
        if not await self._passwords.matches(password, None if user is None else user.password) or user is None:
            # Neither the password nor the name, which may be a password typed into the wrong field.
            log.warning("login failed", remote=address, known_user=user is not None)
            raise UnauthorizedError("user or password is wrong", challenge=challenge)
        self._throttle.succeeded(name, address)
        log.info("login", user=name, remote=address)
        return self.logins.open(name, user.password)


def _credential(request: web.Request, shown: Shown) -> str | None:
    """The text that was shown in this way; None when nothing was."""
    if shown == "cookie":
        return request.cookies.get(COOKIE)
    if shown == "query":
        # The first, as the product takes it.
        return next((value for name, value in query_pairs(request.rel_url.raw_query_string) if name == "token"), None)
    header = request.headers.get("Authorization")
    if header is None:
        return None
    if shown == "raw":
        return header.strip()
    if shown == "bearer_exact":
        # The scheme exactly so, then the last word counts (netalertx-facts 1.0).
        return header.split()[-1] if header.startswith("Bearer ") and header != "Bearer " else None
    found = _BEARER.fullmatch(header)
    return found[1] if found else None


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None
