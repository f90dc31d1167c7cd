"""The URL of a database."""

import re
from pathlib import Path

from linewright.data.spec import SqlSource
from linewright.errors import SpecError
from linewright.store.files.secret import read_secret
from linewright.text.database_url import FILE_URL, FORMS, SCHEMES, DatabaseUrl, read_database_url


def url_of(spec: SqlSource, root: Path, where: str) -> DatabaseUrl:
    """Return the URL that `at` of a source stands for."""
    text = spec.at if re.fullmatch(FILE_URL, spec.at) else read_secret(spec.at, root, where=f"{where}.at")
    try:
        url = read_database_url(text)
    except ValueError as error:
        raise SpecError(
            f"what {spec.at} holds is not used: {error}",
            where=f"{where}.at",
            allowed=FORMS,
            hint="in user and password, write all but letters and digits with percent codes, such as %40 for @",
        ) from None  # the text is a secret
    if url.scheme not in SCHEMES:
        raise SpecError(
            "databases of this kind are not read",
            where=f"{where}.at",
            found=f"{url.scheme}://" if len(url.scheme) < 20 else None,
            allowed=FORMS,
        )
    return url
