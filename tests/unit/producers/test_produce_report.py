from producers.formats import Rejection
from producers.produce_report import NAMED, Report
from producers.produce_screen import summary
from schemas.dead_letters import Reason

BAD_PORT = Rejection(Reason.BAD_VALUE, "client_port", "a whole number from 0 to 65535")


def test_the_exit_code_says_what_became_of_the_lines() -> None:
    assert Report(format="cowrie", lines=2, published=2).exit_code == 0
    assert Report(format="cowrie").exit_code == 0
    assert Report(format="cowrie", lines=2, published=1, rejected=1).exit_code == 1
    assert Report(format="cowrie", lines=2, published=2, unreadable={"b": "No such file"}).exit_code == 1
    assert Report(format="cowrie", unreadable={"a": "No such file"}).exit_code == 2
    assert Report(format="cowrie", lines=2, published=2, stopped=True).exit_code == 1
    assert Report(format="cowrie", lines=2, published=2, stopped=True, following=True).exit_code == 0
    assert Report(format="cowrie", lines=2, failure="Kafka is away").exit_code == 2


def test_the_summary_names_reasons_files_and_the_first_lines() -> None:
    report = Report(format="cowrie", lines=1020, published=1000, seconds=2.0)
    for number in range(12):
        report.reject("a.json", 7 + number, BAD_PORT)
    for number in range(8):
        report.reject("b.json", number, Rejection(Reason.NOT_JSON, expected="one JSON object"))
    report.unreadable["c.json"] = "No such file or directory"
    report.failure = "Kafka is away"
    text = summary(report)
    assert text[0] == "published 1,000 of 1,020 lines in 2.0 s, 500/s"
    assert text[1:5] == [
        "rejected 20, not published:",
        "  12 times bad_value client_port",
        "  8 times not_json",
        "  a.json:7: bad_value client_port: expected a whole number from 0 to 65535",
    ]
    assert text[-3:] == [
        f"  … and {20 - NAMED} more",
        "could not read c.json: No such file or directory",
        "failed: Kafka is away",
    ]


def test_a_stop_before_the_end_is_said() -> None:
    assert "stopped before the end" in summary(Report(format="cowrie", lines=1, published=1, stopped=True))[0]
