"""Rules that make alerts of events (setting ``sink.alerts``), as part of the insert.

ClickHouse evaluates them while it stores a block, with RE2, which no text can make slow. A block that is sent again is
the same block. Without rules the insert has no such column, and costs what it always did.
"""

from collections.abc import Mapping

import msgspec

from schemas.regexes import InvalidRegexError, compiled
from schemas.settings import SettingsError

#: Rules at most, and characters of one regex: they travel with every insert.
_RULES, _CHARACTERS = 100, 1024

_TYPE = "Array(Tuple(rule String, regex String))"
_CONTENT = "if(`content` = '', `data`, `content`)"


class AlertRules(msgspec.Struct, frozen=True):
    """SQL of the column ``alerts`` over the fields of an event, empty without rules; values for its parameters."""

    expression: str = ""
    parameters: dict[str, str] = {}


def alert_rules(rules: Mapping[str, str]) -> AlertRules:
    """From names and regexes. Raises SettingsError that names the rule: a sink with half its rules must not run."""
    if not rules:
        return AlertRules()
    if len(rules) > _RULES:
        raise SettingsError(f"sink.alerts: there are {len(rules)} rules, at most {_RULES} are allowed")
    met = []
    parameters: dict[str, str] = {}
    for number, (name, regex) in enumerate(rules.items()):
        _check(name, regex)
        parameters |= {f"rule_{number}": name, f"regex_{number}": regex}
        rule = f"({{rule_{number}:String}}, {{regex_{number}:String}})"
        met.append(f"if(match({_CONTENT}, {{regex_{number}:String}}), {rule}, ('', ''))")
    found = f"arrayFilter(alert -> alert.1 != '', [{', '.join(met)}])"
    return AlertRules(f"CAST({found}, '{_TYPE}')", parameters)


def _check(name: str, regex: str) -> None:
    if not name or not regex:
        raise SettingsError(f"sink.alerts: {name!r} must have a name and a regex")
    if len(regex) > _CHARACTERS or len(name) > _CHARACTERS:
        raise SettingsError(f"sink.alerts: {name[:64]!r} has more than {_CHARACTERS} characters")
    try:
        compiled(regex)
    except InvalidRegexError as error:
        raise SettingsError(f"sink.alerts: the regex of {name!r} is not RE2: {error}") from None
