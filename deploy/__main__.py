"""``python -m deploy`` is ``sojourn``; the supervisor starts its children this way."""

from deploy.cli import main

main()
