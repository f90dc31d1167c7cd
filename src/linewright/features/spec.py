"""What a file of a feature view may say: ``features/NAME.yaml``."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Annotated, Any, cast

from pydantic import Field, model_validator

from linewright.data.spec import (
    KNOWN,
    VERSION_DELETED,
    VERSION_KNOWN,
    AnySource,
    ColumnType,
    Duration,
    Group,
    PushSource,
    SourceSpec,
    SqlSource,
)
from linewright.errors import SpecError
from linewright.features.facts import NO_TIME, Otherwise, ViewColumn, ViewFacts, ViewInput
from linewright.features.views.aggregates import (
    NUMERIC,
    Aggregate,
    Argument,
    Kind,
    read_aggregate,
    read_condition,
    refuse_columns,
)
from linewright.spec import Spec
from linewright.store.pushed_rows import SOURCE
from linewright.text.durations import duration_micros
from linewright.text.lists import read_list, to_list_text
from linewright.text.suggest import listed, nearest

VIEW_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class ViewSpec(Spec):
    """Columns about an entity, such as a customer, from rows of one source: of each moment what was known then."""

    view: Annotated[str, Field(pattern=VIEW_NAME)]
    """The view's name, as in `features/NAME.yaml`: small letters, digits, underscores and hyphens."""
    about: str = ""
    """One sentence for people."""
    owner: str | None = None
    """Who answers for the view."""
    source: AnySource
    """What holds the rows: a source as in a line file."""
    push: Annotated[str, Field(pattern=f"^{SOURCE}$")] | None = None
    """Name that newer rows are sent to, which count besides those of `source`: ``POST /v1/sources/NAME/rows``. They have `key` and the other
    columns of the source but `known`, which is when they came. Of a key that is in both, the row that was known last counts."""
    entity: Group
    """Column of the source that says whom a row is about, or several; a line's table has columns of the same names."""
    time: str
    """Column of the source that says when a row happened (default: `time` of a source with `push`, else `known`), or ``none``: rows hold at
    all times, as far back as the table goes."""
    known: str | None = None
    """Column that says when a row could have been known (default: `time`). A row counts from then on."""
    key: str | None = None
    """Column that says what a row is about: a row with the same value that is known later corrects the earlier one (default: no row does)."""
    deleted: str | None = None
    """Column that is true in rows that delete what has their `key`."""
    where: str | None = None
    """Condition that rows have to satisfy, e.g. ``status <> 'test'``; others do not count."""
    ttl: Duration | None = None
    """How old, by `time`, the row of a ``last(…)`` may be, e.g. ``90d`` (default: any)."""
    zone: str | None = None
    """IANA time zone of naive times (default: UTC)."""
    every: Duration = "1h"
    """How often `linewright up` writes what is known for endpoints; rows that are sent to a source with `push` count within a second."""
    max_age: Duration | None = None
    """How long ago what is known may have been written when a request comes (default: any time)."""
    otherwise: Otherwise = "answer"
    """What is done with a request if that is longer ago, or nothing is known of its entity: ``answer`` from what there is, ``default`` to nulls, or ``refuse``."""
    columns: Annotated[dict[str, str], Field(min_length=1, max_length=500)]
    """Columns by name, each one of ``sum``, ``mean``, ``min``, ``max``, ``count``, ``distinct`` or ``share`` of something ``over`` a time,
    ``last(COLUMN)`` or ``since()``: ``sum(amount) over 30d``."""

    @classmethod
    def implied(cls, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the time of rows that are sent, if their source says it; of others, when they were known."""
        source, known = said.get("source"), said.get("known")
        if isinstance(source, PushSource):
            return {"time": source.time or KNOWN}
        if isinstance(source, SqlSource) and source.has_history:
            known = VERSION_KNOWN
        return {"time": known} if known else {}

    @model_validator(mode="before")
    @classmethod
    def _with_versions(cls, said: Any) -> Any:
        """Rows that are sent, and those of a history, are known when they came, all versions of them, and are about what their source says."""
        source: Any = cast("dict[str, Any]", said).get("source") if isinstance(said, dict) else None
        parts = source.model_dump() if isinstance(source, PushSource | SqlSource) else source
        if not isinstance(parts, dict):
            return said
        parts = cast("dict[str, Any]", parts)
        if "push" in parts:
            source, known = {**parts, "known": True, "versions": "all"}, KNOWN
        elif "sql" in parts and parts.get("cursor"):
            known = VERSION_KNOWN
        else:
            return said
        return said | {
            "source": source,
            "known": said.get("known") or known,
            "key": said.get("key") or parts.get("key"),
        }

    @classmethod
    def of(cls, facts: ViewFacts, now: "ViewSpec") -> "ViewSpec":
        """Return the view that a model has learned from, with the rows that the view has now."""
        return cls(
            view=facts.view,
            source=now.source,
            push=now.push,
            entity=facts.entity[0] if len(facts.entity) == 1 else to_list_text(facts.entity),
            time=facts.time,
            known=facts.known,
            key=facts.key,
            deleted=facts.deleted,
            where=facts.where,
            zone=facts.zone,
            columns={column.name: column.text for column in facts.columns},
        )

    @property
    def sent(self) -> PushSource | None:
        """Where rows are sent that count besides those of `source`."""
        if self.push is None or self.key is None:
            return None
        time = None if self.time == self.known else self.time
        return PushSource(push=self.push, key=self.key, time=time, versions="all")

    @property
    def newer(self) -> PushSource | None:
        """Where rows are sent that count within a second: `source` itself, or `sent`."""
        return self.source if isinstance(self.source, PushSource) else self.sent

    @property
    def settings(self) -> Mapping[str, Any]:
        """What endpoints follow and no model learns, as `views.records.RecordsHeader` has it."""
        return {
            "push": None if self.newer is None else self.newer.push,
            "has_table": self.sent is not None,
            "max_age": None if self.max_age is None else duration_micros(self.max_age),
            "otherwise": self.otherwise,
        }

    @property
    def sources(self) -> tuple[SourceSpec, ...]:
        """What holds its rows: `source`, and `sent` if there is any."""
        return (self.source,) if self.sent is None else (self.source, self.sent)

    @property
    def entities(self) -> tuple[str, ...]:
        """The columns that `entity` names."""
        return tuple(read_list(self.entity)) if self.entity.startswith('["') else (self.entity,)

    @cached_property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """What its columns compute."""
        ttl = None if self.ttl is None else duration_micros(self.ttl)
        return tuple(
            read_aggregate(name, text, where=f"columns.{name}", ttl=ttl)
            for name, text in self.columns.items()
        )

    @cached_property
    def condition(self) -> Argument | None:
        """What rows have to satisfy."""
        return None if self.where is None else read_condition(self.where, where="where")

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Columns of the source whose values it reads."""
        return tuple(dict.fromkeys(name for one in self._arguments for name in one.columns))

    @property
    def holds_always(self) -> bool:
        """Whether its rows hold at all times."""
        return self.time == NO_TIME

    @property
    def named(self) -> Mapping[str, str]:
        """Columns of the source that it names outside `columns` and `where`, by the place that names them."""
        time = None if self.holds_always else self.time
        places = {"time": time, "known": self.known, "key": self.key, "deleted": self.deleted}
        entities = {
            "entity" if len(self.entities) == 1 else f"entity[{number}]": name
            for number, name in enumerate(self.entities)
        }
        return {**entities, **{place: name for place, name in places.items() if name is not None}}

    def mistakes(self) -> Iterator[SpecError]:
        """Give what no type of a field can refuse, each with its place in the file; nothing is read for it."""
        for name in self.columns:
            if not name.strip() or name in self.entities:
                yield SpecError(
                    "a column of the view has this name already" if name.strip() else "a column needs a name",
                    where=f"columns.{name}",
                    found=name,
                    hint="name it otherwise",
                )
            try:
                read_aggregate(name, self.columns[name], where=f"columns.{name}")
            except SpecError as error:
                yield error
        if isinstance(self.source, PushSource) and self.known != KNOWN:
            yield SpecError(
                "rows that are sent are known when they came",
                where="known",
                found=self.known,
                allowed=KNOWN,
                hint="leave `known` out",
            )
        if self.deleted is not None and self.key is None:
            yield SpecError(
                "a row deletes what has its key, and no column is named as the key",
                where="deleted",
                found=self.deleted,
                hint="add key: COLUMN",
            )
        try:
            _ = self.condition
        except SpecError as error:
            yield error
        yield from self._mistakes_of_history()
        yield from self._mistakes_of_push()
        yield from self._mistakes_of_no_time()
        if self.ttl is not None and duration_micros(self.ttl) == 0:
            yield SpecError("no row is so young", where="ttl", found=self.ttl, allowed="above 0, e.g. 90d")

    def _mistakes_of_history(self) -> Iterator[SpecError]:
        """Refuse what would take versions for others: a deletion has the values of the row that is gone."""
        if not isinstance(self.source, SqlSource) or not self.source.has_history:
            return
        if self.known != VERSION_KNOWN:
            yield SpecError(
                "the versions of a row are known when they came to be known",
                where="known",
                found=self.known,
                hint=f"leave it out, and say known: {self.known} in the source",
            )
        if self.key != self.source.key:
            yield SpecError(
                "the rows of a source with a cursor have its key",
                where="key",
                found=self.key,
                allowed=str(self.source.key),
                hint="leave `key` out",
            )

    def _mistakes_of_push(self) -> Iterator[SpecError]:
        """Refuse rows of two places of which nothing says which are the same, or which is newer."""
        if self.push is None:
            return
        if isinstance(self.source, PushSource):
            yield SpecError(
                "rows are sent to the source already",
                where="push",
                found=self.push,
                hint="leave `push` out, or name a source of rows of the past",
            )
            return
        for place, why in (
            ("key", "which rows of the source are those that were sent"),
            ("known", "which row of a key is newer, the one that was sent or that of the source"),
        ):
            if getattr(self, place) is None:
                yield SpecError(
                    f"nothing says {why}", where="push", found=self.push, hint=f"add {place}: COLUMN"
                )

    def _mistakes_of_no_time(self) -> Iterator[SpecError]:
        """Refuse what needs times, and rows of which it is known when they were known."""
        if not self.holds_always:
            return
        if self.known is not None or self.push is not None:
            yield SpecError(
                "the rows hold from when they were known on",
                where="time",
                found=self.time,
                hint="leave `time` out",
            )
        if self.ttl is not None:
            yield SpecError("the rows have no age", where="ttl", found=self.ttl, hint="leave `ttl` out")
        for name, text in self.columns.items():
            with suppress(SpecError):
                one = read_aggregate(name, text)
                if one.function == "since" or one.over is not None:
                    yield SpecError(
                        "the rows have no time",
                        where=f"columns.{name}",
                        found=text,
                        allowed="last(COLUMN)",
                        hint="name the column of the time",
                    )

    @property
    def deletions(self) -> tuple[str, ...]:
        """The columns of the source that are true in rows that delete their key."""
        said = () if self.deleted is None else (self.deleted,)
        return (*said, VERSION_DELETED) if self.source.has_history else said

    def refuse_source(self, kinds: Mapping[str, str]) -> None:
        """Refuse a source that has not what the view reads."""
        for place, name in self.named.items():
            if name not in kinds:
                near = nearest(name, kinds)
                raise SpecError(
                    "the source has no such column",
                    where=place,
                    found=name,
                    allowed=listed(list(kinds)),
                    hint=f"did you mean {near!r}?"
                    if near
                    else "name a column of the source, or make it in its query",
                )
        for place in ("time", "known"):
            name = self.named.get(place)
            if name is not None and kinds[name] not in {"date", "datetime"}:
                raise SpecError(
                    f"{name!r} is not a time in all rows: it is a {kinds[name]}",
                    where=place,
                    found=name,
                    allowed="a column of dates or times",
                    hint="correct the rows that have another value, or make a time of it in the query of the source",
                )
        if self.deleted is not None and kinds[self.deleted] not in {"boolean", "integer"}:
            raise SpecError(
                f"{self.deleted!r} is a {kinds[self.deleted]}",
                where="deleted",
                found=self.deleted,
                allowed="true and false, or 1 and 0",
            )
        for one in self.aggregates:
            one.refuse_types(kinds, "columns")
        if self.condition is not None:
            refuse_columns(self.condition, kinds, "where")

    def suiting_type(self, name: str) -> ColumnType:
        """Return the type that a column of the source has to have: of one without values, no other is known."""
        if name in {self.time, self.known}:
            return "datetime"
        needs = {
            one.needs for argument in self._arguments for one in argument.condition if one.column == name
        }
        if name == self.deleted or "boolean" in needs:
            return "boolean"
        of_numbers = {
            one.argument.column for one in self.aggregates if one.argument and one.function in NUMERIC
        }
        return "number" if name in of_numbers or "number" in needs else "category"

    @property
    def _arguments(self) -> tuple[Argument, ...]:
        found = (*(one.argument for one in self.aggregates), self.condition)
        return tuple(one for one in found if one is not None)

    def facts(self, kinds: Mapping[str, Kind]) -> ViewFacts:
        """Return the view as a model learns from it."""
        return ViewFacts(
            view=self.view,
            entity=self.entities,
            columns=tuple(
                ViewColumn(name=one.name, text=one.text, type=one.kind(kinds)) for one in self.aggregates
            ),
            inputs=tuple(ViewInput(name=name, type=kinds[name]) for name in self.inputs),
            time=self.time,
            known=self.known,
            key=self.key,
            deleted=self.deleted,
            where=None if self.condition is None else self.condition.text,
            zone=self.zone,
        )
