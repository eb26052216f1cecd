"""Members of groups of the embedded broker, which keeps a leader that is gone (decision 14).

A leader that leaves, or expires, while its group forms may stay the leader there: every other member is told to wait
for it, for ever. So members here do not say good-bye, the broker forgets them after the session timeout; and who has
been told to wait for too long takes the place, and the id, of the leader.
"""

import random
import time
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import RebalanceInProgressError
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

from schemas.settings import Kafka

log = structlog.get_logger()

#: Session timeouts that a leader is waited for: longer than a living one needs to finish what it has begun, and drawn
#: anew each time, because two members must not take its place at once.
_PATIENCE = (6.0, 12.0)


class _Member(GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types
    member_id: str
    _leader = ""
    #: The leader that is waited for, and until when.
    _awaited = ("", 0.0)

    async def _maybe_leave_group(self) -> None:
        self.reset_generation()

    async def _send_req(self, request: Any) -> Any:
        response = await super()._send_req(request)
        if isinstance(request, JoinGroupRequest):
            self._leader = response.leader_id
        elif isinstance(request, SyncGroupRequest):
            self._synced(response.error_code == RebalanceInProgressError.errno)
        return response

    def _synced(self, refused: bool) -> None:
        if not refused or self._leader == self.member_id:
            self._awaited = ("", 0.0)
        elif self._awaited[0] != self._leader:
            self._awaited = (
                self._leader,
                time.monotonic() + random.uniform(*_PATIENCE) * self._session_timeout_ms / 1000,
            )
        elif time.monotonic() > self._awaited[1]:
            log.warning("the group waits for a leader that is gone, taking its place", group=self.group_id)
            self.member_id = self._leader


def _coordinator(client: Any, *arguments: Any, **options: Any) -> GroupCoordinator:
    kind = _Member if getattr(client, "is_of_embedded_broker", False) else GroupCoordinator
    return kind(client, *arguments, **options)


# aiokafka makes the coordinator itself, in start().
aiokafka_consumer.GroupCoordinator = _coordinator


def as_member(consumer: AIOKafkaConsumer, kafka: Kafka) -> AIOKafkaConsumer:
    """The same consumer; call it before it is started."""
    consumer._client.is_of_embedded_broker = kafka.embedded
    return consumer
