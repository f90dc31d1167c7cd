"""What the tests themselves stand on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import commands


def ended(python: list[str], folder: Path, *words: str, **how: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*python, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False, **how
    )


def test_a_command_that_spares_its_imports_is_as_one_that_does_not(tmp_path):
    """Else tests of commands would show what no user sees: streams, exit code, folder and environment are its own."""
    environment = {**os.environ, "LINEWRIGHT_ACTOR": "ada"}
    for words in (
        ("linewright", "--version"),
        ("linewright", "status"),
        ("linewright", "nonsense", "--json"),
    ):
        real, spared = (
            ended(python, tmp_path, *words, env=environment)
            for python in ([sys.executable], commands.python())
        )

        assert (real.returncode, real.stdout, real.stderr) == (
            spared.returncode,
            spared.stdout,
            spared.stderr,
        )
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    (tmp_path / "told.py").write_text(
        "import os, sys\nprint(os.getcwd(), os.environ['SAID'], *sys.argv[1:])\nsys.exit(3)\n"
    )

    assert -signal.SIGKILL == ended(commands.python(), tmp_path, "dies").returncode
    told = ended(commands.python(), tmp_path, "told", "a", "b c", env={**environment, "SAID": "so"})
    assert (3, f"{tmp_path} so a b c\n", "") == (told.returncode, told.stdout, told.stderr)
