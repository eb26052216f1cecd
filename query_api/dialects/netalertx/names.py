"""What devices are called and whose they are: the latest that a sensor said (schemas/tables: devices)."""

from query_api.dialects.netalertx.asked import NORMAL_MAC

#: Looked up once for all rows of a query.
_SAID = "(SELECT mapFromArrays(groupArray(device), groupArray((name, owner))) FROM devices)"
_KNOWN_NAME = f"{_SAID}[{NORMAL_MAC}].1"
OWNER = f"{_SAID}[{NORMAL_MAC}].2"


def name_else(address: str) -> str:
    """The name of a row's device; where nobody said one, this expression."""
    return f"if({_KNOWN_NAME} != '', {_KNOWN_NAME}, {address})"
