"""A line file that holds mistakes without end, or is a link to a file that nobody is to see."""

import json
import time
from pathlib import Path

import pytest

from linewright.errors import SpecError
from linewright.interfaces.python.factory import Factory
from linewright.line.file.mistakes import MOST
from linewright.line.file.read import read_line
from linewright.operations.declare import to_json

HEAD = "line: x\nsources: {a: {file: a.csv}}\nlabel: {column: y}\n"
MISTAKES = {
    "unknown words": HEAD + "".join(f"word{number}: 1\n" for number in range(5_000)),
    "keys twice": HEAD + "about: a\n" * 5_000,
    "anchors": HEAD + "tags: [" + ", ".join(f"&a{number} x" for number in range(5_000)) + "]\n",
    "wrong values": HEAD + "gates:\n" + "  - 1\n" * 5_000,
    "columns": HEAD
    + "contract:\n  columns:\n"
    + "".join(f"    c{n}: {{typ: number}}\n" for n in range(5_000)),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_of_many_mistakes_the_first_hundred_are_told(tmp_path, kind):
    """80,000 of them took 27 s and were all sent to whoever asked (10deb10); a hundred are more than anybody mends at once."""
    file = tmp_path / "x.yaml"
    file.write_text(MISTAKES[kind])
    with pytest.raises(SpecError, match="the first of more than 100 mistakes") as refused:
        read_line(file)

    assert MOST == len(refused.value.details["errors"])
    assert len(to_json(refused.value.to_json())) < 300_000


def test_a_wrong_line_file_is_read_once_as_long_as_it_stays_as_it_is(tmp_path):
    """`status` is asked every few seconds; on 10deb10 each time took 22 s for such a file."""
    with Factory.create(tmp_path) as factory:
        file = tmp_path / "lines" / "x.yaml"
        file.write_text(MISTAKES["unknown words"])
        first = factory.status().lines[0].trouble
        begun = time.monotonic()
        again = factory.status().lines[0].trouble
        took = time.monotonic() - begun
        file.write_text(HEAD)
        mended = factory.status().lines[0].trouble

    assert first is not None
    assert first == again
    assert mended is None
    assert took < 1


def test_a_link_to_another_file_does_not_tell_what_stands_there(tmp_path):
    """Who may write a line file is not to read what the factory's user may read: its text stood whole in `found` on 10deb10."""
    secret = tmp_path / "secret"
    for text in ("the key is " + "x" * 5_000 + "END", "x" * 5_000 + "END: 1\n", "- " + "y" * 5_000 + "END\n"):
        secret.write_text(text)
        with Factory.create(tmp_path / "factory") as factory:
            link = factory.root / "lines" / "x.yaml"
            link.unlink(missing_ok=True)
            link.symlink_to(secret)
            told = to_json(factory.check("x")).decode() + to_json(factory.status()).decode()

        assert json.loads(to_json(factory.check("x")))["lines"][0]["errors"]
        assert "END" not in told
        assert "x" * 500 not in told


def test_a_hundred_mistakes_are_all_told(tmp_path: Path):
    """The limit is for files that nobody wrote by hand."""
    file = tmp_path / "x.yaml"
    file.write_text(HEAD + "".join(f"word{number}: 1\n" for number in range(MOST)))
    with pytest.raises(SpecError, match="the first of 100 mistakes") as refused:
        read_line(file)

    assert MOST == len(refused.value.details["errors"])
