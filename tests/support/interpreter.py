"""Programs in an interpreter of their own, such as those that say what was imported."""

import subprocess
import sys


def printed_by(code: str) -> str:
    """Return what a program of Python prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
