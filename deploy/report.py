"""What ``sojourn up`` tells the person who started it: one line per component and change."""

import sys

_STYLES = {"ready": "green", "starting": "cyan", "waiting": "cyan", "stopped": "dim", "ended": "bold red"}


class Report:
    """Plain lines, coloured on a terminal. Every line is flushed: a log collector sees it at once."""

    def __init__(self) -> None:
        self._console = None
        if sys.stdout.isatty():
            from rich.console import Console

            self._console = Console(highlight=False, soft_wrap=True)

    def component(self, name: str, state: str, detail: str = "") -> None:
        """``broker      ready     127.0.0.1:9092``."""
        if self._console is None:
            self.say(f"{name:<11} {state:<9} {detail}".rstrip())
            return
        from rich.text import Text

        line = Text(f"{name:<11} ")
        line.append(f"{state:<9}", style=_STYLES.get(state, "yellow"))
        line.append(f" {detail}")
        self._console.print(line)

    def say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
