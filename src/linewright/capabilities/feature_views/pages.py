"""Pages of the console."""

from collections.abc import Mapping

from linewright.interfaces.console.page import Entry, Page


def _asked(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, list[str]]]]:
    return {"found": ("features", {"view": [values["view"]]} if values["view"] else {})}


def _title_features(values: Mapping[str, str]) -> str:
    return f"Feature view {values['view']}" if values["view"] else "Features"


PAGES = (
    Page(
        at=(Entry("features", "/features", "view", "Features", "look"),),
        template="feature_views/features.html.jinja",
        apart=_asked,
        query=("view",),
        title=_title_features,
    ),
)
