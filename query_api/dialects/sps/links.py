"""The meta object of a list: where it is, and where its other pages are (sps-facts 1.2)."""

from urllib.parse import quote

from query_api.dialects.sps.request import Parameters, Window

#: Characters that a parameter of a link shows as they are.
_PLAIN = "*,:.-_"


def list_meta(
    href: str,
    parent: str,
    window: Window,
    count: int,
    echoed: Parameters,
    reach: int | None = None,
) -> dict[str, object]:
    """first, href, last, limit, next, offset, parent, previous.

    Links say limit, offset, then ``echoed``, in this order. ``count``: items there are; ``reach``: where pages end.
    """

    def page(offset: int) -> str:
        return link(href, {"limit": str(window.limit), "offset": str(offset), **echoed})

    reachable = count if reach is None else min(count, reach)
    after = window.offset + window.limit
    return {
        "first": page(0),
        "href": href,
        "last": page(max(0, reachable - 1) // window.limit * window.limit),
        "limit": window.limit,
        "next": page(after) if after < reachable else None,
        "offset": window.offset,
        "parent": parent,
        "previous": page(max(0, window.offset - window.limit)) if window.offset > 0 else None,
    }


def link(href: str, parameters: Parameters) -> str:
    """A path with its query string."""
    return f"{href}?" + "&".join(f"{name}={quote(value, safe=_PLAIN)}" for name, value in parameters.items())
