"""Several threads may meet a class for the first time."""

import subprocess
import sys

RACE = """
import sys, threading, msgspec
from linewright.store.values import decoder

sys.setswitchinterval(1e-6)
for number in range(200):
    parts = [msgspec.defstruct(f"Part{number}_{i}", [(f"a{k}", int) for k in range(20)]) for i in range(10)]
    whole = msgspec.defstruct(f"Whole{number}", [(f"p{i}", tuple[part, ...]) for i, part in enumerate(parts)])
    body = msgspec.json.encode({f"p{i}": [{f"a{k}": 1 for k in range(20)}] for i in range(10)})
    at_once = threading.Barrier(3)

    def read():
        at_once.wait()
        assert decoder(whole).decode(body).p0[0].a0 == 1

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_a_class_that_three_threads_meet_at_once_ends_no_process():
    """An endpoint that loaded two models at its start was ended by SIGSEGV now and then: msgspec shows a class half known."""
    done = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, text=True, check=False, timeout=120
    )

    assert (0, "") == (done.returncode, done.stderr)
