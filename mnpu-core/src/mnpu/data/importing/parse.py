"""Cells as numbers, instants and names, a column at a time; what cannot be read is marked, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mnpu.data.importing.mapping import TimeFormat

__all__ = ["Instants", "Names", "dates_alone", "instants", "names", "numbers", "show"]

NO_TIME = np.iinfo("int64").min
_UNIT = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_ZONED = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$")
_DATE8 = re.compile(r"(1[6-9]|2[01])\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$")
_DATE12 = re.compile(_DATE8.pattern[:-1] + r"([01]\d|2[0-3])[0-5]\d$")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
#: Numbers since 1970 from which on they are of each unit, if none is declared; below the first, they could be dates
#: of a spreadsheet, years, or anything.
_SIZES = {"s": 1e8, "ms": 1e11, "us": 1e14, "ns": 1e17}


@dataclass(frozen=True)
class Instants:
    """Times (N,) in ns, UTC where ``aware`` and wall time where not; ``bad`` cannot be read, ``missing`` is empty."""

    ns: np.ndarray
    bad: np.ndarray
    missing: np.ndarray
    aware: bool


@dataclass(frozen=True)
class Names:
    """Names (N,) as codes into ``values``; -1 where a cell is empty, ``bad`` where its bytes are no text."""

    code: np.ndarray
    values: tuple[str, ...]
    bad: np.ndarray

    def of(self) -> np.ndarray:
        """The names themselves, object (N,); empty text where there is none."""
        return np.array([*self.values, ""], dtype=object)[self.code]


def text_of(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Cells as text, and which of them are no text in UTF-8, or lists and the like."""
    bad = np.zeros(len(column), dtype=bool)
    try:
        return pc.cast(column, pa.string()), bad
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(column), pa.string()), _present(column)
    except pa.ArrowInvalid:
        cells = column.to_pylist()
        words: list[str | None] = []
        for i, cell in enumerate(cells):
            try:
                words.append(None if cell is None else cell.decode("utf-8"))
            except UnicodeDecodeError:
                words.append(None)
                bad[i] = True
        return pa.array(words, pa.string()), bad


def numbers(
    column: pa.Array, *, missing: Sequence[str | int | float] = (), decimal: str = "."
) -> tuple[np.ndarray, np.ndarray]:
    """Cells as float64 (N,), NaN where they are empty or a code for missing, and which cannot be read."""
    column = _plain(column)
    bad = np.zeros(len(column), dtype=bool)
    if _is_text(column.type):
        values, bad = _spelt_numbers(column, [code for code in missing if isinstance(code, str)], decimal)
    elif not _is_number(column.type):
        return np.full(len(column), np.nan), _present(column)
    else:
        values = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype("float64")
    for code in missing:
        if not isinstance(code, str):
            values = np.where(values == code, np.nan, values)
    return values, bad


def _spelt_numbers(column: pa.Array, codes: Sequence[str], decimal: str) -> tuple[np.ndarray, np.ndarray]:
    text, bad = text_of(column)
    if codes:
        text = pc.if_else(pc.is_in(pc.utf8_trim_whitespace(text), value_set=pa.array(codes)), None, text)
    if decimal != ".":
        # A point cannot be the decimal mark too; whether it groups thousands is a guess.
        pointed = pc.fill_null(pc.match_substring(text, "."), False)
        bad = bad | pointed.to_numpy(zero_copy_only=False)
        text = pc.replace_substring(pc.if_else(pointed, None, text), decimal, ".")
    try:
        return pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False).astype("float64"), bad
    except pa.ArrowInvalid:
        words = text.to_pandas().astype(object).where(lambda cells: cells.notna(), None)
        trimmed = pd.Series([word.strip() if isinstance(word, str) else None for word in words], dtype=object)
        empty = trimmed.isna() | trimmed.isin(["", "NaN", "nan", "NA", "N/A", "null", "None"])
        values = pd.to_numeric(trimmed.where(~empty), errors="coerce").to_numpy(dtype="float64")
        return values, bad | (np.isnan(values) & ~empty.to_numpy(dtype=bool))


def names(column: pa.Array, rename: Mapping[str, str]) -> Names:
    """Cells as names: surrounding blanks are cut off, and ``rename`` is applied."""
    text, bad = text_of(column)
    encoded = text.dictionary_encode()
    spelt = [word.strip() for word in encoded.dictionary.to_pylist()]
    spelt = [rename.get(word, word) for word in spelt]
    values = tuple(dict.fromkeys(word for word in spelt if word))
    place = {word: i for i, word in enumerate(values)}
    table = np.array([*(place.get(word, -1) for word in spelt), -1], dtype=np.int32)
    code = encoded.indices.fill_null(len(spelt)).to_numpy(zero_copy_only=False)
    return Names(table[code], values, bad)


def instants(column: pa.Array, style: TimeFormat, clock: pa.Array | None = None) -> Instants:
    """Cells as instants; ``clock`` is a second column with the time of day."""
    if clock is not None:
        joined = pc.binary_join_element_wise(text_of(column)[0], text_of(clock)[0], " ")
        return _spelt_instants(joined, np.zeros(len(joined), dtype=bool), style)
    column = _plain(column)
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _stamped(column)
    if _is_text(kind):
        return _spelt_instants(*text_of(column), style)
    values, bad = numbers(column)
    missing = np.isnan(values) & ~bad
    if style.unit is None and (style.format is not None or np.abs(values[~np.isnan(values)][:1]).max(initial=0) < 1e9):
        return _spelt_instants(_written_out(values), bad, style)
    if pa.types.is_integer(kind):
        values = pc.cast(column, pa.int64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    return _counted_instants(values, bad, missing, style)


def dates_alone(column: pa.Array) -> np.ndarray:
    """Which cells, (N,), name a date without a time of day; midnight in a column of timestamps is a moment."""
    column = _plain(column)
    if pa.types.is_date(column.type):
        return _present(column)
    if _is_number(column.type):
        values = numbers(column)[0]
        return np.asarray((values >= 1600_01_01) & (values <= 2199_12_31))
    if not _is_text(column.type):
        return np.zeros(len(column), dtype=bool)
    words = pc.utf8_trim_whitespace(text_of(column)[0])
    found = pc.fill_null(pc.match_substring_regex(words, r"^\d{4}(-\d{2}-\d{2}|\d{4})$"), False)
    return np.asarray(found.to_numpy(zero_copy_only=False))


def _stamped(column: pa.Array) -> Instants:
    """Dates and timestamps; one that nanoseconds do not reach (before 1677, after 2262) cannot be read."""
    kind = column.type
    missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    if pa.types.is_date(kind):
        column = pc.cast(column, pa.timestamp("s"))
    unit, zone = column.type.unit, column.type.tz
    counts = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    ns, over = _as_ns(counts, unit)
    return Instants(np.where(missing | over, NO_TIME, ns), over, missing, bool(zone))


def _as_ns(counts: np.ndarray, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts (N,) of a unit in ns, and which of them nanoseconds do not reach."""
    limit = np.iinfo("int64").max // _UNIT[unit]
    over = ~((counts <= limit) & (counts >= -limit))
    return np.where(over, 0, counts).astype("int64") * _UNIT[unit], over


def _written_out(values: np.ndarray) -> pa.Array:
    """Whole numbers as text, as in 20240102; null where there is none."""
    return pa.array(
        [
            f"{value:.0f}" if value == value and value % 1 == 0 else None if value != value else str(value)
            for value in values.tolist()
        ],
        pa.string(),
    )


def _spelt_instants(text: pa.Array, bad: np.ndarray, style: TimeFormat) -> Instants:
    text = pc.utf8_trim_whitespace(text)
    missing = pc.fill_null(pc.equal(text, ""), True).to_numpy(zero_copy_only=False) & ~bad
    first = next((word for word in text.slice(0, 1000).to_pylist() if word), "")
    if style.format is not None:
        aware = "%z" in style.format.lower()
        times = pd.to_datetime(
            pd.Series(text.to_pylist(), dtype=object), format=style.format, errors="coerce", utc=True
        )
        return _from_pandas(times, bad, missing, aware)
    if style.unit is None and _DATE8.match(first):
        times = pd.to_datetime(pd.Series(text.to_pylist(), dtype=object), format="%Y%m%d", errors="coerce", utc=True)
        return _from_pandas(times, bad, missing, aware=False)
    if style.unit is None and _DATE12.match(first):  # a date with hour and minute, or milliseconds in 1976
        return Instants(np.full(len(text), NO_TIME), ~missing, missing, False)
    if style.unit is not None or re.fullmatch(r"-?\d{9,19}(\.\d+)?", first):
        if re.fullmatch(r"-?\d+", first):
            whole, unreadable = _whole_numbers(text)
            return _counted_instants(whole, bad | unreadable, missing, style)
        values, unreadable = numbers(text)
        return _counted_instants(values, bad | unreadable, missing, style)
    return _iso(text, bad, missing, aware=bool(_ZONED.search(first)) and len(first) > len("2020-01-31"))


def _whole_numbers(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Text as int64 (N,), 0 where it is empty or no whole number of 64 bits, and which is none.

    Never by way of a float, which has no nanoseconds of this century.
    """
    try:
        return pc.cast(text, pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), np.zeros(len(text), dtype=bool)
    except pa.ArrowInvalid:
        words = text.to_pylist()
        read = [_whole(word) if word else 0 for word in words]
        return np.array([value or 0 for value in read], dtype=np.int64), np.array([value is None for value in read])


def _whole(word: str) -> int | None:
    plain = re.fullmatch(r"[+-]?\d{1,19}", word, re.ASCII)
    return int(word) if plain and abs(int(word)) <= np.iinfo(np.int64).max else None


def _iso(text: pa.Array, bad: np.ndarray, missing: np.ndarray, *, aware: bool) -> Instants:
    try:
        parsed = pc.cast(text, pa.timestamp("ns", "UTC" if aware else None))
        ns = parsed.cast(pa.int64()).fill_null(NO_TIME).to_numpy(zero_copy_only=False).astype("int64")
        return Instants(ns, bad, missing, aware)
    except pa.ArrowInvalid:
        words = pd.Series(text.to_pylist(), dtype=object)
        times = pd.to_datetime(words, format="ISO8601", errors="coerce", utc=True)
        iso = words.map(lambda word: isinstance(word, str) and bool(_ISO.match(word)))
        zoned = words.map(lambda word: isinstance(word, str) and len(word) > 10 and bool(_ZONED.search(word)))
        return _from_pandas(times.where(iso & (zoned == aware)), bad, missing, aware)


def _counted_instants(values: np.ndarray, bad: np.ndarray, missing: np.ndarray, style: TimeFormat) -> Instants:
    """Numbers since 1970; without a unit their size tells it (seconds reach 1e11 in the year 5138)."""
    unit, strange = (style.unit, bad) if style.unit else _unit_of(values, ~(missing | bad))
    bad = bad | strange
    limit = np.iinfo("int64").max // _UNIT[unit]
    over = ~(missing | bad) & ~((values < limit) & (values > -limit))  # a float at the limit is beyond it
    safe = np.where(missing | bad | over, 0, values)
    scaled = np.rint(safe * _UNIT[unit]) if safe.dtype.kind == "f" else safe * np.int64(_UNIT[unit])
    ns = scaled.astype("int64")
    return Instants(np.where(missing | bad | over, NO_TIME, ns), bad | over, missing, True)


def _unit_of(values: np.ndarray, given: np.ndarray) -> tuple[str, np.ndarray]:
    """The unit of most of the numbers, and which are of another: they would be read as a time far from the others."""
    size = np.abs(values.astype("float64"))
    place = np.searchsorted(list(_SIZES.values()), size, side="right") - 1
    usual = max(int(np.median(place[given])), 0) if given.any() else 0
    return list(_SIZES)[usual], given & (place != usual)


def _from_pandas(times: pd.Series, bad: np.ndarray, missing: np.ndarray, aware: bool) -> Instants:
    index = pd.DatetimeIndex(times)
    unread = np.asarray(index.isna()) & ~missing
    ns, over = _as_ns(np.where(index.isna(), 0, index.asi8), index.unit)
    unread |= over
    return Instants(np.where(unread | missing, NO_TIME, ns), bad | unread, missing, aware)


def show(value: object) -> str:
    """A cell as it stands in the file."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return str(value)


def _plain(column: pa.Array) -> pa.Array:
    """A column without an index of its values; one without any value is a column of numbers."""
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    return pc.cast(column, pa.float64()) if pa.types.is_null(column.type) else column


def _present(column: pa.Array) -> np.ndarray:
    result: np.ndarray = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return result


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
