"""Logins by cookie: idle time, end, bounds, the header Set-Cookie."""

import re
from email.utils import parsedate_to_datetime

from query_api.auth.cookies import LIFETIME, LIMIT, LIMIT_OF_USER, Logins, set_cookie, unset_cookie
from query_api.auth.credentials import NO_CREDENTIALS, Credentials, User
from query_api.auth.principal import ANYBODY
from schemas.scopes import Scope
from tests.unit.query_api.auth.test_throttle import Clock


def known(password: str = "hash") -> Credentials:
    return Credentials(users=[User(name="ann", password=password, scopes=[Scope.READ], sensors="lab-.*")])


def test_a_login_is_its_user_with_the_restrictions_of_now() -> None:
    logins = Logins(600)
    cookie = logins.open("ann", "hash")
    assert re.fullmatch(r"[0-9a-f]{40}", cookie)
    found = logins.principal(cookie, known())
    assert found is not None
    assert (found.name, found.sensors, found.origin) == ("ann", "lab-.*", "cookie")
    assert logins.principal("0" * 40, known()) is None


def test_a_login_ends_after_its_idle_time_and_at_the_latest_after_its_lifetime() -> None:
    clock = Clock()
    logins = Logins(600, clock)
    cookie = logins.open("ann", "hash")
    clock.now += 599
    assert logins.remaining(cookie) == 1
    assert logins.principal(cookie, known()) is not None
    assert logins.remaining(cookie) == 600
    clock.now += 600
    assert logins.principal(cookie, known()) is None
    assert logins.remaining(cookie) == 0
    cookie = logins.open("ann", "hash")
    for _ in range(LIFETIME // 500 + 1):
        clock.now += 500
        logins.principal(cookie, known())
    assert logins.principal(cookie, known()) is None


def test_a_login_ends_with_its_user_and_its_password() -> None:
    logins = Logins(600)
    for after in (NO_CREDENTIALS, known("another hash")):
        cookie = logins.open("ann", "hash")
        assert logins.principal(cookie, after) is None
        assert logins.principal(cookie, known()) is None


def test_a_login_of_anybody_ends_with_the_first_credential() -> None:
    logins = Logins(600)
    cookie = logins.open("anybody", None)
    assert logins.principal(cookie, NO_CREDENTIALS) == ANYBODY
    assert logins.principal(cookie, known()) is None


def test_logging_out_ends_it() -> None:
    logins = Logins(600)
    cookie = logins.open("ann", "hash")
    logins.close(cookie)
    logins.close(cookie)
    assert logins.principal(cookie, known()) is None


def test_logins_are_bounded_and_the_longest_idle_ends_first() -> None:
    logins = Logins(600)
    first = logins.open("ann", "hash")
    second = logins.open("ann", "hash")
    logins.principal(first, known())
    for _ in range(LIMIT_OF_USER - 1):
        logins.open("ann", "hash")
    assert logins.principal(second, known()) is None
    assert logins.principal(first, known()) is not None
    for n in range(LIMIT):
        logins.open(f"user{n}", "hash")
    assert len(logins) == LIMIT


def test_the_header_is_as_clients_of_sps_parse_it() -> None:
    header = set_cookie("a1f7" * 10, secure=True, now=1_670_034_468.0)
    assert header.startswith("session_id=" + "a1f7" * 10 + "; expires=")
    expires = re.search(r"; expires=([^;]+)", header)
    assert expires is not None
    assert parsedate_to_datetime(expires[1]).timestamp() == 1_670_034_468 + LIFETIME
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", expires[1])
    assert "HttpOnly" in header and "Path=/" in header and f"Max-Age={LIFETIME}" in header
    assert header.endswith("; Secure") and "Secure" not in set_cookie("x", secure=False, now=0)
    assert "Max-Age=0" in unset_cookie(secure=False)
