"""The base of everything that a line file may say."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen, closed value: unknown words are refused, and each field explains itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
