"""The REST API of One Identity Safeguard for Privileged Sessions (reference: sps-sessions.txt, sps-facts.md)."""

from query_api.dialects.sps.doors import DOORS

__all__ = ["DOORS"]
