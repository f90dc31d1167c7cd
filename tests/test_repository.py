"""What may be kept in the repository."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {"docs/console-factory.png", "docs/console-line.png", "tests/line/bad_lines/not-utf-8.yaml"}
"""What README shows of the console, which `make screenshots` takes anew, and a line file whose encoding is refused."""


def test_each_file_is_text():
    """Wheels, archives and tables come by mistake, and stay in the history for good."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True)
    names = set(listed.stdout.decode().rstrip("\0").split("\0"))
    others = set[str]()
    for name in names - ALLOWED:
        try:
            (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            others.add(name)

    assert not others
    assert names >= ALLOWED
