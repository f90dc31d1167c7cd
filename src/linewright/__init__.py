"""Linewright: an AI factory in one Python package."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linewright.operations.face import Factory

__version__ = "0.1.0"

__all__ = ["Factory", "__version__"]


def __getattr__(name: str) -> Any:
    # `import linewright` stays cheap: the factory and what it needs are imported when first named.
    if name == "Factory":
        return import_module("linewright.operations.face").Factory
    raise AttributeError(f"module 'linewright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
