"""Whether a factory still is what it says: each holding is compared with the record."""

from linewright.line.factory import Factory
from linewright.line.holding import Check, Verified
from linewright.line.holdings.table import holdings


def verify_factory(factory: Factory) -> Verified:
    """Check everything that is stored. Memory stays bounded by the number of runs and of damaged things.

    It may be called while runs and endpoints are at work.
    """
    check = Check(factory)
    for one in holdings():
        check.guarded(lambda one=one: one.read(check))
    for one in holdings():
        check.guarded(lambda one=one: one.verify(check))
    return check.result()
