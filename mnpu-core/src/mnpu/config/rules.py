"""Rules that more than one value takes part in, and that need no component."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mnpu.config.alerts import FED_BY, OWN
from mnpu.config.locked import locked_from
from mnpu.config.periods import parse_period
from mnpu.errors import ConfigError
from mnpu.frequencies import nests

if TYPE_CHECKING:
    from mnpu.config.load import LoadedConfig

__all__ = ["check", "unfed"]


def check(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """Every broken rule of a configuration whose single values are all right."""
    yield from _dates(loaded)
    yield from _locked(loaded)
    yield from _frequencies(loaded)
    yield from _symbols(loaded)
    yield from _horizons(loaded)
    yield from _repeated(loaded, ("report", "formats"), loaded.pipeline.report.formats)
    yield from _features(loaded)
    yield from _classes(loaded)
    yield from _of_networks(loaded)
    yield from _watching(loaded)
    yield from _strategies(loaded)
    yield from _of_devices(loaded)
    yield from _crossed(loaded)


def _dates(loaded: LoadedConfig) -> Iterator[ConfigError]:
    import pandas as pd

    data, split = loaded.pipeline.data, loaded.pipeline.split
    if data.start >= data.end:
        yield loaded.error(("data", "start"), f"is {data.start}", expected=f"a date before data.end, {data.end}")
        return
    if split.use != "walk_forward":
        return  # groups are parts of what there is
    first_fold = pd.Timestamp(data.start)
    for period in (split.train, split.validation, split.test):
        first_fold = first_fold + parse_period(period)
    # The last day counts, and a period that ends on a weekend needs no bar there.
    if first_fold > pd.Timestamp(data.end) + pd.Timedelta(days=7):
        yield loaded.error(
            ("split", "train"),
            f"({split.train}), validation ({split.validation}) and test ({split.test}) together end on "
            f"{first_fold:%Y-%m-%d}",
            expected=f"room for one fold before data.end, {data.end}",
            next_step="Shorten the ranges, or start earlier.",
        )


def _locked(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """A locked range that holds no data locks nothing, and one that holds all of it leaves nothing."""
    data, split = loaded.pipeline.data, loaded.pipeline.split
    if split.locked is None or data.start >= data.end:
        return
    begins = locked_from(split, data)
    if begins is not None and not data.start < begins <= data.end:
        yield loaded.error(
            ("split", "locked"),
            f"is {split.locked}, and begins on {begins}",
            expected=f"a day after data.start, {data.start}, and up to data.end, {data.end}",
            next_step="Nothing is locked after data.end." if begins > data.end else "Lock less, or start earlier.",
        )


def _frequencies(loaded: LoadedConfig) -> Iterator[ConfigError]:
    data = loaded.pipeline.data
    if data.source_frequency is not None and not nests(data.source_frequency, data.frequency):
        yield loaded.error(
            ("data", "source_frequency"),
            f"is {data.source_frequency}",
            expected=f"a frequency shorter than data.frequency, {data.frequency}",
            next_step="Leave it out where the stored bars are used as they are.",
        )


def _symbols(loaded: LoadedConfig) -> Iterator[ConfigError]:
    data = loaded.pipeline.data
    yield from _repeated(loaded, ("data", "symbols"), data.symbols)
    if not data.symbols and data.universe is None:
        yield loaded.error(
            ("data", "symbols"),
            "names no symbol",
            expected="at least one symbol, or data.universe",
            next_step="Run: mnpu data info.",
        )
    if isinstance(data.dataset, dict) and data.symbols:
        for symbol in data.dataset:
            if symbol not in data.symbols:
                yield loaded.error(
                    ("data", "dataset", symbol),
                    "is for a symbol that data.symbols does not hold",
                    next_step="Add the symbol, or remove the line.",
                )


def _horizons(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """``horizons`` is bars by convention, whichever target takes it."""
    horizons = loaded.pipeline.target.params.get("horizons")
    if not isinstance(horizons, list):
        return
    for i, horizon in enumerate(horizons):
        if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
            yield loaded.error(
                ("target", "horizons", i), f"is {horizon!r}", expected="a positive integer, the horizon in bars"
            )
    yield from _repeated(loaded, ("target", "horizons"), horizons)


def _of_networks(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """Settings of networks say nothing where there is none: whoever wrote them expects more than will happen."""
    config = loaded.pipeline
    if config.model.forecaster is None:
        return
    alone = all(other.backbone is None for other in config.compare)
    settings: list[tuple[tuple[str, str], bool, str]] = [
        (("model", "warm_start"), config.model.warm_start is not None, "the judged model"),
        (("model", "ensemble"), config.model.ensemble is not None and alone, "every model of the run"),
        (("train", "pretrain"), config.train.pretrain is not None and alone, "every model of the run"),
    ]
    for path, without_effect, which in settings:
        if without_effect:
            yield loaded.error(
                path,
                f"is set, and {which} is a whole one ({config.model.forecaster.use})",
                expected="a backbone, which has weights to begin with, to average or to pre-train",
                next_step="Remove it, or take model.backbone.",
            )


def _crossed(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """Folds of cross-validation know what came later, so what walks forward in time cannot be done in them."""
    config = loaded.pipeline
    if config.split.use != "walk_forward" and config.model.calibration is not None:
        yield loaded.error(
            ("model", "calibration"),
            f"is {config.model.calibration.use}, and split.use is {config.split.use}, whose folds learn from what is "
            "later than their tests",
            expected="folds that train on the past alone, or no calibration",
            next_step="Take split: {use: walk_forward, ...}, or remove it.",
        )


def _classes(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """``by: classes`` needs class probabilities, by convention, whichever policy takes it; a whole model has none."""
    config = loaded.pipeline
    if config.policy.params.get("by") != "classes":
        return
    beside = ((f"compare.{i}", other.forecaster) for i, other in enumerate(config.compare))
    blocks = [("model", config.model.forecaster), *beside]
    for place, use in blocks:
        if use is not None:
            yield loaded.error(
                ("policy", "by"),
                f"is classes, and {place}.forecaster ({use.use}) gives quantiles alone",
                expected="heads that name classes, as dirichlet_quantile",
                next_step="Rank by the median, or take a backbone.",
            )


def _watching(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """What an instrument or a logger says is kept by its name, so there is one of each."""
    train = loaded.pipeline.train
    yield from _repeated(loaded, ("train", "instruments"), [use.use for use in train.instruments])
    yield from _repeated(loaded, ("train", "loggers"), [use.use for use in train.loggers])
    yield from (error for name in FED_BY if name != "collapse" for error in unfed(loaded, name))


def unfed(loaded: LoadedConfig, name: str) -> Iterator[ConfigError]:
    """An alert that is to act, and that no instrument of the recipe can feed: it would never act.

    A stranger's instrument may read what any alert asks. ``collapse`` is fed by backbones as well: whoever knows the
    recipe's backbones asks for it.
    """
    train, devices = loaded.pipeline.train, loaded.pipeline.runtime.devices
    rule, instruments = getattr(train.alerts, name), [use.use for use in train.instruments]
    if rule is None or rule.action == "log":
        return
    path, what = ("train", "alerts", name, "action"), f"is {rule.action}, and nothing feeds the alert: "
    if devices > 1:
        yield loaded.error(
            path,
            f"{what}instruments are left out where runtime.devices is {devices}",
            expected="log, or an alert that needs no instrument, as over_fitting",
            next_step="Remove the action, or set runtime.devices: 1.",
        )
    elif FED_BY[name] not in instruments and set(instruments) <= set(OWN):
        yield loaded.error(
            path,
            f"{what}train.instruments is [{', '.join(instruments)}]",
            expected=f"{FED_BY[name]} among them, which reads what it asks",
            next_step=f"Add {FED_BY[name]} to train.instruments, or remove the action.",
        )


def _strategies(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """Strategies are told apart by the names of what they compare."""
    config = loaded.pipeline
    judged = config.model.forecaster or config.model.backbone
    seen = [judged.use] if judged is not None else []
    for i, other in enumerate(config.compare):
        use = other.policy or other.backbone or other.forecaster
        if use is not None and use.use in seen:
            yield loaded.error(
                ("compare", i),
                f"is {use.use}, which is there twice",
                expected="each strategy once, the judged one included",
                next_step="Remove one.",
            )
        seen += [] if use is None else [use.use]


def _of_devices(loaded: LoadedConfig) -> Iterator[ConfigError]:
    """What no machine can do; what this one cannot is known when the run begins."""
    train, runtime = loaded.pipeline.train, loaded.pipeline.runtime
    if train.batch_size % runtime.devices:
        yield loaded.error(
            ("train", "batch_size"),
            f"is {train.batch_size}",
            expected=f"a multiple of runtime.devices, {runtime.devices}",
        )
    if train.precision == 16 and (runtime.device == "cpu" or runtime.strategy == "fsdp"):
        place = "on the cpu" if runtime.device == "cpu" else "under runtime.strategy: fsdp"
        yield loaded.error(("train", "precision"), f"is 16 {place}", expected="32 or bf16")


def _features(loaded: LoadedConfig) -> Iterator[ConfigError]:
    seen: dict[str, int] = {}
    for i, feature in enumerate(loaded.pipeline.features):
        if feature.use and "." not in feature.use.strip("."):
            yield loaded.error(
                ("features", i, "use"), f"is '{feature.use}'", expected="source.function, as in price.log_return"
            )
        same = repr((feature.use, feature.tag, sorted(feature.params.items(), key=lambda item: item[0])))
        if same in seen:
            yield loaded.error(("features", i), f"repeats features.{seen[same]}", next_step="Remove one.")
        seen.setdefault(same, i)


def _repeated(loaded: LoadedConfig, path: tuple[str, ...], items: Sequence[Any]) -> Iterator[ConfigError]:
    for i, item in enumerate(items):
        if item in items[:i]:
            yield loaded.error((*path, i), f"is {item}, which is there twice", next_step="Remove one.")
