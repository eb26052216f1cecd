"""From Kafka into ClickHouse, each record exactly once; ``ledger`` tells how."""

from stream_processors.sink.main import run_sink

__all__ = ["run_sink"]
