"""A factory whose candidate waits for the approval of a second person."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import small
from templates import copied, made_once

from linewright.capabilities.members.operations.members import member_add, member_role
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.serve.access.accounts import read_accounts
from linewright.serve.access.line_tags import UNTAGGED
from linewright.serve.access.rights import Identity

LINE = small.LINE
MEMBERS = {
    "ada": ("engineer", "approver"),
    "bob": ("approver",),
    "cid": ("approver",),
    "eve": ("engineer",),
    "ann": ("admin",),
}
VALUE = "value: {currency: EUR, true_positive: 9, false_positive: -1, false_negative: -9}\n"


def write(factory: Factory, *lines: str) -> str:
    """Put sections at the end of the line file, and return its text."""
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text() + "".join(lines))
    return path.read_text()


def as_member(factory: Factory, name: str, **given: Any) -> Factory:
    """Open the factory as a member with all that their roles permit."""
    member = read_accounts(factory.state).members[name]
    scopes = tuple(one.scope(UNTAGGED) for one in member.grants)
    identity = Identity(actor=f"{name} (token of {name})", member=name, scopes=scopes)
    return Factory.open(factory.root, identity=identity, **given)


@contextmanager
def by(factory: Factory, name: str, **given: Any) -> Iterator[Factory]:
    with as_member(factory, name, **given) as opened:
        yield opened


def waiting_factory(folders: pytest.TempPathFactory, root: Path) -> Path:
    """Make a factory whose candidate claims@2, of a run that ada started, waits for an approver."""
    return copied(made_once(folders, "claims-waits", _make(folders)), root)


def _make(folders: pytest.TempPathFactory) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        small.make_factory(folders, root)
        with Factory.open(root) as factory:
            for name, roles in MEMBERS.items():
                member_add(factory, name, role=roles[0])  # type: ignore[arg-type]
                for role in roles[1:]:
                    member_role(factory, name, role)  # type: ignore[arg-type]
            write(factory, VALUE, "release: {approve: [approver]}\n")
            with by(factory, "ada") as ada:
                execute_inline(ada, LINE)  # another threshold for the model that there is: nothing is trained

    return make
