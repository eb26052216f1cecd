"""The vocabulary of Sojourn: records, kinds, topics, tables, settings, metric names. No I/O lives here."""
