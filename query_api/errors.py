"""What a request can fail with, independent of the dialect that words the answer."""

from collections.abc import Sequence
from typing import Literal

import msgspec


class ApiError(Exception):
    """An answer other than success. ``field`` names what was wrong in the request, empty when nothing single was.

    ``title``: a few words beside the sentence, for clients that know the error by these.
    """

    status = 400

    def __init__(self, message: str, *, field: str = "", title: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.title = title

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to this answer."""
        return {}


class BadRequestError(ApiError):
    """The request cannot be understood, or asks for more than one query may do; sending it again changes nothing."""


class WrongHostError(ApiError):
    """The Host header names another server (hard-questions: open on loopback)."""

    status = 421


class UnauthorizedError(ApiError):
    """No credential, or one that does not count; ``challenge`` is the header WWW-Authenticate."""

    status = 401

    def __init__(self, message: str, *, challenge: str = "") -> None:
        super().__init__(message)
        self.challenge = challenge

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": self.challenge} if self.challenge else {}


class ForbiddenError(ApiError):
    status = 403


class NotFoundError(ApiError):
    status = 404


class RequestTimeoutError(ApiError):
    """The client did not send what it began."""

    status = 408


class ConflictError(ApiError):
    """The request contradicts what is there."""

    status = 409


class TooLargeError(ApiError):
    status = 413


class UrlTooLongError(ApiError):
    status = 414


class UnsupportedMediaTypeError(ApiError):
    status = 415


class UpgradeRequiredError(ApiError):
    """The path speaks another protocol than HTTP."""

    status = 426

    @property
    def headers(self) -> dict[str, str]:
        return {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a member of a body, by the path ``loc``."""

    type: Literal["missing", "string_type", "value_error"]
    loc: tuple[str, ...]
    msg: str


class UnprocessableError(ApiError):
    """The body can be read, but not all of its members are what they must be; the sentence is about the first."""

    status = 422

    def __init__(self, message: str, problems: Sequence[Problem]) -> None:
        super().__init__(message, field=problems[0].loc[0])
        self.problems = tuple(problems)


class _LaterError(ApiError):
    """The same request may succeed after ``retry_after`` seconds."""

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class TooManyRequestsError(_LaterError):
    """This client asks for more than its share."""

    status = 429


class UnavailableError(_LaterError):
    """Something named is away or busy."""

    status = 503
