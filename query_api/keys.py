"""What the application holds for its handlers, by typed key."""

from aiohttp import web

from query_api.health import Health
from query_api.limits import Gate
from query_api.reader import Reader
from schemas.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
READER = web.AppKey("reader", Reader)
GATE = web.AppKey("gate", Gate)
HEALTH = web.AppKey("health", Health)
