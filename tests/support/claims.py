"""A line of insurance claims whose decisions are worth something: two numbers tell half of which are fraud."""

import random
from pathlib import Path

from linewright.line.factory import Factory

FILE = """\
line: claims
sources: {claims: {file: claims.csv}}
table: {key: claim}
label: {column: fraud, positive: "yes"}
contract:
  columns:
    claim: {type: integer, unique: true}
    a: {type: number}
    b: {type: number}
    amount: {type: number}
    fraud: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: quick, folds: 2}
value: {currency: EUR, true_positive: 90, false_positive: -60, false_negative: -90}
"""
MATRIX = "value: {currency: EUR, true_positive: 90, false_positive: -60, false_negative: -90}"
DEARER = "value: {currency: EUR, true_positive: 90, false_positive: -300, false_negative: -90}"
BY_AMOUNT = "value: {true_positive: amount, false_positive: -150, false_negative: -amount}"


def make(root: Path, declared: str = FILE, rows: int = 1600) -> Factory:
    """Write a factory with claims of which two numbers tell half."""
    root.mkdir()
    chance = random.Random(7)
    lines = ["claim,a,b,amount,fraud"]
    for number in range(rows):
        a, b = chance.gauss(0, 1), chance.gauss(0, 1)
        fraud = "yes" if a + b + chance.gauss(0, 1.2) > 1.2 else "no"
        lines.append(f"{number},{a:.4f},{b:.4f},{chance.choice((10, 50, 400))},{fraud}")
    (root / "claims.csv").write_text("\n".join(lines) + "\n")
    factory = Factory.create(root)
    (root / "lines").mkdir(exist_ok=True)
    (root / "lines" / "claims.yaml").write_text(declared)
    return factory


def change(factory: Factory, old: str, new: str) -> None:
    path = factory.root / "lines" / "claims.yaml"
    text = path.read_text()

    assert old in text
    path.write_text(text.replace(old, new))
