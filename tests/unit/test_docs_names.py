"""docs/life-of-a-record.md names the function at each step, docs/guarantees.md the test of each promise: all exist."""

import re
from importlib import import_module
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
PAGE = (_ROOT / "docs" / "life-of-a-record.md").read_text(encoding="utf-8")
ROOMS = "schemas|producers|stream_processors|query_api|deploy"
NAMES = sorted(set(re.findall(rf"`((?:{ROOMS})(?:\.\w+)+)`", PAGE)))


def test_the_page_names_a_function_for_every_step() -> None:
    assert len(NAMES) > 25


@pytest.mark.parametrize("name", NAMES)
def test_the_name_exists(name: str) -> None:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute)
        return
    pytest.fail(f"nothing of {name} can be imported")


def test_every_promise_names_tests_that_exist() -> None:
    page = (_ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    named = {name.rsplit("/", 1)[-1] for name in re.findall(r"`([\w/]*\btest_\w+(?:\.py)?)`", page)}
    files = list((_ROOT / "tests").rglob("test_*.py"))
    written = {file.name for file in files}
    for file in files:
        written |= set(re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8")))
    assert len(named) > 60
    assert not named - written
    folders = set(re.findall(r"`(tests/[\w/]*/)`", page))
    assert all((_ROOT / folder).is_dir() for folder in folders)


def test_every_line_of_the_promises_says_what_shows_it() -> None:
    page = (_ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|") and "---" not in line]
    unproved = {row[0] for row in rows if "test" not in row[-1] and "oracle" not in row[-1] and row[-1] != "shown by"}
    # What is not promised needs no proof.
    assert unproved == {
        "… after a power cut",
        "The same record published twice by a live sensor is recognised",
        "Events in the order they happened",
    }
