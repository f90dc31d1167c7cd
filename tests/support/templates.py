"""Factories that one worker makes for all workers of a session; tests copy them, for a folder copied is a factory copied."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import commands
import pytest


def made_once(folders: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that nobody changes; the first who asks for it has it made, others wait.

    Parameters
    ----------
    name
        Of the folder; whoever gives an equal one means the same content.
    make
        Called with the path of a folder that is not there yet.
    """
    base = folders.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "templates" / name
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            with commands.forking():
                make(unfinished)
            unfinished.rename(folder)
    return folder


def copied(template: Path, to: Path) -> Path:
    """Copy a template to a folder that is not there yet, and return that."""
    return shutil.copytree(template, to)
