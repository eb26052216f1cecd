"""Lines per second of one core that `sojourn generate` makes: `python -m bench.generate`.

Prints medians of five runs in CPU time, one line per format, without and with faults. Nothing is written.
"""

import statistics
import time

from producers.load.generate import generate
from producers.load.mix import FORMATS, Tally, checked

_RUNS = 5
_LINES = 200_000
_FAULTS = {"losses": 0.02, "bad": 0.01, "duplicates": 0.03, "disorder": 0.1}


def measure(format_name: str, faults: dict[str, float]) -> None:
    seconds = []
    size = 0
    for seed in range(_RUNS):
        mix = checked(seed=seed, records=_LINES, format=format_name, **faults)
        begin = time.process_time()
        size = sum(len(one.line) for batch in generate(mix, Tally()) for one in batch)
        seconds.append(time.process_time() - begin)
    median = statistics.median(seconds)
    name = f"{format_name}{', with faults' if faults else ''}"
    print(f"{name:30} {size / _LINES:5.0f} bytes  {median / _LINES * 1e6:6.2f} µs  {_LINES / median:9,.0f}/s")


def main() -> None:
    for format_name in FORMATS:
        measure(format_name, {})
        measure(format_name, _FAULTS)


if __name__ == "__main__":
    main()
