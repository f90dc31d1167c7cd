"""What making a line gave."""

from pathlib import Path

from msgspec.structs import replace as replace_field

from linewright.capabilities.drafts.draft import looked_at
from linewright.capabilities.drafts.write import NewLine
from linewright.data.facts import Finding
from linewright.data.finding_text import finding_in_words
from linewright.interfaces.cli.dispatch import renderer


@renderer.register
def new_line_text(made: NewLine) -> str:
    """Say what was found and what to do next."""
    path = Path(made.path)
    return "\n".join(
        [
            f"Wrote {path.parent.name}/{path.name}: {made.task} from {looked_at(made.rows, made.of)} and {made.columns} columns, split by {made.split}.",
            *_model_text(made),
            *([f"Reads the feature views {', '.join(made.views)}."] if made.views else []),
            *(f"  {_told(made, one)}" for one in made.findings),
            f"Next: read it (linewright line-file {path.stem}), then linewright {'run' if made.rows == made.of else 'check'} {path.stem}",
        ]
    )


def _told(made: NewLine, one: Finding) -> str:
    is_out = one.columns and one.columns[0] in made.excluded
    # What is left out already needs no remedy.
    return finding_in_words(replace_field(one, remedy=()) if is_out else one)


def _model_text(made: NewLine) -> list[str]:
    if made.by:
        return [f"Its model is made by {made.by}."]
    if made.model is None:
        return []
    return [f"Takes {made.model} in place of training; it reads {', '.join(made.reads)}."]
