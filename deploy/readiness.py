"""What the query API says of the whole: ``GET /health/ready``."""

import http.client
from typing import Any

import msgspec

from deploy.addresses import Address


class Readiness(msgspec.Struct, frozen=True):
    """``checks``: component → "ok", or what is missing. Empty when the API did not answer."""

    ready: bool
    checks: dict[str, str]


def ask_readiness(address: Address, timeout: float = 5.0) -> Readiness:
    """One question; an API that does not answer is not ready."""
    where = address.reachable()
    connection = http.client.HTTPConnection(where.host, where.port, timeout=timeout)
    try:
        connection.request("GET", "/health/ready", headers={"Host": str(where)})
        answer = connection.getresponse()
        body = answer.read(1_000_000)
        return Readiness(answer.status == 200, _checks(body))
    except (OSError, http.client.HTTPException):
        return Readiness(False, {})
    finally:
        connection.close()


def _checks(body: bytes) -> dict[str, str]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    checks = found.get("checks") if isinstance(found, dict) else None
    return {str(name): _words(check) for name, check in checks.items()} if isinstance(checks, dict) else {}


def _words(check: Any) -> str:
    if isinstance(check, dict):
        return str(check.get("message") or check.get("status") or "")
    return str(check)
