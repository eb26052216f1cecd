"""Records as aiokafka's C parser made them, a whole fetch at once.

aiokafka copies each record into a dataclass of eleven fields and hands it through three Python generators, which costs
more than decoding its JSON. What we use of a record (``producers.kafka.message.Message``) the parsed record has itself,
and the parser gives a batch as a list in one call.
"""

from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException


class LeanRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """What one fetch brought of one partition; transactions and compaction are judged as aiokafka judges them."""

    next_fetch_offset: int

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record

    def take_all(self) -> list[Any]:
        """Every record that may be seen, ascending. Raises CorruptRecordException where a checksum does not fit."""
        # The iterator that aiokafka has made refers to this, and would keep the whole fetch until the collector comes,
        # which it seldom does: a gigabyte after two minutes of 20,000 records a second.
        self._records_iterator = None
        taken: list[Any] = []
        batches = self._records
        while batches.has_next():
            batch = batches.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._hides(batch):
                records = list(batch)
                if records and records[0].offset < self.next_fetch_offset:
                    # The fetch began within this batch.
                    records = [record for record in records if record.offset >= self.next_fetch_offset]
                taken += records
            # Not the last record's: compaction may have taken that, and the offset stays.
            self.next_fetch_offset = batch.next_offset
        return taken

    def _hides(self, batch: Any) -> bool:
        """Whether a batch is a transaction's marker, or belongs to a transaction that was aborted."""
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class LeanFetch(fetcher.FetchResult):  # type: ignore[misc]
    """A fetch of which everything is taken at once, unless the caller takes a part."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        if max_records is not None:
            return super().getall(max_records)  # type: ignore[no-any-return]
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        taken: list[Any] = self._partition_records.take_all()
        self._update_position()
        self._partition_records = None
        return taken


def use_lean_records() -> None:
    """For all consumers of this process from now on. They take whole fetches, or parts, but never both of one fetch."""
    fetcher.PartitionRecords = LeanRecords
    fetcher.FetchResult = LeanFetch
