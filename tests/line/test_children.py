"""The processes that wait for runs."""

import threading
from pathlib import Path

from linewright.line.file.factory_file import RunLimits
from linewright.line.runs.attempts import Children

PROGRAM = ("platform",)
"""A module that ends at once: here it is counted who waits for it."""


class Root:
    root = "."
    state = Path("no-state")


def waiting() -> int:
    """Return how many threads wait to end a process that nobody took."""
    return sum(isinstance(one, threading.Timer) for one in threading.enumerate())


def test_a_run_leaves_no_thread_behind():
    """A factory of a thousand lines begins a thousand runs in ten minutes, and each would keep a thread for as long."""
    before, children = waiting(), Children(Root(), RunLimits(memory="1GiB"), PROGRAM)
    for _ in range(3):
        children.warm()
        child = children.take()
        children.give_back(child)
        children.take().kill()
    children.warm()
    while_one_waits = waiting()
    children.close()
    for one in threading.enumerate():
        if isinstance(one, threading.Timer):
            one.join(5.0)

    assert before + 1 >= while_one_waits
    assert before >= waiting()
