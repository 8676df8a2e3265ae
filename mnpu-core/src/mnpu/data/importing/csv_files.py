"""CSV files in pieces, packed or not: their encoding, their header, and the line on which each row stands."""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from mnpu.data.importing.chunks import Chunk, Opened, Ragged, broken, refuse_repeated
from mnpu.data.importing.mapping import CsvFormat, Entry
from mnpu.errors import DataError

__all__ = ["open_csv"]

BLOCK = 2 << 20  #: Bytes of a CSV that are parsed at a time.
SNIFFED = 1 << 16
LONGEST_HEAD = 1 << 24
DELIMITERS = ",;\t|"
_BREAK = re.compile(r"\r\n|\n|\r")
#: What readers raise at a file that is cut, packed in another way, locked by a password, or of another encoding.
_UNREADABLE = (
    pa.ArrowException,
    EOFError,
    OSError,
    RuntimeError,
    UnicodeError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def open_csv(path: Path, magic: bytes, entry: Entry) -> Opened:
    """Begin to read a text file that begins with ``magic``, by the entry's ``csv``; DataError as in `open_file`."""
    style = entry.csv
    head = _head(path, magic, entry)
    names, skip, delimiter = _shape(head, style, path)
    source, position = _source(path, magic, entry)
    ragged: list[pacsv.InvalidRow] = []

    def keep(row: pacsv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    def chunks() -> Iterator[Chunk]:
        if _ends_at_header(head, skip):
            return
        try:
            reader = pacsv.open_csv(
                source,
                read_options=pacsv.ReadOptions(
                    use_threads=False, block_size=BLOCK, skip_rows=skip, column_names=names, encoding=_codec(style)
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=delimiter,
                    newlines_in_values=style.quoted_newlines,
                    ignore_empty_lines=False,
                    invalid_row_handler=keep,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types={name: pa.binary() for name in names},
                    check_utf8=False,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
            yield from _numbered(reader, names, ragged, skip, breaks=style.quoted_newlines)
        except _UNREADABLE as error:
            if "out of sync" in str(error):
                raise DataError(
                    "holds quoted cells with line breaks",
                    where=str(path),
                    expected="a row on each line",
                    next_step="Say csv: {quoted_newlines: true}.",
                ) from error
            if "straddl" in str(error):
                raise DataError(
                    f"holds a row of more than {BLOCK >> 20} MiB",
                    where=str(path),
                    expected="short rows, each with an end",
                    next_step="Look for a quote that is never closed, or for lost line breaks.",
                ) from error
            raise broken(path, f"CSV in {style.encoding}", error) from error

    return Opened(tuple(names), chunks(), path.stat().st_size, position)


def _numbered(
    reader: pacsv.CSVStreamingReader, names: Sequence[str], ragged: list[pacsv.InvalidRow], skip: int, *, breaks: bool
) -> Iterator[Chunk]:
    """Chunks with the lines of their rows: those of a chunk and the ragged ones in between are consecutive.

    The reader counts rows; where cells hold line ``breaks``, a row stands on more than one line.
    """
    row, inside = skip + 1, 0
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            if ragged:
                chunk = _chunk({name: pa.array([], pa.binary()) for name in names}, 0, ragged, row)
                yield _on_lines(chunk, row, inside)[0] if breaks else chunk
            return
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        taken, ragged[:] = list(ragged), []
        chunk = _chunk(columns, batch.num_rows, taken, row)
        if breaks:
            chunk, inside = _on_lines(chunk, row, inside)
        yield _without_blanks(chunk)
        row += batch.num_rows + len(taken)


def _chunk(columns: Mapping[str, pa.Array], n: int, ragged: Sequence[pacsv.InvalidRow], row: int) -> Chunk:
    bad = np.array([one.number for one in ragged], dtype=np.int64)
    rows = np.setdiff1d(np.arange(row, row + n + len(ragged)), bad)[:n] if len(bad) else np.arange(row, row + n)
    kept = tuple(Ragged(one.number, one.text, one.actual_columns, one.expected_columns) for one in ragged)
    return Chunk(columns, rows.astype(np.int64), kept)


def _on_lines(chunk: Chunk, row: int, before: int) -> tuple[Chunk, int]:
    """The chunk with lines in place of rows, which begin at ``row``, and the line breaks inside of rows up to its end.

    ``before`` are those inside of earlier rows.
    """
    odd = np.array([one.line for one in chunk.ragged], dtype=np.int64) - row
    inside = np.zeros(len(chunk) + len(odd), dtype=np.int64)
    inside[odd] = [len(_BREAK.findall(one.text)) for one in chunk.ragged]
    for column in chunk.columns.values():
        counts = pc.count_substring_regex(column, _BREAK.pattern)
        inside[chunk.line - row] += counts.fill_null(0).to_numpy(zero_copy_only=False)
    begins = np.arange(len(inside)) + row + before + np.cumsum(inside) - inside
    ragged = tuple(replace(one, line=int(line)) for one, line in zip(chunk.ragged, begins[odd], strict=True))
    return Chunk(chunk.columns, begins[chunk.line - row], ragged), before + int(inside.sum())


def _without_blanks(chunk: Chunk) -> Chunk:
    """Without the lines on which nothing stands."""
    columns = list(chunk.columns.values())
    if not len(chunk) or any(column.null_count == 0 for column in columns):
        return chunk
    blank = np.logical_and.reduce([column.is_null().to_numpy(zero_copy_only=False) for column in columns])
    which = pa.array(np.flatnonzero(~blank))
    cells = {name: column.take(which) for name, column in chunk.columns.items()}
    return Chunk(cells, chunk.line[~blank], chunk.ragged)


def _source(path: Path, magic: bytes, entry: Entry) -> tuple[pa.NativeFile, Callable[[], int]]:
    """The text of the file for the CSV reader, and how many bytes of the file were read.

    The reader has a thread that reads ahead, also after an error and while the interpreter ends. A plain or gzipped
    file is therefore read without Python: a thread that needs it then would hang or abort the process.
    """
    if entry.member or magic.startswith(b"PK\x03\x04"):
        inside = pa.PythonFile(_stream(path, magic, entry), mode="r")
        return inside, lambda: 0 if inside.closed else int(inside.tell())
    file = pa.OSFile(str(path))
    packed = magic.startswith(b"\x1f\x8b")
    return pa.CompressedInputStream(file, "gzip") if packed else file, lambda: int(file.tell())


def _stream(path: Path, magic: bytes, entry: Entry) -> IO[bytes]:
    """The text of the file, or of the one file inside an archive."""
    try:
        if magic.startswith(b"PK\x03\x04"):
            archive = zipfile.ZipFile(path)
            names = [name for name in archive.namelist() if not name.endswith("/")]
            return archive.open(_member(path, names, entry.member))
        if magic.startswith(b"\x1f\x8b") and not entry.member:
            return gzip.open(path)  # type: ignore[return-value]
        if entry.member:
            tar = tarfile.open(path)  # noqa: SIM115 - its member is read from it, later
            names = [item.name for item in tar.getmembers() if item.isfile()]
            found: Any = tar.extractfile(_member(path, names, entry.member))
            return found  # type: ignore[no-any-return]
    except _UNREADABLE as error:
        raise broken(path, "archive", error) from error
    return path.open("rb")


def _member(path: Path, names: Sequence[str], wanted: str) -> str:
    fitting = [name for name in names if name == wanted or name.rsplit("/", 1)[-1] == wanted] if wanted else list(names)
    if len(fitting) == 1:
        return fitting[0]
    inside = ", ".join(names[:20]) or "nothing"
    raise DataError(f"holds {inside}", where=str(path), expected=wanted or "one file", next_step="Name it: member: ...")


def _head(path: Path, magic: bytes, entry: Entry) -> str:
    try:
        with _stream(path, magic, entry) as stream:
            raw = stream.read(SNIFFED)
            lines = entry.csv.skip_lines
            while raw.count(b"\n") <= lines and len(raw) < LONGEST_HEAD and (more := stream.read(SNIFFED)):
                raw += more  # a header of thousands of columns
    except _UNREADABLE as error:
        raise broken(path, "archive", error) from error
    if len(raw) >= LONGEST_HEAD and len(raw.splitlines()) <= lines + 1:
        raise DataError(
            f"its header does not end within {LONGEST_HEAD >> 20} MiB",
            where=str(path),
            expected="lines",
            next_step="Look for lost line breaks.",
        )
    if not raw.strip():
        raise DataError("the file is empty", where=str(path), expected="a header and rows")
    encoding = entry.csv.encoding
    wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    if not wide and (found := _wide_encoding(raw)):
        raise DataError(
            f"is encoded in {found.upper()}",
            where=str(path),
            expected=encoding,
            next_step=f"Say csv: {{encoding: {found}}}.",
        )
    if b"\0" in raw and not wide:
        raise DataError(
            "is binary (it holds zero bytes)", where=str(path), expected="text or Parquet", next_step="Check the file."
        )
    try:
        return raw.decode(_codec(entry.csv, sig=True), errors="replace")
    except LookupError:
        raise DataError(f"{encoding!r} is no encoding", where=str(path), expected="such as utf-8 or latin-1") from None


def _wide_encoding(raw: bytes) -> str:
    """The encoding of text in units of two or four bytes, by its mark or its zero bytes; empty where it is not such."""
    marks = {"utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)}
    for name, starts in marks.items():  # the mark of UTF-32 begins with that of UTF-16
        if raw.startswith(starts):
            return name
    for name, units in (("utf-16-be", raw[:2000:2]), ("utf-16-le", raw[1:2000:2])):
        if units.count(0) * 2 > len(units):
            return name
    return ""


def _codec(style: CsvFormat, *, sig: bool = False) -> str:
    plain = style.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
    return ("utf-8-sig" if sig else "utf8") if plain else style.encoding


def _shape(head: str, style: CsvFormat, path: Path) -> tuple[list[str], int, str]:
    """Names of the columns, lines before the first row, and the delimiter."""
    lines = head.splitlines()[style.skip_lines :] or [""]
    delimiter = style.delimiter or max(DELIMITERS, key=lambda mark: (lines[0].count(mark), -DELIMITERS.index(mark)))
    if len(delimiter) != 1:
        raise DataError(f"delimiter {delimiter!r}", where=str(path), expected="one character")
    try:
        first = [cell.strip() for cell in next(csv.reader([lines[0]], delimiter=delimiter), [])]
    except csv.Error as error:
        raise DataError(f"its header cannot be read ({error})", where=str(path), expected="names of columns") from error
    if isinstance(style.header, list):
        return list(style.header), style.skip_lines, delimiter
    if not style.header:
        return [f"column{i + 1}" for i in range(len(first))], style.skip_lines, delimiter
    where = f"{path}:{style.skip_lines + 1}"
    if "\ufffd" in lines[0]:
        raise DataError(
            f"its header is no text in {style.encoding}",
            where=where,
            expected="names of columns",
            next_step="Say how it is written, as in csv: {encoding: latin-1}.",
        )
    refuse_repeated(first, where)
    return first, style.skip_lines + 1, delimiter


def _ends_at_header(head: str, skip: int) -> bool:
    """Whether a short file ends with its header, before the line break that the reader insists on."""
    lines = head.splitlines(keepends=True)
    return len(head) < SNIFFED // 4 and 0 < len(lines) <= skip and not lines[-1].endswith(("\n", "\r"))
