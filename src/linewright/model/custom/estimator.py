"""A scikit-learn-compatible estimator as a family of models: fitted by its own library, and plain data from then on.

The fitted estimator is asked about a few rows and converted at once; what was converted is judged, calibrated, packaged and served
like any other model, and the estimator is let go.
"""

import inspect
import re
import sys
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline

from linewright.engine.machine import more_memory
from linewright.errors import LinewrightError, RequestError, UserCodeError
from linewright.model.custom.convert import Live, NoExportError, convert, spread
from linewright.model.facts import Task
from linewright.model.families.fitted import Fitted
from linewright.model.families.onnx_model import WholeFitted
from linewright.model.families.reference_outputs import unit_of
from linewright.model.families.tree_arrays import GrownFitted
from linewright.model.tasks import link_of
from linewright.model.tasks.links import Floats, Matrix, Valid

OWN_MODULE = "linewright_line_"
"""How the module of a line's own file begins, in which classes that it defines are looked for."""
ALLOWED = 1e-5
"""Largest difference between an estimator and what it was converted to, as `parity` allows."""

_WITNESSES, _WITNESS_CELLS = 256, 1 << 16
"""Most rows that an estimator is asked about, and most of their numbers."""
_SINGLE = ("lightgbm.", "xgboost.", "sklearn.tree.", "sklearn.ensemble._forest")
"""Modules of estimators that compare float32 numbers."""
_SURE = 1e-3
"""How far the probabilities of a row may be from a sum of 1."""
_LIBRARIES = frozenset({"sklearn", "lightgbm", "xgboost"})
"""Packages whose classes may be exported."""
_UNLIKE = (TypeError, ValueError, LookupError, AttributeError)
"""What a `fit` raises that expects rows and classes in another form."""
_SAID = 400
"""Most characters of somebody else's error that are repeated."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where estimators come from, for errors."""

    name: str
    """What it is called in a sentence, e.g. ``build in models.py``."""
    section: str
    """The word of the line file that asks for it, e.g. ``train.python``."""
    at: str
    """What errors name where no line of `file` is known, e.g. ``models.py:12``."""
    file: str = ""
    """Name of the file whose lines errors name, as tracebacks have it."""


@dataclass(frozen=True, kw_only=True)
class Maker(Origin):
    """What gives estimators."""

    make: Callable[[], Any]
    """Returns an unfitted estimator, a new one each time."""


@contextmanager
def others_code(what: str, origin: Origin, *, hint: str = "") -> Generator[None]:
    """Run code that came with the line; whatever it raises is told with its file and line, and what it prints goes to stderr."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except LinewrightError:
        raise
    # Also SystemExit, which would end the worker; the one place where anything may come.
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        raise UserCodeError(
            f"{what} failed: {type(error).__name__}: {text[:_SAID]}"
            if text
            else f"{what} failed: {type(error).__name__}",
            where=_line(error.__traceback__, origin.file) or origin.at,
            hint=more_memory()
            if isinstance(error, MemoryError)
            else _hint(text) or (hint if _is_of_form(error) else ""),
        ) from error


def _is_of_form(error: BaseException) -> bool:
    # A setting that the library refuses is a ValueError too, and says itself what is allowed.
    return isinstance(error, _UNLIKE) and type(error).__name__ != "InvalidParameterError"


def _form_of(task: Task) -> str:
    """Say in which form rows and classes come, which a notebook may have had otherwise."""
    rows = "rows come as an array of numbers, not as a table: name columns by their places"
    if not link_of(task).is_class:
        return f"{rows}; the label comes as numbers, so it takes a regressor"
    return f"{rows}; classes come as codes, 0, 1, ... in the order of the classes (of two, the positive one is 1), not by their names"


def _line(traceback: TracebackType | None, file: str) -> str:
    """Return the innermost place in a file that an error came through."""
    found = ""
    while traceback is not None:
        if file and traceback.tb_frame.f_code.co_filename == file:
            found = f"{file}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def _hint(text: str) -> str:
    if "NaN" in text or "nan" in text.split() or "missing values" in text:
        return (
            "numbers without a value come as NaN: put a step that fills them before the estimator (sklearn.impute.SimpleImputer), "
            "or take one that reads them"
        )
    if "unknown categor" in text:
        return "categories come as codes, 0 for rare and new ones: OneHotEncoder(handle_unknown='ignore')"
    return ""


class EstimatorTrainer:
    """An estimator as a `Trainer`. Settings, rounds and watched rows are not read: the estimator has its own.

    It gets numbers (float64, float32 for trees that compare those; NaN where there is none), codes of categories, and codes of classes from 0; a seed for each
    `random_state` that it leaves open; and the weights of rows where its `fit` takes ``sample_weight``.
    """

    def __init__(self, maker: Maker, names: tuple[str, ...] = ()) -> None:
        self.family = maker.section.partition(".")[2]
        self._maker, self._names = maker, names

    def fit(
        self,
        x: Matrix,
        target: npt.NDArray[Any],
        weight: Floats,
        *,
        categorical: tuple[int, ...],
        task: Task,
        classes: int,
        rounds: int | None,  # noqa: ARG002 -- the seam's
        valid: Valid | None,  # noqa: ARG002
        seed: int,
        settings: Mapping[str, Any],  # noqa: ARG002
    ) -> Fitted:
        """Fit an estimator to rows, and convert it; see `Trainer.fit`."""
        maker = self._maker
        estimator = made(maker, task)
        is_class = link_of(task).is_class
        codes = np.unique(target).astype(np.int64) if is_class else np.empty(0, dtype=np.int64)
        y = np.searchsorted(codes, target) if is_class else target
        seeded(estimator, seed)
        rows = _as_read(estimator, x)
        with others_code(f"fit of {named(estimator)}", maker, hint=_form_of(task)):
            estimator.fit(rows, y, **_weights(estimator, weight))
        live = Live(
            estimator=estimator,
            task=task,
            classes=classes,
            codes=codes,
            width=x.shape[1],
            asked=_some(x, seed),
            said=np.empty(0),
            refuses=(),
        )
        return self._exported(self._asked(live, x, categorical), x, categorical)

    def _asked(self, live: Live, x: Matrix, categorical: tuple[int, ...]) -> Live:
        """Ask the estimator about rows, rows without a value, and codes that no row has."""
        asked = live.asked
        said = self._answers(live, asked)
        if categorical:
            unseen = asked[:16].copy()
            unseen[:, list(categorical)] = 0.0
            new = self._answers(live, unseen)
            asked, said = np.concatenate([asked, unseen]), np.concatenate([said, new])
        numbers = [i for i in range(x.shape[1]) if i not in set(categorical)]
        known = [i for i in numbers if not np.isnan(x[:, i]).any()]
        refuses = self._refused(live, asked[0], known)
        return replace(live, asked=asked, said=said, refuses=refuses)

    def _refused(self, live: Live, row: npt.NDArray[np.float32], columns: list[int]) -> tuple[int, ...]:
        """Return the columns without whose number the estimator does not answer; training had a number in all their rows."""

        def answers(places: list[int]) -> bool:
            without = np.tile(np.nan_to_num(row), (len(places), 1))
            without[np.arange(len(places)), places] = np.nan
            try:
                self._answers(live, without)
            except UserCodeError:
                return False
            return True

        if answers(columns):
            return ()
        return tuple(columns) if len(columns) > 500 else tuple(i for i in columns if not answers([i]))

    def _answers(self, live: Live, x: Matrix) -> Floats:
        """Return probabilities of all classes, or numbers."""
        own, maker = live.estimator, self._maker
        is_class = live.link.is_class
        verb = "predict_proba" if is_class else "predict"
        if not len(x):
            return np.zeros((0, live.classes)) if is_class else np.zeros(0)
        with others_code(f"{verb} of {named(own)}", maker):
            found = np.asarray(getattr(own, verb)(_as_read(own, x)), dtype=np.float64)
        wanted = (len(x), len(live.codes)) if is_class else (len(x),)
        if not is_class and found.shape == (len(x), 1):
            found = found[:, 0]
        if found.shape != wanted:
            raise self._unlike(
                f"{verb} of {named(own)} answers in another shape", str(found.shape), str(wanted)
            )
        if not np.isfinite(found).all():
            bad = int((~np.isfinite(found.reshape(len(x), -1)).all(axis=1)).sum())
            raise self._unlike(
                f"{verb} of {named(own)} gives no finite answer",
                f"NaN or infinity for {bad} of {len(x)} rows",
                "numbers",
            )
        if is_class and (found.min() < -_SURE or np.abs(found.sum(axis=1) - 1).max() > _SURE):
            row = found[int(np.abs(found.sum(axis=1) - 1).argmax())]
            raise self._unlike(
                f"{verb} of {named(own)} gives no probabilities",
                str(row.round(4).tolist()),
                "numbers from 0 to 1 that sum to 1",
            )
        return spread(found, live.codes, live.classes) if is_class else found

    def _unlike(self, what: str, found: str, allowed: str) -> UserCodeError:
        return UserCodeError(
            what, where=self._maker.at, found=found, allowed=allowed, hint="return another estimator"
        )

    def _exported(self, live: Live, x: Matrix, categorical: tuple[int, ...]) -> Fitted:
        """Convert the estimator, and require that it answers as before."""
        try:
            return self._converted(live, x, categorical)
        except NoExportError as error:
            raise no_export(live.estimator, str(error), self._maker) from error

    def _converted(self, live: Live, x: Matrix, categorical: tuple[int, ...]) -> Fitted:
        live = replace(live, estimator=_bare(live.estimator))
        fitted = convert(live)
        if (apart := _difference(fitted, live.asked, live.said)) > ALLOWED:
            raise NoExportError(
                f"what it is converted to answers otherwise (by {apart:.3g}, {ALLOWED:g} is allowed)"
            )
        more = self._answered_otherwise(live, fitted, x, categorical)
        if not more:
            return fitted
        if lost := [i for i in more if np.isnan(x[:, i]).any()]:
            raise NoExportError(
                f"what it is converted to answers otherwise where {self._column(lost[0])} has no value; a step that fills "
                "missing numbers, such as SimpleImputer, would help"
            )
        return convert(replace(live, refuses=tuple(sorted({*live.refuses, *more}))))

    def _answered_otherwise(
        self, live: Live, fitted: Fitted, x: Matrix, categorical: tuple[int, ...]
    ) -> list[int]:
        """Return the columns without whose value the converted estimator answers otherwise than the estimator itself."""
        if not isinstance(fitted, GrownFitted | WholeFitted):
            return []  # its own library answers
        columns = [i for i in range(x.shape[1]) if i not in {*categorical, *live.refuses}]
        rows = live.asked[np.arange(len(columns)) % len(live.asked)].copy()
        rows[np.arange(len(columns)), columns] = np.nan
        # Other columns of such a row may be ones that it refuses.
        rows[:, list(live.refuses)] = np.nan_to_num(rows[:, list(live.refuses)])
        if not columns:
            return []
        said, told = self._answers(live, rows), fitted.scores(rows)
        unit = _unit(live.said)
        apart = np.abs(said - told).reshape(len(rows), -1).max(axis=1) / unit
        return [column for column, off in zip(columns, apart, strict=True) if not off <= ALLOWED]

    def _column(self, place: int) -> str:
        return repr(self._names[place]) if place < len(self._names) else f"column {place}"


def made(maker: Maker, task: Task) -> Any:
    """Return a new estimator."""
    with others_code(maker.name, maker):
        estimator = maker.make()
    verb = "predict_proba" if link_of(task).is_class else "predict"
    if isinstance(estimator, type):
        raise UserCodeError(
            f"{maker.name} returns a class, not an estimator",
            where=maker.at,
            found=estimator.__name__,
            allowed=f"an unfitted estimator with fit and {verb}",
            hint=f"return {estimator.__name__}()",
        )
    if _is_fitted(estimator):
        raise UserCodeError(
            f"{maker.name} returns an estimator that is fitted already",
            where=maker.at,
            found=named(estimator),
            allowed=f"an unfitted estimator with fit and {verb}, a new one at each call",
            hint="return it unfitted: it is fitted here, once for each fold and once for all rows",
        )
    lacking = [name for name in ("fit", verb) if not callable(getattr(estimator, name, None))]
    if lacking:
        raise UserCodeError(
            f"{maker.name} returns something without {' and '.join(lacking)}",
            where=maker.at,
            found=named(estimator),
            allowed=f"an unfitted estimator with fit and {verb}",
            hint="a task of classes needs a classifier that gives probabilities; wrap one that gives none in CalibratedClassifierCV"
            if lacking == ["predict_proba"]
            else "return a scikit-learn-compatible estimator",
        )
    return estimator


def named(estimator: Any) -> str:
    """Return what an estimator is called in a sentence."""
    last = _last(estimator)
    name = type(last).__name__
    return name if last is estimator else f"a pipeline that ends with {name}"


def _last(estimator: Any) -> Any:
    """Return the last step of a pipeline, of that within its last step too; else the estimator itself."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def _is_fitted(estimator: Any) -> bool:
    """Return whether an estimator of a known library is fitted; of another's class nobody can tell."""
    last = _last(estimator)
    if _library(last) not in _LIBRARIES:
        return False
    if callable(own := getattr(last, "__sklearn_is_fitted__", None)):
        return bool(own())
    # By the rule of scikit-learn's developers, what was learned ends with an underscore.
    return any(name.endswith("_") and not name.startswith("_") for name in vars(last))


def _library(part: Any) -> str:
    return type(part).__module__.partition(".")[0]


def spelled(estimator: Any) -> str:
    """Return an estimator with its settings, in one line."""
    return _spelled(estimator)[:_SAID]


def _spelled(value: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Addresses differ from process to process, and what is told is part of the record.
        return re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(repr(value).split()))


def require_alike(one: Any, other: Any, maker: Maker) -> None:
    """Require that a function which was called twice alike returned the same setting twice.

    Else each fold judges another estimator than the one that serves, and no rebuild can tell which it was.
    """
    first, second = _settings(one), _settings(other)
    for name in [*first, *(name for name in second if name not in first)]:
        found = [found.get(name, "nothing") for found in (first, second)]
        if found[0] != found[1]:
            raise UserCodeError(
                f"{maker.name} returns another estimator each time that it is called",
                where=maker.at,
                found=f"{name or type(one).__name__}: {found[0][:100]}, then {found[1][:100]}",
                allowed="the same estimator for the same arguments: it is made once for each fold and once for all rows",
                hint="what it draws by chance it should draw from the line's seed: take a parameter `seed`, and draw from "
                "numpy.random.default_rng(seed)",
            )


def _settings(estimator: Any) -> dict[str, str]:
    """Return the settings of an estimator and of all in it, by name; of one that tells none, how it is spelled."""
    kind = {"": type(estimator).__name__}
    if not callable(getattr(estimator, "get_params", None)):
        return {"": _spelled(estimator)}
    own = estimator.get_params(deep=True)
    # What has settings is told by these, and what is made of such things too.
    return kind | {name: _spelled(value) for name, value in own.items() if not _has_parts(value)}


def _has_parts(value: Any) -> bool:
    values = value if isinstance(value, list | tuple) else [value]
    return any(hasattr(one, "get_params") or isinstance(one, list | tuple) for one in values)


def no_export(estimator: Any, why: str, maker: Maker) -> RequestError:
    """Return the error for an estimator that cannot be exported."""
    strange = next((one for one in _pieces(estimator) if _library(one) not in _LIBRARIES), None)
    blamed = estimator if strange is None else strange
    kind = type(blamed)
    # Where the file of the line is run it has a name that nobody gave it.
    whence = maker.file if kind.__module__.startswith(OWN_MODULE) else kind.__module__
    if strange is not None and strange is not estimator:
        why = f"its step {kind.__name__}, of {whence}, is no class of scikit-learn, and {why}"
    return RequestError(
        f"{named(estimator)} cannot be exported to ONNX: {why}. It would have to be served out of process, by a Python server of its "
        "own, which Linewright does not do: an endpoint runs no code but its own",
        where=maker.section,
        found=f"{kind.__qualname__} of {whence}",
        allowed="estimators and pipelines of scikit-learn that skl2onnx converts, and those of LightGBM and XGBoost by themselves",
        hint=f"give another estimator, or take {maker.section.replace('.', ': ')} out of the line file, and the built-in engine trains",
    )


def seeded(estimator: Any, seed: int) -> None:
    """Give a seed to every `random_state` that is left open, and one thread to trees whose `n_jobs` is."""
    for one in _parts(estimator):
        own = one.get_params(deep=False)
        given = {"random_state": seed} if own.get("random_state", seed) is None else {}
        # Those take all processors where nothing is said, and what comes out depends on how many there are.
        if type(one).__module__.partition(".")[0] in {"lightgbm", "xgboost"} and own.get("n_jobs", 1) is None:
            given["n_jobs"] = 1
        if given:
            one.set_params(**given)


def _parts(estimator: Any) -> list[Any]:
    """Return an estimator and those in it, as far as they say what they are made of."""
    if not callable(getattr(estimator, "get_params", None)) or isinstance(estimator, type):
        return []
    inner = (one for one in estimator.get_params(deep=True).values() if hasattr(one, "set_params"))
    found = [estimator, *(one for one in inner if not isinstance(one, type))]
    return list({id(one): one for one in found}.values())


def _pieces(estimator: Any) -> list[Any]:
    """Return all that is fitted within an estimator, and the estimator itself."""
    if not callable(getattr(estimator, "get_params", None)) or isinstance(estimator, type):
        return [estimator]
    inner = [one for one in estimator.get_params(deep=True).values() if callable(getattr(one, "fit", None))]
    return [*(one for one in inner if not isinstance(one, type)), estimator]


def takes_weights(estimator: Any) -> bool:
    """Return whether `fit` of an estimator, of the last step of a pipeline, or of what is searched, takes weights of rows."""
    return bool(_weight_name(estimator))


def _weight_name(estimator: Any) -> str:
    """Return the name by which `fit` takes weights of rows; empty where it takes none."""
    if isinstance(estimator, Pipeline):
        step, last = estimator.steps[-1]
        inner = _weight_name(last)
        return f"{step}__{inner}" if inner else ""
    if isinstance(estimator, GridSearchCV | RandomizedSearchCV):
        return _weight_name(estimator.estimator)
    try:
        return "sample_weight" if "sample_weight" in inspect.signature(estimator.fit).parameters else ""
    except (TypeError, ValueError, AttributeError):
        return ""


def _bare(estimator: Any) -> Any:
    """Return what answers within an estimator: what a search found best, or the only step of a pipeline."""
    if isinstance(estimator, GridSearchCV | RandomizedSearchCV):
        return _bare(getattr(estimator, "best_estimator_", estimator.estimator))
    if isinstance(estimator, Pipeline) and len(estimator.steps) == 1:
        return _bare(estimator.steps[0][1])
    return estimator


def libraries_of(estimator: Any) -> dict[str, str]:
    """Return the versions of the packages that an estimator and the steps in it come from."""
    parts = [estimator, *_parts(estimator)]
    owners = _owners(tuple((path, _changed_at(path)) for path in sys.path))
    found: dict[str, str] = {}
    for module in sorted({type(one).__module__.partition(".")[0] for one in parts}):
        for name in sorted(set(owners.get(module, ()))):
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue
    return found


@lru_cache(maxsize=1)
def _owners(_folders: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    """Return the packages that each module comes from; to read what is installed takes a tenth of a second, each fit asks."""
    return packages_distributions()


def _changed_at(path: str) -> int:
    try:
        return Path(path or ".").stat().st_mtime_ns
    except OSError:
        return 0


def _as_read(estimator: Any, x: Matrix) -> npt.NDArray[Any]:
    """Return rows as an estimator reads them: in double, unless it compares float32 numbers anyway and a copy would cost twice the memory."""
    return x if type(estimator).__module__.startswith(_SINGLE) else x.astype(np.float64)


def _weights(estimator: Any, weight: Floats) -> dict[str, Floats]:
    name = _weight_name(estimator)
    return {name: weight} if name and np.ptp(weight) else {}


def _some(x: Matrix, seed: int) -> Matrix:
    """Return some rows, half of them as they are and half with each number from another row."""
    n = max(2, min(_WITNESSES, _WITNESS_CELLS // x.shape[1]) // 2)
    chance = np.random.default_rng(seed)
    rows = np.unique(np.linspace(0, len(x) - 1, min(n, len(x))).astype(np.int64))
    mixed = x[chance.integers(len(x), size=(len(rows), x.shape[1])), np.arange(x.shape[1])]
    return np.concatenate([x[rows], mixed])


def _unit(said: Floats) -> float:
    return 1.0 if said.ndim == 2 else unit_of(said)


def _difference(fitted: Fitted, x: Matrix, said: Floats) -> float:
    found = fitted.scores(x)
    apart = float(np.abs(found - said).max(initial=0.0)) / _unit(said)
    return apart if np.isfinite(apart) else float("inf")
