"""Prices in the currency of an account: the exchange rates of a store, as known at each price.

A rate is a price series of the class ``fx``, whose symbol is its pair: ``EURUSD`` is dollars for a euro. From one
currency to another leads the pair, or its inverse, or two of those with one currency between them. At an instant counts
the newest close that was known by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from mnpu.data.clock import DAY_NS
from mnpu.data.contents import Asset
from mnpu.data.fills import opening_times
from mnpu.errors import DataError
from mnpu.types import Panel

if TYPE_CHECKING:
    from mnpu.data.store import Store

__all__ = ["OPEN_RATE", "RATE", "in_account_currency", "with_rates"]

#: Fields of a panel: units of the account's currency for one of the symbol's, as known at the close and at the open.
RATE, OPEN_RATE = "rate", "open_rate"

#: A rate that is older is unknown: holidays are shorter.
MAX_AGE_DAYS = 7

#: Prices and cash that are known at the close of a bar.
AT_CLOSE = ("high", "low", "close", "vwap")

#: What is known at the open, where something is filled there. A dividend is that of the open and what follows.
AT_OPEN = ("open", "open_dividend", "delisting")


class _Leg(NamedTuple):
    """A pair of the store, and whether its price has to be turned over."""

    asset: Asset
    inverse: bool


def with_rates(panel: Panel, store: Store, currency: str, *, opens: bool) -> Panel:
    """The panel with the field ``rate``, and ``open_rate`` where opens matter, if any symbol has another currency.

    Parameters
    ----------
    panel : Panel
    store : Store
        That the panel is of. Its assets declare their currencies, its ``fx`` symbols are the rates.
    currency : str
        Of the account, such as ``EUR``.
    opens : bool
        Whether something is filled at the open of a bar.

    Raises
    ------
    DataError
        A symbol has no currency, or there is no way from it to the account's, or its rate is unknown or old at a bar
        from the first one on in which a symbol of that currency trades.
    """
    assets = store.assets()
    declared = {(asset.dataset, asset.symbol): asset.currency for asset in assets}
    own = [declared[info.name, symbol] for info, symbol in zip(panel.datasets, panel.symbols, strict=True)]
    for symbol, info, quoted in zip(panel.symbols, panel.datasets, own, strict=True):
        if not quoted:
            raise DataError(
                f"{symbol} of {info.name} has no currency",
                where="currency",
                expected="a currency for every symbol",
                next_step="Declare it in the mapping of the import.",
            )
    if set(own) == {currency}:
        return panel
    rates = {RATE: np.ones(panel.shape)}
    if opens:
        rates[OPEN_RATE] = np.ones(panel.shape)
    for foreign in sorted({*own} - {currency}):
        columns = np.array([quoted == foreign for quoted in own])
        first = int(panel.tradable[:, columns].any(axis=1).argmax())
        legs = _way(assets, foreign, currency, panel.instants[first:])
        for name, field in rates.items():
            at = np.asarray(opening_times(panel).asi8) if name == OPEN_RATE else panel.instants
            field[first:, columns] = _rate(store, legs, at[first:])[:, None]
            field[:first, columns] = np.nan
    return replace(panel, fields={**panel.fields, **rates})


def in_account_currency(panel: Panel) -> Panel:
    """The panel with its prices and cash in the account's currency, each at the rate that was known at its time.

    The simple return of a foreign symbol is then ``(1 + r) (1 + r_fx) - 1``. High and low are converted at the close,
    dividends and what a delisted share became where they are paid: at the open, if something is filled there.
    A panel without rates, or one that is converted already, is returned as it is.
    """
    if RATE not in panel.fields:
        return panel
    rate = panel[RATE]
    opened = panel.fields.get(OPEN_RATE, rate)
    at = dict.fromkeys(AT_CLOSE, rate) | dict.fromkeys(AT_OPEN, opened)
    converted = {name: values * at[name] if name in at else values for name, values in panel.fields.items()}
    if "dividend" in converted:
        first = panel.fields.get("open_dividend", panel["dividend"])
        converted["dividend"] = first * opened + (panel["dividend"] - first) * rate
    # Total closes are for features, which see each price in its own currency.
    left_out = (RATE, OPEN_RATE, "total_close")
    return replace(panel, fields={name: values for name, values in converted.items() if name not in left_out})


def _way(assets: Sequence[Asset], foreign: str, currency: str, at: np.ndarray) -> tuple[_Leg, ...]:
    """The pairs that lead from one currency to the other: one, or two.

    Of a pair that stands in several datasets counts the one that covers the instants ``at`` best, then the one with the
    most bars.
    """

    def told(asset: Asset) -> tuple[int, int, str]:
        covered = min(asset.last_bar.value, int(at[-1])) - max(asset.first_bar.value, int(at[0]))
        return covered, asset.n_bars, asset.dataset

    pairs: dict[tuple[str, str], Asset] = {}
    for asset in sorted(assets, key=told):
        letters = "".join(filter(str.isalpha, asset.symbol)).upper()
        if asset.asset_class == "fx" and len(letters) == 6 and asset.currency in ("", letters[3:]):
            pairs[letters[:3], letters[3:]] = asset

    def leg(one: str, other: str) -> Iterator[_Leg]:
        if (one, other) in pairs:
            yield _Leg(pairs[one, other], inverse=False)
        elif (other, one) in pairs:
            yield _Leg(pairs[other, one], inverse=True)

    for found in leg(foreign, currency):
        return (found,)
    between = sorted({name for pair in pairs for name in pair} - {foreign, currency}, key=lambda c: (c != "USD", c))
    for middle in between:
        for first in leg(foreign, middle):
            for second in leg(middle, currency):
                return first, second
    raise DataError(
        f"no exchange rate from {foreign} to {currency} in the store",
        where="currency",
        expected=f"{foreign}{currency} or {currency}{foreign} of the class fx, or two pairs with a currency in between",
        next_step=f"Import {foreign}{currency}, or leave the symbols in {foreign} out.",
    )


def _rate(store: Store, legs: Sequence[_Leg], at: np.ndarray) -> np.ndarray:
    """Units of the account's currency for one foreign one at each instant (ns)."""
    rate = np.ones(len(at))
    for leg in legs:
        price = _as_of(store, leg.asset, at)
        rate = rate / price if leg.inverse else rate * price
    return rate


def _as_of(store: Store, pair: Asset, at: np.ndarray) -> np.ndarray:
    """The newest close of a pair at each instant."""
    if pair.last_bar.value < at[0] - MAX_AGE_DAYS * DAY_NS or pair.first_bar.value > at[-1]:
        raise _unknown(pair, int(at[0]))
    info = next(info for info in store.datasets() if info.name == pair.dataset)
    low = pd.Timestamp(int(at.min()) - (MAX_AGE_DAYS + 2) * DAY_NS).date()
    high = pd.Timestamp(int(at.max()) + 2 * DAY_NS).date()
    known = store.panel([pair.symbol], start=low, end=high, frequency=info.frequency, dataset=pair.dataset)
    seen = np.isfinite(known["close"][:, 0])
    times, closes = known.instants[seen], known["close"][seen, 0]
    row = np.searchsorted(times, at, side="right") - 1
    age = np.where(row >= 0, at - times[np.maximum(row, 0)], np.iinfo(np.int64).max)
    if (age > MAX_AGE_DAYS * DAY_NS).any():
        raise _unknown(pair, int(at[np.argmax(age > MAX_AGE_DAYS * DAY_NS)]))
    if (closes <= 0).any():
        raise DataError(f"a price of {pair.symbol} is not positive", where="currency", expected="a positive rate")
    return np.asarray(closes[row])


def _unknown(pair: Asset, instant: int) -> DataError:
    return DataError(
        f"{pair.symbol} is not known on {pd.Timestamp(instant):%Y-%m-%d}",
        where="currency",
        expected=f"a rate of the last {MAX_AGE_DAYS} days at every bar; {pair.dataset} has"
        f" {pair.first_bar:%Y-%m-%d} to {pair.last_bar:%Y-%m-%d}",
        next_step="Change data.start and data.end, or import the rest.",
    )
