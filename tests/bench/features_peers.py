"""What a peer needs for one piece of work of the topic ``features``: ``python features_peers.py WORK FOLDER REPEATS``.

Runs in the peer's environment, where MNPU is not installed, on ``panel.npz`` of FOLDER. Prints the median in
milliseconds and a number to compare results by.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np

FIELDS = ("open", "high", "low", "close", "volume")


def _panel(folder, kept={}):  # noqa: B006
    """Each field (A, T), rows in memory symbol by symbol, as the libraries want them."""
    if not kept:
        held = np.load(folder / "panel.npz", allow_pickle=False)
        kept.update({name: np.ascontiguousarray(held[name].T) for name in FIELDS}, days=held["days"])
    return kept


# qlib: a store of float32 files, and no cache of its own


def _qlib_store(folder):
    held, home = _panel(folder), folder / "qlib"
    (home / "calendars").mkdir(parents=True)
    (home / "instruments").mkdir()
    days = [str(day) for day in held["days"].astype("datetime64[D]")]
    (home / "calendars" / "day.txt").write_text("\n".join(days) + "\n")
    n_symbols = len(held["close"])
    lines = [f"S{a:04}\t{days[0]}\t{days[-1]}" for a in range(n_symbols)]
    (home / "instruments" / "all.txt").write_text("\n".join(lines) + "\n")
    vwap = (held["open"] + held["high"] + held["low"] + held["close"]) / 4
    for a in range(n_symbols):
        place = home / "features" / f"s{a:04}"
        place.mkdir(parents=True)
        for name in (*FIELDS, "vwap"):
            values = vwap[a] if name == "vwap" else held[name][a]
            np.concatenate([[0.0], values]).astype("<f4").tofile(place / f"{name}.day.bin")


def _qlib(folder, kernels):
    warnings.simplefilter("ignore")
    import qlib
    from qlib.contrib.data.loader import Alpha158DL

    if not (folder / "qlib").exists():
        _qlib_store(folder)
    settings = {"expression_cache": None, "dataset_cache": None, "kernels": kernels, "logging_level": 50}
    qlib.init(provider_uri=str(folder / "qlib"), region="us", **settings)
    wanted = {"kbar": {}, "price": {"windows": [0], "feature": ["OPEN", "HIGH", "LOW", "VWAP"]}, "rolling": {}}
    return Alpha158DL.get_feature_config(wanted)


def _qlib_frame(folder, kernels, first):
    from qlib.data import D
    from qlib.data.cache import H

    if "fields" not in HELD:
        HELD["fields"], HELD["names"] = _qlib(folder, kernels)
    H.clear()
    days = _panel(folder)["days"]
    start, end = str(days[first])[:10], str(days[-1])[:10]
    return D.features(D.instruments("all"), HELD["fields"], start_time=start, end_time=end, freq="day")


HELD = {}


def alpha_qlib(folder):
    frame = _qlib_frame(folder, 1, 0)
    if not (folder / "qlib.npz").exists():  # symbol by symbol, day by day
        np.savez(folder / "qlib.npz", values=frame.to_numpy(dtype=np.float32), names=np.array(HELD["names"]))
    return len(frame)


def alpha_qlib_2(folder):
    return len(_qlib_frame(folder, 2, 0))


def session_qlib(folder):
    return len(_qlib_frame(folder, 1, -1))


# TA-Lib: 36 outputs of each symbol, stacked into one float32 matrix


def indicators_talib(folder):
    import talib

    held = _panel(folder)
    shape = held["close"].shape
    out = np.empty((36, *shape), dtype=np.float32)
    for a in range(shape[0]):
        o, h, low, c, v = (held[name][a] for name in FIELDS)
        del o
        found = [
            talib.SMA(c, 20),
            talib.EMA(c, 20),
            talib.WMA(c, 20),
            talib.DEMA(c, 20),
            talib.TEMA(c, 20),
            talib.KAMA(c, 10),
            *talib.BBANDS(c, 20)[::2],
            talib.SAR(h, low),
            talib.RSI(c, 14),
            talib.CMO(c, 14),
            *talib.MACD(c),
            talib.PPO(c),
            talib.MOM(c, 10),
            talib.ROC(c, 10),
            talib.TRIX(c, 15),
            talib.ADX(h, low, c, 14),
            talib.ADXR(h, low, c, 14),
            talib.DX(h, low, c, 14),
            talib.PLUS_DI(h, low, c, 14),
            talib.MINUS_DI(h, low, c, 14),
            talib.ATR(h, low, c, 14),
            talib.NATR(h, low, c, 14),
            talib.TRANGE(h, low, c),
            talib.CCI(h, low, c, 14),
            talib.WILLR(h, low, c, 14),
            talib.ULTOSC(h, low, c),
            *talib.STOCH(h, low, c),
            *talib.AROON(h, low, 14),
            talib.MFI(h, low, c, v, 14),
            talib.OBV(c, v),
            talib.AD(h, low, c, v),
        ]
        for k, values in enumerate(found):
            out[k, a] = values
    return float(np.nansum(out[[9, 18, 26, 27]].astype(float)))  # RSI, ADX, CCI, WILLR: the same in any currency


def indicators_ta(folder):
    """Twenty symbols: the whole panel would take minutes."""
    warnings.simplefilter("ignore")
    import pandas as pd
    import ta

    held = _panel(folder)
    for a in range(20):
        frame = pd.DataFrame({name: held[name][a] for name in FIELDS})
        made = ta.add_all_ta_features(frame, *FIELDS)
    return made.shape[1] - len(FIELDS)


def mapped_bytes(folder):
    """As many bytes as the columns of Alpha158 have, read from a file in memory."""
    path = folder / "bytes"
    size = _panel(folder)["close"].size * 158
    if not path.exists():
        np.zeros(size, dtype=np.float32).tofile(path)
    return float(np.fromfile(path, dtype=np.float32).sum())


def main(work, folder, repeats):
    os.environ["OMP_NUM_THREADS"] = "1"
    function, folder = globals()[work], Path(folder)
    result = function(folder)
    taken = []
    for _ in range(int(repeats)):
        began = time.perf_counter()
        function(folder)
        taken.append(1e3 * (time.perf_counter() - began))
    print(json.dumps([median(taken) if taken else 0.0, float(result)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
