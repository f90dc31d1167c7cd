"""What runs gave."""

from collections.abc import Iterator

from linewright.capabilities.runs.operations import Cancelled, FailedRun, Ran
from linewright.data.breach_text import breach_in_words
from linewright.data.finding_text import said_once
from linewright.interfaces.cli.dispatch import renderer
from linewright.line.facts import Learned, RunResult
from linewright.line.request_columns import sql_in_words
from linewright.line.runs.progress import RunSteps
from linewright.line.runs.result_text import decides, in_force, unequal
from linewright.line.runs.run_log import ShownLog
from linewright.model.card.missed_classes import unfound_in_words
from linewright.model.evaluate.coverage_text import ONE_IN, is_surely_less, percent_in_words, range_in_words
from linewright.model.evaluate.reliability_text import is_off, off_in_words
from linewright.model.facts import ROWS_OF_VALUE, VALUE, ListValue, Metric
from linewright.store.clock import said
from linewright.text.numbers import count, few_in_words, in_digits

_SHOWN = 8
"""Most trials that a run lists."""


@renderer.register
def run_text(ran: RunResult) -> str:
    """Say what came out, why, and what to do next."""
    return "\n".join(
        [
            f"{ran.candidate}  {_fate(ran)}",
            *([f"  learned  {_learned_text(ran.learned)}"] if ran.learned else []),
            f"  why      {ran.because}",
            *([f"  decides  {words}"] if (words := decides(ran)) and (ran.moved or not ran.promoted) else []),
            *([f"  model    {ran.model}"] if ran.model else []),
            *([f"  rows     {ran.sample}"] if ran.sample else []),
            *([f"  sites    {ran.shared}"] if ran.shared else []),
            *([f"  texts    {ran.sentence_encoder}"] if ran.sentence_encoder else []),
            *([f"  pictures {ran.pictures}"] if ran.pictures else []),
            *([f"  lists    {_lists_text(ran.lists)}"] if ran.lists else []),
            *(f"  sql      {said}" for said in (sql_in_words(ran.row_sql) if ran.row_sql else ())),
            *_leaderboard(ran),
            f"  digest   {ran.digest}",
            f"  did      {_did(ran)}",
            *([f"  warn     {words}"] if (words := in_force(ran)) else []),
            *_doubts(ran),
            f"  on {ran.metrics[0].n:,} {'test rows' if ran.adopted else 'rows that it has not seen'}, with 95 % intervals:",
            *metrics_text(ran.metrics, ran.currency),
            f"Next: {' or '.join(ran.next)}",
        ]
    )


def _lists_text(found: ListValue) -> str:
    """Say what lists are worth by those that were shown."""
    rows = f"{count(found.lists, 'list')} that were shown and have a label, {found.drawn:,} of them drawn"
    if found.value is None or found.low is None or found.high is None:
        return f"{rows}; {found.supported:.0%} of the positions of its lists could have been shown, {found.matched:,} were by chance: too few to say what they are worth"
    if found.more is None or found.more_low is None or found.more_high is None:
        return rows
    return (
        f"{in_digits(found.value, 3)} items would be taken of one of its lists ({in_digits(found.low, 3)} to {in_digits(found.high, 3)}), "
        f"{in_digits(found.shown, 3)} were of the {rows}: a difference of {in_digits(found.more, 3)} "
        f"({in_digits(found.more_low, 3)} to {in_digits(found.more_high, 3)})"
    )


def _fate(ran: RunResult) -> str:
    if ran.share is not None:
        return f"passes its gates, and {ran.part}"
    if not ran.promoted:
        return f"not promoted ({ran.verdict})"
    if ran.verdict != "promote":
        return f"serves, though the gates now say {ran.verdict}"
    fate = "promoted" if ran.moved else "serves already, and its gates pass"
    return f"{fate}, but for {count(len(ran.undecided), 'undecided gate')}" if ran.undecided else fate


def _leaderboard(ran: RunResult) -> Iterator[str]:
    """Say what each trial lost, where there were several."""
    if len(ran.trials) < 2:
        return
    squared = (
        "mean squared error, the square of an rmse; "
        if any(one.name == "rmse" for one in ran.metrics)
        else ""
    )
    yield f"  tried    out-of-fold loss on training rows ({squared}less is better), with 95 % intervals:"
    share = {one.trial: f"{one.weight:.0%} of the model" for one in ran.members if one.weight < 1}
    share |= {one.trial: "the model" for one in ran.members if one.weight == 1}
    ranges = {one.name: f"{in_digits(one.low, 4)} to {in_digits(one.high, 4)}" for one in ran.trials[:_SHOWN]}
    wide = max(map(len, ranges.values()))
    width = max(len(one.name) for one in ran.trials[:_SHOWN])
    for one in ran.trials[:_SHOWN]:
        told = f"{ranges[one.name]:<{wide}}   {share.get(one.name, '')}".rstrip()
        yield f"    {one.name:<{width}}  {in_digits(one.loss, 4):>8}   {told}"
    if len(ran.trials) > _SHOWN:
        yield f"    and {len(ran.trials) - _SHOWN:,} that were worse"


def _doubts(ran: RunResult) -> Iterator[str]:
    if words := unequal(ran):
        yield f"  warn     {words}"
        yield f"  warn     if it should serve in spite of its gates: {ran.next[0]}"
    for told in (*map(breach_in_words, ran.breaches), *said_once(ran.findings)):
        yield f"  warn     {told}"
    if ran.only_answer is not None:
        yield f"  warn     it answers {ran.only_answer!r} to every test row; {_remedy(ran)}"
    elif ran.unfound:
        yield f"  warn     it finds {unfound_in_words(ran.unfound)}; {_remedy(ran)}"
    if ran.hardly:
        # Said once, of both.
        remedy = "" if ran.unfound else f"; {_remedy(ran)}"
        yield f"  warn     it finds less than half of some classes, also at the upper end of the interval: {ran.hardly}{remedy}"
    if ran.few_tested:
        yield f"  warn     {few_in_words(ran.few_tested)}"
    if ran.coverage is not None and is_surely_less(ran.coverage):
        yield (
            f"  warn     only {percent_in_words(ran.coverage)} of the test rows ({range_in_words(ran.coverage)}) "
            f"lie inside the 90 % interval of their answer: it may be too narrow ({ONE_IN})"
        )
    if ran.reliability is not None and is_off(ran.reliability):
        yield f"  warn     {off_in_words(ran.reliability)}"
    for gate in ran.undecided if ran.promoted else ():
        yield f"  open     {gate}"


def _remedy(ran: RunResult) -> str:
    """Say what helps if a class is never found."""
    if ran.threshold is not None:
        return (
            "in the line file `value:` sets the threshold by what decisions are worth, and `positive:` of the label says which class "
            "is to be found, usually the rarer one"
        )
    told = (
        f"it finds {unfound_in_words(ran.unfound)}; " if ran.only_answer is not None and ran.unfound else ""
    )
    return f"{told}each row gets its likeliest class, so look at the probabilities, or bring columns that tell these apart"


def _did(ran: RunResult) -> str:
    if not ran.resumed:
        return ", ".join(ran.did) or f"nothing: every result was there already, of run {ran.run}"
    now = ", ".join(name for name in ran.did if name not in ran.did_before)
    before = ", ".join(ran.did_before)
    return f"finished the interrupted run {ran.run}: {now or 'what was left'}" + (
        f" (before the interruption: {before})" if before else ""
    )


def metrics_text(metrics: tuple[Metric, ...], currency: str = "") -> list[str]:
    """Return one aligned line a metric: its name, its value, its interval, and of amounts the unit."""
    width = max((len(metric.name) for metric in metrics), default=0)
    return [
        f"    {metric.name:<{width}}  {in_digits(metric.value, 4):>8}   "
        + (
            "interval not known"
            if metric.low is None or metric.high is None
            else f"{in_digits(metric.low, 4)} to {in_digits(metric.high, 4)}"
        )
        + (f"   {currency} per {ROWS_OF_VALUE:,} rows" if metric.name == VALUE and currency else "")
        for metric in metrics
    ]


def _learned_text(learned: Learned) -> str:
    """Say how much was new.

    Examples
    --------
    >>> _learned_text(Learned(since="r1", at="2026-01-31T12:00:00.000000Z", new=12, relabelled=1, trained=True))
    '12 rows are new since run r1 (2026-01-31 12:00:00Z), and 1 has another label'
    """
    since = f"since run {learned.since} ({said(learned.at)})"
    if not learned.new and not learned.relabelled:
        nothing = (
            f"nothing new was learned: no row{'' if learned.outweighed else ' and no label'} is new {since}"
        )
        return f"{nothing}{_unlearned(learned)}; {_all_the_same(learned)}"
    new = (
        "no row is new"
        if not learned.new
        else f"{count(learned.new, 'row')} {'is' if learned.new == 1 else 'are'} new"
    )
    if not learned.relabelled:
        return f"{new} {since}{_unlearned(learned)}"
    other = f"{learned.relabelled:,} {'has' if learned.relabelled == 1 else 'have'} another label"
    return f"{new} {since}, and {other}{_unlearned(learned)}"


def _unlearned(learned: Learned) -> str:
    if not learned.outweighed:
        return ""
    told = f"{count(learned.outweighed, 'label')} that it did not know came by feedback about rows that the source has too"
    return f"; {told}: the source's label counts, and {learned.contradicting:,} of them say otherwise"


def _all_the_same(learned: Learned) -> str:
    if not learned.trained:
        return "this is the model and the verdict of an earlier run, found again"
    match learned.differs:
        case "rows":
            return "only what the rows say in other columns, or which of them are left, is different"
        case "parts":
            return "the same rows were only split anew into training and test rows"
        case "training":
            return "the same rows train and test as before, so that only how it was trained differs, such as its folds or settings"
        case "unknown":
            return "it was trained all the same"


@renderer.register
def failed_text(failed: FailedRun) -> str:
    """Say why there is no result."""
    return f"{failed.line}  failed\n  why      {failed.error['message']}"


@renderer.register
def ran_text(ran: Ran) -> str:
    """Say what each run gave."""
    texts = [*map(run_text, ran.runs), *map(failed_text, ran.failed)]
    return "\n\n".join(texts) or "There is no line yet."


@renderer.register
def cancelled_text(one: Cancelled) -> str:
    """Say what became of it."""
    match one.state:
        case "cancelled":
            return f"The run {one.run} of {one.line} is cancelled."
        case "asked":
            return f"The run {one.run} of {one.line} ends at its next step: linewright runs {one.line}"
        case _:
            return f"The run {one.run} of {one.line} had ended before: {one.state}."


@renderer.register
def steps_text(found: RunSteps) -> str:
    """Say how far it has come, one line a step, and what has come of it."""
    width = max(len(one.step) for one in found.steps)
    lines = [f"{found.run}  {found.line}  {found.state}, accepted {said(found.at)} by {found.by}"]
    lines += [f"  why      {found.because}"]
    for one in found.steps:
        took = "" if one.seconds is None else f"  {one.seconds:,.1f} s"
        lines.append(f"    {one.step:<{width}}  {one.state}{took}")
    lines += [f"  gate     {one.status}: {one.says}" for one in found.gates]
    if found.verdict:
        lines.append(f"  verdict  {found.verdict}: {found.verdict_because}")
    if found.error:
        lines.append(f"  error    {found.error['message']}")
    return "\n".join(lines)


@renderer.register
def log_text(found: ShownLog) -> str:
    """Say what it did, one line each, and what was tried so far."""
    lines = [f"{said(one.at)}  {one.step or one.by}  {one.says}" for one in found.lines]
    if not found.lines:
        lines.append(f"No log is kept of run {found.run}: linewright run-steps {found.run}")
    if found.left_out:
        lines.insert(0, f"{found.left_out:,} lines before")
    if found.hidden:
        lines.append(f"{count(found.hidden, 'line')} more for those who may see rows")
    lines += [
        f"  tried    {one.name}  {one.loss:.4g}  {one.low:.4g} to {one.high:.4g}" for one in found.trials
    ]
    return "\n".join(lines)
