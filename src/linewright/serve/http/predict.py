"""What a line answers to a request: rows or tensors in, logged answers out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import thread_time
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta
from numpy.typing import NDArray

from linewright.errors import RequestError, Transient
from linewright.model.facts import Package
from linewright.release.facts import Arm
from linewright.serve.answers import Answer, Durability, PushAnswer, SimilarAnswer, SimilarItems
from linewright.serve.facts import LoggedLookup, Prediction, Predictions
from linewright.serve.feedback.store import Feedback
from linewright.serve.http import oip
from linewright.serve.http.request import Response, read_json, to_response
from linewright.serve.log.ids import first_of_many, ids_from
from linewright.serve.log.records import row_texts
from linewright.serve.log.writer import PredictionLog
from linewright.serve.models.canary import Guard, is_canary
from linewright.serve.models.shadow import Mirrors
from linewright.serve.models.state import Canary, Shadow
from linewright.serve.rows.body.push_request import ROWS_FORM, PushRequest, to_new_rows
from linewright.serve.rows.body.reader import Place, in_rows
from linewright.serve.rows.body.scalars import spell, spell_all
from linewright.serve.rows.body.sent_files import Keeper, keep_sent
from linewright.serve.rows.body.sent_texts import check_texts
from linewright.serve.rows.body.typed import Row, TypedRow, Unusual, column_of
from linewright.serve.rows.lookup.feature_lookup import FeatureLookup, LookupResult, RowsWithFeatures
from linewright.serve.rows.lookup.known_series import KnownSeries, Newest, with_ages
from linewright.serve.rows.lookup.series_sums import score_rows
from linewright.serve.rows.lookup.similar import similar_items
from linewright.serve.rows.occlusion import check_occluded
from linewright.serve.rows.scorer import Scorer
from linewright.store.clock import now_utc, uuid7, uuids7
from linewright.store.pushed_rows import PushedRows

MANY = 16
"""Rows of one request from which on they are logged together."""
MOST_EXPLAINED = 100
"""Rows of a request that asks for explanations: one row takes as long as hundreds that are only answered."""
ASK_FORM = '{"rows": [{"COLUMN": VALUE, ...}]}'
SIMILAR_FORM = '{"items": ["ITEM", ...]}'
LABELS_FORM = '{"labels": [{"id": "ID of the answer", "label": VALUE}]}'


class Ask(msgspec.Struct, frozen=True):
    """A request for predictions."""

    rows: Sequence[Row]
    explain: bool = False
    """Whether each answer says what each column contributed to it."""
    durable: bool = False
    """Whether the answer has to wait until its record survives power loss."""
    body: bytes = b""
    """What it was read from, where that was JSON: to log rows, nobody has to write them anew."""

    @property
    def to_log(self) -> Sequence[Any]:
        """The rows as they are logged one by one."""
        return row_texts(self.body) if self.body else self.rows


class Similar(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request for items that go with others."""

    items: Annotated[list[Any], Meta(description="Items, as spelled in the training data.")]


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request for predictions."""

    rows: list[dict[str, Any]]
    explain: Annotated[
        bool, Meta(description=f"Say what each column contributed; at most {MOST_EXPLAINED} rows.")
    ] = False
    durable: Annotated[bool, Meta(description="Wait until the record survives power loss.")] = False


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that brings labels."""

    labels: list[dict[str, Any]]


class Loaded(msgspec.Struct, frozen=True):
    """What answers for a line, taken once for a whole request."""

    line: str
    generation: int
    arm: Arm
    scorer: Scorer
    now: Callable[[], str] = now_utc
    canary: Canary | None = None
    guard: Guard = Guard()
    """Told of what a candidate does that is tried."""
    shadow: Shadow | None = None
    mirrors: Mirrors | None = None
    """Where the shadow gets its copies; `None` where nothing is mirrored."""
    unlogged: Callable[[int], None] | None = None
    """Told how many rows are answered though the log cannot be written; `None` where they are refused then."""
    keep: Keeper | None = None
    """Keeps pictures that are sent; `None` where none can be kept."""
    explore: float = 0.0
    """Share of the lists that is drawn."""
    series: KnownSeries | None = None
    """The newest values of series, for rows that have none."""
    views: FeatureLookup | None = None
    """The columns of feature views, for rows that have none."""
    client: str = ""
    """Who asks, while a candidate is tried, whose failures count by client."""

    @property
    def tried(self) -> Canary | Shadow | None:
        """The candidate that is tried beside the champion."""
        return self.canary or self.shadow

    @property
    def alone(self) -> Scorer | None:
        """The champion's, where no candidate is tried."""
        return self.scorer if self.tried is None else None

    @property
    def is_slow(self) -> bool:
        """Whether a row takes milliseconds, with the champion or with a canary beside it."""
        return self.scorer.is_slow or (self.canary is not None and self.canary.scorer.is_slow)

    @property
    def quick_rows(self) -> int:
        """Up to how many rows are computed at once, in the loop."""
        rows = self.scorer.quick_rows
        return rows if self.canary is None else min(rows, self.canary.scorer.quick_rows)

    @property
    def front(self) -> Arm:
        """The model that a request meets: the champion, but for a candidate that answers all rows."""
        canary = self.canary
        return self.arm if canary is None or canary.arm.share < 1 else canary.arm

    @property
    def front_scorer(self) -> Scorer:
        """The scorer of `front`."""
        return self.scorer if self.canary is None or self.front is self.arm else self.canary.scorer

    @property
    def package(self) -> Package:
        """The package of `front`."""
        return self.front_scorer.model.package


class Answered(NamedTuple):
    """Rows and their answers."""

    ids: list[str]
    keys: Sequence[str | None]
    answers: list[dict[str, Any]]
    warnings: dict[int, list[str]]
    """By row; rows that raise no doubt are left out."""
    arms: list[Arm]
    """The model of each answer."""
    only_arm: Arm | None = None
    """The model of all answers; `None` if there are two."""
    explained: Sequence[dict[str, Any]] = ()
    """One a row where it was asked for, else none."""
    newest: Mapping[int, Newest] = MappingProxyType({})
    """By row that named a series alone, what is said of the values that it got."""
    durability: Durability = "buffered"
    of_views: Sequence[Mapping[str, LookupResult]] = ()
    """One a row, by feature view, what it got of it; none if no row got any."""

    @property
    def has_extra_fields(self) -> bool:
        """Whether the response has more for any row than its id, key and answer."""
        return bool(self.explained or self.newest or self.of_views or self.warnings)

    def extra_fields(self, row: int) -> dict[str, Any]:
        """Return what the response has for a row besides id, key and answer: its explanation, age of values, features, warnings."""
        fields: dict[str, Any] = dict(self.explained[row]) if self.explained else {}
        if (newest := self.newest.get(row)) is not None:
            fields |= {"newest": newest.newest, "age": newest.age}
        if self.of_views and self.of_views[row]:
            fields["features"] = said_of(self.of_views[row])
        if row in self.warnings:
            fields["warnings"] = self.warnings[row]
        return fields


def answer(
    loaded: Loaded,
    log: PredictionLog,
    rows: Sequence[Row],
    place: Place,
    *,
    durable: bool = False,
    explain: bool = False,
    occlude: bool = True,
    to_log: Sequence[Any] | bytes | None = None,
) -> Answered:
    """Answer rows; when it returns the answers are in the log, on the disk where they are wanted `durable`.

    Where the line answers without its log, they may be nowhere: `Answered.durability` says so.
    """
    if rows and isinstance(rows[0], TypedRow) and loaded.tried is not None:
        # A candidate has other columns, and a row that it refuses is looked at.
        raise Unusual
    if explain and occlude and loaded.scorer.reads_files:
        check_occluded(len(rows), "rows")
    if loaded.scorer.reads_files and loaded.keep is not None:
        rows = to_log = keep_sent(rows, loaded.scorer.model.pictures, loaded.keep, place)
    received, front = loaded.now(), loaded.front_scorer
    package = front.model.package
    newest: Mapping[int, Newest] = {}
    if loaded.series is not None and front.window is not None:
        filled = loaded.series.fill(rows, package, now=received, place=place)
        if newest := filled.newest:
            rows = to_log = filled.rows
    whole = loaded.scorer.completed(rows, place)
    is_alone = loaded.tried is None and not package.views
    request = to_log if isinstance(to_log, bytes) and is_alone and len(rows) >= MANY else None
    ids = uuids7(len(rows)) if request is None else ids_from(first_of_many(uuid7()), len(rows))
    keys = spell_all(column_of(whole, package.key)) if package.key else [None] * len(rows)
    units, mine = _parted(loaded, whole, keys, ids)
    of_views = _with_views(loaded, rows, mine, received, place)
    if of_views.found:
        rows = to_log = of_views.rows
        whole = loaded.scorer.completed(rows, place)
    parts = _parts(loaded, rows, whole, mine, place, ids=ids, unknown=of_views.unknown)
    said = parts[0].said if len(parts) == 1 else _together(parts, len(rows))
    arms = _arms(parts, len(rows))
    explained = _explained(loaded.line, parts, rows, occlude=occlude) if explain else ()
    warnings = with_ages(said.warnings, newest) if newest else said.warnings
    if of_views.warnings:
        warnings |= {row: [*texts, *warnings.get(row, [])] for row, texts in of_views.warnings.items()}
    only_arm = parts[0].arm if len(parts) == 1 else None
    form = _Form(loaded, received, "durable" if durable else "buffered")
    found = of_views.found
    answered = Answered(
        ids, keys, said.answers, warnings, arms, only_arm, explained, newest, form.durability, found
    )
    if request is None:
        texts = row_texts(to_log) if isinstance(to_log, bytes) else rows if to_log is None else to_log
        thresholds = {part.arm.model: part.scorer.model.package.threshold for part in parts}
        write = partial(_append, loaded, log, form.one_by_one(answered, texts, units, thresholds))
    else:
        write = partial(log.append_request, form.together(answered, request))
    kept = _kept(loaded, len(rows), write, form.durability)
    return answered if kept == form.durability else answered._replace(durability=kept)


def _with_views(
    loaded: Loaded, rows: Sequence[Row], mine: Sequence[int], received: str, place: Place
) -> RowsWithFeatures:
    """Return rows with the columns of the feature views of the model that answers each; those in `mine` are a canary's."""
    of_champion = loaded.scorer.model.package.views
    of_canary = loaded.canary.scorer.model.package.views if loaded.canary is not None else of_champion
    if loaded.views is None or not (of_champion or of_canary):
        return RowsWithFeatures(rows, ())
    fill = partial(loaded.views.fill, now=received, place=place)
    if not mine or of_canary == of_champion:
        return fill(rows, of_champion)
    others = sorted(set(range(len(rows))) - set(mine))
    return fill(rows, of_champion, only=others).with_rows_of(fill(rows, of_canary, only=mine), mine)


class _Form(NamedTuple):
    """What all records of a request share."""

    loaded: Loaded
    received: str
    durability: Literal["buffered", "durable"]

    def one_by_one(
        self,
        answered: "Answered",
        rows: Sequence[Any],
        units: Sequence[str | None],
        thresholds: Mapping[int, float | None],
    ) -> list[Prediction]:
        loaded = self.loaded
        records = [
            Prediction(
                id=identity,
                line=loaded.line,
                generation=loaded.generation,
                model=arm.model,
                digest=arm.package,
                arm="champion" if arm is loaded.arm else "canary",
                at=self.received,
                key=key,
                unit=unit,
                row=row,
                answer=answer,
                threshold=thresholds[arm.model],
                durability=self.durability,
            )
            for identity, arm, key, unit, row, answer in zip(
                answered.ids, answered.arms, answered.keys, units, rows, answered.answers, strict=True
            )
        ]
        if answered.newest and loaded.series is not None:
            known = loaded.series.digest or msgspec.UNSET
            for row in answered.newest:
                records[row] = msgspec.structs.replace(records[row], known=known)
        for row, found in enumerate(answered.of_views):
            records[row] = msgspec.structs.replace(records[row], features=logged_lookups(found))
        return records

    def together(self, answered: "Answered", request: bytes) -> Predictions:
        """Return the records of one request to the champion alone."""
        loaded, package = self.loaded, self.loaded.scorer.model.package
        return Predictions(
            many=len(answered.ids),
            first=answered.ids[0],
            line=loaded.line,
            generation=loaded.generation,
            model=loaded.arm.model,
            digest=loaded.arm.package,
            at=self.received,
            keys=answered.keys if package.key else None,
            request=msgspec.Raw(request),
            answers=answered.answers,
            threshold=package.threshold,
            durability=self.durability,
        )


def logged_lookups(found: Mapping[str, LookupResult]) -> dict[str, LoggedLookup] | msgspec.UnsetType:
    """Return what the log says of the feature views of a row."""
    return {
        view: LoggedLookup(known=one.known, record=one.record, defaulted=one.defaulted, table=one.table)
        for view, one in found.items()
    } or msgspec.UNSET


def _append(loaded: Loaded, log: PredictionLog, records: list[Prediction], *, durable: bool) -> None:
    size = log.append(records, durable=durable)
    # What no log has is not mirrored: a copy is without its row, which the log has.
    if loaded.shadow is not None and loaded.mirrors is not None and loaded.tried is not None:
        # A sum is made of other rows, which no copy has.
        single = [one for one in records if not one.is_sum]
        loaded.mirrors.offer(
            loaded.line, loaded.shadow, loaded.tried, single, size=size, client=loaded.client
        )


def _kept(
    loaded: Loaded, rows: int, write: Callable[..., object], wanted: Literal["buffered", "durable"]
) -> Durability:
    """Log answers, and return what they survive."""
    try:
        write(durable=wanted == "durable")
    except Transient:
        if wanted == "durable" or loaded.unlogged is None:
            raise
        loaded.unlogged(rows)
        return "none"
    return wanted


class _Said(NamedTuple):
    """What a model says of rows."""

    x: NDArray[Any]
    answers: list[dict[str, Any]]
    warnings: dict[int, list[str]]


class _Part(NamedTuple):
    """Those rows of a request that one model answers."""

    rows: Sequence[int]
    arm: Arm
    scorer: Scorer
    said: _Said


def _parted(
    loaded: Loaded, rows: Sequence[Row], keys: Sequence[str | None], ids: Sequence[str]
) -> tuple[Sequence[str | None], list[int]]:
    """Return the unit of each row while a candidate is tried, and which rows a canary answers."""
    tried, canary = loaded.tried, loaded.canary
    if tried is None:
        return [None] * len(rows), []
    named = keys if tried.unit is None else [spell(row.get(tried.unit)) for row in rows]
    # Where a row names no unit, chance decides, by its id: it has no other row to be like.
    units = [unit or identity for unit, identity in zip(named, ids, strict=True)]
    if canary is None:
        return units, []
    return units, [row for row, unit in enumerate(units) if is_canary(canary.salt, unit, canary.arm.share)]


def _parts(
    loaded: Loaded,
    rows: Sequence[Row],
    whole: Sequence[Row],
    mine: list[int],
    place: Place,
    *,
    ids: Sequence[str],
    unknown: Mapping[int, frozenset[str]],
) -> list[_Part]:
    """Return who answers what; where a canary fails, the champion answers its rows too.

    The champion gets them `whole`, with what its `table.sql` makes of them.
    """
    canary = loaded.canary
    tried = None
    if canary is not None and mine:
        its = [rows[row] for row in mine], [ids[row] for row in mine]
        tried = _tried(loaded, canary, *its, _of(unknown, mine))
    if canary is None or tried is None:
        said = _champions(loaded, whole, ids, place, unknown=unknown)
        return [_Part(range(len(rows)), loaded.arm, loaded.scorer, said)]
    of_canary = _Part(mine, canary.arm, canary.scorer, tried)
    others = sorted(set(range(len(rows))) - set(mine))
    if not others:
        return [of_canary]
    rest = _champions(
        loaded,
        [whole[row] for row in others],
        [ids[row] for row in others],
        lambda row, column: place(others[row], column),
        unknown=_of(unknown, others),
    )
    return [of_canary, _Part(others, loaded.arm, loaded.scorer, rest)]


def _of(unknown: Mapping[int, frozenset[str]], rows: Sequence[int]) -> dict[int, frozenset[str]]:
    return {place: unknown[row] for place, row in enumerate(rows) if row in unknown}


def _arms(parts: Sequence[_Part], n: int) -> list[Arm]:
    arms = [parts[0].arm] * n
    for part in parts[1:]:
        for row in part.rows:
            arms[row] = part.arm
    return arms


def _together(parts: Sequence[_Part], n: int) -> _Said:
    answers, warnings = [dict[str, Any]()] * n, dict[int, list[str]]()
    for part in parts:
        for row, one in zip(part.rows, part.said.answers, strict=True):
            answers[row] = one
        warnings |= {part.rows[row]: texts for row, texts in part.said.warnings.items()}
    return _Said(parts[0].said.x, answers, warnings)


def _explained(
    line: str, parts: Sequence[_Part], rows: Sequence[Row], *, occlude: bool
) -> list[dict[str, Any]]:
    explained = [dict[str, Any]()] * len(rows)
    for part in parts:
        mine = [rows[row] for row in part.rows] if occlude and part.scorer.reads_files else ()
        told = part.scorer.explain(part.said.x, part.said.answers, name=f"{line}@{part.arm.model}", rows=mine)
        for row, one in zip(part.rows, told, strict=True):
            explained[row] = one
    return explained


def _champions(
    loaded: Loaded,
    rows: Sequence[Row],
    ids: Sequence[str],
    place: Place,
    *,
    unknown: Mapping[int, frozenset[str]],
) -> _Said:
    scored = partial(_scored, loaded, loaded.scorer, rows, ids, place, unknown=unknown)
    if loaded.tried is None:
        return scored()
    begun = thread_time()
    said = scored()
    loaded.guard.took(
        loaded.line, loaded.tried, len(rows), thread_time() - begun, client=loaded.client, champion=True
    )
    return said


def _tried(
    loaded: Loaded,
    canary: Canary,
    rows: Sequence[Row],
    ids: Sequence[str],
    unknown: Mapping[int, frozenset[str]],
) -> _Said | None:
    """Return what a canary says; `None` where it cannot."""
    begun = thread_time()
    try:
        whole = canary.scorer.completed(rows, in_rows)
        said = _scored(loaded, canary.scorer, whole, ids, in_rows, unknown=unknown)
    except RequestError as error:
        # The champion decides what a row has to be. Where it refuses one as well, the client is wrong, not the canary.
        with suppress(RequestError):
            loaded.scorer.matrix(rows)
            because = f"it refuses rows that the champion takes: {error}"
            loaded.guard.failed(loaded.line, canary, because, client=loaded.client)
        return None
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with a canary, the champion is there
        because = f"it fails: {type(error).__name__}: {error}"
        loaded.guard.failed(loaded.line, canary, because, client=loaded.client)
        return None
    loaded.guard.took(loaded.line, canary, len(rows), thread_time() - begun, client=loaded.client)
    return said


def _scored(
    loaded: Loaded,
    scorer: Scorer,
    rows: Sequence[Row],
    ids: Sequence[str],
    place: Place,
    *,
    unknown: Mapping[int, frozenset[str]],
) -> _Said:
    if scorer.is_slow:
        check_texts(rows, scorer.model.readers)
    x, answers = score_rows(scorer, rows, place, ids=ids, explore=loaded.explore)
    return _Said(x, answers, scorer.warnings(x, rows, unknown))


def read_ask(body: bytes, scorer: Scorer | None = None) -> Ask:
    """Return a request for predictions."""
    typed = None if scorer is None else scorer.typed
    usual = None if typed is None else typed.read(body)
    # What is explained or waits for the disk takes so long that reading it does not matter.
    if usual is not None and not (usual.explain or usual.durable):
        return Ask(usual.rows, body=body)
    read = read_json(body, Body, form=ASK_FORM)
    if read.explain:
        _check_explained(len(read.rows), "explain")
    return Ask(read.rows, read.explain, read.durable, body)


def predict_many(loaded: Loaded, log: PredictionLog, body: bytes) -> tuple[int, Response] | Ask:
    """Read a request of many rows and answer it; return how many, or the request where it waits for the disk or is explained."""
    ask = read_ask(body, loaded.alone)
    if ask.explain or ask.durable:
        return ask
    return len(ask.rows), predict(loaded, log, ask)


def _check_explained(rows: int, where: str) -> None:
    if rows > MOST_EXPLAINED:
        raise RequestError(
            "too many rows to explain in one request",
            where=where,
            found=rows,
            allowed=f"at most {MOST_EXPLAINED} rows",
            hint="send them in several requests, or without `explain`",
        )


def predict(loaded: Loaded, log: PredictionLog, ask: Ask) -> Response:
    """Answer rows."""
    told = partial(answer, loaded, log, place=in_rows, durable=ask.durable, explain=ask.explain)
    try:
        answered = told(ask.rows, to_log=ask.body or ask.to_log)
    except Unusual:
        answered = told(read_ask(ask.body).rows, to_log=ask.body)
    return to_predictions(loaded, answered, 0, len(ask.rows))


def to_predictions(loaded: Loaded, answered: Answered, start: int, end: int) -> Response:
    """Return the answer to a request whose rows are those from `start` to before `end` of what was answered."""
    only_arm = answered.only_arm or _only_arm(answered.arms[start:end])
    first = only_arm or loaded.front
    ids, keys, answers = answered.ids[start:end], answered.keys[start:end], answered.answers[start:end]
    predictions: list[dict[str, Any]] = []
    for identity, key, one in zip(ids, keys, answers, strict=True):
        predictions.append({"id": identity, **one} if key is None else {"id": identity, "key": key, **one})
    for row, one in enumerate(predictions, start) if only_arm is None or answered.has_extra_fields else ():
        one.update(answered.extra_fields(row))
        if (arm := answered.arms[row]) is not first:
            one.update(model=f"{loaded.line}@{arm.model}", digest=arm.package)
    answer: Answer = {
        "model": f"{loaded.line}@{first.model}",
        "digest": first.package,
        "durability": answered.durability,
        "predictions": predictions,
    }
    return to_response(answer)


def said_of(found: Mapping[str, LookupResult]) -> dict[str, Any]:
    """Return what an answer says of the feature views of its row."""
    return {
        view: {"age": round(one.age, 3), "record": one.record}
        | ({"defaulted": True} if one.defaulted else {})
        | ({"missing": one.missing} if one.missing else {})
        for view, one in found.items()
    }


def _only_arm(arms: Sequence[Arm]) -> Arm | None:
    """Return the model that answered all rows; `None` where there are two."""
    first = arms[0]
    return first if arms.count(first) == len(arms) else None


def infer(loaded: Loaded, log: PredictionLog, asked: oip.Asked) -> Response:
    """Answer tensors."""
    if asked.explain:
        _check_explained(len(asked.rows), "parameters.explain")
    oip.check_inputs(asked, loaded.line, loaded.scorer.needs)
    oip.check_outputs(asked, loaded.package)
    answered = answer(
        loaded,
        log,
        asked.rows,
        asked.place,
        durable=asked.durable,
        explain=asked.explain,
        occlude=False,  # tensors have no place for parts of pictures
    )
    first = answered.only_arm or loaded.front
    made = oip.to_answer(
        asked.infer,
        line=loaded.line,
        version=first.model,
        digest=first.package,
        versions=None if answered.only_arm else [arm.model for arm in answered.arms],
        package=loaded.package,
        ids=answered.ids,
        answers=answered.answers,
        explained=answered.explained,
        durability=answered.durability,
    )
    oip.add_ages(made, answered.newest)
    oip.add_features(made, [said_of(one) for one in answered.of_views])
    return oip.to_response(asked.infer, made)


def similar(body: bytes, loaded: Loaded) -> Response:
    """Answer which items go with some items; nothing is logged: no user is meant."""
    found = similar_items(loaded.scorer, read_json(body, Similar, form=SIMILAR_FORM).items)
    return to_response(
        SimilarAnswer(
            model=f"{loaded.line}@{loaded.arm.model}",
            digest=loaded.arm.package,
            similar=[SimilarItems(**one) for one in found],
        )
    )


def accept(feedback: Feedback, body: bytes, package: Package, idempotency_key: str | None) -> Response:
    """Keep labels."""
    labels = read_json(body, Labels, form=LABELS_FORM).labels
    return to_response(feedback.accept(labels, package=package, idempotency_key=idempotency_key))


def push(pushed: PushedRows, body: bytes, views: list[str]) -> Response:
    """Keep rows of a source, which feature views read at once; when it returns they survive power loss."""
    asked = read_json(body, PushRequest, form=ROWS_FORM)
    kept = pushed.keep(to_new_rows(asked.rows, pushed.columns, new_columns=asked.new_columns))
    said = PushAnswer(accepted=kept.accepted, repeated=kept.repeated, durability="durable", counts_in=views)
    if kept.forgotten:
        said["forgotten"] = kept.forgotten
    return to_response(said)
