"""The base of everything that a line file may say."""

import ast
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from linewright.errors import SpecError

SECRET = r"^(env|file):\S+$"  # noqa: S105 -- a pattern
"""Where a secret is: a variable of the environment, or a file."""
Secret = Annotated[str, Field(pattern=SECRET)]


class Spec(BaseModel):
    """A frozen, closed value: unknown words are refused, and each field explains itself, by the text under it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def implied(cls, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a file that says these words means without saying it, by word; by default nothing."""
        del said
        return {}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """Describe the spec, with what its fields say of themselves."""
        described = handler(core_schema)
        fields = handler.resolve_ref_schema(described)["properties"]
        for name, says in descriptions(cls).items():
            if handler.resolve_ref_schema(fields[name]).get("description") != says:
                fields[name]["description"] = says
        return described


@cache
def descriptions(spec: type[Spec]) -> Mapping[str, str]:
    """Return what each field of a spec says of itself, by name.

    Read when it is asked for, not by pydantic: each command makes the specs of a line file, and few say what a field means.
    """
    kinds = [kind for kind in reversed(spec.__mro__) if issubclass(kind, Spec)]
    found = {name: says for kind in kinds for name, says in _texts_under_fields(kind).items()}
    return {name: found[name] for name in spec.model_fields if name in found}


def _texts_under_fields(kind: type[Spec]) -> dict[str, str]:
    definition = ast.parse(dedent(inspect.getsource(kind))).body[0]
    found: dict[str, str] = {}
    for field, text in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(says))):
                found[name] = inspect.cleandoc(says)
            case _:
                pass
    return found


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


@dataclass(frozen=True)
class OrNames:
    """Marks a name that may also be a list of names, which is kept as one text."""

    most: int
    """Names of a list."""
    to_text: Callable[[Sequence[str]], str]
    """Makes the text."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take a list of names as its text."""

        def as_text(value: Any) -> Any:
            return self.to_text(self.checked(value)) if isinstance(value, list | tuple) else value

        return core_schema.no_info_before_validator_function(as_text, handler(source))

    def checked(self, names: Any) -> Sequence[str]:
        """Return names if they are a list as it may be."""
        given = cast("Sequence[Any]", names)
        if (
            not all(isinstance(name, str) for name in given)
            or not 2 <= len({*given}) == len(given) <= self.most
        ):
            raise ValueError(self.allowed)
        return given

    @property
    def allowed(self) -> str:
        """What may be said."""
        return f"a name, or a list of 2 to {self.most} different ones"

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe both forms."""
        name = handler(core)
        names = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": self.most}
        return {"anyOf": [name, {**names, "uniqueItems": True}]}
