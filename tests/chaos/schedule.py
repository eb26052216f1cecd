"""What is done to whom and when: made of a seed alone, so that the seed replays it. Pure."""

import random
from enum import StrEnum

import msgspec


class Verb(StrEnum):
    """``lasts`` is how long the victim is down, frozen or missing."""

    KILL = "kill"
    TERM = "term"
    FREEZE = "freeze"
    ADD = "add"
    REMOVE = "remove"
    CUT_SENT = "cut when sent"
    CUT_ANSWERED = "cut when answered"


class Deed(msgspec.Struct, frozen=True, order=True):
    """One deed, ``at`` so many seconds after the start. For cuts ``lasts`` is the number of inserts."""

    at: float
    verb: Verb
    victim: str
    lasts: float = 0.0

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.verb} {self.victim}, {self.lasts:.1f}"


#: The places that processes have; the thirds are empty at first and between ADD and REMOVE.
WORKERS = ("worker-1", "worker-2", "worker-3")
SINKS = ("sink-1", "sink-2")
CLICKHOUSE, BROKER, API = "clickhouse", "broker", "api"

#: Session timeouts that a zombie sleeps.
_ZOMBIE = 3.0
_Card = tuple[Verb, str, float, float]


def _deck(session_timeout: float, broker_keeps: bool) -> list[_Card]:
    """Everything that is done once in each round: verb, victim, and the range of ``lasts``."""
    zombie = _ZOMBIE * session_timeout
    deck = [
        (Verb.KILL, WORKERS[0], 0.2, 3.0),
        (Verb.KILL, WORKERS[1], 0.2, 10.0),
        (Verb.TERM, WORKERS[0], 0.2, 3.0),
        (Verb.FREEZE, WORKERS[0], zombie, zombie + 3),
        (Verb.FREEZE, WORKERS[1], 0.5, session_timeout / 2),
        (Verb.ADD, WORKERS[2], 0.0, 0.0),
        (Verb.REMOVE, WORKERS[2], 0.0, 0.0),
        (Verb.KILL, SINKS[0], 0.2, 3.0),
        (Verb.TERM, SINKS[0], 0.2, 3.0),
        (Verb.FREEZE, SINKS[0], zombie, zombie + 3),
        (Verb.ADD, SINKS[1], 0.0, 0.0),
        (Verb.REMOVE, SINKS[1], 0.0, 0.0),
        (Verb.KILL, API, 0.2, 3.0),
        (Verb.FREEZE, API, 0.5, 3.0),
        (Verb.KILL, CLICKHOUSE, 0.2, 6.0),
        (Verb.TERM, CLICKHOUSE, 0.2, 2.0),
        (Verb.FREEZE, CLICKHOUSE, 2.0, 8.0),
        (Verb.CUT_SENT, CLICKHOUSE, 3.0, 12.0),
        (Verb.CUT_ANSWERED, CLICKHOUSE, 3.0, 12.0),
        # Shorter than the session timeout, and longer: the group's members are all thrown out.
        (Verb.FREEZE, BROKER, 1.0, session_timeout + 3),
    ]
    if broker_keeps:
        deck += [(Verb.KILL, BROKER, 0.2, 3.0), (Verb.TERM, BROKER, 0.2, 3.0)]
    return deck


def schedule(seed: int, seconds: float, session_timeout: float, broker_keeps: bool) -> list[Deed]:
    """Deeds in order of time. Every deed of the deck comes once before any comes twice.

    ``broker_keeps``: the broker's data outlives it, so that it may be killed.
    """
    chance = random.Random(seed)
    deck: list[_Card] = []
    deeds: list[Deed] = []
    # A short run has nearly all of the deck, too.
    pause = max(1.0, min(6.0, seconds / (len(_deck(session_timeout, broker_keeps)) + 2)))
    at = pause
    while at < seconds - pause:
        if not deck:
            deck = _deck(session_timeout, broker_keeps)
            # Zombies early, so that they wake up while there still is something to spoil; who leaves must have come.
            order = {card[:2]: chance.random() - 0.6 * (card[2] > 2 * session_timeout) for card in deck}
            for place in (WORKERS[-1], SINKS[-1]):
                first, second = sorted((order[Verb.ADD, place], order[Verb.REMOVE, place]))
                order[Verb.ADD, place], order[Verb.REMOVE, place] = first, second
            deck.sort(key=lambda card: order[card[:2]], reverse=True)
        verb, victim, least, most = deck.pop()
        deeds.append(Deed(round(at, 1), verb, victim, round(chance.uniform(least, most), 1)))
        at += chance.uniform(0.3, 1.7) * pause
    return deeds
