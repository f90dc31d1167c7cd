"""Makes ``docs/demo.svg``: runs the demo, about a minute, and keeps its picture.

python docs/picture.py [SEED]
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run the demo with a seed (default 1) in a folder of its own, tell its story, and copy its picture here."""
    seed = sys.argv[1] if len(sys.argv) > 1 else "1"
    with tempfile.TemporaryDirectory() as folder:
        factory = Path(folder) / "factory"
        command = [sys.executable, "-m", "linewright", "demo", "--seed", seed, "--factory", str(factory)]
        subprocess.run(command, check=True)
        shutil.copyfile(factory / "life.svg", HERE / "demo.svg")


if __name__ == "__main__":
    main()
