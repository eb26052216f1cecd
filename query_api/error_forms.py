"""An error in the words of each dialect's clients. Always JSON; status and headers are set by the caller."""

from query_api.errors import ApiError

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
    421: "Misdirected",
    429: "QuotaExceeded",
    503: "ServiceUnavailable",
}

#: Short words for a status, where a form wants a title beside the sentence.
_TITLES = {
    400: "Invalid Request",
    401: "Forbidden",
    403: "Forbidden",
    404: "API route not found",
    405: "Method Not Allowed",
    413: "Request Too Large",
    414: "Request Too Large",
    415: "Invalid Content-Type",
    421: "Misdirected Request",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


def plain(error: ApiError, status: int, path: str) -> dict[str, object]:
    """Honeytrap's and ours: ``{"error": …}``, and ``field`` where the error is about one."""
    return {"error": error.message, "field": error.field} if error.field else {"error": error.message}


def sps(error: ApiError, status: int, path: str) -> dict[str, object]:
    """``{"error": {type, message, details}, "meta"}`` (sps-facts 1.3)."""
    details = {"field": error.field} if error.field else {}
    kind = _SPS_TYPES.get(status, "InternalError" if status >= 500 else "InvalidQuery")
    return {"error": {"type": kind, "message": error.message, "details": details}, "meta": {"href": path}}


def fudo(error: ApiError, status: int, path: str) -> dict[str, object]:
    """``{"result": "failure", "message": …}`` (fudo-facts 2.8)."""
    return {"result": "failure", "message": error.message}


def netalertx(error: ApiError, status: int, path: str) -> dict[str, object]:
    """``{"success": false, "error", "message"}`` (netalertx-facts 1.0)."""
    return {"success": False, "error": _TITLES.get(status, "Error"), "message": f"ERROR: {error.message}"}
