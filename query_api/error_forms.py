"""An error in the words of each dialect's clients. Always JSON; status and headers are set by the caller."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from query_api.errors import ApiError, Problem, UnauthorizedError, UnprocessableError

_SPS_TYPES = {
    400: "InvalidQuery",
    401: "Unauthenticated",
    403: "Unauthorized",
    404: "ResourceNotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    413: "RequestTooLarge",
    414: "RequestTooLarge",
    415: "UnsupportedMediaType",
    417: "ExpectationFailed",
    421: "Misdirected",
    429: "QuotaExceeded",
    431: "RequestTooLarge",
    503: "ServiceUnavailable",
}

#: Short words for a status, where a form wants a title beside the sentence.
_TITLES = {
    403: "Forbidden",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Too Large",
    414: "Request Too Large",
    415: "Invalid Content-Type",
    417: "Expectation Failed",
    421: "Misdirected Request",
    429: "Too Many Requests",
    431: "Request Too Large",
    503: "Service Unavailable",
}


class PlainError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Honeytrap's and ours; ``field`` where the error is about one."""

    error: str
    field: str = ""


class SpsProblem(msgspec.Struct, frozen=True):
    type: str
    message: str
    details: dict[str, str]


class SpsPlace(msgspec.Struct, frozen=True):
    href: str


class SpsError(msgspec.Struct, frozen=True):
    """SPS's (sps-facts 1.3)."""

    error: SpsProblem
    meta: SpsPlace


class FudoFailure(msgspec.Struct, frozen=True):
    """Fudo's (fudo-facts 2.8)."""

    message: str
    result: Literal["failure"] = "failure"


class NetAlertXError(msgspec.Struct, frozen=True):
    """NetAlertX's (netalertx-facts 1.0 to 1.5): a sentence, or a title with a sentence."""

    error: str
    message: str | UnsetType = UNSET
    #: All that is wrong with a body (netalertx-facts 1.2).
    details: tuple[Problem, ...] | UnsetType = UNSET
    success: Annotated[bool, Meta(extra_json_schema={"const": False})] = False


def plain(error: ApiError, status: int, path: str) -> PlainError:
    return PlainError(error.message, error.field)


def sps(error: ApiError, status: int, path: str) -> SpsError:
    kind = _SPS_TYPES.get(status, "InternalError" if status >= 500 else "InvalidQuery")
    details = {"field": error.field} if error.field else {}
    return SpsError(SpsProblem(kind, error.message, details), SpsPlace(path))


def fudo(error: ApiError, status: int, path: str) -> FudoFailure:
    return FudoFailure(error.message)


def netalertx(error: ApiError, status: int, path: str) -> NetAlertXError:
    if isinstance(error, UnauthorizedError):
        return NetAlertXError("Forbidden", "ERROR: Not authorized")
    if status == HTTPStatus.NOT_FOUND:
        return NetAlertXError("API route not found", f"The requested URL {path} was not found on the server.")
    if isinstance(error, UnprocessableError):
        return NetAlertXError(error.message, details=error.problems)
    title = error.title or _TITLES.get(status, "")
    return NetAlertXError(title, error.message) if title else NetAlertXError(error.message)
