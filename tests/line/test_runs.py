"""What planning and running a line do, and do not do."""

import re
import subprocess

import commands
import msgspec
import pytest

from linewright.capabilities.evidence.operations import card, show, why
from linewright.capabilities.lines.operations import plan
from linewright.capabilities.overview.operations.history import models, runs
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.releases.halt import halt
from linewright.capabilities.releases.operations import promote, rollback
from linewright.capabilities.runs.operations import Ran, run
from linewright.data.facts import Dataset
from linewright.engine.lock import ProcessLock
from linewright.errors import ContractBreach, Corrupt, GateRefused, NotFound, SpecError, Transient
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared, Finished
from linewright.line.record.data.quarantine import quarantined_rows
from linewright.line.runs import execute as execute_module
from linewright.line.runs.execute import execute, execute_inline, open_executor
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import change_in_words
from linewright.line.runs.result_text import decides
from linewright.model.facts import Certificate, Package
from linewright.release.facts import Promoted
from linewright.serve.access.rights import owner
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


@pytest.mark.usefixtures("started_as_users_do")
def test_both_engines_give_equal_digests(tumours, monkeypatch):
    """The world that proves the loop runs on one engine, users on the other, with as many threads as they have processors."""
    inline, durable = tumours("inline"), tumours("durable")
    monkeypatch.setenv("POLARS_MAX_THREADS", "4")

    assert digests(execute_inline(inline, "tumours")) == digests(execute(durable, "tumours"))


def test_a_run_that_another_process_carries_out_tells_its_steps(tumours, monkeypatch):
    """Whoever types `run` beside `up` must see more than a cursor."""
    monkeypatch.setattr(execute_module, "_LOOK_S", 0.05)
    factory = tumours()
    told = []
    factory.report = told.append
    lock = ProcessLock(factory.state / "executor.lock")
    assert lock.acquire()
    with open_executor(Factory.open(factory.root)):
        ran = execute(factory, "tumours")
        again = execute(factory, "tumours")
    lock.release()

    steps = [one.step for one in told]
    assert {"train"} <= set(steps) <= set(ran.did)
    assert len(steps) == len(set(steps))
    assert f"nothing: every result was there already, of run {ran.run}" in result_text(again)


def test_planning_what_was_just_run_plans_nothing(tumours):
    """A run reaches a fixed point; otherwise a line would retrain for ever."""
    factory = tumours()

    before = steps(factory)
    ran = execute_inline(factory, "tumours")

    assert [
        "ingest",
        "split",
        "train",
        "package",
        "explain",
        "decide",
        "evaluate",
        "gate",
        "release",
    ] == before
    assert ("ingest", "split", "train", "package", "explain", "decide", "evaluate", "gate") == ran.did
    assert ran.promoted
    assert [] == steps(factory)


def test_a_run_that_only_judged_again_does_not_say_promoted(ran):
    """Nothing moved, and who reads the log looks for a change that was none."""
    factory, first = ran()
    again = execute_inline(factory, "tumours")
    change(factory, "gates:\n", "gates:\n  - {metric: roc_auc, at_least: 0.6}\n")
    judged = execute_inline(factory, "tumours")

    assert ("gate",) == judged.did
    assert result_text(first).startswith("tumours@1  promoted\n")
    assert all(
        result_text(one).startswith("tumours@1  serves already, and its gates pass\n")
        for one in (again, judged)
    )
    assert [True] * 3 == [one.promoted for one in (first, again, judged)]
    assert [0] * 3 == [one.exit_code for one in (first, again, judged)]


def test_planning_twice_is_byte_identical(tumours):
    """A plan is reviewed before it is carried out, so it must not depend on when it was made."""
    factory = tumours()
    spec = factory.line("tumours")

    assert canonical_json(make_plan(factory, spec)) == canonical_json(make_plan(factory, spec))


def test_one_changed_gate_plans_the_gate_and_what_follows(ran):
    """Training again for a bar that moved would waste an afternoon."""
    factory, _ = ran()

    change(factory, "gates:\n", "gates:\n  - {metric: roc_auc, at_least: 0.8}\n")
    planned = make_plan(factory, factory.line("tumours")).changes
    result = execute_inline(factory, "tumours")

    assert ["gate", "release"] == [one.step for one in planned]
    assert "the gates changed" == change_in_words(planned[0])
    assert ("gate",) == result.did
    assert result.promoted
    assert 1 == len(factory.metadata.events(Promoted, line="tumours"))


def test_returning_to_an_older_line_file_computes_nothing(ran):
    """Equal inputs are never computed twice, also where other inputs came between."""
    factory, _ = ran()
    change(factory, "gates:\n", "gates:\n  - {metric: roc_auc, at_least: 0.8}\n")
    execute_inline(factory, "tumours")

    change(factory, "  - {metric: roc_auc, at_least: 0.8}\n", "")
    again = execute_inline(factory, "tumours")

    assert () == again.did
    assert [] == steps(factory)


def test_a_changed_source_is_named_by_the_plan(ran):
    """A person wants to know why the night's run took long."""
    factory, _ = ran()

    with (factory.root / "cancer.csv").open("a") as file:
        file.write("S9999,14,20,90,600,0.1,0.1,0.1,0.05,benign\n")
    first = make_plan(factory, factory.line("tumours")).changes[0]

    assert ("ingest", "source 'tumours' changed") == (first.step, change_in_words(first))
    assert first.from_ != first.to


def test_a_source_that_moved_since_the_plan_is_refused(tumours):
    """What was approved and what is done must be the same."""
    factory = tumours()
    approved = plan(factory, "tumours").plan
    with (factory.root / "cancer.csv").open("a") as file:
        file.write("S9999,14,20,90,600,0.1,0.1,0.1,0.05,benign\n")

    with pytest.raises(Transient, match="the plan is no longer what a run would do"):
        execute(factory, "tumours", plan=approved)


def test_a_candidate_that_is_not_better_leaves_the_champion_serving(ran):
    """Users never notice a candidate that did not clear the bar."""
    factory, champion = ran()

    change(factory, "budget: quick", "budget: {trials: 1}")
    second = execute_inline(factory, "tumours")

    assert champion.digest != second.digest
    assert not second.promoted
    assert second.verdict in {"hold", "need-more-data", "reject"}
    assert 4 == second.exit_code
    assert 1 == factory.metadata.pointer("tumours").champion


def test_a_rolled_back_model_is_not_promoted_again_by_its_old_certificate(ran):
    """Otherwise the next nightly run would undo what a person decided at three in the morning."""
    factory, _ = ran()
    change(factory, "budget: quick", "budget: {trials: 1}")
    execute_inline(factory, "tumours")
    promote(factory, "tumours@2", force=True, because="a drill")

    back = rollback(factory, "tumours")
    again = execute_inline(factory, "tumours")

    assert "tumours@1" == back.champion
    assert not again.promoted
    assert 1 == factory.metadata.pointer("tumours").champion


@pytest.mark.parametrize("approve", [True, False])
def test_a_model_that_was_rolled_back_is_not_said_to_wait_for_approval(tumours, approve):
    """It had it; whoever approves once more undoes what somebody decided at night."""
    factory = tumours()
    if approve:
        change(factory, "gates:\n", "release: {approve: [risk]}\ngates:\n")
    execute_inline(factory, "tumours")
    if approve:
        promote(factory, "tumours@1")
    change(factory, "budget: quick", "budget: {trials: 1}")
    change(factory, "beats: champion", "beats: champion, margin: -0.5")
    execute_inline(factory, "tumours")
    if approve:
        promote(factory, "tumours@2")
    rollback(factory, "tumours", because="too many alarms")
    again = execute_inline(factory, "tumours")

    assert ("tumours@2", "hold", False) == (again.candidate, again.verdict, again.promoted)
    assert "approval" not in result_text(again)
    assert "has promoted it once, and it was taken back on " in again.because
    assert ": too many alarms; `linewright promote tumours@2` lets it serve again" in again.because
    assert ("linewright card tumours@2",) == again.next


def test_what_a_candidate_would_decide_otherwise_is_told_with_its_verdict(ran):
    """Whoever acts on the answers has to know that other rows are flagged from tomorrow, and from which probability."""
    factory, first = ran()
    change(factory, "budget: quick", "budget: {trials: 1}")
    second = execute_inline(factory, "tumours")
    served = promote(factory, "tumours@2", force=True, because="a drill")
    certificate = factory.metadata.get(second.certificate, Certificate)
    packages = [factory.metadata.get(one.digest, Package) for one in (first, second)]

    assert first.redecided is None
    assert "decides" not in result_text(first)
    assert tuple(one.threshold for one in packages) == (
        certificate.redecided.threshold_before,
        certificate.redecided.threshold,
    )
    assert 0 < certificate.redecided.otherwise < certificate.redecided.rows == certificate.n
    assert f"  decides  {decides(second)}\n" in result_text(second)
    said = f"{certificate.redecided.otherwise} of {certificate.n} test rows that neither has learned from"
    assert said in card(factory, "tumours@2").markdown
    assert decides(second).startswith(f"{served.decides}; ")
    assert result_text(served).endswith(f"\n  decides  {served.decides}")


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


def test_a_champion_that_is_judged_anew_shows_what_the_gates_say_now(ran):
    """A risk officer who raises a bar wants to see whether what serves clears it."""
    factory, first = ran()
    change(factory, "gates:\n", "gates:\n  - {metric: log_loss, at_most: 0.0001}\n")
    again = execute_inline(factory, "tumours")

    listed, claim = models(factory, "tumours").models[0], why(factory, "tumours@1")
    page, shown = card(factory, "tumours@1").markdown, show(factory, "tumours@1").body["evidence"]

    assert ("promote", "reject") == (first.verdict, again.verdict)
    assert ("champion", "reject") == (listed.role, listed.verdict)
    assert (again.certificate, first.certificate) == (listed.certificate, listed.promoted_on)
    assert (again.certificate, first.certificate) == (shown["certificate"], shown["promoted on"])
    assert claim.says.startswith("reject: ")
    assert (again.certificate, first.certificate) == (claim.id, claim.rests_on[-1].id)
    assert "Verdict: reject" in page
    assert "judged it anew since" in page
    assert {again.certificate, first.certificate} <= set(re.findall(r"sha256:[0-9a-f]{64}", page))


def test_whoever_looks_at_a_champion_that_no_longer_passes_is_told_and_told_what_to_do(ran):
    """A bar was raised because something is wrong; 'its gate was passed' would send people home."""
    factory, _ = ran()
    before = status(factory)
    change(factory, "gates:\n", "gates:\n  - {metric: log_loss, at_most: 0.0001}\n")
    again = execute_inline(factory, "tumours")
    alone = status(factory)
    change(factory, "budget: quick", "budget: {trials: 1}")
    execute_inline(factory, "tumours")
    promote(factory, "tumours@2", force=True, because="a drill")
    forced = status(factory)

    assert ("promote", ()) == (before.lines[0].verdict, before.lines[0].next)
    assert "the gates" not in result_text(before)
    assert "reject" == alone.lines[0].verdict
    assert f"the gates now say reject: {again.because.rstrip('.')}; `linewright halt tumours`" in result_text(
        alone
    )
    assert result_text(again).endswith("Next: linewright halt tumours or linewright card tumours@1")
    assert [False, False, True] == [one.promoted for one in runs(factory).runs]
    assert (False, True) == (alone.lines[0].forced, forced.lines[0].forced)
    assert "promoted by force" in result_text(forced)
    assert "`linewright rollback tumours` or `linewright halt tumours`" in result_text(forced)


def test_gates_that_are_gone_accuse_nobody(ran):
    """A bar was a mistake and is taken back together with a change of training: the champion must not stay rejected by it."""
    factory, _ = ran()
    change(factory, "gates:\n", "gates:\n  - {metric: log_loss, at_most: 0.0001}\n")
    execute_inline(factory, "tumours")
    change(factory, "  - {metric: log_loss, at_most: 0.0001}\n", "")
    change(factory, "budget: quick", "budget: {trials: 1}")
    execute_inline(factory, "tumours")
    seen, listed = status(factory), models(factory, "tumours").models[-1]

    assert ("tumours@1", None) == (seen.lines[0].champion, seen.lines[0].verdict)
    assert "reject" not in result_text(seen)
    assert "reject by earlier gates" == listed.verdict


def test_a_gate_over_a_column_that_is_not_there_is_no_bug(ran):
    """`check` has always known; where only the gates are new, plan and run must know as well."""
    factory, _ = ran()
    change(factory, "gates:\n", "gates:\n  - {fairness: mean_radiu, at_most: 0.1}\n")

    for do in (
        lambda: make_plan(factory, factory.line("tumours")),
        lambda: execute_inline(factory, "tumours"),
    ):
        with pytest.raises(SpecError, match="did you mean 'mean_radius'"):
            do()


def test_a_line_file_that_returns_brings_its_verdict_back(ran):
    """What `models` says must be what `run` says, also where the run had nothing to compute."""
    factory, first = ran()
    change(factory, "gates:\n", "gates:\n  - {metric: log_loss, at_most: 0.0001}\n")
    execute_inline(factory, "tumours")
    change(factory, "  - {metric: log_loss, at_most: 0.0001}\n", "")
    back = execute_inline(factory, "tumours")
    listed = models(factory, "tumours").models[0]

    assert (back.verdict, back.certificate) == (listed.verdict, listed.certificate)
    assert first.certificate == back.certificate
    assert [] == steps(factory)


def test_a_model_whose_newest_certificate_does_not_pass_needs_force(tumours):
    """A certificate of easier gates must not promote what the present ones refuse."""
    factory = tumours()
    change(factory, "gates:\n", "release: {approve: [risk]}\ngates:\n")
    execute_inline(factory, "tumours")
    change(factory, "gates:\n", "gates:\n  - {metric: log_loss, at_most: 0.0001}\n")
    execute_inline(factory, "tumours")

    with pytest.raises(GateRefused, match="newest certificate says reject"):
        promote(factory, "tumours@1")


def test_a_candidate_that_is_held_is_the_challenger_until_it_serves(tumours):
    """The registry names both: what serves, and what may serve next."""
    factory = tumours()
    change(factory, "gates:\n", "release: {approve: [risk]}\ngates:\n")
    ran = execute_inline(factory, "tumours")
    held, listed = status(factory).lines[0], models(factory, "tumours").models[0]
    text = result_text(status(factory))

    assert (None, "tumours@1") == (held.champion, held.challenger)
    assert ("challenger", "hold") == (listed.role, listed.verdict)
    assert "challenger tumours@1 waits: the line file wants approval by risk" in text
    assert "no champion yet. Next: linewright promote tumours@1\n" in text
    assert result_text(ran).endswith("\nNext: linewright promote tumours@1")
    assert (("linewright promote tumours@1",),) * 2 == (ran.next, held.next)
    assert "tumours@1" == card(factory, "tumours@challenger").model
    with pytest.raises(NotFound, match=r"no champion yet.*name a version: tumours@1"):
        card(factory, "tumours")

    promote(factory, "tumours@challenger")
    served = status(factory).lines[0]

    assert ("tumours@1", None) == (served.champion, served.challenger)
    assert ("champion", "promote") == (
        models(factory, "tumours").models[0].role,
        models(factory, "tumours").models[0].verdict,
    )
    with pytest.raises(NotFound, match="no challenger"):
        card(factory, "tumours@challenger")


def test_a_candidate_is_no_challenger_once_a_later_run_ended_with_the_champion(ran):
    """Who goes back to the line file that serves is not told for ever of one that was tried in between."""
    factory, _ = ran()
    hold = "release: {approve: [risk]}\n"
    change(factory, "gates:\n", hold + "gates: []\nowner: |\n")
    change(factory, "budget: quick", "budget: {trials: 1}")
    execute_inline(factory, "tumours")
    tried = status(factory).lines[0]
    change(factory, "budget: {trials: 1}", "budget: quick")
    change(factory, hold + "gates: []\nowner: |\n", "gates:\n")
    due = make_plan(factory, factory.line("tumours")).changes
    back = execute_inline(factory, "tumours")
    settled = status(factory).lines[0]

    assert ("tumours@1", "tumours@2") == (tried.champion, tried.challenger)
    assert ["release"] == [one.step for one in due]
    assert "what the gates say of this model was found before" in change_in_words(due[0])
    assert "tumours@1" == back.candidate
    assert ("tumours@1", None, ()) == (settled.champion, settled.challenger, settled.next)
    assert ["", "champion"] == [one.role for one in models(factory, "tumours").models]
    with pytest.raises(NotFound, match="no challenger"):
        card(factory, "tumours@challenger")


@pytest.mark.parametrize("name", ["0192f3a4-5b6c-7d8e-9f01-23456789abcd", "feed"])
def test_why_of_a_prediction_names_what_tells_of_predictions(tumours, name):
    """The id in an answer is the first that a clerk has at hand."""
    with pytest.raises(NotFound, match="no evidence has that id") as caught:
        why(tumours(), name)

    is_prediction = "-" in name
    for way in (f"linewright show {name}", f"linewright replay --prediction {name} --explain"):
        assert is_prediction is (way in caught.value.hint)


def test_a_rejected_candidate_is_no_challenger(tumours):
    """Nobody waits for it."""
    factory = tumours()
    change(factory, "gates:\n", "gates:\n  - {metric: log_loss, at_most: 0.0001}\n")
    execute_inline(factory, "tumours")

    assert status(factory).lines[0].challenger is None
    assert ("linewright card tumours@1",) == status(factory).lines[0].next
    assert "" == models(factory, "tumours").models[0].role


def test_the_status_of_a_halted_line_says_who_halted_it_and_why(ran):
    """Whoever is called at night asks exactly that."""
    factory, _ = ran()
    factory.identity = owner("ada")
    idle = halt(factory, "tumours", off=True)
    halt(factory, "tumours", because="scores went wild")
    halted = status(factory)
    freed = halt(factory, "tumours", off=True)

    assert ["tumours was not halted", "tumours answers again"] == [result_text(idle), result_text(freed)]

    assert ("ada", "scores went wild") == (halted.lines[0].halted_by, halted.lines[0].halted_because)
    assert "HALTED, since" in result_text(halted)
    assert "halted by ada: scores went wild" in result_text(halted)
    assert "HALTED" not in result_text(status(factory))


def test_a_run_that_has_nothing_to_do_notices_that_the_champion_was_damaged(ran):
    """Else the nightly run says that all is well until the endpoint is started anew."""
    factory, first = ran()
    graph = factory.metadata.get(first.digest, Package).graph.removeprefix("sha256:")
    stored = next(path for path in factory.state.rglob("*") if graph == path.parent.name + path.name)
    stored.chmod(0o600)
    body = bytearray(stored.read_bytes())
    body[100] ^= 1
    stored.write_bytes(body)

    with pytest.raises(Corrupt, match=r"tumours@1, which serves, .*: stored bytes have changed"):
        execute(factory, "tumours")


def test_a_promotion_names_the_line_file_that_was_fixed_before_training(tumours):
    """Gates that were chosen after looking at the result prove little."""
    factory = tumours()
    change(factory, "gates:\n", "gates:\n  - {metric: log_loss, at_most: 0.0001}\n")
    execute_inline(factory, "tumours")
    accepted = factory.metadata.events(Accepted, line="tumours")[0]
    change(factory, "  - {metric: log_loss, at_most: 0.0001}\n", "")
    execute_inline(factory, "tumours")
    promoted = factory.metadata.events(Promoted, line="tumours")[0]
    kept = factory.metadata.get(promoted.declared, Declared)

    assert accepted.declared == promoted.declared
    assert accepted.at < factory.metadata.versions("tumours")[0].at < promoted.at
    assert {"metric": "log_loss", "at_most": 0.0001} in kept.spec["gates"]
    assert "gates were changed after it was trained" in card(factory, "tumours@1").markdown


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
    change(factory, "rows: {min: 280}", "rows: {min: 1000}")

    with pytest.raises(ContractBreach, match="1,000"):
        execute(factory, "tumours")
    ended = factory.metadata.events(Finished, line="tumours")

    assert ["failed"] == [one.outcome for one in ended]
    assert [ended[0].run] == [one.run for one in factory.metadata.events(Accepted, line="tumours")]
    assert factory.metadata.pointer("tumours").champion is None

    change(factory, "rows: {min: 1000}", "rows: {min: 280}")
    stands = status(factory)
    execute(factory, "tumours")

    assert ended[0].run == stands.lines[0].failed.run
    assert f"  run {ended[0].run}, begun {ended[0].at[:10]}" in result_text(stands)
    assert f"failed: {ended[0].because}" in result_text(stands)
    assert status(factory).lines[0].failed is None


def test_a_section_that_nothing_carries_out_is_refused_by_name(tumours):
    """A word that does nothing would be believed."""
    factory = tumours()
    change(factory, "label: {column: diagnosis", "label: {columns: [diagnosis, x], column: diagnosis")

    with pytest.raises(
        SpecError,
        match=r"'label\.columns' is part of the grammar, but nothing carries it out yet",
    ):
        execute(factory, "tumours")


@pytest.mark.slow
@pytest.mark.parametrize("moment", [3, 14])
def test_a_killed_run_is_finished_by_the_next_with_equal_digests(tumours, moment):
    """Laptops close in mid-run. All boundaries are in benchmarks/kill.py, some more in tests/maintenance/test_gc.py; these are two of them."""
    whole, killed = tumours("whole"), tumours("killed")
    expected = digests(execute_inline(whole, "tumours"))
    command = [
        *commands.python(),
        "-m",
        "linewright.testing.faults",
        str(killed.root),
        "tumours",
        str(moment),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert -9 == done.returncode, done.stderr

    ran = execute(killed, "tumours")

    assert expected == digests(ran)
    assert 1 == len(killed.metadata.events(Promoted, line="tumours"))
    assert 1 == len(killed.metadata.events(Finished, line="tumours"))


def test_a_row_that_is_kept_out_later_is_found_though_the_dataset_stays_the_same(ran):
    """The table did not change, but what was read did."""
    factory, _ = ran()
    with (factory.root / "cancer.csv").open("a") as file:
        file.write("S9999,too,few\n")

    again = execute_inline(factory, "tumours")

    assert ("ingest",) == again.did
    assert [571] == [row["line"] for row in quarantined_rows(factory, "tumours")]


def test_after_a_run_that_found_the_same_rows_nothing_is_left_to_do(ran):
    """A file that was only saved again must not be planned again for ever."""
    factory, _ = ran()
    lines = (factory.root / "cancer.csv").read_text()
    (factory.root / "cancer.csv").write_text(lines.replace("malignant", " malignant"))

    planned = make_plan(factory, factory.line("tumours")).changes
    result = execute_inline(factory, "tumours")

    assert "ingest may give it something new" == change_in_words(planned[1])
    assert ("ingest",) == result.did
    assert [] == steps(factory)


def test_a_column_that_may_lack_values_now_is_said_to_make_another_dataset(tumours):
    """No row differs, and yet the model is another one; whoever reads the plan must not learn it from the run."""
    factory = tumours()
    path = factory.root / "lines" / "tumours.yaml"
    drafted = next(one for one in path.read_text().splitlines() if "mean_radius: {" in one)
    first = drafted.replace("nullable: warn", "nullable: false")
    change(factory, drafted, first)
    execute_inline(factory, "tumours")
    change(factory, first, first.replace("nullable: false, ", ""))
    planned = make_plan(factory, factory.line("tumours")).changes

    assert "ingest" == planned[0].step
    assert (
        "the table and contract changed; column 'mean_radius' may lack values now, which makes another dataset: the "
        "model is trained anew"
    ) == change_in_words(planned[0])
    assert "nullable: false" in first


def test_a_reading_option_that_changed_is_told_from_a_source_that_changed(ran):
    """Whoever edited the line and not the file looks for the reason in the wrong place."""
    factory, _ = ran()
    change(factory, 'file: "cancer.csv"', 'file: "cancer.csv", missing: ["", "NA"]')

    option = change_in_words(make_plan(factory, factory.line("tumours")).changes[0])
    with (factory.root / "cancer.csv").open("a") as file:
        file.write("S9999,14,20,90,600,0.1,0.1,0.1,0.05,benign\n")
    both = change_in_words(make_plan(factory, factory.line("tumours")).changes[0])

    assert "'missing' of source 'tumours' changed" == option
    assert "source 'tumours' changed" == both


def test_what_cannot_change_the_model_plans_no_training(ran):
    """A cap that was not reached moves no number."""
    factory, _ = ran()

    change(factory, "train:\n", "train:\n  max_seconds: 3600\n")

    assert [] == steps(factory)


def test_a_run_that_is_resumed_says_what_was_done_before_and_after_the_kill(tumours):
    """Reading that nothing was done would make a person doubt that anything had been trained."""
    factory = tumours()
    command = [*commands.python(), "-m", "linewright.testing.faults", str(factory.root), "tumours", "22"]
    subprocess.run(command, capture_output=True, timeout=120, check=False)
    killed = status(factory)

    ran = execute(factory, "tumours")

    assert ran.run == killed.lines[0].unfinished.run
    assert f"run {ran.run}, begun" in result_text(killed)
    assert "if it was interrupted, `linewright run tumours` or `linewright up` finishes it" in result_text(
        killed
    )
    assert status(factory).lines[0].unfinished is None
    assert ran.resumed
    assert ("ingest", "split", "train", "package", "explain", "decide", "evaluate", "gate") == ran.did
    assert ("ingest",) == ran.did_before
    assert f"finished the interrupted run {ran.run}" in result_text(ran)
    assert f"before the interruption: {', '.join(ran.did_before)}" in result_text(ran)
    assert not execute(factory, "tumours").resumed


def test_without_a_name_every_line_runs_and_one_that_fails_stops_no_other(tumours):
    """`plan` and `check` take all lines where none is named, so `run` does too."""
    factory = tumours()
    (factory.root / "lines" / "broken.yaml").write_text(
        "line: broken\nsources: {a: {file: no.csv}}\nlabel: {column: y}\n"
    )

    ran = run(factory)

    assert isinstance(ran, Ran)
    assert ["tumours"] == [one.line for one in ran.runs]
    assert ["broken"] == [one.line for one in ran.failed]
    assert 2 == ran.exit_code
    assert "there is no such file" in result_text(ran)


def test_two_first_runs_at_once_both_end_well(tumours):
    """A colleague's first run must not fail because mine is still making the database."""
    factory = tumours()
    command = [*commands.python(), "-m", "linewright", "run", "tumours", "--json"]

    both = [
        subprocess.Popen(command, cwd=factory.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [one.communicate(timeout=180) for one in both]

    assert [0, 0] == [one.returncode for one in both], said
    assert 1 == len({msgspec.json.decode(out)["digest"] for out, _ in said})


def test_rows_that_were_lost_are_read_from_the_sources_again(ran):
    """A deleted file of the store must not keep a line from ever training again."""
    factory, first = ran()
    chunk = factory.metadata.get(first.dataset, Dataset).chunks[0]
    blob = factory.metadata.settled(f"chunk:{chunk.content}").removeprefix("sha256:")
    (factory.state / "artifacts" / blob[:2] / blob[2:]).unlink()

    planned = make_plan(factory, factory.line("tumours")).changes
    again = execute_inline(factory, "tumours")

    assert ("ingest", "rows of it were lost") == (planned[0].step, change_in_words(planned[0]))
    assert ("ingest",) == again.did
    assert digests(first) == digests(again)
    assert [] == steps(factory)


def test_a_run_warns_of_a_file_that_is_broken_off_and_of_columns_that_nobody_named(tumours):
    """`check` says both, and whoever only runs would train for weeks without the rest."""
    factory = tumours()
    source = factory.root / "cancer.csv"
    head, *lines = source.read_text().splitlines()
    source.write_text("\n".join([head, *lines[:400], lines[400][:30]]))
    cut = execute_inline(factory, "tumours")
    source.write_text("\n".join([f"{head},one,two", *(f"{line},1,2" for line in lines), ""]))
    unnamed = execute_inline(factory, "tumours")

    assert "  warn     the file of 'tumours' ends within a row (line 402), of " in result_text(cut)
    assert "  warn     columns 'one', 'two' are not named in the contract, so they are never features\n" in (
        result_text(unnamed)
    )
    assert result_text(unnamed) == result_text(execute_inline(factory, "tumours")).replace(
        f"did      nothing: every result was there already, of run {unnamed.run}",
        f"did      {', '.join(unnamed.did)}",
    ).replace("serves already, and its gates pass", "promoted")
