"""Backups: sessions that were marked are exported to folders and buckets, each with its events."""

from stream_processors.backup.main import run_backup

__all__ = ["run_backup"]
