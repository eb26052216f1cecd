"""What may go wrong without being a bug; the command line prints the text in one line."""


class CannotStartError(RuntimeError):
    """Something that is needed cannot be started or reached; the text is one sentence that says what to do."""
