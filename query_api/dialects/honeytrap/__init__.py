"""Honeytrap's HTTP API (reference: honeytrap-http-api.txt): pages, live messages and streams, Honeycast's metrics."""

from query_api.dialects.honeytrap import live, metrics, pages

DOORS = (*pages.DOORS, *live.DOORS, *metrics.DOORS)

__all__ = ["DOORS"]
