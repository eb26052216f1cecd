"""What ``sojourn reconcile`` found, a line each."""

from schemas.times import rfc3339
from stream_processors.reconcile.comparing import Difference, Kind
from stream_processors.reconcile.offsets import Double, Hole


def told_difference(difference: Difference) -> str:
    """A session that is not as its records say."""
    name = f"session {difference.sensor}/{difference.session_id}"
    if difference.kind is Kind.MISSING:
        return f"{name}: missing; its records make one"
    if difference.kind is Kind.SURPLUS:
        return f"{name}: no record makes it; it stays as it is"
    fields = "; ".join(
        f"{field} is {_text(field, before)}, {_text(field, after)} by its records"
        for field, (before, after) in difference.fields.items()
    )
    return f"{name}: {fields}"


def told_hole(hole: Hole, missing: int | None, restored: int) -> str:
    """Offsets without rows; ``missing`` None: the log that had them is gone."""
    if missing is None:
        return f"{hole}: no rows, and the log is gone that could tell whether there were records"
    done = f"{restored} of them are stored now" if restored else "sojourn replay or --apply stores them"
    return f"{hole}: {missing} rows are missing; {done}"


def told_double(double: Double) -> str:
    return f"{double}: stored {double.rows} times"


def _text(field: str, value: object) -> str:
    if value is None or value == "":
        return "empty"
    if isinstance(value, int) and not isinstance(value, bool) and field.endswith("_at"):
        return rfc3339(value)
    return str(value)
