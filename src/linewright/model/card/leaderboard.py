"""What a card says of the models that were tried: the leaderboard, and why the chosen one was chosen."""

import math

from linewright.model.card.parts import CardFacts, Section, Sentence, Table, sentence_of
from linewright.model.facts import Executed, Trained
from linewright.model.reason_text import chosen_in_words, recent_in_words, sample_in_words
from linewright.model.reasons import MadeElsewhere
from linewright.model.tasks import task as rules_of
from linewright.text.numbers import count, in_words

_TRIALS_SHOWN = 5
"""Best trials that are listed; members of the model always are."""


def leaderboard(facts: CardFacts) -> Section:
    """Return the section on what was tried; of an imported model, on where it comes from."""
    trained = facts.trained
    cited = (facts.package.trained,)
    if trained.adopted:
        return Section(
            name="leaderboard",
            title="Where it comes from",
            sentences=(Sentence(text=sentence_of(chosen_in_words(trained)), evidence=cited),),
        )
    text = f"{trained.chosen} was chosen. {sentence_of(chosen_in_words(trained))}"
    rows_told = (
        *([sample_in_words(trained.sample)] if trained.sample else ()),
        *([recent_in_words(trained.recent, trained.task)] if trained.recent else ()),
    )
    older = [Sentence(text=sentence_of(told), evidence=cited) for told in rows_told]
    members = _shares(trained)
    shown = tuple(
        one for place, one in enumerate(trained.trials) if place < _TRIALS_SHOWN or one.name in members
    )
    is_squared = rules_of(trained.task).is_squared
    rows = tuple(
        (
            one.name,
            in_words(one.loss),
            f"{in_words(one.low)} to {in_words(one.high)}",
            *((in_words(math.sqrt(one.loss)),) if is_squared else ()),
            members.get(one.name, ""),
        )
        for one in shown
    )
    told = "Losses are out of fold, on training rows only; less is better."
    if is_squared:
        told += f" They are mean squared errors; the RMSE, the root of one, can be held beside the rmse on the test rows{_test_rmse(facts)}."
        told += _other_metric(facts)
    told += _not_judged(facts)
    if len(shown) < len(trained.trials):
        told += f" Not shown: {count(len(trained.trials) - len(shown), 'further trial')}."
    return Section(
        name="leaderboard",
        title="What else was tried",
        sentences=(
            Sentence(text=text, evidence=cited),
            *older,
            Sentence(text=told, evidence=cited),
        ),
        table=Table(
            head=(
                "Trial",
                "Loss",
                "95 % interval",
                *(("RMSE",) if is_squared else ()),
                "Became the model",
            ),
            rows=rows,
            marks=tuple("chosen" if one.name in members else "" for one in shown),
        )
        if rows
        else None,
    )


def _shares(trained: Trained) -> dict[str, str]:
    """Return which trials became the model, and how much of it."""
    if not trained.executed:
        return {trained.chosen: "all of it"}
    return {
        one.trial: "all of it" if one.weight == 1 else f"{one.weight:.0%} of it"
        for one in trained.executed.members
    }


def _not_judged(facts: CardFacts) -> str:
    """Say why fewer rows were judged than the model was trained on; empty where all were."""
    trained = facts.trained
    choice = trained.reason.choice
    judged = trained.rows if isinstance(choice, MadeElsewhere) else choice.rows
    if judged >= trained.rows:
        return ""
    why = _fewer_folds(trained.executed)
    why += (
        ["the first block of time is only learned from"]
        if facts.split.by == "time" and not facts.split.is_mixed
        else []
    )
    why += ["a row that repeats one which a fold learned from proves nothing"]
    return f" The losses are of {judged:,} of the {trained.rows:,} rows that it was trained on: {', and '.join(why)}."


def _fewer_folds(executed: Executed | None) -> list[str]:
    """Say that not all folds judged, which `train.folds` would make them, where there were fewer than there are."""
    if executed is None or executed.folds >= executed.of:
        return []
    fewer = "one fold" if executed.folds == 1 else f"{executed.folds} folds"
    return [f"{fewer} of {executed.of} judged (`train: {{folds: {executed.of}}}` has all of them judge)"]


def _other_metric(facts: CardFacts) -> str:
    """Say that models are not fitted to the line's metric, where it is another one than the loss."""
    measured = facts.evaluation.metrics if facts.evaluation else ()
    if facts.trained.estimated or not measured or measured[0].name != "mae":
        return ""
    return " The line's metric is mae, yet models are fitted and chosen by squared error."


def _test_rmse(facts: CardFacts) -> str:
    measured = facts.evaluation.metrics if facts.evaluation else ()
    return next((f" ({in_words(one.value)})" for one in measured if one.name == "rmse"), "")
