"""Why a model is what it is, in sentences for people."""

import math
from collections.abc import Sequence
from typing import assert_never

from linewright.model.facts import (
    MemberOf,
    PicturesRead,
    Recent,
    Sample,
    SentenceEncoderChoice,
    Shared,
    Task,
    Trained,
)
from linewright.model.reasons import (
    Alarms,
    Alternative,
    BestF1,
    BestMetric,
    BreakEven,
    ChosenByAutoGluon,
    ChosenByFlaml,
    ChosenReason,
    EarnedMost,
    Fastest,
    FoundMost,
    LikelierClass,
    LowestLoss,
    MadeElsewhere,
    Named,
    NamedInFile,
    NoPositive,
    NothingFaulty,
    Offer,
    PairsGain,
    PairsUnsure,
    SmallCosts,
    Sum,
    ThresholdReason,
    WorthMost,
)
from linewright.model.task_facts import task_facts
from linewright.text.numbers import in_digits, in_tenths, in_words


def chosen_in_words(trained: Trained) -> str:
    """Say with numbers why a model was chosen."""
    members = trained.executed.members if trained.executed else ()
    return choice_in_words(trained.reason, task=trained.task, members=members)


def choice_in_words(reason: ChosenReason, *, task: Task, members: Sequence[MemberOf] = ()) -> str:
    """Say why a model of a task was chosen, which is made of `members`.

    Examples
    --------
    >>> choice_in_words(ChosenReason(choice=LowestLoss(trials=2, loss=5278.1, rows=11_587)), task="regression")
    'lowest out-of-fold squared error of 2 trials: 5278 (RMSE 72.7) on 11,587 rows'
    """
    small = _small(reason.small) if reason.small else ""
    return f"{_choice(reason, task, members)}{small}{_pairs(reason.pairs, task)}"


def sample_in_words(sample: Sample) -> str:
    """Say from which training rows those that a model learned from were drawn, and how."""
    whole = "whole groups, " if sample.by_group else ""
    kept = f"{sample.kept_whole:,} rows of rare classes kept whole, the others " if sample.kept_whole else ""
    return (
        f"it learned from {sample.rows:,} of {sample.of:,} training rows, as many as make a matrix of "
        f"{sample.most_cells:,} numbers: {whole}{kept}drawn by chance and weighing {sample.weight:.3g} each"
    )


def recent_in_words(recent: Recent, task: Task) -> str:
    """Say why a model learned from the latest rows alone."""
    return (
        f"it learned from the latest {recent.rows:,} training rows alone: out-of-fold {_word(task)} on the latest "
        f"{recent.judged:,} is {in_digits(recent.loss, 4)} so, and {in_digits(recent.loss_with_older, 4)} with the {recent.left_out:,} older "
        "ones"
    )


def sentence_encoder_in_words(found: SentenceEncoderChoice) -> str:
    """Say whether an encoder of sentences reads the texts of a model, and what decided it.

    Examples
    --------
    >>> sentence_encoder_in_words(SentenceEncoderChoice(choice="sentences", labels=80))
    'an encoder of sentences reads its texts too, as the line file says'
    >>> sentence_encoder_in_words(SentenceEncoderChoice(choice="grams", labels=2400))
    'no encoder of sentences was tried: with 2,400 labels grams alone are as good'
    """
    if not found.compared:
        if found.choice == "grams":
            return f"no encoder of sentences was tried: with {found.labels:,} labels grams alone are as good"
        return "an encoder of sentences reads its texts too, as the line file says"
    how = (
        "an encoder of sentences reads its texts too"
        if found.choice == "sentences"
        else "grams alone read its texts"
    )
    loss, other, gain, error = (
        in_digits(0.0 if one is None else one, 4)
        for one in (found.loss_sentences, found.loss_grams, found.gain, found.standard_error)
    )
    return (
        f"{how}: out-of-fold loss on {found.compared:,} rows is {loss} with the encoder and {other} without "
        f"({gain} less with it, standard error {error})"
    )


def shared_in_words(shared: Shared) -> str:
    """Say whether a model of a site learned from rows of other sites, and what decided it.

    Examples
    --------
    >>> shared_in_words(Shared(choice="together", sites=2, rows=1200))
    'it learned from 1,200 rows of 2 other sites too, as the line file says'
    >>> shared_in_words(Shared(choice="alone", sites=0, rows=0))
    'it learned from its own rows alone: no other site has read any yet'
    """
    if not shared.sites:
        return "it learned from its own rows alone: no other site has read any yet"
    rows = f"{shared.rows:,} rows of {shared.sites} other site{'s' * (shared.sites > 1)}"
    if not shared.compared:
        return f"it learned from {rows} too, as the line file says"
    how = (
        f"it learned from {rows} too" if shared.choice == "together" else "it learned from its own rows alone"
    )
    loss, other, gain, error = (
        in_digits(0.0 if one is None else one, 4)
        for one in (shared.loss_together, shared.loss_alone, shared.gain, shared.standard_error)
    )
    more = "" if shared.choice == "together" else f", with {rows}"
    return (
        f"{how}: out-of-fold loss on {shared.compared:,} rows of this site is {loss} together{more} and {other} alone "
        f"({gain} less together, standard error {error})"
    )


def pictures_in_words(read: PicturesRead) -> str:
    """Say at which size pictures are read, and what decided it.

    Examples
    --------
    >>> pictures_in_words(PicturesRead(side=224))
    'its pictures are read at 224 pixels, as the line file says'
    """
    by = " by a network of one's own" if read.backbone else ""
    if not read.tried:
        return f"its pictures are read{by} at {read.side} pixels, as the line file says"
    losses = ", ".join(f"{in_digits(one.loss, 4)} at {one.side}" for one in read.tried)
    return (
        f"its pictures are read{by} at {read.side} pixels: the out-of-fold loss of a quick model on {read.rows:,} rows is {losses}; "
        "a larger size is taken if it loses less by more than one standard error"
    )


def threshold_in_words(reason: ThresholdReason) -> str:
    """Say why the positive class begins where it does.

    Examples
    --------
    >>> threshold_in_words(NoPositive(of="out-of-fold"))
    'no out-of-fold row is positive, so nothing speaks against one half'
    """
    match reason:
        case Alarms():
            share = f"{100 * reason.share:g} % of good rows may alarm"
            if reason.needed is None:
                return share
            return f"{share}; {reason.needed:,} faulty training rows would set it by the declared amounts, and {reason.faulty:,} are known"
        case WorthMost():
            return (
                f"worth most by the declared amounts on {reason.rows:,} training rows, {reason.faulty:,} of them faulty: alarms from there "
                f"added {reason.added:,.0f}"
            )
        case LikelierClass():
            return "the likelier class is answered, as nothing says what decisions are worth"
        case NoPositive():
            return f"no {reason.of} row is positive, so nothing speaks against one half"
        case BestF1():
            return (
                f"best F1 on {reason.rows:,} {reason.of} rows: {reason.f1:.3f} "
                f"(precision {reason.precision:.3f}, recall {reason.recall:.3f})"
            )
        case EarnedMost():
            return (
                f"it earned most on {reason.rows:,} {reason.of} rows: {reason.more:,.0f} more than {reason.break_even:.4g}, where the "
                f"declared amounts break even; if the probabilities were right, chance would explain {reason.chance:,.0f}"
            )
        case BreakEven():
            how = (
                f"expected to be worth most by the amounts of each row (finding one instead of missing it is worth {reason.gain:.6g} on average, "
                f"a false alarm costs {reason.cost:.6g})"
                if reason.is_each
                else f"break-even of the declared amounts (finding one instead of missing it is worth {reason.gain:g}, a false alarm costs "
                f"{reason.cost:g})"
            )
            return (
                f"{how}; on {reason.rows:,} {reason.of} rows alarms from there added {reason.added:,.0f}, and no other threshold surely "
                "more"
            )
        case _:
            assert_never(reason)


def _word(task: Task) -> str:
    return task_facts(task).loss_name


def _own(loss: float, task: Task) -> str:
    """Say the loss of the chosen one; of a squared error its root too, which is on the scale of the RMSE on test rows."""
    root = f" (RMSE {in_words(math.sqrt(loss))})" if task_facts(task).is_squared else ""
    return f"{in_digits(loss, 4)}{root}"


def _choice(reason: ChosenReason, task: Task, members: Sequence[MemberOf]) -> str:
    word, choice = _word(task), reason.choice
    match choice:
        case LowestLoss():
            told = f"lowest out-of-fold {word} of {choice.trials} trials: {_own(choice.loss, task)} on {choice.rows:,} rows"
            return f"{told}{_against(choice.next, '')})" if choice.next else told
        case Fastest():
            return _fastest(choice, task)
        case Sum():
            return _sum(choice, task, members)
        case BestMetric():
            return (
                f"best out-of-fold {choice.metric}, {in_digits(choice.value, 4)} on {choice.rows:,} rows: {choice.instead}, which the {word} "
                f"would choose ({in_digits(choice.instead_loss, 4)}, against {in_digits(choice.loss, 4)}), has "
                f"{in_digits(choice.instead_value, 4)}, surely worse by at least {in_digits(choice.least, 2)}"
            )
        case Offer():
            return (
                f"{_named(choice.by)}: out-of-fold {word} {_own(choice.loss, task)} on {choice.rows:,} rows"
            )
        case FoundMost():
            other = (
                f"; {choice.next} has {in_digits(choice.next_value, 4)}"
                if choice.next and choice.next_value is not None
                else ""
            )
            return (
                f"highest average precision on {choice.rows:,} training rows, {choice.faulty:,} of them faulty: "
                f"{in_digits(choice.value, 4)}{other}"
            )
        case NothingFaulty():
            return f"the default: {choice.faulty:,} training rows are known to be faulty, and {choice.needed:,} are needed to compare models"
        case MadeElsewhere():
            return "the line file names an imported model, so none was trained here"
        case _:
            assert_never(choice)


def _fastest(choice: Fastest, task: Task) -> str:
    found, apart = f"out-of-fold {_word(task)} {_own(choice.loss, task)}", _above(choice.best)
    if choice.best.is_surely_better:
        dear = _dear(choice)
        return f"fastest to answer that is worth its time: {found} on {choice.rows:,} rows, {apart}, {dear}"
    return f"fastest to answer of those within noise: {found}, {apart}, on {choice.rows:,} rows"


def _sum(choice: Sum, task: Task, members: Sequence[MemberOf]) -> str:
    shares = [f"{one.weight:.0%} {one.trial}" for one in members]
    told = (
        f"{', '.join(shares[:-1])} and {shares[-1]} are summed: out-of-fold {_word(task)} {_own(choice.loss, task)} on "
        f"{choice.rows:,} rows"
    )
    if (best := choice.best) is not None:
        told += (
            f", {_above(best)}, {_dear(choice)}"
            if best.is_surely_better
            else f", within noise of {best.name}, which takes longer to answer ({in_digits(-best.more, 2)} less, standard error "
            f"{in_digits(best.error, 2)})"
        )
    if (single := choice.next) is None:
        return told
    sure = (
        f"the sum is surely better than {single.name}, the best alone"
        if single.low > 0
        else f"as far as these rows can tell, {single.name} alone does as well, and `train: {{prefer: small}}` takes one setting"
    )
    interval = f"95 % interval {in_digits(single.low, 2)} to {in_digits(single.high, 2)}"
    return f"{told}{_against(single, ' alone')}, {interval}): {sure}"


def _above(best: Alternative) -> str:
    return f"{in_digits(-best.more, 2)} above {best.name} (standard error {in_digits(best.error, 2)})"


def _against(other: Alternative, alone: str) -> str:
    """Say by how much another lost, in brackets that are left open."""
    return (
        f", against {in_digits(other.loss, 4)} of {other.name}{alone} ({in_digits(other.more, 2)} more, standard error "
        f"{in_digits(other.error, 2)}"
    )


def _dear(choice: Fastest | Sum) -> str:
    """Say what outweighs a difference that is no noise: only what slow members cost does."""
    return (
        f"which is surely better and takes longer to answer: each member that takes over {choice.dear_ms:g} ms for 10,000 rows has to be "
        f"worth {choice.price:.0%} of the loss"
    )


def _named(by: Named) -> str:
    match by:
        case ChosenByFlaml():
            return f"FLAML chose {by.estimator} in {by.trials} trials on the same folds"
        case ChosenByAutoGluon():
            return (
                f"AutoGluon's best single model that can be exported, of {by.settings} settings that it compared on one fold, is "
                f"{by.model}"
            )
        case NamedInFile():
            alike = (
                ""
                if by.takes_weights
                else "; its fit takes no sample_weight, so that all rows weigh alike in it"
            )
            return f"the line file names {by.function} in {by.file}, which returns {by.estimator}{alike}"
        case _:
            assert_never(by)


def _small(costs: SmallCosts) -> str:
    if (best := costs.best) is None:
        return "; one model was asked for, and no sum of several is better"
    # The interval is of what the chosen one loses more.
    less, low, high = (in_tenths(-each / best.loss) for each in (best.more, best.high, best.low))
    sure = "" if best.is_surely_better else ", not surely more than nothing"
    return (
        f"; one model was asked for, which costs {less} (95 % interval {low} to {high}{sure}): {best.name}, summed, would have "
        f"{in_digits(best.loss, 4)}"
    )


def _pairs(pairs: PairsGain | PairsUnsure | None, task: Task) -> str:
    match pairs:
        case PairsGain():
            return (
                f"; what two numbers are together, as further columns, makes the {_word(task)} surely lower: {pairs.name} has "
                f"{in_digits(pairs.loss, 4)}, and {pairs.without}, the best without, {in_digits(pairs.without_loss, 4)} "
                f"({in_digits(pairs.more, 2)} more, standard error {in_digits(pairs.error, 2)})"
            )
        case PairsUnsure():
            return f"; {pairs.name}, which reads pairs of numbers too, has {in_digits(pairs.loss, 4)}, not surely lower than the best without"
        case None:
            return ""
        case _:
            assert_never(pairs)
