"""Every path of the API."""

from aiohttp import web

from query_api import ingest, views
from query_api.dialects import honeytrap, sps
from query_api.dialects.fudo import routes as fudo
from query_api.dialects.netalertx import routes as netalertx
from query_api.openapi.doors import route

#: Every door that is described; what a dialect answers besides is for paths it does not know.
DOORS = (
    *honeytrap.DOORS,
    *sps.DOORS,
    *fudo.DOORS,
    *netalertx.DOORS,
    *ingest.DOORS,
    *views.DOORS,
)


def setup_routes(app: web.Application) -> None:
    app.add_routes([route(door) for door in DOORS])
    app.add_routes(fudo.strangers())
    app.add_routes(netalertx.options())
    app[views.DOCUMENT] = views.documented(DOORS)
