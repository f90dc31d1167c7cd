"""Where what an alert found is worst: by the rows of before serving, and those that were answered."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from shown_pages import pages_of

from linewright.capabilities.evidence.operations import worst_slice
from linewright.errors import NotFound
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.loop.reference import reference_for
from linewright.line.loop.worst_slice import WorstSlice
from linewright.line.loop.worst_slice_text import worst_slice_in_words
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute
from linewright.serve.access.rights import ROLES, Identity, Scope
from linewright.serve.log.segments import lengths
from linewright.store.values import digest_of
from linewright.watch.facts import Alerted, Monitor, Performance, Watched, Window

LINE = "claims"
FILE = """\
line: claims
sources: {claims: {file: claims.csv}}
table: {key: claim}
label: {column: fraud, positive: "yes"}
contract:
  columns:
    claim: {type: category}
    amount: {type: number}
    age: {type: number, max: 90, on_breach: warn}
    shop: {type: category}
    fraud: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: quick, folds: 2}
gates:
  - {metric: roc_auc, at_least: 0.5}
"""
MOVED = "<script>alert(1)</script>"
SHOPS = ("a", "b", MOVED, "{{31337*7}}")
LATER = "2999-01-01T00:00:00.000000Z"


def rows(name: str, n: int, *, moved: bool) -> list[str]:
    """Return rows; if the world moved, one shop has older customers of whom the label is turned round."""
    chance = random.Random(name)
    found: list[str] = []
    for number in range(n):
        amount, shop = chance.gauss(0, 1), chance.choice(SHOPS)
        is_hit = moved and shop == MOVED
        age = chance.gauss(95 if is_hit else 40, 4)
        is_fraud = (amount + chance.gauss(0, 0.5) > 0.3) != is_hit
        found.append(f"{name}{number:04},{amount:.4f},{age:.1f},{shop},{'yes' if is_fraud else 'no'}")
    return found


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """Give a factory that has answered rows of which a shop has moved, and knows their labels."""
    root = tmp_path_factory.mktemp("sliced")
    (root / "lines").mkdir()
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    head, now = "claim,amount,age,shop,fraud", rows("N", 1200, moved=True)
    (root / "claims.csv").write_text("\n".join([head, *rows("C", 3000, moved=False)]) + "\n")
    (root / "ask.csv").write_text("\n".join([head, *now]) + "\n")
    labels = [f"{row.split(',')[0]},{row.split(',')[-1]}" for row in now]
    (root / "truth.csv").write_text("\n".join(["key,label", *labels]) + "\n")
    with Factory.create(root) as opened:
        execute(opened, LINE)
        predict_file(opened, LINE, root / "ask.csv", root / "answers.csv")
        hand_in(opened, LINE, root / "truth.csv")
        yield opened


def alerted(factory: Factory, monitor: Monitor, column: str | None) -> str:
    """Record an alert about everything that was answered; return its id."""
    metadata, start = factory.metadata, "2020-01-01T00:00:00.000000Z"
    champion = find_model(factory, LINE)
    reference = reference_for(factory, factory.line(LINE), champion)
    window = metadata.keep(
        Window(
            line=LINE,
            package=champion.digest,
            reference=digest_of(reference),
            start=start,
            end=LATER,
            n=1200,
            columns=tuple(one.counts for one in reference.columns),
            prediction=reference.prediction.counts,
        )
    )
    performance = metadata.keep(
        Performance(
            line=LINE,
            package=champion.digest,
            start=start,
            end=LATER,
            metric="roc_auc",
            value=0.5,
            error=0.1,
            low=0.4,
            high=0.6,
            labelled=1200,
            predictions=1200,
        )
    )
    name = digest_of([LINE, monitor, column])
    position = dict(lengths(factory.log_of(LINE)))
    about = {"by": "worker", "because": "seen", "line": LINE, "package": champion.digest}
    metadata.record(
        Watched(at=start, window=window, start=start, end=LATER, n=1200, position=position, **about)
    )
    metadata.record(
        Alerted(
            at=LATER,
            id=name,
            monitor=monitor,
            column=column,
            value=1.0,
            bar=0.2,
            evidence=performance if monitor == "performance" else window,
            since=start,
            **about,
        )
    )
    return name


def found_by(factory: Factory, monitor: Monitor, column: str | None) -> WorstSlice:
    return worst_slice(factory, alerted(factory, monitor, column))


def test_the_shop_whose_customers_got_older_is_named(factory):
    """Who reads the alert knows where to look."""
    found = found_by(factory, "drift", "age")

    assert found.worst is not None
    assert (f"shop = {MOVED}",) == found.worst.where
    assert found.worst.within.low > 1
    assert found.worst.elsewhere.value < 0.2
    assert found.worst.more.low > 0
    assert found.worst.then > 50
    assert sum(one.now for one in found.worst.cells) > 200
    assert f"Where shop = {MOVED}, the PSI of age is" in worst_slice_in_words(found)
    assert "age = " not in worst_slice_in_words(found)
    assert worst_slice_in_words(found) in str(result_text(found))


def test_the_shop_whose_labels_turned_round_is_named(factory):
    found = found_by(factory, "performance", None)

    assert found.worst is not None
    assert f"shop = {MOVED}" in worst_slice_in_words(found) or "age > " in worst_slice_in_words(
        found
    )  # each tells of the same rows
    assert "the log-loss rose by" in worst_slice_in_words(found)
    assert found.worst.within.low > found.worst.elsewhere.high


def test_rows_out_of_the_contract_are_most_where_the_shop_moved(factory):
    found = found_by(factory, "contract", "age")

    assert found.worst is not None
    assert (f"shop = {MOVED}",) == found.worst.where
    assert () == found.worst.cells


@pytest.mark.parametrize(
    ("monitor", "column"), [("missing", "amount"), ("unseen", "shop"), ("prediction", None)]
)
def test_each_monitor_of_rows_has_an_answer(factory, monitor, column):
    found = found_by(factory, monitor, column)

    assert "psi" == found.measure
    assert 1200 == found.now
    assert worst_slice_in_words(found).endswith(".")


def test_where_nothing_is_worse_that_is_said(factory):
    """Everybody's amounts are as before."""
    found = found_by(factory, "drift", "amount")

    assert found.worst is not None
    assert found.worst.more.low <= 0.05
    assert "elsewhere" in worst_slice_in_words(found)


def test_a_monitor_without_rows_has_no_slice(factory):
    found = found_by(factory, "traffic", None)

    assert found.measure is None
    assert "looks at no rows" in worst_slice_in_words(found)


def test_who_may_not_see_the_line_sees_no_alert(factory):
    name = alerted(factory, "missing", "age")
    scope = Scope(permissions=ROLES["viewer"], lines=frozenset({"other"}))
    identity = Identity(actor="vic", member="vic", scopes=(scope,))
    with (
        Factory.open(Path(factory.root), identity=identity) as other,
        pytest.raises(NotFound, match="no alert"),
    ):
        worst_slice(other, name)


def test_a_page_shows_the_slice_and_carries_out_nothing(factory):
    name = alerted(factory, "drift", "age")
    get = pages_of(Path(factory.root))
    page, shown = get(f"/alerts/{name}", role="viewer"), get(f"/alerts/{name}/slice", role="viewer")

    assert f"/alerts/{name}/slice" in page.links
    assert f"Where shop = {MOVED}, the PSI of age is" in shown.text
    assert "Then and now in this slice" in shown.text
    shown.assert_harmless()
    assert 404 == get(f"/alerts/{name}/slice", role="viewer", lines=("other",)).status
