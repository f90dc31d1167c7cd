"""The log of a run: what it did, what its processes wrote, and what was tried so far."""

from pathlib import Path

import pytest
import small

from linewright.capabilities.care.forget import forget_logs
from linewright.capabilities.overview.operations.history import runs
from linewright.capabilities.runs.operations import run_log
from linewright.engine.context import Progress, TrialScore
from linewright.errors import NotFound
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute
from linewright.line.runs.run_log import FOLDER, MOST_LINES, MOST_RUNS, RunLog, ShownLog
from linewright.serve.access.rights import ROLES, Identity, Scope

OWN = """\
from sklearn.linear_model import LogisticRegression

print("row of C017: \\x1b[31m<b>")


def model():
    return LogisticRegression()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory whose last run fitted code of its own, which prints."""
    root = small.make_factory(tmp_path_factory, tmp_path_factory.mktemp("logged") / "factory")
    line = root / "lines" / "claims.yaml"
    (root / "own.py").write_text(OWN)
    line.write_text(line.read_text().replace("train: {", "train: {python: own.py:model, "))
    with Factory.open(root) as factory:
        execute(factory, small.LINE)
    return root


def log_for(root: Path, role: str | None = None, *, lines: frozenset[str] | None = None) -> ShownLog:
    """Return the log of the newest run, as the owner or somebody with a role sees it."""
    with Factory.open(root) as factory:
        run = runs(factory, small.LINE).runs[0].run
    scope = Scope(permissions=ROLES[role or "admin"], lines=lines)
    identity = Identity(actor="vic", member="vic", scopes=(scope,))
    with Factory.open(root, identity=identity) if role else Factory.open(root) as factory:
        return run_log(factory, run)


def test_a_run_writes_down_what_it_does_and_what_it_tried(tmp_path_factory, tmp_path):
    """Who waits, or wonders why it failed, reads there what came last."""
    root = small.make_factory(tmp_path_factory, tmp_path / "factory")
    found = log_for(root)

    assert {"ingest", "train", "gate"} <= {one.step for one in found.lines}
    assert found.trials
    assert sorted(one.loss for one in found.trials) == [one.loss for one in found.trials]
    assert "reading the sources" in str(result_text(found))
    assert found.trials[0].name in str(result_text(found))


def test_what_code_of_the_line_prints_is_in_the_log(root):
    found = log_for(root)

    assert any("row of C017" in one.says for one in found.lines if one.by == "process")
    assert 0 == found.hidden


def test_who_may_not_see_rows_sees_nothing_that_code_printed(root):
    """What is printed may be a person's row."""
    found = log_for(root, "viewer")

    assert found.lines
    assert {"run"} == {one.by for one in found.lines}
    assert found.hidden > 0
    assert "C017" not in str(found)


def test_who_sees_another_line_sees_no_log(root):
    with pytest.raises(NotFound, match="no such run"):
        log_for(root, "engineer", lines=frozenset({"other"}))


def test_the_log_of_a_person_who_is_forgotten_goes(tmp_path_factory, tmp_path):
    root = small.make_factory(tmp_path_factory, tmp_path / "factory")
    with Factory.open(root) as factory:
        forget_logs(factory, small.LINE)

    assert () == log_for(root).lines
    assert "No log is kept" in str(result_text(log_for(root)))


# A file of it


def test_a_line_of_a_process_is_there_once_it_has_ended(root):
    """Bytes come in pieces, and what a progress bar has overwritten is not read any more."""
    with Factory.open(root) as factory:
        run = runs(factory, small.LINE).runs[0].run
        log = RunLog.of(factory, run)
        for data in (b"half a ", b"line\n\n1 %\r2 %\r\n", b"\xff and no end"):
            log.output(data)
        log.close()

    assert ["half a line", "2 %", "\ufffd and no end"] == [one.says for one in log_for(root).lines[-3:]]


def test_of_a_long_log_the_end_is_kept_and_shown(root):
    """Code that prints for ever fills no disk."""
    with Factory.open(root) as factory:
        run = runs(factory, small.LINE).runs[0].run
        log = RunLog.of(factory, run)
        for number in range(1200):
            log.output(f"{number} {'x' * 2000}\n".encode())
    found = log_for(root)

    assert MOST_LINES == len(found.lines)
    assert found.lines[-1].says.startswith("1199 x")
    assert (root / ".linewright" / FOLDER / f"{run}.log").stat().st_size < 2**20


def test_trials_on_other_rows_are_not_compared(root):
    """A retraining tries settings on all rows first, and then on the latest."""
    with Factory.open(root) as factory:
        run = runs(factory, small.LINE).runs[0].run
        log = RunLog.of(factory, run)
        for name, loss, rows in (("a", 0.1, 900), ("b", 0.4, 300), ("c", 0.3, 300), ("b", 0.2, 300)):
            trial = TrialScore(name=name, family="linear", loss=loss, low=loss, high=loss, rows=rows)
            log.news(Progress(step="train", says=name, trial=trial))

    assert [("b", 0.2), ("c", 0.3)] == [(one.name, one.loss) for one in log_for(root).trials]


def test_the_oldest_logs_go(root):
    with Factory.open(root) as factory:
        for number in range(MOST_RUNS + 5):
            log = RunLog.of(factory, f"{number:08x}-0000-7000-8000-000000000000")
            log.output(b"here\n")
        kept = sorted((root / ".linewright" / FOLDER).glob("*.log"))

    assert MOST_RUNS == len(kept)
