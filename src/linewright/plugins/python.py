"""An estimator that a function of the user's returns: ``train: {python: "FILE.py:FUNCTION"}``.

The file is run from the bytes that were planned, in the process that trains, and nowhere else.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from linewright.errors import UserCodeError
from linewright.model.custom.estimator import (
    OWN_MODULE,
    EstimatorTrainer,
    Maker,
    Origin,
    libraries_of,
    made,
    others_code,
    require_alike,
    spelled,
    takes_weights,
)
from linewright.model.custom.source_file import find_function
from linewright.model.reasons import NamedInFile
from linewright.model.train.search import Asked, Offered
from linewright.model.train.settings import Setting
from linewright.store.values import digest_of_bytes

SECTION = "train.python"


def offer(asked: Asked, *, file: str, function: str, data: bytes, root: Path) -> Offered:
    """Return the estimator of a user's function as the only setting."""
    at = find_function(data, file=file, function=function)
    origin = Origin(name=f"{function} in {file}", section=SECTION, at=at, file=file)
    found = _function(data, origin, file=file, function=function, root=root)
    told = _told(found, asked, origin)
    maker = Maker(name=origin.name, make=partial(found, **told), section=SECTION, at=at, file=file)
    estimator = made(maker, asked.rows.task)
    require_alike(estimator, made(maker, asked.rows.task), maker)
    is_weighted = bool(asked.rows.weight[asked.rows.learned].std() > 0)
    return Offered(
        setting=Setting(
            name=function,
            family="python",
            settings={"estimator": spelled(estimator), "code": digest_of_bytes(data)},
        ),
        trainer=EstimatorTrainer(maker, asked.names),
        by=NamedInFile(
            function=function,
            file=file,
            estimator=spelled(estimator),
            takes_weights=not is_weighted or takes_weights(estimator),
        ),
        libraries=libraries_of(estimator),
    )


def _function(data: bytes, origin: Origin, *, file: str, function: str, root: Path) -> Callable[..., Any]:
    """Run the file, and return its function."""
    before = set(sys.modules)
    # Kept under a name of its own, where classes that it defines are looked for.
    module = ModuleType(f"{OWN_MODULE}{digest_of_bytes(data).partition(':')[2][:16]}")
    module.__file__ = str(root / file)
    sys.modules[module.__name__] = module
    with others_code(f"running {file}", origin):
        code: CodeType = compile(data, file, "exec")
        exec(code, module.__dict__)  # noqa: S102 -- it is the user's own code, in the process that trains
    _refuse_neighbours(set(sys.modules) - before, root, file)
    found = getattr(module, function, None)
    if not callable(found):
        raise UserCodeError(
            f"{function} is no function",
            where=origin.at,
            found=type(found).__name__,
            allowed="a function that returns an unfitted estimator",
            hint=f"write def {function}(): return ...",
        )
    return found


def _refuse_neighbours(names: set[str], root: Path, file: str) -> None:
    """Refuse modules from the factory's folder: the digest of the file says nothing of them, so that a rebuild would not either."""
    for name in sorted(names):
        where = getattr(sys.modules.get(name), "__file__", None)
        if not where or name.startswith(OWN_MODULE):
            continue
        path = Path(where).resolve()
        if path.is_relative_to(root) and not {"site-packages", "dist-packages"} & set(path.parts):
            raise UserCodeError(
                f"{file} imports {name} from the factory's folder, whose changes nobody would notice",
                where=file,
                found=str(path.relative_to(root)),
                allowed="what is in the file itself, and installed packages",
                hint="move what it needs into the file, or install it as a package",
            )


def _are_rows(names: list[str]) -> bool:
    """Return whether parameters are called as rows and truth are: who wrote them means to fit."""
    return {"x", "y"} <= {name.lower().partition("_")[0] for name in names}


def _told(found: Callable[..., Any], asked: Asked, origin: Origin) -> Mapping[str, Any]:
    """Return what a function asks for by the names of its parameters."""
    rows = asked.rows
    offered = {
        "columns": asked.names,
        "categorical": rows.categorical,
        "task": rows.task,
        "classes": rows.classes,
        "seed": rows.seed,
    }
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return {}
    kinds = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    needed = [
        one.name
        for one in parameters
        if one.default is inspect.Parameter.empty and one.kind not in kinds and one.name not in offered
    ]
    if needed:
        raise UserCodeError(
            f"{origin.name} needs arguments that nobody gives",
            where=origin.at,
            found=", ".join(needed),
            allowed=f"no argument, or some of {', '.join(offered)}",
            hint="return it unfitted, from a function that takes no rows: it is fitted here, once for each fold and once for all rows"
            if _are_rows(needed)
            else "give the others a default",
        )
    return {
        one.name: offered[one.name]
        for one in parameters
        if one.name in offered and one.kind is not inspect.Parameter.POSITIONAL_ONLY
    }
