"""The command line, built from the table of operations. Only the command that is used imports its operation."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from linewright import __version__
from linewright.errors import LinewrightError, NotFound, RequestError, panics_explained
from linewright.interfaces.cli import complete
from linewright.interfaces.cli.options import (
    FACTORY_FILE,
    click_parameter,
    described,
    plain,
    shared_options,
    texts,
)
from linewright.interfaces.cli.show import (
    ProgressLine,
    has_colour,
    json_text,
    render,
    render_error,
    terminal_width,
)
from linewright.operations.declare import Entry, NextProgram, Operation, load, to_json
from linewright.operations.parameter import nearest
from linewright.serve.access.accounts import read_accounts
from linewright.serve.access.authenticate import local_identity
from linewright.serve.access.refused import Refused
from linewright.serve.access.rights import Identity
from linewright.store.clock import user
from linewright.store.files.disk import faults_explained
from linewright.store.files.rights import asked_umask

OpenFactory = Callable[[Path, ProgressLine, bool, Identity], AbstractContextManager[Any]]
"""(folder, callback for progress, whether it need not hold a factory, who asks) → what operations take first."""
TOKEN_VAR = "LINEWRIGHT_TOKEN"  # noqa: S105 -- the name of the variable
"""Environment variable whose token says who asks."""
_ADDRESSED = frozenset({"login", "logout"})
"""Commands that are given the address of a control plane; the factory here, or that of the environment, is not theirs."""
FACTORY_VAR = "LINEWRIGHT_FACTORY"
"""Environment variable that names the factory: its folder, or its control plane."""
_STATE = ".linewright"
_SCHEMES = ("http://", "https://")

INTERRUPTED, PIPE_CLOSED, BUG = 130, 141, 70
"""Exit codes beside those of `linewright.errors`: 128 + SIGINT, 128 + SIGPIPE, and EX_SOFTWARE of sysexits.h."""

_INTRODUCTION = """\
An AI factory in one package: one line file from data to a gated, served model.

\b
Three commands to start with:
  linewright new NAME --data FILE --label COLUMN   look at the data and write lines/NAME.yaml
  linewright run NAME                              train a model, judge it, promote or refuse it
  linewright up                                    serve it on 127.0.0.1:8000
"""


class Settings(NamedTuple):
    """What is said once for any command, before its name or after it."""

    root: Path
    address: str
    """Of the control plane of a remote factory; empty for the folder `root`."""
    as_json: bool
    quiet: bool

    @classmethod
    def of(cls, ctx: click.Context) -> "Settings":
        """Read them from a command's context; what stands after the name wins."""
        own, before = ctx.params, ctx.find_root().params
        given = own.get("factory") or before.get("factory") or os.environ.get(FACTORY_VAR)
        if ctx.command.name in _ADDRESSED:
            given = None
        return cls(
            root=Path(given) if given else find_factory(Path.cwd()),
            address=given if given and given.lower().startswith(_SCHEMES) else "",
            as_json=bool(own.get("json") or before.get("json")),
            quiet=bool(own.get("quiet") or before.get("quiet")),
        )


def run(argv: Sequence[str], operations: Mapping[str, Entry], open_factory: OpenFactory) -> int:
    """Carry out one command line and return its exit code."""
    try:
        code = _run(argv, operations, open_factory)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whatever is still buffered goes nowhere, so that the interpreter does not complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return code


def find_factory(start: Path) -> Path:
    """Return the nearest folder upward that holds a factory, else `start`."""
    return next((folder for folder in (start, *start.parents) if (folder / FACTORY_FILE).is_file()), start)


class CommandLine(click.Group):
    """All operations as commands, each imported when it is used."""

    def __init__(self, operations: Mapping[str, Entry], open_factory: OpenFactory) -> None:
        super().__init__(
            complete.PROGRAM,
            help=_INTRODUCTION,
            params=[*shared_options(), *_own_options()],
            callback=_show_help,
            invoke_without_command=True,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        )
        self._operations, self._open = operations, open_factory

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, in the order of help."""
        del ctx
        return list(self._operations)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one operation and return its command; `None` where there is none of that name."""
        if cmd_name not in self._operations:
            return None
        if ctx.resilient_parsing:
            entry = self._operations[cmd_name]
            return complete.sketch(cmd_name, entry, shared_options(), lambda inner: Settings.of(inner).root)
        return OperationCommand(load(cmd_name, self._operations), self._open)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with, of two words if there is one."""
        two = " ".join(args[:2])
        name, rest = (two, args[2:]) if two in self._operations else (args[0], args[1:])
        command = self.get_command(ctx, name)
        if command is None and ctx.resilient_parsing:
            return name, complete.Beginning(name, self._operations), rest
        if command is None:
            raise _no_command(name, self._operations)
        return name, command, rest

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the form of a command line."""
        formatter.write_usage(ctx.command_path, "COMMAND [ARGUMENTS] [OPTIONS]")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by group, from the table; no operation is imported."""
        del ctx
        width = max((len(name) for name in self._operations), default=0)
        for group in dict.fromkeys(entry.group for entry in self._operations.values()):
            entries = [(name, entry) for name, entry in self._operations.items() if entry.group == group]
            with formatter.section(group):
                formatter.write_dl([(name.ljust(width), entry.summary) for name, entry in entries])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands before the options: they are what people look for."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what may come next: commands, or options where a hyphen was written."""
        words = complete.first_words(self._operations, incomplete)
        return [*words, *click.Command.shell_complete(self, ctx, incomplete)]


class OperationCommand(click.Command):
    """One operation as a command."""

    def __init__(self, operation: Operation, open_factory: OpenFactory) -> None:
        super().__init__(
            operation.name,
            help=plain(f"{operation.summary}\n\n{operation.description}".strip()),
            params=[*map(click_parameter, operation.parameters), *shared_options()],
        )
        self._operation, self._open = operation, open_factory

    def invoke(self, ctx: click.Context) -> int:
        """Carry the operation out, print its result and return the exit code."""
        given = {p.name: texts(ctx.params[p.name]) for p in self._operation.parameters}
        values = self._operation.check(
            {name: written for name, written in given.items() if written}, text=True
        )
        settings = Settings.of(ctx)
        progress = ProgressLine(sys.stderr, quiet=settings.quiet)
        # A token is one factory's: it says nothing at the one that somebody signs in to, nor here if `of` names another one.
        given_token, other = os.environ.get(TOKEN_VAR, ""), values.get("of")
        token = "" if other or self._operation.name in _ADDRESSED else given_token
        state, who = settings.root / _STATE, ""
        if settings.address:
            given = {name: written for name, written in given.items() if written}
            return self._ask(settings, given, values, token)
        try:
            if token and read_accounts(state).uses_tags:
                # What parses line files takes long to import.
                import_module("linewright.line.file.line_tags").keep_tags(settings.root, state)
            identity = local_identity(state, token, user())
            who = identity.actor
            self._operation.authorize(identity, values)
            carry_out = partial(self._operation.carry_out, values=values)
            if (do_first := self._operation.urgent(values)) is not None:
                with faults_explained(settings.root):
                    carry_out = do_first(settings.root, identity.actor)
            with (
                faults_explained(settings.root),
                panics_explained(),
                self._open(settings.root, progress, self._operation.anywhere, identity) as factory,
            ):
                if other:
                    elsewhere = import_module("linewright.interfaces.cli.elsewhere")
                    factory.elsewhere = partial(elsewhere.ask_elsewhere, token=given_token)
                result = carry_out(factory)
                if isinstance(result, NextProgram):
                    parts = ()
                else:
                    parts = result if self._operation.streams and not settings.as_json else [result]
                for part in parts:
                    text = json_text(to_json(part)) if settings.as_json else _human(part)
                    progress.clear()
                    click.echo(text, nl=bool(text))
        except LinewrightError as error:
            if token and state.is_dir():
                with closing(Refused(state)) as refused:
                    refused.note(error, server="command", who=who, what=self._operation.name)
            raise
        finally:
            progress.clear()
        if isinstance(result, NextProgram):
            _become(result, as_json=settings.as_json)
        return int(getattr(result, "exit_code", 0))

    def _ask(
        self, settings: Settings, given: Mapping[str, list[str]], values: Mapping[str, Any], token: str
    ) -> int:
        """Have a factory elsewhere carry the operation out, print its result and return the exit code."""
        remote = import_module("linewright.interfaces.cli.remote")  # TLS takes long to import
        if self._operation.waits and not settings.quiet:
            lines = "".join(f" {line}" for name in ("line", "lines") for line in given.get(name, [])[:1])
            click.echo(f"runs on {settings.address}; follow it with: linewright status{lines}", err=True)
        answer = remote.ask(settings.address, self._operation, given, values, token=token)
        result = remote.result_of(self._operation, answer)
        for part in result if self._operation.streams and not settings.as_json else [result]:
            text = json_text(answer) if settings.as_json else _human(part)
            click.echo(text, nl=bool(text))
        return int(getattr(result, "exit_code", 0))

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it does, and each argument with its description."""
        super().format_help_text(ctx, formatter)
        rows = [(p.name.upper(), described(p)) for p in self._operation.parameters if p.positional]
        if rows:
            with formatter.section("Arguments"):
                formatter.write_dl(rows)


def _run(argv: Sequence[str], operations: Mapping[str, Entry], open_factory: OpenFactory) -> int:
    line = CommandLine(operations, open_factory)
    as_json = "--json" in (argv[: argv.index("--")] if "--" in argv else argv)
    try:
        if complete.COMPLETE_VAR in os.environ:
            return complete.answer(line, os.environ[complete.COMPLETE_VAR])
        _check_text(argv)
        with line.make_context(complete.PROGRAM, list(argv)) as ctx:
            return line.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _refuse(_from_click(error), as_json=as_json)
    except LinewrightError as error:
        return _refuse(error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 -- the boundary: what nobody foresaw is our bug, and is said to be
        return _confess(error, as_json=as_json)


def _become(program: NextProgram, *, as_json: bool) -> NoReturn:
    """Carry a program out in this process, which keeps its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    if (mask := asked_umask()) >= 0:
        os.umask(mask)
    options = ("--json",) if as_json else ()
    command = [sys.executable, "-m", program.module, *options, *program.arguments]
    os.execv(sys.executable, command)  # noqa: S606 -- our own program, and no shell


def _check_text(argv: Sequence[str]) -> None:
    try:
        "".join(argv).encode()
    except UnicodeEncodeError as error:
        shown = " ".join(argv).encode(errors="backslashreplace").decode()
        raise RequestError("the command line is not UTF-8", found=shown, hint="rename the file") from error


def _refuse(error: LinewrightError, *, as_json: bool) -> int:
    if as_json:
        click.echo(json_text(to_json(error.to_json())))
    else:
        click.echo(render_error(error, colour=has_colour(sys.stderr)), err=True, color=has_colour(sys.stderr))
    return error.exit_code


def _confess(error: Exception, *, as_json: bool) -> int:
    what = f"this is a bug in linewright, please report it: {type(error).__name__}: {error}"
    if as_json:
        click.echo(json_text(to_json({"error": "Bug", "message": what})))
    click.echo("".join(traceback.format_exception(error)) + f"error: {what}", err=True)
    return BUG


def _from_click(error: click.UsageError) -> RequestError:
    path = error.ctx.command_path if error.ctx else complete.PROGRAM
    return RequestError(error.format_message().rstrip("."), hint=f"`{path} --help`")


def _no_command(name: str, operations: Mapping[str, Entry]) -> NotFound:
    below = [full for full in operations if full.startswith(f"{name} ")]
    if len(below) > 1:
        return NotFound("this command has more words", found=name, allowed=", ".join(below))
    names = {word: full for full in operations for word in (full.split(" ")[0], full)}
    near = names.get(name) or names.get(nearest(name, names) or "")
    hint = f"did you mean `{complete.PROGRAM} {near}`?" if near else f"`{complete.PROGRAM} --help` lists all"
    return NotFound("no such command", found=name, hint=hint)


def _human(result: Any) -> str:
    return render(result, width=terminal_width(sys.stdout))


def _own_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Print the version.",
        ),
        *(
            click.Option(
                [f"--{what}-completion"],
                is_flag=False,
                flag_value="auto",
                metavar="[SHELL]",
                is_eager=True,
                expose_value=False,
                callback=callback,
                help=text,
            )
            for what, callback, text in (
                ("install", _install_completion, "Teach bash, zsh or fish to complete commands."),
                ("show", _show_completion, "Print the completion script of a shell."),
            )
        ),
    ]


@click.pass_context
def _show_help(ctx: click.Context, /, **options: Any) -> int:
    if ctx.invoked_subcommand is None:
        if options["json"]:
            raise RequestError("no command is given", hint=f"`{complete.PROGRAM} --help` lists all")
        click.echo(ctx.get_help())
    return 0


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"{complete.PROGRAM} {__version__}")
        ctx.exit()


def _show_completion(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(complete.script(ctx.command, value))
        ctx.exit()


def _install_completion(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(complete.install(ctx.command, value, Path.home()))
        ctx.exit()
