"""How well and how fast a line recommends, beside alternating least squares of `implicit` on the same events.

    python benchmarks/recommend.py --data FOLDER [--peers PYTHON]
    python benchmarks/recommend.py --world SEEDS

FOLDER holds ``online_retail_dec2010_feb2011.csv.gz``. Events before a moment, four fifths of them, make a line by its own file and `run`;
what each of its users takes later that the user did not have before is right. All items are ranked, those of the history left out.
Users and items that did not exist at the moment are counted: nobody can recommend these items. PYTHON is one with ``implicit`` (`peers.txt`): five
settings of ALS learn from the same matrix, and the best of them on these very test users is shown, which flatters it; the line chooses on
training rows alone. Intervals are from a bootstrap of users, differences are paired by user.

Then the time of one answer of ten items, in CPU of this process, from the list of a history to the answer, by items and by the length of the history.

With ``--world``, the world `shop` instead, whose true probabilities are known: the true value of the lists of a line for all visits of its live
days, beside popular items and the best lists, by seed; and how often the 95 % interval of the off-policy estimate holds the true value of
the lists of the line itself, and of a later model that other lists than its own are logged of, over visits drawn from those days.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linewright.features.facts import Encoder, HistoryItem
from linewright.interfaces.python.factory import Factory
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.evaluate.off_policy import ShownList, value_of_lists
from linewright.model.facts import Calibration, Package, RequestColumn, Trained
from linewright.model.package.model import Model, load, open_model
from linewright.model.recommend.candidates import Weights
from linewright.model.recommend.graph import Lists, to_graph
from linewright.model.tasks.explore import explored, pools
from linewright.serve.rows.scorer import Scorer
from linewright.store.values import digest_of_bytes
from linewright.worlds.shop.living import popular_items
from linewright.worlds.shop.world import ShopWorld

Floats = NDArray[np.float64]
FILE = "online_retail_dec2010_feb2011.csv.gz"
SETTINGS = ((32, 0.01), (64, 0.01), (64, 0.1), (128, 0.01), (128, 0.1))
"""Factors and regularisation of ALS."""
LINE = """\
line: retail
sources: {sales: {file: before.csv}}
table: {group: user, time: at}
label: {column: item}
contract: {columns: {user: {type: category}, item: {type: category}, at: {type: datetime}}}
train: {task: recommend, budget: normal}
recommend: {history: 500}
"""
ALS = """\
import json, sys
import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

threadpool_limits(1, "blas")
given = np.load(sys.argv[1])
x = sparse.csr_matrix((np.ones(len(given["item"]), np.float32), (given["user"], given["item"])))
lists = []
for factors, regularization in json.loads(sys.argv[2]):
    model = AlternatingLeastSquares(factors=factors, regularization=regularization, iterations=20, random_state=1, num_threads=1)
    model.fit(x, show_progress=False)
    found, _ = model.recommend(given["asked"], x[given["asked"]], N=10, filter_already_liked_items=True)
    lists.append(found.tolist())
print(json.dumps(lists))
"""


# How good


def events(folder: Path) -> pl.DataFrame:
    """Return who bought what and when, of customers that are known and of what was not given back."""
    raw = pl.read_csv(folder / FILE, infer_schema_length=None)
    kept = raw.filter(pl.col("CustomerID").is_not_null() & (pl.col("Quantity") > 0))
    return kept.select(
        user=pl.col("CustomerID").cast(pl.Int64).cast(pl.String),
        item=pl.col("StockCode").cast(pl.String),
        at=pl.col("InvoiceDate").str.slice(0, 19),
    ).sort("at", maintain_order=True)


def truths(before: pl.DataFrame, after: pl.DataFrame) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """Return what each user had, the newest last, and what users that had something took later for the first time."""
    had: dict[str, dict[str, None]] = {}
    for user, item in before.select("user", "item").iter_rows():
        own = had.setdefault(user, {})
        own.pop(item, None)
        own[item] = None
    later: dict[str, set[str]] = {}
    for user, item in after.select("user", "item").iter_rows():
        if user in had and item not in had[user]:
            later.setdefault(user, set()).add(item)
    return {user: list(own) for user, own in had.items()}, later


def ndcg(listed: list[str], taken: set[str]) -> float:
    """Return the normalised discounted cumulative gain of ten items, by its definition."""
    gain = sum(1 / np.log2(rank + 2) for rank, item in enumerate(listed[:10]) if item in taken)
    return float(gain / sum(1 / np.log2(rank + 2) for rank in range(min(10, len(taken)))))


def by_als(python: str, had: dict[str, list[str]], asked: list[str]) -> list[list[list[str]]]:
    """Return the lists of each setting of ALS for the users that are asked about."""
    users, items = sorted(had), sorted({item for own in had.values() for item in own})
    place, code = ({name: number for number, name in enumerate(names)} for names in (users, items))
    pairs = [(place[user], code[item]) for user, own in had.items() for item in own]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "taken.npz"
        np.savez(
            file,
            user=np.array([user for user, _ in pairs]),
            item=np.array([item for _, item in pairs]),
            asked=np.array([place[user] for user in asked]),
        )
        command = [python, "-c", ALS, str(file), json.dumps(SETTINGS)]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(said.stdout.splitlines()[-1])
    return [[[items[one] for one in row] for row in lists] for lists in found]


def interval(values: Floats, seed: int = 1) -> str:
    """Return the mean of values with a 95 % interval from a bootstrap."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (4_000, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():.3f} | {low:.3f} to {high:.3f}"


def quality(folder: Path, peers: str | None) -> None:
    """Print how good lists are."""
    every = events(folder)
    cut = every["at"][int(0.8 * every.height)]
    before, after = every.filter(pl.col("at") < cut), every.filter(pl.col("at") >= cut)
    had, later = truths(before, after)
    asked = sorted(later)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "lines").mkdir()
        (root / "lines" / "retail.yaml").write_text(LINE)
        before.write_csv(root / "before.csv")
        started = time.process_time()
        with Factory.create(root) as factory:
            ran = execute_inline(factory, "retail")
            took = time.process_time() - started
            model = load(find_model(factory, "retail").digest, factory.artifacts.get)
            chosen = factory.metadata.get(model.package.trained, Trained).chosen
    scorer = Scorer(model)
    answers = scorer.score([{"history": had[user]} for user in asked])
    own = np.array([ndcg(one["prediction"], later[user]) for one, user in zip(answers, asked, strict=True)])
    counts: dict[str, int] = {}
    for items in had.values():
        for item in items:
            counts[item] = counts.get(item, 0) + 1
    order = sorted(counts, key=lambda item: (-counts[item], item))
    popular = np.array(
        [ndcg([one for one in order if one not in set(had[user])][:10], later[user]) for user in asked]
    )
    future = {item for one in later.values() for item in one} - counts.keys()
    listed = {item for one in answers for item in one["prediction"]}
    print(
        f"{before.height:,} events before {cut}, {after.height:,} after; {len(asked)} users of both with new items; "
        f"{after['user'].n_unique() - len(set(after['user']) & had.keys())} users and {len(future)} items came later; "
        f"{len(listed & future)} of these items are listed. The line ({took:.0f} s of CPU, run and all; its own certificate: {ran.verdict}) chose {chosen}.\n"
    )
    print("| what | ndcg@10 | 95 % | the line has more | 95 % |\n|---|---:|---|---:|---|")
    rows: list[tuple[str, Floats]] = [("the line", own), ("popularity", popular)]
    if peers is not None:
        tried = [
            np.array([ndcg(one, later[user]) for one, user in zip(lists, asked, strict=True)])
            for lists in by_als(peers, had, asked)
        ]
        best = max(range(len(tried)), key=lambda number: tried[number].mean())
        rows.append((f"ALS, best of five ({SETTINGS[best][0]} factors, {SETTINGS[best][1]:g})", tried[best]))
    for name, values in rows:
        apart = "| |" if values is own else f"{interval(own - values)} |"
        print(f"| {name} | {interval(values)} | {apart}")


# In a world whose truth is known

WORLD = """\
line: shop
sources: {sales: {file: sales.csv}}
table: {group: customer, time: at}
label: {column: item}
contract: {columns: {customer: {type: category}, item: {type: category}, at: {type: datetime}}}
on_new_column: ignore
train: {task: recommend, budget: quick}
recommend: {again: true, explore: 0.1}
"""
LATER = 12
"""Days after which the later model is made."""
VISITS, DRAWS = 3_000, 25
"""Lists that are logged, and how often for each seed and model."""


def models(world: ShopWorld) -> list[Model]:
    """Return the model of a line when it goes live, and the one that it makes `LATER` days afterwards."""
    found: list[Model] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "lines").mkdir()
        (root / "lines" / "shop.yaml").write_text(WORLD)
        world.bought(range(world.go_live)).write_csv(root / "sales.csv")
        with Factory.create(root) as factory:
            for days in (world.go_live, world.go_live + LATER):
                world.bought(range(days)).write_csv(root / "sales.csv")
                digest = execute_inline(factory, "shop").digest
                found.append(load(digest, factory.artifacts.get))
    return found


def held(world: ShopWorld, logging: Model, other: Model) -> tuple[int, int]:
    """Return how many intervals hold the true value of another model's lists, and how many there are."""
    days = [world.day(number) for number in range(world.go_live, world.days)]
    histories = [history for day in days for history in day.visits["history"].to_list()]
    scores = [
        one.scores(Scorer(one).matrix([{"history": history} for history in histories]))
        for one in (logging, other)
    ]
    best, wanted = (one.answers(said) for one, said in zip((logging, other), scores, strict=True))
    pool = [[item for item, _ in one] for one in pools(scores[0], logging.package.encoder.items)]
    starts = np.cumsum([0, *(day.visits.height for day in days)])
    own = [list(one["prediction"]) for one in wanted]
    truth = sum(
        chance.sum()
        for day, start, end in zip(days, starts[:-1], starts[1:], strict=True)
        for chance in world.taking(day, own[start:end])
    ) / len(histories)
    liking = {item: code for code, item in enumerate(world.items)}
    table, looks = np.vstack([world.attraction(day) for day in days]), world.looks(10)
    inside, made_of = 0, 0
    for number in range(DRAWS):
        chance = np.random.default_rng((world.seed, number))
        visits = chance.integers(0, len(histories), VISITS)
        said = explored(
            [best[visit] for visit in visits],
            scores[0][visits],
            logging.package.encoder.items,
            share=0.1,
            ids=[f"{world.seed}/{number}/{place}" for place in range(VISITS)],
        )
        shown: list[ShownList] = []
        for visit, one in zip(visits.tolist(), said, strict=True):
            items = one["prediction"]
            luck = chance.random(len(items))
            at = table[visit, [liking[item] for item in items]] * looks[: len(items)]
            shown.append(
                ShownList(
                    items=items,
                    propensities=one["propensities"],
                    taken=[item for item, p, u in zip(items, at, luck, strict=True) if u < p],
                    pool=pool[visit],
                    is_drawn=one["explored"],
                )
            )
        found = value_of_lists([own[visit] for visit in visits], shown)
        if found.low is not None and found.high is not None:
            made_of += 1
            inside += found.low <= truth <= found.high
    return inside, made_of


def in_world(seeds: int) -> None:
    """Print how much lists are worth, and how often the interval of the estimate holds that."""
    print("| seed | the line | popularity | the best lists |\n|---:|---:|---:|---:|")
    apart: list[float] = []
    counts = np.zeros((2, 2), dtype=np.int64)
    for seed in range(1, seeds + 1):
        world = ShopWorld(seed)
        first, later = models(world)
        scorer, days = Scorer(first), [world.day(number) for number in range(world.go_live, world.days)]
        popular = popular_items(world, before=world.go_live)[:10]
        values: list[tuple[float, float, float]] = []
        for day in days:
            asked = [{"history": history} for history in day.visits["history"].to_list()]
            lists = [one["prediction"] for one in scorer.score(asked)]
            values.append(
                (
                    world.value(day, lists),
                    world.value(day, [popular] * len(lists)),
                    world.value(day, world.best_lists(day, length=10)),
                )
            )
        own, other, most = np.mean(values, axis=0)
        apart.append(own - other)
        print(f"| {seed} | {own:.3f} | {other:.3f} | {most:.3f} |")
        for place, model in enumerate((first, later)):
            counts[place] += held(world, first, model)
    mean, error = np.mean(apart), np.std(apart, ddof=1) / np.sqrt(seeds)
    print(
        f"\nThe line's lists are worth {mean:.3f} items more than popular ones ({mean - 2.09 * error:.3f} to {mean + 2.09 * error:.3f}, "
        f"over {seeds} seeds).\n\n| lists of | intervals | that hold the truth |\n|---|---:|---:|"
    )
    for name, (inside, of) in zip(("the model that was logged", "the later model"), counts, strict=True):
        print(f"| {name} | {of} | {inside / max(of, 1):.1%} |")


# How fast


def made(items: int, length: int) -> Model:
    """Return a model of so many items whose weights are drawn."""
    chance = np.random.default_rng(items)
    names = tuple(f"item {number:06}" for number in range(items))
    weights = Weights(dense=chance.normal(size=(items, items)).astype(np.float32))
    shares = chance.random(items).astype(np.float32)
    graph = to_graph(weights, Lists(shares=shares, length=length, shown=10, again=False))
    encodings = [
        HistoryItem(column="history", place=place, items=names if place == 0 else ())
        for place in range(length)
    ]
    package = Package(
        task="recommend",
        label="item",
        classes=(),
        key=None,
        columns=(RequestColumn(name="history", type="list", nullable=False),),
        encoder=Encoder(encodings=tuple(encodings)),
        graph=digest_of_bytes(graph),
        graph_bytes=len(graph),
        calibration=Calibration(),
        threshold=None,
        half_width=None,
        golden="",
        trained="",
    )
    return open_model(package, graph)


def speed() -> None:
    """Print the time of one answer."""
    print("\n| items | history | p50 ms of CPU | p99 |\n|---:|---:|---:|---:|")
    for items in (2_000, 8_000):
        scorer = Scorer(made(items, 100))
        for length in (10, 40, 100):
            chance, times = np.random.default_rng(length), list[float]()
            for _ in range(500):
                history = [f"item {number:06}" for number in chance.integers(0, items, length).tolist()]
                rows: Any = [{"history": history}]
                started = time.process_time()
                scorer.answers(scorer.matrix(rows))
                times.append((time.process_time() - started) * 1e3)
            p50, p99 = np.quantile(times[20:], [0.5, 0.99])
            print(f"| {items:,} | {length} | {p50:.2f} | {p99:.2f} |")


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers")
    parser.add_argument("--world", type=int, metavar="SEEDS")
    given = parser.parse_args()
    if given.world is not None:
        in_world(given.world)
        return 0
    if given.data is None:
        parser.error("name --data FOLDER or --world SEEDS")
    quality(given.data, given.peers)
    speed()
    return 0


if __name__ == "__main__":
    sys.exit(main())
