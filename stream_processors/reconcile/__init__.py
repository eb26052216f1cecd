"""``sojourn reconcile``: sessions made once more of what ``events`` holds, and compared (docs/decisions/0008)."""
