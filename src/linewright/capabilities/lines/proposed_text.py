"""The text of a line file before anybody saves it."""

from linewright.data.facts import MASK
from linewright.errors import SpecError
from linewright.line.check.contradictions import refuse
from linewright.line.factory import Factory
from linewright.line.file.read import parse_lines, unsupported
from linewright.line.spec import LineSpec


def read_proposed(factory: Factory, line: str, text: str) -> LineSpec:
    """Return what a proposed text of a line file says."""
    path = factory.path_of(line)
    specs = parse_lines(text, name=str(path))
    for one in specs.values():
        refuse(unsupported(one))
        for name, rule in one.contract.columns.items():
            if MASK in (rule.allowed or ()):
                raise SpecError(
                    "the values of a personal column are hidden in this text",
                    where=f"contract.columns.{name}.allowed",
                    found=MASK,
                    hint="leave the change to somebody who may view personal columns",
                )
    if (spec := specs.get(line)) is None:
        raise SpecError(
            "the proposed file does not declare this line",
            where=str(path),
            found=", ".join(specs),
            allowed=line,
            hint="propose it as a change of a line that stays" if len(specs) > 1 else "",
        )
    return LineSpec.model_validate(spec.model_dump(mode="json", exclude_defaults=True))
