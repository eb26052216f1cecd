"""Who asks: a name, what it may do, and which sensors it may see. Every request has exactly one."""

from typing import Literal

import msgspec
from aiohttp import web

from query_api.auth.sensors import sees
from query_api.errors import ForbiddenError
from schemas.scopes import Scope

#: How the request showed who it is from; ``open`` where nobody has to, because there are no credentials.
Origin = Literal["open", "token", "cookie"]


class Principal(msgspec.Struct, frozen=True):
    """``sensors``: an RE2 regex that the whole name of a sensor must match; None is every sensor."""

    name: str
    scopes: frozenset[Scope]
    sensors: str | None = None
    origin: Origin = "open"

    def may(self, scope: Scope) -> bool:
        """Whoever may write may read: an answer to a write shows what was changed."""
        including = {Scope.READ: {Scope.READ, Scope.WRITE, Scope.ADMIN}}.get(scope, {scope, Scope.ADMIN})
        return not self.scopes.isdisjoint(including)

    def sees(self, sensor: str) -> bool:
        """Whether records of this sensor may be shown to it, or written by it."""
        return sees(self.sensors, sensor)

    def demand(self, scope: Scope) -> None:
        """Raises ForbiddenError that names the missing scope."""
        if not self.may(scope):
            raise ForbiddenError(f"this needs the scope {scope}, and {self.name} does not have it")


#: Who asks while there are no credentials: anybody on this machine, with all scopes (hard-questions: open on loopback).
ANYBODY = Principal("anybody", frozenset(Scope))
#: Who asks at the few doors that are open to everybody: nobody that may do or see anything.
NOBODY = Principal("nobody", frozenset())

_PRINCIPAL = web.RequestKey("principal", Principal)


def set_principal(request: web.Request, principal: Principal) -> None:
    request[_PRINCIPAL] = principal


def principal_of(request: web.Request) -> Principal:
    """Who asks. It is set before any handler runs; a KeyError here is a bug of ours."""
    return request[_PRINCIPAL]
