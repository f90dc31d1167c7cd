"""What planning and running a line do, and do not do."""

import subprocess
import sys

import pytest

from linewright.errors import ContractBreach, GateRefused, SpecError, Transient
from linewright.line.execute import execute, execute_inline
from linewright.line.facts import Accepted, Finished
from linewright.line.plan import make_plan
from linewright.line.quarantine import quarantined_rows
from linewright.operations.lines import plan
from linewright.operations.release import promote, rollback
from linewright.release.facts import Promoted
from linewright.store.values import canonical_json


def change(factory, old, new):
    path = factory.root / "lines" / "tumours.yaml"
    text = path.read_text()

    assert old in text
    path.write_text(text.replace(old, new))


def steps(factory):
    return [change.step for change in make_plan(factory, factory.line("tumours")).changes]


def digests(result):
    return result.dataset, result.split, result.digest, result.certificate


def test_two_folders_give_equal_digests(tumours):
    """A model that depends on where it was made cannot be rebuilt elsewhere."""
    first, second = (execute_inline(tumours(name), "tumours") for name in ("here", "there"))

    assert digests(first) == digests(second)


def test_both_engines_give_equal_digests(tumours):
    """The world that proves the loop runs on one engine, users on the other."""
    inline, durable = tumours("inline"), tumours("durable")

    assert digests(execute_inline(inline, "tumours")) == digests(execute(durable, "tumours"))


def test_planning_what_was_just_run_plans_nothing(tumours):
    """A run reaches a fixed point; otherwise a line would retrain for ever."""
    factory = tumours()

    before = steps(factory)
    ran = execute_inline(factory, "tumours")

    assert ["ingest", "split", "train", "package", "evaluate", "gate", "release"] == before
    assert ("ingest", "split", "train", "package", "evaluate", "gate") == ran.did
    assert ran.promoted
    assert [] == steps(factory)


def test_planning_twice_is_byte_identical(tumours):
    """A plan is reviewed before it is carried out, so it must not depend on when it was made."""
    factory = tumours()
    spec = factory.line("tumours")

    assert canonical_json(make_plan(factory, spec)) == canonical_json(make_plan(factory, spec))


def test_one_changed_gate_plans_the_gate_and_what_follows(tumours):
    """Training again for a bar that moved would waste an afternoon."""
    factory = tumours()
    execute_inline(factory, "tumours")

    change(factory, "gates:\n", "gates:\n  - {metric: roc_auc, at_least: 0.8}\n")
    planned = make_plan(factory, factory.line("tumours")).changes
    ran = execute_inline(factory, "tumours")

    assert ["gate", "release"] == [one.step for one in planned]
    assert "the gates changed" == planned[0].because
    assert ("gate",) == ran.did
    assert ran.promoted
    assert 1 == len(factory.metadata.events(Promoted, line="tumours"))


def test_returning_to_an_older_line_file_computes_nothing(tumours):
    """Equal inputs are never computed twice, also where other inputs came between."""
    factory = tumours()
    execute_inline(factory, "tumours")
    change(factory, "gates:\n", "gates:\n  - {metric: roc_auc, at_least: 0.8}\n")
    execute_inline(factory, "tumours")

    change(factory, "  - {metric: roc_auc, at_least: 0.8}\n", "")
    ran = execute_inline(factory, "tumours")

    assert () == ran.did
    assert [] == steps(factory)


def test_a_changed_source_is_named_by_the_plan(tumours):
    """A person wants to know why the night's run took long."""
    factory = tumours()
    execute_inline(factory, "tumours")

    with (factory.root / "cancer.csv").open("a") as file:
        file.write("S9999,14,20,90,600,0.1,0.1,0.1,0.05,benign\n")
    first = make_plan(factory, factory.line("tumours")).changes[0]

    assert ("ingest", "source 'tumours' changed") == (first.step, first.because)
    assert first.from_ != first.to


def test_a_source_that_moved_since_the_plan_is_refused(tumours):
    """What was approved and what is done must be the same."""
    factory = tumours()
    approved = plan(factory, "tumours").plan
    with (factory.root / "cancer.csv").open("a") as file:
        file.write("S9999,14,20,90,600,0.1,0.1,0.1,0.05,benign\n")

    with pytest.raises(Transient, match="the plan is no longer what a run would do"):
        execute(factory, "tumours", plan=approved)


def test_a_candidate_that_is_not_better_leaves_the_champion_serving(tumours):
    """Users never notice a candidate that did not clear the bar."""
    factory = tumours()
    champion = execute_inline(factory, "tumours")

    change(factory, "budget: quick", "budget: {trials: 1}")
    second = execute_inline(factory, "tumours")

    assert champion.digest != second.digest
    assert not second.promoted
    assert second.verdict in {"hold", "need-more-data", "reject"}
    assert 4 == second.exit_code
    assert 1 == factory.metadata.pointer("tumours").champion


def test_a_rolled_back_model_is_not_promoted_again_by_its_old_certificate(tumours):
    """Otherwise the next nightly run would undo what a person decided at three in the morning."""
    factory = tumours()
    execute_inline(factory, "tumours")
    change(factory, "budget: quick", "budget: {trials: 1}")
    execute_inline(factory, "tumours")
    promote(factory, "tumours@2", force=True, because="a drill")

    back = rollback(factory, "tumours")
    again = execute_inline(factory, "tumours")

    assert "tumours@1" == back.champion
    assert not again.promoted
    assert 1 == factory.metadata.pointer("tumours").champion


def test_a_line_that_wants_approval_holds_until_somebody_promotes(tumours):
    """The risk officer decides, with the certificate in hand."""
    factory = tumours()
    change(factory, "gates:\n", "release: {approve: [risk]}\ngates:\n")

    held = execute_inline(factory, "tumours")
    served = promote(factory, "tumours@1")

    assert ("hold", False) == (held.verdict, held.promoted)
    assert "risk" in held.because
    assert "tumours@1" == served.champion
    assert not factory.metadata.events(Promoted, line="tumours")[0].forced


def test_a_model_without_a_passing_certificate_is_promoted_by_force_only(tumours):
    """Whoever overrides the gates leaves a name and a reason."""
    factory = tumours()
    change(factory, "gates:\n", "gates:\n  - {metric: log_loss, at_most: 0.0001}\n")
    refused = execute_inline(factory, "tumours")

    with pytest.raises(GateRefused, match="no passing certificate"):
        promote(factory, "tumours@1")
    promote(factory, "tumours@1", force=True, because="the old one is worse")
    event = factory.metadata.events(Promoted, line="tumours")[0]

    assert "reject" == refused.verdict
    assert event.forced
    assert "the old one is worse" == event.because


def test_rows_that_break_the_contract_are_set_aside_with_their_line(tumours):
    """A person must find the row in the file that they have."""
    factory = tumours()
    with (factory.root / "cancer.csv").open("a") as file:
        file.write('S9998,"not\na number",20,90,600,0.1,0.1,0.1,0.05,benign\n')
        file.write("S9999,-400,20,90,600,0.1,0.1,0.1,0.05,benign\n")

    execute_inline(factory, "tumours")
    rows = quarantined_rows(factory, "tumours")

    assert [571, 573] == [row["line"] for row in rows]
    assert ["mean_radius", "mean_radius"] == [row["column"] for row in rows]


def test_a_broken_contract_stops_the_run_and_says_so(tumours):
    """A model that was trained on half a table is worse than none."""
    factory = tumours()
    change(factory, "contract:\n", "contract:\n  rows: {min: 1000}\n")

    with pytest.raises(ContractBreach, match="1,000"):
        execute(factory, "tumours")
    ended = factory.metadata.events(Finished, line="tumours")

    assert ["failed"] == [one.outcome for one in ended]
    assert [ended[0].run] == [one.run for one in factory.metadata.events(Accepted, line="tumours")]
    assert factory.metadata.pointer("tumours").champion is None


def test_a_section_without_a_station_is_refused_by_name(tumours):
    """A word that does nothing would be believed."""
    factory = tumours()
    change(factory, "gates:\n", "watch: {every: 1h}\ngates:\n")

    with pytest.raises(SpecError, match="'watch' is part of the grammar, but its station does not exist yet"):
        execute(factory, "tumours")


@pytest.mark.slow
@pytest.mark.parametrize("moment", [3, 9, 14, 20])
def test_a_killed_run_is_finished_by_the_next_with_equal_digests(tumours, moment):
    """Laptops close in mid-run. All boundaries are in benchmarks/kill.py; these are some of them."""
    whole, killed = tumours("whole"), tumours("killed")
    expected = digests(execute_inline(whole, "tumours"))
    command = [sys.executable, "-m", "linewright.testing.faults", str(killed.root), "tumours", str(moment)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert -9 == done.returncode, done.stderr

    ran = execute(killed, "tumours")

    assert expected == digests(ran)
    assert 1 == len(killed.metadata.events(Promoted, line="tumours"))
    assert 1 == len(killed.metadata.events(Finished, line="tumours"))


def test_a_row_that_is_kept_out_later_is_found_though_the_dataset_stays_the_same(tumours):
    """The table did not change, but what was read did."""
    factory = tumours()
    execute_inline(factory, "tumours")
    with (factory.root / "cancer.csv").open("a") as file:
        file.write("S9999,too,few\n")

    ran = execute_inline(factory, "tumours")

    assert ("ingest",) == ran.did
    assert [571] == [row["line"] for row in quarantined_rows(factory, "tumours")]
