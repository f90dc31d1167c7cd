"""Asks a server everything that its OpenAPI document allows and forbids, and lists where the answers are not what the document says."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)
SEED = 20_261_202


def misfits(
    document: Mapping[str, Any],
    base_url: str,
    *,
    examples: int,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    is_excused: Callable[[str, str, Failure], bool] = lambda _operation, _check, _failure: False,
) -> tuple[list[str], Counter[str]]:
    """Return what is wrong with answers, one of a kind, and how many requests were made, by operation.

    Parameters
    ----------
    examples
        How many requests are made up for each operation, beside those at the limits of its schema.
    timeout_s
        Seconds in which each must be answered, as the document says.
    headers
        Of each request, such as who asks.
    without
        Operations, as METHOD PATH, that are not asked.
    is_excused
        Takes operation, check and failure, and says whether no schema can say it.
    """
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "base-url": base_url,
            "headers": dict(headers or {}),
            "request-timeout": timeout_s,
            "workers": 1,
            "continue-on-failure": True,
            "suppress-health-check": ["all"],
            "generation": {
                "max-examples": examples,
                "deterministic": True,
                "database": "none",
                "no-shrink": True,
            },
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "phases": {"stateful": {"enabled": False}, "examples": {"enabled": False}},
        }
    )
    schema = schemathesis.openapi.from_dict(dict(document), config=config)
    schema = schema.exclude(lambda one: one.operation.label in without) if without else schema
    found: dict[tuple[str, str, str], str] = {}
    asked: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            found[event.label, "error", type(event.value).__name__] = str(event.value)
        if isinstance(event, events.FatalError):
            raise event.exception
        if not isinstance(event, events.ScenarioFinished):
            continue
        asked[event.recorder.label] += len(event.recorder.interactions)
        for case, checks in event.recorder.checks.items():
            for check in checks:
                if check.failure_info is None:
                    continue
                failure = check.failure_info.failure
                if is_excused(event.recorder.label, check.name, failure):
                    continue
                key = (event.recorder.label, check.name, failure.title)
                interaction = event.recorder.interactions.get(case)
                status = (
                    ""
                    if interaction is None or interaction.response is None
                    else interaction.response.status_code
                )
                found.setdefault(key, f"{failure} ({status}) {check.failure_info.code_sample}")
    return [" / ".join((*key, text)) for key, text in found.items()], asked
