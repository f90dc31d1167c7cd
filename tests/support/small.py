"""A small factory for tests that damage one: a champion, some answers and labels of them."""

import random
from pathlib import Path

import pytest
from templates import copied, made_once

from linewright.line.execute import execute
from linewright.line.factory import Factory
from linewright.line.labels import hand_in
from linewright.line.scoring import predict_file

LINE = "claims"
_FILE = """\
line: claims
sources: {claims: {file: claims.csv}}
table: {key: claim}
label: {column: fraud, positive: "yes"}
contract:
  columns:
    claim: {type: category}
    amount: {type: number}
    age: {type: number}
    fraud: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: quick, folds: 2}
gates:
  - {metric: roc_auc, at_least: 0.5}
"""


def make_factory(folders: pytest.TempPathFactory, root: Path) -> Path:
    """Make a factory whose line `claims` has a champion, 20 answered rows and 10 labels: a copy of one that the session makes once."""
    return copied(made_once(folders, LINE, _make), root)


def _make(root: Path) -> None:
    (root / "lines").mkdir(parents=True)
    (root / "lines" / f"{LINE}.yaml").write_text(_FILE)
    chance = random.Random(7)
    rows = [(f"C{number:03}", chance.gauss(0, 1), chance.gauss(40, 9)) for number in range(240)]
    lines = [f"{claim},{amount:.4f},{age:.1f}" for claim, amount, age in rows]
    truth = ["yes" if amount + chance.gauss(0, 0.7) > 0.3 else "no" for _, amount, _ in rows]
    table = [f"{line},{label}" for line, label in zip(lines, truth, strict=True)]
    (root / "claims.csv").write_text("\n".join(["claim,amount,age,fraud", *table]) + "\n")
    (root / "ask.csv").write_text("\n".join(["claim,amount,age", *lines[:20]]) + "\n")
    known = [f"C{number:03},{truth[number]}" for number in range(10)]
    (root / "truth.csv").write_text("\n".join(["key,label", *known]) + "\n")
    with Factory.create(root) as factory:
        execute(factory, LINE)
        predict_file(factory, LINE, root / "ask.csv", root / "answers.csv")
        hand_in(factory, LINE, root / "truth.csv")
