"""The models that were tried: the leaderboard, and why the chosen one was chosen."""

import math
from collections.abc import Iterator, Mapping

from linewright.model.card.parts import CardFacts, Section, Statement, Table, Text, interval, say, that_hold
from linewright.model.facts import Trained
from linewright.model.reasons import MadeElsewhere
from linewright.model.tasks import task as rules_of
from linewright.text.numbers import in_words

_TRIALS_SHOWN = 5
"""Best trials that are listed; members of the model always are."""


def leaderboard(facts: CardFacts) -> Section:
    """Return the section on what was tried; of an imported model, on where it comes from."""
    trained, cited = facts.trained, facts.package.trained
    if trained.adopted:
        origin = say("leaderboard.origin", cited, trained=trained)
        return Section(name="leaderboard", title=say("leaderboard.title_of_imported"), statements=(origin,))
    members, is_squared = _members(trained), rules_of(trained.task).is_squared
    shown = [one for place, one in enumerate(trained.trials) if place < _TRIALS_SHOWN or one.name in members]
    head = ("Trial", "Loss", "95 % interval", *(("RMSE",) if is_squared else ()), "Became the model")
    rows = tuple(
        (
            one.name,
            in_words(one.loss),
            interval(one.low, one.high),
            *((in_words(math.sqrt(one.loss)),) if is_squared else ()),
            members.get(one.name, ""),
        )
        for one in shown
    )
    marks = tuple("chosen" if one.name in members else "" for one in shown)
    return Section(
        name="leaderboard",
        statements=_statements(facts, len(trained.trials) - len(shown)),
        table=Table(head=head, rows=rows, marks=marks),
    )


def _members(trained: Trained) -> Mapping[str, Text]:
    """Return which trials became the model, and how much of it."""
    if not trained.executed:
        return {trained.chosen: say("leaderboard.whole")}
    return {
        one.trial: say("leaderboard.whole")
        if one.weight == 1
        else say("leaderboard.share", weight=one.weight)
        for one in trained.executed.members
    }


def _statements(facts: CardFacts, others: int) -> tuple[Statement, ...]:
    trained, cited, choice = facts.trained, facts.package.trained, facts.trained.reason.choice
    rows, scored = trained.rows, trained.rows if isinstance(choice, MadeElsewhere) else choice.rows
    measured = {one.name: one.value for one in facts.evaluation.metrics} if facts.evaluation else {}
    is_squared, first = rules_of(trained.task).is_squared, next(iter(measured), "")
    is_other = is_squared and first == "mae" and not trained.estimated
    why = tuple(_not_scored(facts))
    return that_hold(
        (True, say("leaderboard.chosen", cited, trained=trained)),
        (trained.sample, say("leaderboard.sample", cited, found=trained.sample)),
        (trained.recent, say("leaderboard.recent", cited, found=trained.recent, task=trained.task)),
        (trained.shared, say("leaderboard.shared", cited, found=trained.shared)),
        (
            trained.sentence_encoder,
            say("leaderboard.sentence_encoder", cited, found=trained.sentence_encoder),
        ),
        (trained.pictures, say("leaderboard.pictures", cited, found=trained.pictures)),
        (True, say("leaderboard.losses", cited)),
        (is_squared, say("leaderboard.squared", cited, rmse=measured.get("rmse"))),
        (is_other, say("leaderboard.other_metric", cited, metric=first)),
        (scored < rows, say("leaderboard.scored", cited, scored=scored, rows=rows, why=why)),
        (others, say("leaderboard.not_shown", cited, trials=others)),
    )


def _not_scored(facts: CardFacts) -> Iterator[Statement]:
    """Return why fewer rows have a loss than the model was trained on."""
    executed = facts.trained.executed
    if executed and executed.folds < executed.of:
        yield say("leaderboard.folds", executed=executed)
    if facts.split.by == "time" and not facts.split.is_mixed:
        yield say("leaderboard.first_block")
    yield say("leaderboard.repeats")
