"""The step ``explain``: what a package makes of its columns, and what a plain linear model says of the same rows."""

import msgspec
import numpy as np

from linewright.features.encode_table import encode_table
from linewright.line.run_context import Work
from linewright.line.split_rows import label_text, weights
from linewright.line.steps.evaluate import ask_test_rows
from linewright.model.column_readers import readers_of
from linewright.model.evaluate.linear_baseline import fit_linear, is_plain, rows_to_learn
from linewright.model.explain.report import explanation
from linewright.model.facts import Explanation, Linear
from linewright.model.train.scored_rows import Scored, to_bytes


def explain_step(work: Work) -> Explanation:
    """Explain the scores of the package on the test rows; where it decides is no part of that."""
    asked = ask_test_rows(work, work.parity.package)
    if work.trained.encoder.listed:
        losses = work.rules.row_loss(asked.rows.truth, asked.rows.scores)
        return Explanation(
            package=work.parity.package,
            split=work.known["split"],
            loss=work.rules.objective,
            value=float(f"{losses.mean():.6g}"),
            columns=1,
            shuffled=(),
            together=(),
            rows=0,
            repeats=0,
            not_explained="lists-items" if work.trained.encoder.items else "says-steps",
        )
    seed = asked.rows.seed
    told = explanation(asked.model, asked.held_out, split=work.known["split"], seed=seed)
    return msgspec.structs.replace(told, linear=_linear(work, asked.x, seed))


def _linear(work: Work, x: np.ndarray, seed: int) -> Linear | None:
    """Ask a plain linear model; nothing where the model is one, or was imported and reads columns in its own way."""
    trained, rules, artifacts = work.trained, work.rules, work.factory.artifacts
    if rules.learns_good or trained.adopted or is_plain(trained):
        return None
    rows = work.rows.train[rows_to_learn(len(work.rows.train), x.shape[1], seed=seed)]
    frame = work.rows.frame[rows]
    said = fit_linear(
        x=encode_table(
            trained.encoder,
            frame,
            readers=readers_of(trained.encoder, artifacts.get, work.factory.features_of),
        ),
        target=rules.target(label_text(frame, work.spec.label.column), trained.classes),
        weight=weights(frame, work.spec),
        categorical=trained.encoder.categorical,
        task=rules.name,
        classes=len(trained.classes),
        test_x=x,
        seed=seed,
    )
    if said is None:
        return None
    scored: str | None = None
    if said.probability is not None:
        kept = Scored(
            rows=rows[said.learned].astype(np.int64), probability=said.probability, weight=said.weight
        )
        scored = artifacts.put(to_bytes(kept))
    return Linear(
        scores=artifacts.put(said.scores.astype("<f8").tobytes()), rows=len(said.learned), scored=scored
    )
