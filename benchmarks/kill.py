"""Kill a run with SIGKILL at each boundary, resume it, and compare every digest with an uninterrupted run.

    python benchmarks/kill.py --boundaries

A boundary is the start and the end of each station's step and both sides of each write to the metadata store. Prints one
row a boundary that broke something, and the counts; exit code 1 if there was any.
"""

import argparse
import csv
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer

from linewright.line.execute import execute, execute_inline
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.new import new_line
from linewright.release.facts import Promoted, Refused

LINE = "tumours"


def prepare(root: Path) -> None:
    bunch: Any = load_breast_cancer()
    root.mkdir(parents=True)
    with (root / "cancer.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(name.replace(" ", "_") for name in bunch.feature_names), "diagnosis"])
        writer.writerows(
            [*map(float, row), bunch.target_names[target]]
            for row, target in zip(bunch.data, bunch.target, strict=True)
        )
    new_line(root, LINE, data=root / "cancer.csv", label="diagnosis", positive="malignant")
    line = root / "lines" / f"{LINE}.yaml"
    line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
    Factory.create(root).close()


def digests(result: RunResult) -> tuple[str, ...]:
    return (result.dataset, result.split, result.digest, result.certificate)


def broken(root: Path, expected: tuple[str, ...]) -> list[str]:
    """Resume, and say what is not as it was without the kill."""
    with Factory.open(root) as factory:
        result = execute(factory, LINE)
        promotions = factory.metadata.events(Promoted, line=LINE)
        refusals = factory.metadata.events(Refused, line=LINE)
        certificates = {one.certificate for one in (*promotions, *refusals)}
        pointer = factory.metadata.pointer(LINE)
    found: list[str] = []
    if digests(result) != expected:
        found.append("other digests")
    if not result.promoted or pointer.champion != 1 or pointer.generation != 1:
        found.append(f"champion {pointer.champion}, generation {pointer.generation}")
    if len(promotions) != 1 or len(certificates) != 1:
        found.append(f"{len(promotions)} promotions, {len(certificates)} certificates decided")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boundaries", action="store_true", required=True)
    parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        whole, inline, fresh = (Path(folder) / name for name in ("whole", "inline", "fresh"))
        prepare(fresh)
        for copy in (whole, inline):
            shutil.copytree(fresh, copy)
        with Factory.open(whole) as factory:
            expected = digests(execute(factory, LINE))
        with Factory.open(inline) as factory:
            agrees = digests(execute_inline(factory, LINE)) == expected
        print(f"inline and durable engine give equal digests: {'yes' if agrees else 'NO'}")
        bad, moment = 0 if agrees else 1, 0
        while True:
            moment += 1
            root = Path(folder) / f"killed-{moment}"
            shutil.copytree(fresh, root)
            command = [sys.executable, "-m", "linewright.testing.faults", str(root), LINE, str(moment)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode == 0:
                break
            if done.returncode != -signal.SIGKILL:
                print(done.stderr)
                return 1
            for what in broken(root, expected):
                bad += 1
                print(f"killed at boundary {moment}: {what}")
            shutil.rmtree(root)
    print(f"{moment - 1} boundaries, {bad} violations, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
