"""What a credential may do."""

from enum import StrEnum


class Scope(StrEnum):
    """``write`` includes ``read``, ``admin`` includes all."""

    READ = "read"
    WRITE = "write"
    INGEST = "ingest"
    ADMIN = "admin"
