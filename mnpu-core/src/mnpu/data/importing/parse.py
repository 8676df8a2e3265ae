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

__all__ = ["Instants", "Names", "instants", "names", "numbers", "show"]

NO_TIME = np.iinfo("int64").min
_UNIT = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_ZONED = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_DATE8 = re.compile(r"(1[6-9]|2[01])\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")


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
    """Cells as text, and which of them are no text in UTF-8."""
    bad = np.zeros(len(column), dtype=bool)
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return pc.cast(column, pa.string()), bad
    try:
        return pc.cast(column, pa.string()), bad
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
    bad = np.zeros(len(column), dtype=bool)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan), bad
    if _is_text(column.type):
        values, bad = _spelt_numbers(column, [code for code in missing if isinstance(code, str)], decimal)
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
        text = pc.replace_substring(text, decimal, ".")
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
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        zone = getattr(kind, "tz", None)
        ns = pc.cast(column, pa.timestamp("ns", zone), safe=False).cast(pa.int64()).fill_null(NO_TIME)
        return Instants(ns.to_numpy(zero_copy_only=False).astype("int64"), np.zeros_like(missing), missing, bool(zone))
    if _is_text(kind):
        return _spelt_instants(*text_of(column), style)
    values, bad = numbers(column)
    return _counted_instants(values, bad, np.isnan(values), style)


def _spelt_instants(text: pa.Array, bad: np.ndarray, style: TimeFormat) -> Instants:
    text = pc.utf8_trim_whitespace(text)
    missing = pc.fill_null(pc.equal(text, ""), True).to_numpy(zero_copy_only=False) & ~bad
    first = next((word for word in text.slice(0, 1000).to_pylist() if word), "")
    if style.format is not None:
        aware = "%z" in style.format
        times = pd.to_datetime(
            pd.Series(text.to_pylist(), dtype=object), format=style.format, errors="coerce", utc=True
        )
        return _from_pandas(times, bad, missing, aware)
    if style.unit is None and _DATE8.match(first):
        times = pd.to_datetime(pd.Series(text.to_pylist(), dtype=object), format="%Y%m%d", errors="coerce", utc=True)
        return _from_pandas(times, bad, missing, aware=False)
    if style.unit is not None or re.fullmatch(r"-?\d{9,19}(\.\d+)?", first):
        if re.fullmatch(r"-?\d+", first):
            try:
                whole = pc.cast(text, pa.int64())
            except pa.ArrowInvalid:
                pass
            else:
                return _counted_instants(whole.fill_null(0).to_numpy(zero_copy_only=False), bad, missing, style)
        values, unreadable = numbers(text)
        return _counted_instants(values, bad | unreadable, missing, style)
    return _iso(text, bad, missing, aware=bool(_ZONED.search(first)) and len(first) > len("2020-01-31"))


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
    size = np.abs(values[~(missing | bad)]).max(initial=0)
    unit = style.unit or ("s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns")
    limit = np.iinfo("int64").max // _UNIT[unit]
    over = ~(missing | bad) & ~(np.abs(values) <= limit)
    safe = np.where(missing | bad | over, 0, values)
    scaled = np.rint(safe * _UNIT[unit]) if safe.dtype.kind == "f" else safe * np.int64(_UNIT[unit])
    ns = scaled.astype("int64")
    return Instants(np.where(missing | bad | over, NO_TIME, ns), bad | over, missing, True)


def _from_pandas(times: pd.Series, bad: np.ndarray, missing: np.ndarray, aware: bool) -> Instants:
    index = pd.DatetimeIndex(times)
    unread = np.asarray(index.isna()) & ~missing
    with np.errstate(all="ignore"):
        ns = index.as_unit("ns").asi8
    return Instants(np.where(unread | missing, NO_TIME, ns), bad | unread, missing, aware)


def show(value: object) -> str:
    """A cell as it stands in the file."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return str(value)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
