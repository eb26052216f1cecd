"""The session machine: connection records in, versions of sessions out. Pure: no I/O, no clock, no Faust."""
