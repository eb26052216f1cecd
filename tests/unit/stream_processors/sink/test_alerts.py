"""Rules of alerts become part of the insert, never of its text."""

import re

import pytest

from schemas.settings import SettingsError
from stream_processors.sink.alerts import alert_rules
from stream_processors.sink.statements import INSERT_EVENTS, insert_events


def test_without_rules_the_insert_is_what_it_always_was() -> None:
    assert insert_events(alert_rules({}).expression) == INSERT_EVENTS
    assert "alerts" not in INSERT_EVENTS


def test_names_and_regexes_travel_as_parameters() -> None:
    rules = alert_rules({"it's root": r"sudo\s", "rm": "^rm "})
    statement = insert_events(rules.expression)
    assert "sudo" not in statement and "root" not in statement
    assert set(re.findall(r"\{((?:rule|regex)_\d+):String\}", statement)) == set(rules.parameters)
    assert rules.parameters == {"rule_0": "it's root", "regex_0": r"sudo\s", "rule_1": "rm", "regex_1": "^rm "}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"root": "("}, "root.*is not RE2"),
        ({"root": "(?=x)"}, "root.*is not RE2"),
        ({"": "x"}, "must have a name"),
        ({"root": ""}, "must have a name and a regex"),
        ({"root": "x" * 1025}, "more than 1024"),
        ({str(n): "x" for n in range(101)}, "at most 100"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named(rules: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        alert_rules(rules)
