"""What the query API says of the whole: ``GET /health/ready``."""

import http.client

import msgspec

from deploy.addresses import Address


class Check(msgspec.Struct, frozen=True):
    ok: bool
    message: str = ""
    lag: int | None = None


class Readiness(msgspec.Struct, frozen=True):
    """``checks`` by component; empty when the API did not answer."""

    ready: bool = False
    checks: dict[str, Check] = {}

    @property
    def caught_up(self) -> bool:
        """Worker and sink had read everything there was when they spoke last."""
        return all(name in self.checks and self.checks[name].lag == 0 for name in ("worker", "sink"))

    def missing(self) -> str:
        """What is not ready, in words."""
        words = [f"{name}: {check.message}" for name, check in self.checks.items() if not check.ok]
        return "; ".join(words) or "the API does not answer"


class _Answer(msgspec.Struct):
    checks: dict[str, Check] = {}


def ask_readiness(address: Address, timeout: float = 5.0) -> Readiness:
    """One question; an API that does not answer is not ready."""
    where = address.reachable()
    connection = http.client.HTTPConnection(where.host, where.port, timeout=timeout)
    try:
        connection.request("GET", "/health/ready", headers={"Host": str(where)})
        answer = connection.getresponse()
        checks = msgspec.json.decode(answer.read(1_000_000), type=_Answer).checks
        return Readiness(answer.status == 200, checks)
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return Readiness()
    finally:
        connection.close()
