"""An imported model lives in the loop like one that was trained here, until a challenger beats it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.lines.operations import plan as factory_plan
from linewright.capabilities.serving.worker import tend_inline
from linewright.data.finding_text import finding_in_words
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory, quiet
from linewright.line.facts import Accepted
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.evidence import explain
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.model.facts import Certificate, Package, Trained
from linewright.release.facts import Promoted
from linewright.watch.facts import Alerted, Cleared, Performance, Proposed, RetrainProposal, Watched
from linewright.worlds.living import Clock

LINE = "loans"
START = datetime(2026, 3, 2, tzinfo=UTC)
GO_LIVE, SHIFT, A_DAY = 14, 17, 150
TYPES = [
    ("income", FloatTensorType([None, 1])),
    ("debt", FloatTensorType([None, 1])),
    ("branch", StringTensorType([None, 1])),
]
FEATURES = [name for name, _ in TYPES]


def applications(day: int) -> pl.DataFrame:
    """Make a day's rows: from the shift on, incomes are paid in another money, and debt no longer tells."""
    chance, is_shifted = np.random.default_rng([11, day + 10]), day >= SHIFT
    income, debt = chance.normal(50, 10, A_DAY).round(2), chance.normal(20, 5, A_DAY).round(2)
    branch = chance.choice(["north", "south"], A_DAY)
    pull = 0.25 * (income - 50) * (-1 if is_shifted else 1) + 0.3 * (20 - debt) * (not is_shifted)
    paid = chance.random(A_DAY) < 1 / (1 + np.exp(-pull - np.where(branch == "north", 0.5, -0.5)))
    return pl.DataFrame(
        {
            "loan": [f"L{day:03}-{i:03}" for i in range(A_DAY)],
            "asked_at": [START + timedelta(days=day, minutes=9 * i) for i in range(A_DAY)],
            "income": income * (1.5 if is_shifted else 1.0),
            "debt": debt,
            "branch": branch,
            "paid": np.where(paid, "yes", "no"),
        }
    )


def pipeline() -> bytes:
    """Fit a pipeline as another team would, on rows that the factory never gets, and export it."""
    known = pl.concat([applications(-day) for day in range(1, 11)])
    parts = [
        ("words", OneHotEncoder(handle_unknown="ignore"), ["branch"]),
        ("numbers", StandardScaler(), ["income", "debt"]),
    ]
    model = Pipeline([("columns", ColumnTransformer(parts)), ("model", LogisticRegression())])
    model.fit(known.select(FEATURES), known["paid"].to_numpy())
    return to_onnx(model, initial_types=TYPES).SerializeToString()


def bring(root: Path) -> None:
    """Write the line with `new --model`, and add that it is watched and retrained."""
    root.mkdir()
    (root / "theirs.onnx").write_bytes(pipeline())
    pl.concat([applications(day) for day in range(GO_LIVE)]).write_csv(root / "loans.csv")
    new_line(
        root,
        LINE,
        root / "loans.csv",
        GivenRoles(label="paid", positive="yes", key="loan", time="asked_at"),
        model=root / "theirs.onnx",
    )
    path = root / "lines" / f"{LINE}.yaml"
    text = re.sub(r"  budget: \w+", "  budget: {trials: 1}\n  folds: 2", path.read_text())
    assert "budget: {trials: 1}" in text
    path.write_text(
        text
        + "watch: {every: 1d, drift: {windows: 2}}\nretrain: {when: [performance, drift], cooldown: 3d}\n"
    )


def live(factory: Factory, clock: Clock, day: int):
    """Answer a day, hand in its truth at its end, and tend the line at midnight."""
    rows = applications(day)
    clock.at = START + timedelta(days=day, hours=23)
    rows.drop("paid").write_csv(factory.root / "asked.csv")
    predict_file(factory, LINE, factory.root / "asked.csv", factory.root / "answers.csv")
    rows.select(key="loan", label="paid").write_csv(factory.root / "truth.csv")
    hand_in(factory, LINE, factory.root / "truth.csv")
    clock.at = START + timedelta(days=day + 1, seconds=1)
    return tend_inline(factory, LINE)


def _rebuilt(factory: Factory, scratch: Path) -> list[tuple[str, bool]]:
    """Rebuild both models without the file; return what was reached, and whether it was adopted again."""
    (factory.root / "theirs.onnx").unlink()
    models = (find_model(factory, f"{LINE}@{version}") for version in (1, 2))
    made = [rebuild(factory, one, workers=1, scratch=scratch, report=quiet) for one in models]
    return [(one.level, "adopted again from its file" in one.says) for one in made]


@pytest.mark.slow
def test_a_model_from_elsewhere_is_watched_and_beaten_by_the_loop_itself(tmp_path):
    """Who brings a model gets a factory that says when it fails and makes a better one, with evidence."""
    root, clock = tmp_path / "factory", Clock(START + timedelta(days=GO_LIVE))
    bring(root)
    with Factory.create(root, now=clock) as factory:
        events = lambda kind: factory.metadata.events(kind, line=LINE)  # noqa: E731 -- shorter than its name
        adopted = execute_inline(factory, LINE)
        doubts = [[*map(finding_in_words, check_line(factory, LINE).findings)]]
        quiet = [live(factory, clock, day) for day in range(GO_LIVE, SHIFT)]
        before = (events(Alerted), events(Proposed))
        ran, day = None, SHIFT
        while ran is None and day < SHIFT + 12:
            _, ran = live(factory, clock, day)
            day += 1
        certificate = factory.metadata.get(ran.certificate, Certificate)
        proposal = factory.metadata.get(events(Proposed)[0].proposal, RetrainProposal)
        trained = factory.metadata.get(factory.metadata.get(ran.digest, Package).trained, Trained)
        plan = make_plan(factory, factory.line(LINE))
        doubts.append([*map(finding_in_words, check_line(factory, LINE).findings)])
        noted = [result_text(factory_plan(factory, LINE)) for _ in range(2)]
        because = explain(factory, f"{LINE}@2")
        after = [live(factory, clock, later) for later in range(day, day + 3)]
        performance = factory.metadata.get(events(Watched)[0].performance, Performance)

        assert [0, 1] == [len(one) for one in doubts]
        assert "this file is no longer looked at" in doubts[1][0]
        assert adopted.promoted
        assert adopted.adopted
        assert [A_DAY] * 3 == [watched.n for watched, _ in quiet]
        assert (adopted.digest, A_DAY) == (performance.package, performance.labelled)
        assert performance.certified is not None
        assert ([], []) == before
        assert {"performance", "drift"} <= {one.monitor for one in events(Alerted)}
        assert "performance" == proposal.trigger
        assert ran.promoted, result_text(ran)
        assert not ran.adopted
        assert (None, None) == (trained.adopted, certificate.incomparable)
        assert trained.rows > GO_LIVE * A_DAY
        assert adopted.digest == certificate.rival
        assert "has learned from is not known" in because.says
        assert events(Proposed)[0].proposal in {one.digest for one in because.rests_on}
        assert certificate.n > 0
        assert [(1, None), (2, 1)] == [(one.model, one.before) for one in events(Promoted)]
        assert events(Accepted)[-1].proposal == events(Proposed)[0].proposal
        assert () == plan.changes
        assert noted[0] == noted[1]
        assert noted[0].startswith(f"{LINE}: no changes\n  warn: {doubts[1][0]}")
        assert [None] * 3 == [again for _, again in after]
        assert {one.id for one in events(Alerted)} == {one.alert for one in events(Cleared)}
        assert [("R0", True), ("R0", False)] == _rebuilt(factory, tmp_path)
