"""The endpoint as a program that imports little: ``python -m linewright.serve STATE HOST PORT``."""

import sys
from pathlib import Path

from linewright.errors import LinewrightError
from linewright.serve.server import serve


def main(state: str, host: str, port: str) -> int:
    """Serve the lines of a factory, given its state folder, and return the exit code."""
    try:
        serve(Path(state), host, int(port))
    except LinewrightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
