"""Which scope a request needs, and who asks: the middleware in front of every handler."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from query_api.auth.access import Access
from query_api.auth.principal import set_principal
from query_api.owners import is_public, owner_of, takes_lines
from schemas.scopes import Scope

ACCESS = web.AppKey("access", Access)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def needed_scope(method: str, path: str) -> Scope:
    """Reading needs ``read``, everything else ``write``; handing in records needs ``ingest`` alone."""
    if takes_lines(path):
        return Scope.INGEST
    return Scope.READ if method in _READS else Scope.WRITE


@web.middleware
async def authenticate(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Sets the principal. Raises UnauthorizedError and ForbiddenError."""
    principal = request.app[ACCESS].principal(request, owner_of(request.path))
    if not is_public(request.method, request.path):
        principal.demand(needed_scope(request.method, request.path))
    set_principal(request, principal)
    return await handler(request)
