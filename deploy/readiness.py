"""What the query API says of the whole: ``GET /health/ready``."""

import http.client
import ssl

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

    @property
    def lag(self) -> int:
        """Records that worker and sink had not read when they spoke last."""
        return sum(check.lag or 0 for check in self.checks.values())

    def behind(self) -> str:
        """Who has something left to do, in words."""
        words = [f"{name} is {check.lag} records behind" for name, check in self.checks.items() if check.lag]
        return "; ".join(words) or self.missing()

    def missing(self) -> str:
        """What is not ready, in words."""
        words = [f"{name}: {check.message}" for name, check in self.checks.items() if not check.ok]
        return "; ".join(words) or "the API does not answer"


class _Answer(msgspec.Struct):
    checks: dict[str, Check] = {}


def ask_readiness(address: Address, tls: bool, timeout: float = 5.0) -> Readiness:
    """One question; an API that does not answer is not ready."""
    where = address.reachable()
    connection = _connection(where, tls, timeout)
    try:
        connection.request("GET", "/health/ready", headers={"Host": str(where)})
        answer = connection.getresponse()
        checks = msgspec.json.decode(answer.read(1_000_000), type=_Answer).checks
        return Readiness(answer.status == 200, checks)
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return Readiness()
    finally:
        connection.close()


def _connection(where: Address, tls: bool, timeout: float) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(where.host, where.port, timeout=timeout)
    # Our own child on this machine: its certificate may be for another name, and nothing secret is said.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(where.host, where.port, timeout=timeout, context=context)
