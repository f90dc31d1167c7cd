"""The base of everything that a line file may say."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from linewright.errors import SpecError


class Spec(BaseModel):
    """A frozen, closed value: unknown words are refused, and each field explains itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def first_required(spec: type[Spec]) -> str:
    """Return the first word that a spec requires: a mapping with it is that spec."""
    return next(word for word, field in spec.model_fields.items() if field.is_required())


@dataclass(frozen=True)
class OneWord:
    """Marks a text that is one of several words, which a table names."""

    words: Callable[[], Sequence[str]]
    """Gives them."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate that the text is such a word."""

        def validated(value: str) -> str:
            words = self.words()
            if value not in words:
                # No ValueError, for the same reason as in `OneOf`.
                raise SpecError(
                    "this is not known here",
                    found=value,
                    allowed=", ".join(words),
                    hint="install the package that brings it",
                )
            return value

        return core_schema.no_info_after_validator_function(validated, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the words that there are now."""
        return handler(core) | {"enum": list(self.words())}


@dataclass(frozen=True)
class OneOf:
    """Marks a field whose value is one of several specs that a table names, so that a new row needs no other union."""

    specs: Callable[[Collection[str]], Sequence[type[Spec]]]
    """Gives the specs that a mapping with these words may be: all if no word decides."""

    def chosen(self, words: Collection[str]) -> type[Spec] | None:
        """Return the spec of a mapping with these words; `None` if no word decides."""
        return next((spec for spec in self.specs(words) if first_required(spec) in words), None)

    def __get_pydantic_core_schema__(self, source: type[Spec], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by the spec that the words choose; a spec is dumped with all fields of its kind."""
        del handler

        def validated(value: Any) -> Spec:
            if isinstance(value, source):
                return value
            words = tuple(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else ()
            spec = self.chosen(words)
            if spec is None:
                # No ValueError, which pydantic would wrap: what was written with a package is read without it here.
                raise SpecError(
                    "this is of no known kind",
                    found=", ".join(words),
                    allowed=", ".join(f"a mapping with {first_required(one)!r}" for one in self.specs(())),
                    hint="install the package that brings it",
                )
            return spec.model_validate(value)

        return core_schema.no_info_plain_validator_function(validated)

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the specs that are in the table now."""
        del core
        return handler(core_schema.union_schema([one.__pydantic_core_schema__ for one in self.specs(())]))
