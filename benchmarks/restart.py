"""Restarts of an endpoint under load, and whether anybody who asks notices.

    python benchmarks/restart.py [--restarts N] [--workers N] [--connections N]

An endpoint of its own answers over half as many connections that are kept and half that are opened for each request, without a
pause, while it gets N times the signal to put fresh processes in the place of those that serve. Each answer is checked as in
`swap.py`; an idle connection that the endpoint closes before it answers is an error here too, though HTTP lets clients ask
again. At the end the log must hold a record for each answer, and ``/metrics`` must have counted each.
"""

import argparse
import asyncio
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
from swap import LINE, Changes, Load, Models, Seen, endpoint, make, served

from linewright.serve.log.segments import read_log

PATIENCE_S = 60.0


async def restart(pid: int, workers: int) -> float:
    """Restart the endpoint, and return how long it took, in seconds, until the old processes had gone."""
    begun, before = time.monotonic(), children(pid)
    os.kill(pid, signal.SIGHUP)
    while time.monotonic() < begun + PATIENCE_S:
        await asyncio.sleep(0.1)
        now = children(pid)
        if len(now) == workers and not now & before:
            return time.monotonic() - begun
    raise SystemExit("the old processes stay")


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


async def restarts(
    models: Models, pid: int, times: int, workers: int, connections: int
) -> tuple[Seen, list[float], int]:
    address = endpoint(models.state)
    assert address is not None
    async with httpx.AsyncClient(timeout=30) as http:
        await Changes(models, address).begin(http)
        load = Load(models, address, connections)
        took = [await restart(pid, workers) for _ in range(times)]
        seen = await load.stop()
        text = (await http.get(f"http://{address}/metrics")).text
    requests = [
        line for line in text.splitlines() if line.startswith(f'linewright_requests_total{{line="{LINE}"')
    ]
    return seen, took, sum(int(float(line.split()[-1])) for line in requests)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = make(Path(folder) / "factory")
        with served(models.state, workers=given.workers) as process:
            begun = time.monotonic()
            seen, took, counted = asyncio.run(
                restarts(models, process.pid, given.restarts, given.workers, given.connections)
            )
            seconds = time.monotonic() - begun
        logged = sum(1 for _ in read_log(models.state / "log" / LINE))
    answered = seen.statuses[200]
    failed = sum(seen.statuses.values()) - answered
    latencies = sorted(seen.latencies)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {given.workers} workers, {given.connections} connections\n\n"
        f"{given.restarts} restarts in {seconds:.0f} s, {statistics.median(took):.1f} s (median) until the old processes had gone; "
        f"{answered:,} requests answered ({answered / seconds:.0f}/s), {failed} failed, {len(seen.errors)} socket errors, "
        f"{seen.wrong} wrong; {logged:,} in the log, {counted:,} counted; p50 {statistics.median(latencies) * 1e3:.1f} ms, "
        f"p99 {latencies[int(0.99 * len(latencies))] * 1e3:.1f} ms"
    )
    sys.exit(0 if not (failed or seen.errors or seen.wrong) and answered == logged == counted else 1)


if __name__ == "__main__":
    main()
