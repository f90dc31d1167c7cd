"""An operation is declared once; these are the promises that commands and routes rely on."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linewright.errors import NotFound, RequestError
from linewright.operations.declare import Entry, load, operation, to_json

pytestmark = pytest.mark.usefixtures("processes")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    factory: str
    values: dict[str, object]


LINE_NAME = "a name of a-z, 0-9 and -"


@operation(permission="run", effect="act")
def mix(
    factory: str,
    line: str,
    files: tuple[Path, ...] = (),
    /,
    *,
    force: bool = False,
    level: Literal["low", "high"] = "low",
    seeds: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10,
    share: float | None = None,
    out: Path | None = None,
    exclude: tuple[str, ...] = (),
    diff: tuple[str, str] | None = None,
    with_: str = "",
) -> Seen:
    """Mix all kinds of arguments.

    More is said here.

    Parameters
    ----------
    line
        Which line,
        said on two lines.
    files
        Some files.
    force
        Whether to insist.
    level
        How much.
    seeds, share
        Numbers.
    out
        Where to.
    exclude
        Columns.
    diff
        Two digests.
    with_
        A word of Python.

    Raises
    ------
    Nothing
        At all.
    """
    given = {"line": line, "files": files, "force": force, "level": level, "seeds": seeds, "share": share}
    return Seen(
        factory=factory, values={**given, "out": out, "exclude": exclude, "diff": diff, "with": with_}
    )


@operation(permission="view", effect="read")
def import_(factory: str, /, *names: str) -> None:
    """Take names.

    Parameters
    ----------
    *names
        Any number of names.
    """
    assert factory == "f"
    assert all(isinstance(name, str) for name in names)


@operation(permission="view", effect="read")
def audit_verify(factory: str) -> None:
    """Verify."""


@operation(permission="view", effect="read")
def undescribed(factory: str, line: str, /) -> None:
    """Forget to describe."""


@operation(permission="view", effect="read")
def overdescribed(factory: str, /) -> None:
    """Describe too much.

    Parameters
    ----------
    line
        There is no such parameter.
    """


@operation(permission="view", effect="read")
def odd(factory: str, line: dict[str, str], /) -> None:
    """Take what no command line can hold.

    Parameters
    ----------
    line
        A dict.
    """


@operation(permission="view", effect="read")
def greedy(factory: str, /, *, json: bool = False) -> None:
    """Take a name that every command has.

    Parameters
    ----------
    json
        Taken already.
    """


def undeclared(factory: str) -> None:
    """Be no operation."""


def entry(summary: str) -> Entry:
    return Entry(module=__name__, summary=summary, group="Test")


TABLE = {
    "mix": entry("Mix all kinds of arguments."),
    "import": entry("Take names."),
    "audit verify": entry("Verify."),
    "undescribed": entry("Forget to describe."),
    "overdescribed": entry("Describe too much."),
    "odd": entry("Take what no command line can hold."),
    "greedy": entry("Take a name that every command has."),
    "undeclared": entry("Be no operation."),
}
MIX = load("mix", TABLE)


def test_an_operation_is_read_from_its_signature_and_docstring():
    """Everything that interfaces show comes from here."""
    by_name = {parameter.name: parameter for parameter in MIX.parameters}

    assert ("Mix all kinds of arguments.", "More is said here.") == (MIX.summary, MIX.description)
    assert (True, False, Seen) == (MIX.writes, MIX.local, MIX.result)
    assert "Which line, said on two lines." == by_name["line"].help
    assert "Numbers." == by_name["seeds"].help == by_name["share"].help
    assert ["line", "files"] == [name for name, each in by_name.items() if each.positional]
    assert ["line"] == [name for name, each in by_name.items() if each.required]
    assert "o" == by_name["out"].short
    assert "with" in by_name


def test_json_arguments_are_taken_in_their_own_types():
    """A program says what it means; nothing is guessed from text."""
    seen = MIX.call(
        "f", {"line": "a", "files": ["x.csv"], "share": 1, "out": "o.csv", "diff": ["a", "b"], "with": "w"}
    )

    assert "f" == seen.factory
    assert (Path("x.csv"),) == seen.values["files"]
    assert Path("o.csv") == seen.values["out"]
    assert ("a", "b") == seen.values["diff"]
    assert (False, "low", 10, 1.0, "w") == tuple(
        seen.values[name] for name in ("force", "level", "seeds", "share", "with")
    )


def test_text_arguments_become_the_declared_types():
    """A command line and a query hold text only."""
    written = {
        "line": ["7"],
        "files": ["a,b.csv", "c.csv"],
        "force": ["true"],
        "seeds": ["20"],
        "share": ["0.5"],
    }
    seen = MIX.call("f", {**written, "exclude": ['a, "b,c"', "d"]}, text=True)

    assert "7" == seen.values["line"]
    assert (Path("a,b.csv"), Path("c.csv")) == seen.values["files"]
    assert (True, 20, 0.5) == tuple(seen.values[name] for name in ("force", "seeds", "share"))
    assert ("a", "b,c", "d") == seen.values["exclude"]


@pytest.mark.parametrize(
    ("arguments", "found", "allowed"),
    [
        ({"line": 7}, 7, LINE_NAME),
        ({"line": None}, None, LINE_NAME),
        ({"line": ""}, "", LINE_NAME),
        ({"line": "../a"}, "../a", LINE_NAME),
        ({"line": "a\n"}, "a\n", LINE_NAME),
        ({"line": "a", "force": "true"}, "true", "true or false"),
        ({"line": "a", "force": 1}, 1, "true or false"),
        ({"line": "a", "seeds": 0}, 0, "a whole number, at least 1 and at most 100"),
        ({"line": "a", "seeds": 1.5}, 1.5, "a whole number, at least 1 and at most 100"),
        ({"line": "a", "level": "hihg"}, "hihg", "'low' or 'high'"),
        ({"line": "a", "diff": ["x"]}, ["x"], "2 times text"),
        ({"line": "a", "out": 5}, 5, "a path"),
        ({"line": "a", "files": "x.csv"}, "x.csv", "a list of a path"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_what_is_allowed(arguments, found, allowed):
    """The message alone must be enough to write it right."""
    with pytest.raises(RequestError, match="wrong value of") as caught:
        MIX.call("f", arguments)

    assert ("mix", found, allowed) == (caught.value.where, caught.value.found, caught.value.allowed)


@pytest.mark.parametrize(
    "written",
    [{"seeds": ["many"]}, {"share": ["nan"]}, {"share": ["inf"]}, {"force": ["perhaps"]}, {"seeds": ["0"]}],
)
def test_text_that_is_no_such_value_is_refused(written):
    """Not-a-number would pass every later comparison unseen."""
    with pytest.raises(RequestError, match="wrong value of") as caught:
        MIX.call("f", {"line": ["a"], **written}, text=True)

    assert next(iter(written.values()))[0] == str(caught.value.found)


def test_a_single_value_that_is_given_twice_is_refused():
    """Neither the first nor the last is what was meant."""
    with pytest.raises(RequestError, match="'seeds' is given 2 times"):
        MIX.call("f", {"line": ["a"], "seeds": ["1", "2"]}, text=True)


def test_the_nearest_word_is_offered():
    """A slip of a finger costs one more key, not a look at the manual."""
    with pytest.raises(RequestError, match="unknown argument") as argument:
        MIX.call("f", {"line": "a", "forse": True})
    with pytest.raises(RequestError, match="wrong value") as choice:
        MIX.call("f", {"line": "a", "level": "hihg"})
    with pytest.raises(NotFound, match="no operation has that name") as name:
        load("mixx", TABLE)

    assert "did you mean 'force'?" == argument.value.hint
    assert "did you mean 'high'?" == choice.value.hint
    assert "did you mean 'mix'?" == name.value.hint


def test_a_missing_argument_is_named_with_its_description():
    """What it is for stands in the docstring already."""
    with pytest.raises(RequestError, match="'line' is missing") as caught:
        MIX.call("f", {})

    assert "Which line, said on two lines." == caught.value.hint


def test_what_is_found_is_cut_to_a_readable_length():
    """A megabyte sent by mistake does not come back in the message."""
    with pytest.raises(RequestError, match="wrong value") as caught:
        MIX.call("f", {"line": "a", "force": "x" * 1_000_000})

    assert 81 == len(str(caught.value.found))


def test_names_may_be_python_keywords_or_two_words():
    """People type `import` and `audit verify`; Python cannot."""
    names = load("import", TABLE)
    names.call("f", {"names": ["a", "b"]}, text=True)
    names.call("f", {})

    assert "Verify." == load("audit verify", TABLE).summary


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("undescribed", "'line' is reserved or not described"),
        ("overdescribed", r"describes \['line'\]"),
        ("odd", "a parameter cannot be of type"),
        ("greedy", "'json' is reserved or not described"),
        ("undeclared", "declares no operation"),
    ],
)
def test_a_declaration_that_contradicts_itself_does_not_load(name, match):
    """It would come up as a wrong help page, or not at all."""
    with pytest.raises(TypeError, match=match):
        load(name, TABLE)


def test_help_and_docstring_cannot_drift_apart():
    """The table is shown without importing the operation, so it must say the same."""
    with pytest.raises(TypeError, match=r"the table says 'Mix\.', the docstring 'Mix all"):
        load("mix", {"mix": entry("Mix.")})


def test_a_stream_of_structs_is_one_json_array():
    """`--json` promises one document."""
    parts = iter([Seen(factory="f", values={"out": Path("a")}), Seen(factory="g", values={})])

    assert b'[{"factory":"f","values":{"out":"a"}},{"factory":"g","values":{}}]' == to_json(parts)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
)


@settings(deadline=None)  # a busy machine is no mistake
@given(arguments=st.dictionaries(st.sampled_from([p.name for p in MIX.parameters]), json_values))
def test_whatever_json_is_sent_is_carried_out_or_refused(arguments):
    """Client input is never a bug of ours: no other error may come."""
    with suppress(RequestError):
        assert isinstance(MIX.call("f", {"line": "a", **arguments}), Seen)


@settings(deadline=None)
@given(
    texts=st.dictionaries(st.sampled_from([p.name for p in MIX.parameters]), st.lists(st.text(), min_size=1))
)
@example(texts={"exclude": ["\r0"]})
def test_whatever_text_is_written_is_carried_out_or_refused(texts):
    """The same for command lines and queries."""
    with suppress(RequestError):
        assert isinstance(MIX.call("f", {"line": ["a"], **texts}, text=True), Seen)
