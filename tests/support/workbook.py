"""Excel files for tests, as spreadsheets write them: shared texts, dates as numbers with a format, merged empty cells."""

import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels"
ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"""
_RELS = '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>'
_REL = '<Relationship Id="r%d" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"/>'
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_STYLES = f'<styleSheet {_MAIN}><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/></cellXfs></styleSheet>'
_DAY_0 = datetime(1899, 12, 30)


def column(number: int) -> str:
    """Return the letters of a column, from 0."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]], *, first_row: int = 1) -> None:
    """Write an Excel file with these rows in each sheet; `None` is no cell."""
    texts: dict[str, int] = {}

    def cell(value: Any, at: str) -> str:
        match value:
            case None:
                return ""
            case bool():
                return f'<c r="{at}" t="b"><v>{int(value)}</v></c>'
            case int() | float():
                return f'<c r="{at}"><v>{value!r}</v></c>'
            case datetime():
                return f'<c r="{at}" s="2"><v>{(value - _DAY_0).total_seconds() / 86400!r}</v></c>'
            case date():
                return f'<c r="{at}" s="1"><v>{(datetime(value.year, value.month, value.day) - _DAY_0).days}</v></c>'
            case _:
                return f'<c r="{at}" t="s"><v>{texts.setdefault(str(value), len(texts))}</v></c>'

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELS % _REL % (1, "officeDocument", "xl/workbook.xml"))
        named = "".join(
            f'<sheet name="{escape(name)}" sheetId="{number}" r:id="r{number}"/>'
            for number, name in enumerate(sheets, 1)
        )
        links = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
        archive.writestr("xl/workbook.xml", f"<workbook {_MAIN} {links}><sheets>{named}</sheets></workbook>")
        parts = [
            _REL % (number, "worksheet", f"worksheets/sheet{number}.xml")
            for number in range(1, len(sheets) + 1)
        ]
        parts += [_REL % (98, "styles", "styles.xml"), _REL % (99, "sharedStrings", "sharedStrings.xml")]
        archive.writestr("xl/_rels/workbook.xml.rels", _RELS % "".join(parts))
        archive.writestr("xl/styles.xml", _STYLES)
        for number, rows in enumerate(sheets.values(), 1):
            lines = (
                f'<row r="{line}">{"".join(cell(value, f"{column(at)}{line}") for at, value in enumerate(row))}</row>'
                for line, row in enumerate(rows, first_row)
            )
            body = f"<worksheet {_MAIN}><sheetData>{''.join(lines)}</sheetData></worksheet>"
            archive.writestr(f"xl/worksheets/sheet{number}.xml", body)
        shared = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in texts)
        archive.writestr("xl/sharedStrings.xml", f"<sst {_MAIN}>{shared}</sst>")
