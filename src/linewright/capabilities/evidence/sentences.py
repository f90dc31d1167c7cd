"""Sentences of results, beside the values that they are made of: results hold no sentence."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import convert

from linewright.data.facts import Split
from linewright.data.split_text import split_in_words
from linewright.line.record.monitoring.alerts import proposal_because
from linewright.model.explanation_text import explanation_in_words
from linewright.model.facts import Certificate, Decision, Explanation, Trained
from linewright.model.gates.text import certificate_in_words, gate_in_words, outcome_in_words
from linewright.model.reason_text import (
    chosen_in_words,
    pictures_in_words,
    recent_in_words,
    sample_in_words,
    sentence_encoder_in_words,
    shared_in_words,
    threshold_in_words,
)
from linewright.store.protocols import Metadata
from linewright.watch.facts import RetrainProposal


def with_sentences(metadata: Metadata, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a result with the sentences that people read of it."""
    if body["kind"] == "retrain_proposal":
        return body | {"because": proposal_because(metadata, convert(body, RetrainProposal))}
    return body | _SENTENCES.get(body["kind"], lambda _: {})(body)


def _split(body: dict[str, Any]) -> dict[str, Any]:
    return {"why": split_in_words(convert(body, Split))}


def _trained(body: dict[str, Any]) -> dict[str, Any]:
    trained = convert(body, Trained)
    told = {"chosen_because": chosen_in_words(trained)}
    if trained.sample:
        told["sample_because"] = sample_in_words(trained.sample)
    if trained.shared:
        told["shared_because"] = shared_in_words(trained.shared)
    if trained.sentence_encoder:
        told["sentence_encoder_because"] = sentence_encoder_in_words(trained.sentence_encoder)
    if trained.pictures:
        told["pictures_because"] = pictures_in_words(trained.pictures)
    if trained.recent:
        told["recent_because"] = recent_in_words(trained.recent, trained.task)
    return told


def _certificate(body: dict[str, Any]) -> dict[str, Any]:
    certificate = convert(body, Certificate)
    told = [{"gate": gate_in_words(one), "says": outcome_in_words(one)} for one in certificate.outcomes]
    outcomes = [{**one, **sentences} for one, sentences in zip(body["outcomes"], told, strict=True)]
    return {"because": certificate_in_words(certificate), "outcomes": outcomes}


def _decision(body: dict[str, Any]) -> dict[str, Any]:
    reason = convert(body, Decision).reason
    return {"because": threshold_in_words(reason) if reason else ""}


def _explanation(body: dict[str, Any]) -> dict[str, Any]:
    told = explanation_in_words(convert(body, Explanation))
    return {name: told[name] for name in ("slices", "missed", "unexplained") if told[name]}


_SENTENCES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "certificate": _certificate,
    "decision": _decision,
    "explanation": _explanation,
    "split": _split,
    "trained": _trained,
}
