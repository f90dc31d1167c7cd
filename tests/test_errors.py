"""What can go wrong: the tree that is drawn, and how errors travel."""

import json
import pickle  # noqa: TID251 -- process pools send errors so, and they must arrive whole
import re

import pytest

from linewright import errors
from linewright.errors import LinewrightError, NotFound, Terminal, from_json


def _tree(root=LinewrightError):
    """Return all error classes of the module, parents first, with their depth."""
    found = []
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            found += [(child, 1), *((deeper, depth + 1) for deeper, depth in _tree(child))]
    return found


KINDS = [LinewrightError, *(kind for kind, _ in _tree())]
DRAWN = re.compile(r"^( +)(\w+) +(\S.*?) +exit (\d), HTTP (\d{3})$", re.MULTILINE)


def test_the_tree_in_the_documentation_is_the_tree_of_the_classes():
    """Exit codes and HTTP statuses are a promise to programs; people look them up at the top of the module."""
    drawn = [
        (name, len(indent) // 2, int(code), int(status))
        for indent, name, _, code, status in DRAWN.findall(errors.__doc__ or "")
    ]

    assert drawn == [(kind.__name__, depth, kind.exit_code, kind.http_status) for kind, depth in _tree()]


def test_every_drawn_sentence_is_what_the_class_says_of_itself():
    """One sentence in two places drifts apart unless it is compared."""
    drawn = {name: says for _, name, says, _, _ in DRAWN.findall(errors.__doc__ or "")}
    told = {kind.__name__: (kind.__doc__ or "").strip().rstrip(".") for kind, _ in _tree()}

    assert drawn.keys() == told.keys()
    assert [] == [name for name, says in drawn.items() if not told[name].lower().startswith(says.lower())]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickle_with_all_its_parts(kind):
    """A worker process tells its parent what went wrong."""
    error = kind("what", where="here", found=(1, 2), allowed="x", hint="next", details={"rows": [1]})
    read = pickle.loads(pickle.dumps(error))  # noqa: S301 -- made in the line above

    assert kind is type(read)
    assert (error.to_parts(), str(error)) == (read.to_parts(), str(read))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_survives_json_with_all_its_parts(kind):
    """A run tells whoever follows it, in another process or another year."""
    error = kind("what", where="here", found=1.5, allowed="x", hint="next", details={"rows": [1]})
    read = from_json(json.loads(json.dumps(error.to_json())))

    assert kind is type(read)
    assert (error.to_parts(), str(error)) == (read.to_parts(), str(read))


def test_an_error_of_a_newer_version_is_read_as_one_that_says_the_same():
    """An older client of a newer factory still shows the message."""
    read = from_json({**NotFound("gone", where="there", hint="look").to_json(), "error": "Evaporated"})

    assert Terminal is type(read)
    assert "there: gone. Next: look" == str(read)


def test_no_part_is_repeated_where_it_is_missing():
    """A message without parts reads like a sentence."""
    assert "what" == str(LinewrightError("what"))
    assert "what: found 0" == str(LinewrightError("what", found=0))
