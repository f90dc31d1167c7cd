"""Writes what is frozen anew: all of it, or the parts that are named.

    python tests/freeze/write.py [PART…]

A part is a folder in `golden/`.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WRITES = "LINEWRIGHT_FREEZE_WRITES"
"""As in tests/support/golden.py."""
PARTS = {
    "operations": "test_operations.py",
    "documents": "test_documents.py",
}


def main(asked: list[str]) -> int:
    """Run the tests of some parts, which write instead of comparing."""
    if unknown := set(asked) - set(PARTS):
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    files = [str(HERE / PARTS[part]) for part in asked or PARTS]
    command = [sys.executable, "-m", "pytest", "-q", *dict.fromkeys(files)]
    return subprocess.run(
        command, cwd=HERE.parents[1], env={**os.environ, WRITES: "yes"}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
