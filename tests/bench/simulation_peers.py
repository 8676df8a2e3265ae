"""What vectorbt needs for one piece of work of the topic ``simulation``: ``python simulation_peers.py WORK FOLDER N``.

Runs in the peer's environment, where MNPU is not installed, on ``market.npz`` of FOLDER. Prints the median in
milliseconds of N repeats, after one that compiles, and the account's last equity over its first.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

FEES, CASH = 3e-4, 1e6


def targets(vbt, held):
    """Fractions of the equity, all symbols in one account, sales first."""
    return vbt.Portfolio.from_orders(
        pd.DataFrame(held["prices"]),
        size=held["weights"],
        size_type="targetpercent",
        fees=FEES,
        group_by=True,
        cash_sharing=True,
        call_seq="auto",
        init_cash=CASH,
        freq="1D",
    )


def orders(vbt, held):
    """A million orders of so many shares each."""
    return vbt.Portfolio.from_orders(
        pd.DataFrame(held["many_prices"]), size=held["many_shares"], fees=FEES, init_cash=1e9, freq="1D"
    )


def main(work, folder, repeats):
    import vectorbt as vbt

    held, taken = dict(np.load(Path(folder) / "market.npz")), []
    for _ in range(int(repeats) + 1):
        began = time.perf_counter()
        portfolio = {"targets": targets, "orders": orders}[work](vbt, held)
        records = portfolio.orders.records
        taken.append(1e3 * (time.perf_counter() - began))
    growth = float(portfolio.value().iloc[-1] / portfolio.value().iloc[0]) if work == "targets" else float(len(records))
    print(json.dumps([median(taken[1:]), growth]))


if __name__ == "__main__":
    main(*sys.argv[1:])
