"""What a peer needs for work of the topic ``statistics``: ``python strategies_peers.py WORK FOLDER REPEATS``.

Runs in the peer's environment, where MNPU is not installed. Prints the median in milliseconds and a number to compare
results by.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from statistics import median

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

HELD = {}


def simple_empyrical(folder):
    """Its simple statistics, one series at a time: it has no other way. Annual return and CAGR are one number."""
    import pandas as pd
    from empyrical import stats

    if "series" not in HELD:
        returns = np.load(folder / "simple.npy")
        days = pd.bdate_range("2010-01-04", periods=returns.shape[1])
        HELD["series"] = [pd.Series(row, index=days) for row in returns]
    functions = [function for function in stats.SIMPLE_STAT_FUNCS if function is not stats.annual_return]
    if len(functions) != 14:
        raise AssertionError(f"empyrical has {len(functions)} simple statistics")
    return sum(float(function(series)) for series in HELD["series"] for function in functions)


def superiority_arch(folder):
    from arch.bootstrap import SPA

    returns = np.load(folder / "tested.npy")
    test = SPA(np.zeros(returns.shape[1]), -returns.T, block_size=5, reps=1_000, seed=3)  # it takes losses
    test.compute()
    return float(test.pvalues["upper"])


def main(work, folder, repeats):
    warnings.simplefilter("ignore")
    function, folder = globals()[work], Path(folder)
    result = function(folder)
    taken = []
    for _ in range(int(repeats)):
        began = time.perf_counter()
        function(folder)
        taken.append(1e3 * (time.perf_counter() - began))
    print(json.dumps([median(taken), float(result)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
