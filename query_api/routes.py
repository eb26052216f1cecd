"""Every path of the API."""

from aiohttp import web

from query_api import views
from query_api.dialects import honeytrap, sps
from query_api.dialects.fudo import routes as fudo


def setup_routes(app: web.Application) -> None:
    app.add_routes(honeytrap.routes())
    app.add_routes(fudo.routes())
    app.add_routes(sps.routes())
    app.add_routes(
        [
            web.get("/health/live", views.live),
            web.get("/health/ready", views.ready),
            web.get("/version", views.show_version),
        ]
    )
