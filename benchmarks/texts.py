"""Lines on few labelled texts: grams, an encoder of sentences, and what folds choose; beside TF-IDF with a linear model. Same rows for all.

    python benchmarks/texts.py --data FOLDER [--draws N] [--labels N …]

FOLDER holds ``sms_spam.csv`` and ``movielens_small_items.csv``. Of each table a few labelled rows are drawn; a line with `train.sentences: never`,
`always` and `auto` learns from them, and 2,000 other rows are predicted by its model. `linewright run` takes a fifth of the labelled rows for
its own test part; the rival learns from the same rows as the model. CPU seconds are of a run.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline

from linewright.data.facts import Dataset, Split
from linewright.features.encode_table import encode_table
from linewright.line.factory import Factory
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.split_rows import read_rows
from linewright.model.facts import SentenceEncoderChoice, Trained
from linewright.model.package.model import load

JUDGED = 2_000
WAYS = ("never", "always", "auto")
FORM = """\
line: {name}
sources: {{rows: {{file: rows.csv}}}}
table: {{key: id}}
label: {{column: label, positive: "yes"}}
contract: {{columns: {{text: {{type: text}}}}}}
train: {{task: binary, budget: quick, sentences: {way}}}
"""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts."""

    name: str
    load: Callable[[Path], pl.DataFrame]
    """Returns `text` and `label`, "yes" or "no"."""


def _sms(folder: Path) -> pl.DataFrame:
    frame = pl.read_csv(folder / "sms_spam.csv")
    return _as_table(frame["message"].to_list(), (frame["label"] == "spam").to_list())


def _comedies(folder: Path) -> pl.DataFrame:
    frame = pl.read_csv(folder / "movielens_small_items.csv")
    frame = frame.drop_nulls(["title", "genres"])
    return _as_table(frame["title"].to_list(), ["Comedy" in genres for genres in frame["genres"].to_list()])


def _as_table(texts: list[str], is_positive: list[bool]) -> pl.DataFrame:
    labels = ["yes" if one else "no" for one in is_positive]
    return pl.DataFrame({"id": range(len(texts)), "text": texts, "label": labels}).unique(
        "text", maintain_order=True
    )


TABLES = (Table(name="SMS: spam", load=_sms), Table(name="film titles: comedy", load=_comedies))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--labels", type=int, nargs="+", default=[80, 250])
    given = parser.parse_args()
    print(f"Average precision on {JUDGED:,} other rows, mean of {given.draws} draws; CPU s of a run.\n")
    print(
        "| table | labels | TF-IDF + linear | grams | with sentences | auto | auto chose sentences | CPU s: grams, auto |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for table in TABLES:
        frame = table.load(given.data)
        for labels in given.labels:
            drawn = [_draw(frame, labels, seed) for seed in range(given.draws)]
            found = {name: np.mean([one[name] for one in drawn]) for name in drawn[0]}
            print(
                f"| {table.name} | {labels} | {found['rival']:.3f} | {found['never']:.3f} | {found['always']:.3f} | {found['auto']:.3f} "
                f"| {found['chose']:.0%} | {found['never s']:.1f}, {found['auto s']:.1f} |",
                flush=True,
            )


def _draw(frame: pl.DataFrame, labels: int, seed: int) -> dict[str, float]:
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    labelled, others = mixed.head(labels), mixed[labels : labels + JUDGED]
    wanted = (others["label"] == "yes").to_numpy()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "lines").mkdir()
        labelled.write_csv(root / "rows.csv")
        for way in WAYS:
            (root / "lines" / f"{way}.yaml").write_text(FORM.format(name=way, way=way))
        with Factory.create(root) as factory:
            for way in WAYS:
                began = time.process_time()
                execute_inline(factory, way)
                found[f"{way} s"] = time.process_time() - began
                version = find_model(factory, f"{way}@1")
                model = load(version.digest, factory.artifacts.get)
                scores = model.scores(encode_table(model.package.encoder, others, readers=model.readers))
                found[way] = float(average_precision_score(wanted, scores[:, 1]))
                trained = factory.metadata.get(model.package.trained, Trained)
            sentence_encoder = trained.sentence_encoder
            assert isinstance(sentence_encoder, SentenceEncoderChoice)
            found["chose"] = float(sentence_encoder.choice == "sentences")
            learned = _learned(factory, trained)
    rival: Any = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10.0, max_iter=1_000)
    )
    rival.fit(learned["text"].to_list(), (learned["label"] == "yes").to_numpy())
    found["rival"] = float(
        average_precision_score(wanted, rival.predict_proba(others["text"].to_list())[:, 1])
    )
    return found


def _learned(factory: Factory, trained: Trained) -> pl.DataFrame:
    """Return the rows that the model learned from."""
    metadata = factory.metadata
    rows = read_rows(factory, metadata.get(trained.dataset, Dataset), metadata.get(trained.split, Split))
    return rows.frame[rows.train]


if __name__ == "__main__":
    main()
