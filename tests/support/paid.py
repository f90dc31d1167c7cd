"""A factory whose line reads a feature view: late orders of customers, by what they paid before."""

import random
from datetime import datetime, timedelta
from pathlib import Path

LINE = "orders"
VIEW = """\
view: customer_30d
entity: customer
source: {file: payments.csv}
time: paid_at
known: loaded_at
key: id
deleted: gone
columns:
  amount_30d: sum(amount) over 30d
  payments_7d: count() over 7d
  merchants_30d: distinct(merchant) over 30d
  card_share: share(method = 'card') over 30d
  last_amount: last(amount)
  last_method: last(method)
  since_last: since()
"""
FILE = """\
line: orders
sources: {orders: {file: orders.csv}}
table: {key: order, time: at}
features: [customer_30d]
label: {column: late, positive: "yes"}
train: {task: binary, budget: quick, folds: 2}
gates:
  - {metric: roc_auc, at_least: 0.5}
"""
START = datetime(2026, 1, 1)


def write_factory(root: Path, *, payments: int = 3_000, orders: int = 400, customers: int = 60) -> None:
    """Write the files of a factory; some payments are loaded late, some corrected, some deleted, some customers have none."""
    chance = random.Random(3)
    (root / "lines").mkdir(parents=True)
    (root / "features").mkdir()
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    (root / "features" / "customer_30d.yaml").write_text(VIEW)
    rows: list[list[str]] = []
    for number in range(payments):
        at = START + timedelta(minutes=chance.randrange(180 * 1440))
        customer = chance.randrange(customers)
        key = rows[chance.randrange(len(rows))][0] if rows and chance.random() < 0.05 else f"P{number}"
        rows.append(
            [
                key,
                f"C{customer}",
                str(at),
                str(at + timedelta(hours=chance.randrange(60))),
                f"{chance.expovariate(1 / (20 + 3 * customer)):.2f}",
                chance.choice(["card", "cash", ""]),
                f"m{chance.randrange(9)}",
                str(chance.random() < 0.02).lower(),
            ]
        )
    asked: list[list[str]] = []
    for number in range(orders):
        customer = chance.randrange(customers + 3)
        at = START + timedelta(minutes=chance.randrange(30 * 1440, 180 * 1440))
        late = "yes" if customer / customers + chance.gauss(0, 0.3) > 0.5 else "no"
        asked.append([f"O{number}", f"C{customer}", str(at), f"{chance.uniform(5, 200):.2f}", late])
    write(root / "payments.csv", "id,customer,paid_at,loaded_at,amount,method,merchant,gone", rows)
    write(root / "orders.csv", "order,customer,at,basket,late", asked)
    write(root / "ask.csv", "order,customer,at,basket", [row[:4] for row in asked])


def write(path: Path, header: str, rows: list[list[str]]) -> None:
    """Write a table of texts that need no quotes."""
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
