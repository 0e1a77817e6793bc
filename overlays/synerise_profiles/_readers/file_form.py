"""The form of a file: what its first bytes say that it is.

What is no text, or another kind of text than it is read as, is one error: read as it stands, such a file would be
thousands of rejected rows, or one of a header that nobody wrote.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

from synerise_profiles_api.errors import InvalidRequestError

__all__ = [
    "PARQUET_MAGIC",
    "check_container",
    "check_csv",
    "check_json_array",
    "check_json_lines",
    "check_parquet",
]

_UNPACK: Final = "unpack it first"
_AS_TABLE: Final = "read it as a table, such as by pyarrow, for read_arrow"
_AS_CSV: Final = "save it as CSV"
_DOWNLOAD: Final = "it stands for a file that was not downloaded; fetch that one"
PARQUET_MAGIC: Final = b"PAR1"
_SIGNATURES: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"PK\x03\x04", "a zip file, such as xlsx", f"{_UNPACK}, or save the workbook as CSV"),
    (b"PK\x05\x06", "an empty zip file", _UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a file of an older Office, such as xls", _AS_CSV),
    (b"ARROW1\x00\x00", "an Arrow or Feather file", _AS_TABLE),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    (b"Obj\x01", "an Avro file", _AS_TABLE),
    (b"BZh", "packed by bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "packed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", _UNPACK),
    (b"\x04\x22\x4d\x18", "packed by lz4", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file", _UNPACK),
    (b"Rar!\x1a\x07", "a rar file", _UNPACK),
    (b"\x1f\x8b", "packed by gzip twice", _UNPACK),
    (PARQUET_MAGIC, "a Parquet file", "read it by read_parquet"),
    (b"ORC", "an ORC file", _AS_TABLE),
    (b"FEA1", "a Feather file", _AS_TABLE),
    (b"\x89PNG", "an image", _AS_CSV),
    (b"%PDF-", "a PDF", _AS_CSV),
    (b"{\\rtf", "an RTF document", _AS_CSV),
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS", _DOWNLOAD),
    (b"/annex/objects/", "a pointer of git-annex", _DOWNLOAD),
)
_COULD_BE_TEXT: Final = frozenset({b"BZh", PARQUET_MAGIC, b"ORC", b"FEA1"})
"""Of these only what is followed by bytes that no text has; a column may be called ORCID."""
_TAR_MAGIC: Final = b"ustar"
_TAR_OFFSET: Final = 257
_WIDE_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_has_binary: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]").search
_is_markup: Final = re.compile(
    rb"\s*<(?:!doctype|!--|\?xml|html|head|body|meta|table|script|style|div)\b", re.IGNORECASE
).match
_is_json: Final = re.compile(rb'\s*(?:\[\s*(?:[{\["\]]|$)|\{\s*(?:"|\}|$))').match
_has_object: Final = re.compile(rb"^[ \t]*\{", re.MULTILINE).search
_is_indented: Final = re.compile(rb'\s*\{[ \t]*\r?\n[ \t]*"').match
_SAMPLE_BYTES: Final = 64


def check_container(head: bytes | str) -> None:
    """Raise InvalidRequestError for a file that holds no text, or stands for another one."""
    if isinstance(head, str):
        return
    for signature, name, advice in _SIGNATURES:
        if head.startswith(signature) and (signature not in _COULD_BE_TEXT or _has_binary(head)):
            raise _wrong_form(f"is {name}; {advice}")
    if head[_TAR_OFFSET:].startswith(_TAR_MAGIC):
        raise _wrong_form(f"is a tar file; {_UNPACK}")


def check_parquet(head: bytes) -> None:
    """Raise InvalidRequestError for what does not begin as Parquet does."""
    if not head:
        raise _wrong_form("is empty")
    if not head.startswith(PARQUET_MAGIC):
        check_container(head)
        _check_markup(_without_mark(head))
        raise _wrong_form("is no Parquet; read CSV by read_csv, JSON Lines by read_jsonl")


def check_csv(head: bytes | str, encoding: str, *, has_header: bool) -> None:
    """Raise InvalidRequestError for what is no CSV, or of a wide encoding as which it is not read."""
    check_container(head)
    is_wide = encoding.lower().replace("_", "").replace("-", "").startswith(("utf16", "utf32"))
    wide = None if isinstance(head, str) or is_wide else _wide_encoding(head)
    if wide is not None:
        raise _wrong_form(f"{wide[0]}; read it by encoding={wide[1]!r}")
    text = _without_mark(head)
    if has_header and _is_json(text):
        raise _wrong_form("is JSON, not CSV; read it by read_jsonl, or by read_json if it is an array")
    _check_markup(text)


def check_json_lines(head: bytes | str) -> None:
    """Raise InvalidRequestError for what is no JSON Lines but an array, JSON over several lines, CSV or a page."""
    check_container(head)
    text = _json_text(head)
    first, _, rest = text.partition(b"\n")
    is_first_whole, goes_on = _is_whole(first), bool(rest.strip())
    before, _, below = first.strip().partition(b"\r")
    if below and before.startswith(b"{") and _is_whole(before):
        raise _wrong_form("has carriage returns alone as ends of its lines, not JSON Lines; write line feeds")
    if text.startswith(b"[") and not (is_first_whole and goes_on):
        raise _wrong_form("is a JSON array, not JSON Lines; read it by read_json")
    if _is_indented(text) and not is_first_whole:
        raise _wrong_form(
            "is JSON over several lines, not JSON Lines; write one object a line, or an array for read_json"
        )
    if goes_on and not is_first_whole and _has_object(text) is None:
        raise _wrong_form("is no JSON Lines: no line begins with an object; read CSV by read_csv")


def check_json_array(head: bytes | str) -> None:
    """Raise InvalidRequestError for what is no JSON array."""
    text = _json_text(head)
    if text.startswith(b"{"):
        raise _wrong_form("is no JSON array, it begins with an object; read JSON Lines by read_jsonl")
    if not text:
        raise _wrong_form("is empty: it holds no JSON array")
    if not text.startswith(b"["):
        raise _wrong_form("is no JSON array; read CSV by read_csv")


def _json_text(head: bytes | str) -> bytes:
    """The text of JSON; raises InvalidRequestError for a page, or a wide encoding, in which JSON is not read."""
    wide = None if isinstance(head, str) else _wide_encoding(head)
    if wide is not None:
        raise _wrong_form(f"{wide[0]}, and JSON is UTF-8; give a file object: open(path, encoding={wide[1]!r})")
    text = _without_mark(head)
    _check_markup(text)
    return text.lstrip()


def _wrong_form(problem: str) -> InvalidRequestError:
    return InvalidRequestError(problem, field="file")


def _wide_encoding(head: bytes) -> tuple[str, str] | None:
    """How one can see that a text is of a wide encoding, and which one."""
    for mark, name in _WIDE_MARKS:
        if head.startswith(mark):
            return f"begins with the mark of {name.upper()}", name
    sample = head[:_SAMPLE_BYTES]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = sample[offset::2], sample[1 - offset :: 2]
        # Letters beyond Latin-1 have no zero; the delimiters and digits between them do.
        if len(sample) > 3 and 2 * zeros.count(0) > len(zeros) and all(others):
            return "is UTF-16 without its mark", name
    return None


def _check_markup(text: bytes) -> None:
    if _is_markup(text):
        raise _wrong_form("is HTML or XML, such as a page that asks to sign in; fetch the file itself")


def _without_mark(head: bytes | str) -> bytes:
    data = head.encode("utf-8", "surrogatepass") if isinstance(head, str) else head
    return data.removeprefix(_UTF8_MARK)


def _is_whole(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
