"""Records of feature views that a disk or a hand has changed: none is served, each is told."""

import random
from contextlib import suppress

import pytest
from paid_records import CUSTOMERS, copied_factory, records_of

from linewright.capabilities.care.verify import verify_factory
from linewright.errors import Corrupt
from linewright.features.views.records import Records
from linewright.line.factory import Factory


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    with Factory.open(copied_factory(tmp_path_factory, tmp_path / "factory")) as opened:
        yield opened


def flip(path, at, bit=4):
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def test_no_bit_that_flips_changes_what_is_read(factory):
    """A record is what was written or is said to be damaged; none becomes absent, none has other events under its digest."""
    path, chance = records_of(factory), random.Random(5)
    whole = path.read_bytes()

    def read():
        records = Records(path)
        found = [records.find([one]) for one in CUSTOMERS]
        return [(one.digests[0], one.table.tobytes()) for one in found], [one.damaged for one in found]

    right, _ = read()
    told = 0
    for at in [*range(0, 400, 3), *(chance.randrange(len(whole)) for _ in range(400))]:
        path.write_bytes(whole)
        flip(path, at, chance.randrange(8))
        with suppress(Corrupt):
            found, damaged = read()
            for one, was, is_damaged in zip(found, right, damaged, strict=True):
                assert (None, b"") == one if is_damaged else was == one
            told += any(damaged)
    assert told


@pytest.mark.parametrize("share", [0.03, 0.3, 0.6, 0.9])
def test_verify_tells_a_flipped_bit_that_no_request_meets(factory, share):
    """Each byte of the file is proven, and not only what was asked for."""
    path = records_of(factory)
    assert () == verify_factory(factory).problems
    flip(path, int(path.stat().st_size * share))

    found = verify_factory(factory)

    assert Corrupt.exit_code == found.exit_code
    assert [str(path)] == [one.where for one in found.problems]


def test_verify_tells_a_file_that_is_cut_off_or_missing(factory):
    """A model that serves needs it."""
    path = records_of(factory)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    cut_off = verify_factory(factory)
    path.unlink()
    missing = verify_factory(factory)

    for found in (cut_off, missing):
        assert Corrupt.exit_code == found.exit_code
        assert [str(path)] == [one.where for one in found.problems]
