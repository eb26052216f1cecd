"""What somebody is told who does not know the commands."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "sojourn: Missing command. `sojourn --help` lists what there is\n"),
        (["sojorn"], "sojourn: No such command 'sojorn'. `sojourn --help` lists what there is\n"),
        (["schema"], "sojourn: Missing command. `sojourn schema --help` lists what there is\n"),
    ],
)
def test_a_command_that_is_missing_or_unknown_is_told_where_they_are_listed(words: list[str], told: str) -> None:
    command = [sys.executable, "-c", "import sys; sys.argv[0] = 'sojourn'; from deploy.cli import main; main()", *words]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (2, told)
