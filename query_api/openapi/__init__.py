"""Doors: each route of the API as one value, from which come its checks, its route and its description."""
