"""What the application holds for its handlers, by typed key."""

from aiohttp import web

from query_api.auth.principal import principal_of
from query_api.errors import ForbiddenError
from query_api.health import Health
from query_api.limits import Gate
from query_api.reader import Connection, Reader
from schemas.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
CONNECTION = web.AppKey("connection", Connection)
#: As the user that may change the API's own tables.
OWN_TABLES = web.AppKey("own_tables", Connection)
GATE = web.AppKey("gate", Gate)
HEALTH = web.AppKey("health", Health)


def reader_of(request: web.Request) -> Reader:
    """What reads for this request: exactly what whoever asks may see."""
    principal = principal_of(request)
    if not principal.scopes:
        raise ForbiddenError("a credential is needed to read here")
    return Reader(request.app[CONNECTION], principal.sensors)


def writer_of(request: web.Request) -> Reader:
    """What keeps the API's own tables for this request: it reads no more than whoever asks may see."""
    return Reader(request.app[OWN_TABLES], principal_of(request).sensors)
