"""Shell completion: commands, options, line names. It imports no operation, since a person waits at the Tab key."""

import ast
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from linewright.errors import RequestError
from linewright.operations.declare import Entry
from linewright.operations.parameter import function_name
from linewright.store.files.rights import as_asked, make_asked_folder

COMPLETE_VAR = "_LINEWRIGHT_COMPLETE"
"""Environment variable by which a shell asks for completions."""
PROGRAM = "linewright"

_LINE_PARAMETERS = ("line", "lines")
_SCRIPTS = {
    "bash": ".local/share/linewright/complete.bash",
    "zsh": ".local/share/linewright/complete.zsh",
    "fish": ".config/fish/completions/linewright.fish",
}
_STARTUP_FILES = {"bash": ".bashrc", "zsh": ".zshrc"}
_BEFORE = {"zsh": "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"}

RootOf = Callable[[click.Context], Path]
"""Finds the factory folder that a half-written command line is about."""


def answer(command: click.Command, instruction: str) -> int:
    """Answer the shell's question on stdout and return the exit code."""
    return shell_complete(command, {}, PROGRAM, COMPLETE_VAR, instruction)


def script(command: click.Command, shell: str) -> str:
    """Return the script that teaches a shell to complete; ``auto`` means the shell of the user."""
    name = _shell(shell)
    kind = get_completion_class(name)
    if kind is None:
        raise RequestError("no completion for this shell", found=name, allowed=", ".join(_SCRIPTS))
    return _BEFORE.get(name, "") + kind(command, {}, PROGRAM, COMPLETE_VAR).source()


def install(command: click.Command, shell: str, home: Path) -> str:
    """Write the script below `home`, have the shell read it at its start, and say so; twice is once."""
    name = _shell(shell)
    file = home / _SCRIPTS[name]
    make_asked_folder(file.parent)
    file.write_text(script(command, name))
    as_asked(file)
    if name in _STARTUP_FILES:
        startup, line = home / _STARTUP_FILES[name], f"source '{file}'"
        before = startup.read_text() if startup.exists() else ""
        if line not in before.splitlines():
            startup.write_text(before + ("\n" if before and not before.endswith("\n") else "") + line + "\n")
    return f"completion for {name} is installed in {file}; it works in the next {name}"


def sketch(
    name: str, entry: Entry, shared: Sequence[click.Parameter], root_of: RootOf
) -> click.Command | None:
    """Return a command that knows what may be written after `name`, read from the source of the operation."""
    function = _function(entry, function_name(name))
    if function is None:
        return None
    arguments = [*function.args.posonlyargs, *function.args.args][1:]
    parameters = [_argument(each, root_of, nargs=-1 if "tuple[" in _type(each) else 1) for each in arguments]
    if function.args.vararg:
        parameters.append(_argument(function.args.vararg, root_of, nargs=-1))
    options = [_option(each) for each in function.args.kwonlyargs]
    return click.Command(name, params=[*parameters, *options, *shared])


def first_words(operations: Mapping[str, Entry], incomplete: str, before: str = "") -> list[CompletionItem]:
    """Return the words that may come next in a command's name, each with its summary."""
    found: dict[str, CompletionItem] = {}
    for name, entry in operations.items():
        word = name.removeprefix(before).split(" ")[0]
        if name.startswith(before) and word.startswith(incomplete):
            found.setdefault(word, CompletionItem(word, help=entry.summary))
    return list(found.values())


class Beginning(click.Command):
    """The first word of a command of two, while the second is being written."""

    def __init__(self, word: str, operations: Mapping[str, Entry]) -> None:
        super().__init__(word)
        self._operations = operations

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the second words."""
        del ctx
        return first_words(self._operations, incomplete, before=f"{self.name} ")


def _shell(shell: str) -> str:
    name = Path(os.environ.get("SHELL", "")).name if shell == "auto" else shell
    if name not in _SCRIPTS:
        raise RequestError("no completion for this shell", found=name, allowed=", ".join(_SCRIPTS))
    return name


def _function(entry: Entry, name: str) -> ast.FunctionDef | None:
    spec = find_spec(entry.module)
    if spec is None or spec.origin is None:
        return None
    body = ast.parse(Path(spec.origin).read_bytes()).body
    return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _argument(argument: ast.arg, root_of: RootOf, *, nargs: int) -> click.Argument:
    name = argument.arg.removesuffix("_")
    if name not in _LINE_PARAMETERS:
        return click.Argument([name], type=_completed_type(_type(argument)), nargs=nargs, required=False)

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        # What reads line files takes long to import.
        names = import_module("linewright.line.file.sites").declared_lines(root_of(ctx) / "lines")
        return [CompletionItem(each) for each in names if each.startswith(incomplete)]

    return click.Argument([name], nargs=nargs, required=False, shell_complete=complete)


def _option(argument: ast.arg) -> click.Option:
    name, kind = argument.arg.removesuffix("_"), _type(argument)
    flags = [name, f"--{name.replace('_', '-')}"]
    if kind == "bool":
        return click.Option(flags, is_flag=True)
    return click.Option(flags, type=_completed_type(kind))


def _type(argument: ast.arg) -> str:
    return ast.unparse(argument.annotation) if argument.annotation else "str"


def _completed_type(kind: str) -> click.ParamType:
    if "Literal[" in kind:
        inside = kind.partition("Literal[")[2].partition("]")[0]
        return click.Choice([str(choice) for choice in ast.literal_eval(f"[{inside}]")])
    return click.Path() if "Path" in kind else click.STRING
