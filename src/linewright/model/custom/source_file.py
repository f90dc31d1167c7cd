"""A file of Python that comes with a line: looked at without being run."""

import ast
from collections.abc import Iterator

from linewright.errors import UserCodeError
from linewright.text.suggest import nearest


def find_function(data: bytes, *, file: str, function: str) -> str:
    r"""Return where a file defines a function, as ``FILE:LINE``; nothing in it is run.

    Examples
    --------
    >>> find_function(b"import math\n\ndef build():\n    return None\n", file="models.py", function="build")
    'models.py:3'
    """
    try:
        tree = ast.parse(data, filename=file)
    except SyntaxError as error:
        raise UserCodeError(
            f"the file is not readable as Python: {error.msg}",
            where=f"{file}:{error.lineno or 1}",
            hint="correct that line; python -m py_compile FILE says the same",
        ) from error
    except ValueError as error:  # bytes that no source has
        raise UserCodeError(f"the file is not readable as Python: {error}", where=file) from error
    names = dict(_names(tree.body))
    if function not in names and "*" not in names:
        # What is imported may be meant, but is not what the file is for.
        own = dict(_names(tree.body, imported=False))
        near = nearest(function, own) or nearest(function, names)
        raise UserCodeError(
            "the file has no such function",
            where=file,
            found=function,
            allowed=", ".join(name for name in own if not name.startswith("_"))
            or "none: the file defines nothing",
            hint=f"did you mean {near!r}?"
            if near
            else "write FILE.py:FUNCTION with the name of a function in it",
        )
    return f"{file}:{names.get(function, 1)}"


def _names(body: list[ast.stmt], *, imported: bool = True) -> Iterator[tuple[str, int]]:
    """Give the names that statements bind, each with its line; those that stand within an `if` or `try` too."""
    for one in body:
        match one:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield one.name, one.lineno
            case ast.Import() | ast.ImportFrom() if imported:
                yield from ((each.asname or each.name.partition(".")[0], one.lineno) for each in one.names)
            case ast.Assign() | ast.AnnAssign():
                targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                found = (node for target in targets for node in ast.walk(target))
                yield from ((node.id, one.lineno) for node in found if isinstance(node, ast.Name))
            case ast.If() | ast.With() | ast.For() | ast.While():
                yield from _names([*one.body, *getattr(one, "orelse", [])], imported=imported)
            case ast.Try():
                handlers = [each for handler in one.handlers for each in handler.body]
                yield from _names([*one.body, *handlers, *one.orelse, *one.finalbody], imported=imported)
            case _:
                pass
