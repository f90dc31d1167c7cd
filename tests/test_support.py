"""What the tests themselves stand on."""

import os
import signal
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import commands
import pytest
from _pytest.assertion import rewrite
from hypothesis.configuration import StorageDirectory
from hypothesis.internal import constants_ast
from prepared import rewritten, searched
from templates import copied, made_once


def ended(python: list[str], folder: Path, *words: str, **how: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*python, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False, **how
    )


def test_a_command_that_spares_its_imports_is_as_one_that_does_not(tmp_path):
    """Else tests of commands would show what no user sees: streams, exit code, folder and environment are its own."""
    environment = {**os.environ, "LANG": "C"}
    for words in (
        ("linewright", "--version"),
        ("linewright", "status"),
        ("linewright", "nonsense", "--json"),
    ):
        real, spared = (
            ended(python, tmp_path, *words, env=environment)
            for python in ([sys.executable], commands.python())
        )

        assert (real.returncode, real.stdout, real.stderr) == (
            spared.returncode,
            spared.stdout,
            spared.stderr,
        )
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    (tmp_path / "told.py").write_text(
        "import os, sys\nprint(os.getcwd(), os.environ['SAID'], *sys.argv[1:])\nsys.exit(3)\n"
    )
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, beside\nos.environ['SAID'] = beside.SAID\n"
    )
    (tmp_path / "site" / "beside.py").write_text("SAID = 'otherwise'\n")
    environment["SAID"] = "so"

    assert -signal.SIGKILL == ended(commands.python(), tmp_path, "dies").returncode
    for says, paths in (("so", {}), ("otherwise", {"PYTHONPATH": str(tmp_path / "site")})):
        told = ended(commands.python(), tmp_path, "told", "a", "b c", env=environment | paths)
        assert (3, f"{tmp_path} {says} a b c\n", "") == (told.returncode, told.stdout, told.stderr)


def test_what_is_forked_is_a_child_as_any_other(tmp_path):
    """Else tests of runs would show what no user sees: who follows a run ends its child, and is told how that ended."""
    (tmp_path / "told.py").write_text(
        "import os, sys\nprint(os.getppid(), os.getcwd(), os.getsid(0) == os.getpid(), *sys.argv[1:])\nsys.exit(3)\n"
    )
    (tmp_path / "waits.py").write_text("import time\nprint('so', flush=True)\ntime.sleep(60)\n")

    def begun(*words: str) -> "subprocess.Popen[str]":
        return commands.Forked(
            [sys.executable, "-m", *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )

    with begun("told", "a", "b c") as told:
        out, _ = told.communicate(timeout=60)
    with begun("waits", "a") as waits:
        assert "so\n" == waits.stdout.readline()
        shown = Path(f"/proc/{waits.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        waits.terminate()

    assert (3, f"{os.getpid()} {tmp_path} True a b c\n") == (told.returncode, out)
    assert -signal.SIGTERM == waits.returncode
    assert [b"-m", b"waits", b"a"] == shown[1:]


def test_a_template_is_made_once_and_copies_are_their_own(tmp_path, tmp_path_factory):
    """A test that changes what others copy would fail them."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        folder.mkdir()
        (folder / "file").write_text("as made")

    first, again = (made_once(tmp_path_factory, f"of {tmp_path.name}", make) for _ in range(2))
    (copied(first, tmp_path / "copy") / "file").write_text("changed")

    assert 1 == len(made)
    assert first == again
    assert ["file"] == [one.name for one in first.iterdir()]
    assert "as made" == (first / "file").read_text()


def test_pytest_takes_the_test_files_that_were_made_ready(tmp_path, request, monkeypatch):
    """Else each worker makes them anew."""
    file = tmp_path / "test_sum.py"
    file.write_text("def test_sum():\n    assert 3 == 1 + 1\n")
    rewritten(file)
    monkeypatch.setattr(rewrite, "_rewrite_test", None)
    spec = spec_from_file_location("test_sum", file, loader=request.config.pluginmanager.rewrite_hook)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    with pytest.raises(AssertionError, match=r"assert 3 == \(1 \+ 1\)"):
        module.test_sum()


def test_hypothesis_takes_what_was_found_in_a_module_before(tmp_path, monkeypatch):
    """Else each worker looks through all modules."""
    file = tmp_path / "steeples.py"
    file.write_text("HEIGHT = 161_530\n")
    monkeypatch.setattr(
        constants_ast,
        "storage_directory",
        lambda name: StorageDirectory(tmp_path / name, home_directory=tmp_path),
    )
    searched(file)
    (kept,) = (tmp_path / "constants").iterdir()
    found = kept.read_text()
    kept.write_text(found.replace("161530", "157380"))
    module = ModuleType("steeples")
    module.__file__ = str(file)

    assert "161530" in found
    assert [157_380] == list(constants_ast.constants_from_module(module))
