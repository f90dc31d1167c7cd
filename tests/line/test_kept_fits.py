"""A run that is killed in the middle of training goes on with the fits that are missing."""

import re
import signal
import subprocess
import sys
import time

import commands

from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.verify import verify_factory
from linewright.line.runs.execute import execute, execute_inline

KEPT = re.compile(r"train  ([0-9]+)/([0-9]+)  found done: ([0-9]+) fits?, by a training that did not end")
LONGEST_S = 120.0


def fits_in(factory):
    return [path for path in factory.fits_of("tumours").files() if path.suffix == ".fit"]


def killed_after(factory, fits, *, says=""):
    """Kill a real ``linewright run`` once it has finished so many fits, and has said something; return what it said."""
    told = factory.root / "told.txt"
    command = [sys.executable, "-m", "linewright", "--factory", str(factory.root), "run", "tumours"]
    with (
        told.open("w") as stderr,
        commands.Forked(command, stdout=subprocess.DEVNULL, stderr=stderr) as process,
    ):
        deadline = time.monotonic() + LONGEST_S
        while process.poll() is None and time.monotonic() < deadline:
            # The process that fits is another one, and may be ahead of what is said of it.
            if len(fits_in(factory)) >= fits and says in told.read_text():
                break
            time.sleep(0.001)
        process.kill()
    said = told.read_text()
    told.unlink()

    assert -signal.SIGKILL == process.returncode, said
    return said


def digests(result):
    return result.dataset, result.split, result.digest, result.certificate


def test_a_run_that_is_killed_twice_while_it_trains_finds_its_finished_fits(tumours):
    """Hours of training are not lost to a power cut; nor are kept fits left behind, or mistaken for what must stay."""
    whole, killed = tumours("whole"), tumours("killed")
    expected = digests(execute_inline(whole, "tumours"))

    killed_after(killed, 2)
    first = len(fits_in(killed))
    said = killed_after(killed, first + 3, says="found done")
    second = len(fits_in(killed))
    found = KEPT.search(said)

    assert (str(first), str(first)) == (found[1], found[3])
    assert not verify_factory(killed).problems

    news = []
    killed.report = news.append
    ran = execute(killed, "tumours")
    training = [one for one in news if one.step == "train" and one.of]

    assert f"found done: {second} fits, by a training that did not end" == training[0].says
    assert int(found[2]) - second == sum(not one.stays and one.trial is None for one in training)
    assert expected == digests(ran)
    assert ran.promoted
    assert not (killed.state / "fits" / "tumours").exists()
    assert not verify_factory(killed).problems


def test_fits_that_nobody_came_back_for_are_freed(tumours):
    """A line that is given up must not hold disk for ever."""
    factory = tumours(rows=100)
    factory.fits_of("tumours").part("sha256:" + "a" * 64).put("sha256:" + "b" * 64, bytes(1000))

    freed = collect(factory, grace_s=-5.0, dry_run=False)

    assert (1, 1032) == (freed.temporary, freed.bytes)
    assert [] == fits_in(factory)
