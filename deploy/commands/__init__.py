"""The commands of ``sojourn``, by what they are for. Imports are inside the commands, so that all start fast."""
