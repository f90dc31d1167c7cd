"""Which stored bytes something names."""

import re
from collections.abc import Collection

from linewright.engine.context import Progress
from linewright.line.factory import FEATURES, Factory
from linewright.line.holding import References
from linewright.line.holdings.references import DIGEST, digests_in
from linewright.line.holdings.table import holdings

_REPORTED = 10_000
_BINARY = re.compile(DIGEST.pattern.encode())


def unnamed(
    factory: Factory,
    digests: Collection[str],
    planned: Collection[str] = (),
    *,
    in_packages: bool = True,
) -> set[str]:
    """Return those of some digests that no holding names.

    Whatever has the form of a digest counts as a reference, so that a kind that is unknown here keeps what it needs.
    """
    left = set(digests)
    asked = References(factory, left, planned, in_packages)
    for one in holdings():
        for number, text in enumerate(one.references(asked), 1):
            if isinstance(text, str):
                left.difference_update(digests_in(text))
            else:
                left.difference_update(match.decode() for match in _BINARY.findall(text))
            if number % _REPORTED == 0:
                factory.report(Progress(step="gc", says=f"{number:,} references read", done=number))
    return left


def clock_of_files(factory: Factory) -> float:
    """Return the time by the clock that stamps files, which in a world that simulates is another one than the factory's."""
    probe = factory.state / "gc.lock"
    probe.touch()
    return probe.stat().st_mtime


def drop_features(factory: Factory, pictures: Collection[str]) -> None:
    """Remove the numbers of pictures that are gone."""
    for picture in pictures:
        for path in (factory.state / FEATURES).glob(f"*/{picture.removeprefix('sha256:')}.fit"):
            path.unlink(missing_ok=True)
