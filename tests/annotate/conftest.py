"""A line that has answered 140 rows, 10 of them labelled, and people who label."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import small
from templates import copied, made_once

from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.serve.access.rights import ROLES, Identity, Scope

LINE = small.LINE
Member = Callable[[str], Factory]


def _make(folders: pytest.TempPathFactory) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        small.make_factory(folders, root)
        chance = random.Random(11)
        rows = [f"N{number:03},{chance.gauss(0, 1):.4f},{chance.gauss(40, 9):.1f}" for number in range(120)]
        (root / "more.csv").write_text("\n".join(["claim,amount,age", *rows]) + "\n")
        with Factory.open(root) as factory:
            predict_file(factory, LINE, root / "more.csv", root / "more-answers.csv")

    return make


@pytest.fixture
def root(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a factory that nobody else changes."""
    return copied(
        made_once(tmp_path_factory, "claims-annotate", _make(tmp_path_factory)), tmp_path / "factory"
    )


@pytest.fixture
def member(root: Path) -> Iterator[Member]:
    """Give a function that opens the factory as somebody: an engineer where the name is eve, else an annotator."""
    with ExitStack() as opened:

        def open_as(name: str) -> Factory:
            role = "engineer" if name == "eve" else "annotator"
            identity = Identity(actor=name, member=name, scopes=(Scope(permissions=ROLES[role]),))
            return opened.enter_context(Factory.open(root, identity=identity))

        yield open_as
