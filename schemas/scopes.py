"""What a credential may do."""

from enum import StrEnum


class Scope(StrEnum):
    """``admin`` includes the others."""

    READ = "read"
    WRITE = "write"
    INGEST = "ingest"
    ADMIN = "admin"
