"""What a pipeline's YAML file may hold; a component's own parameters are checked against its constructor.

These models are strict (no text becomes a number) and frozen, and refuse unknown keys.
"""

from __future__ import annotations

from math import comb
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from mnpu.config.blocks import Block, Currency, Dataset, Date, FeatureUse, Locked, Name, NamedUse, Period, Symbol, Use
from mnpu.config.fitting import (
    CalibrationConfig,
    ContrastiveConfig,
    EnsembleConfig,
    MaskedConfig,
    ModelConfig,
    TrainConfig,
    WarmStart,
)
from mnpu.frequencies import Frequency

MOST_FOLDS = 1000  #: Of one split: each is a fit.

__all__ = [
    "CalibrationConfig",
    "CombinatorialPurged",
    "Compare",
    "ContrastiveConfig",
    "CostsConfig",
    "ExecutionConfig",
    "DataConfig",
    "EnsembleConfig",
    "FeatureUse",
    "MaskedConfig",
    "ModelConfig",
    "Pipeline",
    "PurgedKFold",
    "ReportConfig",
    "RuntimeConfig",
    "SplitConfig",
    "TrainConfig",
    "Use",
    "WalkForward",
    "WarmStart",
]


class DataConfig(Block):
    """Which prices, from when to when."""

    store: str = Field(
        min_length=1,
        description="The store: `sqlite:///market.db`, `parquet:///folder` or a path. Relative paths start from this "
        "file's folder.",
    )
    dataset: Dataset = Field(
        default=None,
        description="Dataset to read, or one for each symbol; needed where a symbol stands in more than one.",
    )
    symbols: list[Symbol] = Field(
        default=[],
        description="Symbols, each once. Their order is the report's order. Needed where no universe is named.",
    )
    universe: str | None = Field(
        default=None,
        min_length=1,
        description="Universe of the store: a symbol is decided about while it belongs. All of its symbols, or those "
        "of `symbols`.",
    )
    start: Date = Field(description="First session, as in 2005-01-31.")
    end: Date = Field(description="Last session, included.")
    frequency: Frequency = Field(default="1d", description="Length of a bar.")
    source_frequency: Frequency | None = Field(
        default=None, description="Length of the stored bars, where they are shorter and are to be put together."
    )
    zero_volume: Literal["trade", "halt"] = Field(
        default="trade", description="Whether a bar without volume can be traded (quotes have none), or is a halt."
    )
    calendar: str | None = Field(
        default=None, min_length=1, description="FX, CRYPTO, or an exchange as XNYS. Default: the dataset's own."
    )


class Splitting(Block):
    """What every way to split has."""

    validation: Period = Field(description="Range that decides when training stops; never tested, and purged.")
    locked: Locked | None = Field(
        default=None,
        description="Last range of the data, a period or the date it begins on; no run reads it unless unlocked.",
    )
    unlocked: bool = Field(
        default=False, description="Judge on the locked range: `mnpu run --unlock` sets it, and the ledger counts it."
    )

    @model_validator(mode="after")
    def _something_locked(self) -> Splitting:
        if self.unlocked and self.locked is None:
            raise PydanticCustomError("locked", "split.locked, the range that is to be unlocked")
        return self


class WalkForward(Splitting):
    """Folds in time order. Purge and embargo follow from the intervals that the target's labels span."""

    use: Literal["walk_forward"] = Field(description="Train on the past, test on what follows.")
    train: Period = Field(description="Training range, as in 5y, 6mo, 2w or 30d; the shortest one if anchored.")
    test: Period = Field(description="Range that is forecast and judged; the folds' test ranges follow each other.")
    anchored: bool = Field(default=True, description="Every fold trains from the first bar on.")


class Crossing(Splitting):
    """What both kinds of cross-validation have."""

    embargo: Period | None = Field(
        default=None, description="Time after a test range without training, where longer than the longest label."
    )


class PurgedKFold(Crossing):
    """Groups of decisions, each tested by what learnt from the others, earlier and later ones."""

    use: Literal["purged_kfold"] = Field(description="Each group is tested once.")
    folds: int = Field(default=5, ge=2, le=1000, description="Groups.")


class CombinatorialPurged(Crossing):
    """Every choice of some groups is tested by what learnt from the others, which makes several whole histories."""

    use: Literal["cpcv"] = Field(description="Each group is tested by several folds.")
    groups: int = Field(default=6, ge=2, le=100, description="Groups, N.")
    test_groups: int = Field(default=2, ge=1, le=99, description="Groups that a fold tests, k: C(N, k) k / N paths.")

    @model_validator(mode="after")
    def _some_left(self) -> CombinatorialPurged:
        if self.test_groups >= self.groups:
            raise PydanticCustomError("groups", "test_groups below groups: something must be left to learn from")
        if comb(self.groups, self.test_groups) > MOST_FOLDS:
            raise PydanticCustomError("groups", f"at most {MOST_FOLDS} folds; groups choose test_groups are more")
        return self


SplitConfig = WalkForward | PurgedKFold | CombinatorialPurged


class CostsConfig(Block):
    """What a trade costs, in 1/10,000 of the traded notional."""

    commission_bps: float = Field(default=1.0, ge=0, description="Commission.")
    half_spread_bps: float = Field(default=2.0, ge=0, description="Half of the bid-ask spread.")
    impact: float = Field(
        default=0.0, ge=0, description="What a trade as large as a usual bar moves the price by, in volatilities a bar."
    )
    borrow_bps: float = Field(default=0.0, ge=0, description="Borrowed shares, a year, of the value of shorts.")
    liquidation_bps: float = Field(default=0.0, ge=0, description="What is closed for want of margin, beside the rest.")
    funding: str | None = Field(
        default=None, min_length=1, description="Side series of the rates that perpetuals settle, as funding_rate."
    )


class ExecutionConfig(Block):
    """What the size of the account limits: fills in parts, lots, margin."""

    capital: float = Field(
        default=1_000_000.0, gt=0, le=1e18, description="Money to start with, in the currency of the account."
    )
    participation: float | None = Field(
        default=None, gt=0, le=1, description="Largest share of the value traded in the bar of the fill."
    )
    carry: bool = Field(default=True, description="Try in the next bars what a bar's volume did not allow.")
    lot: float | None = Field(
        default=None, ge=1e-12, le=1e18, description="Whole multiples of it are traded, in shares of the day."
    )
    min_notional: float = Field(default=0.0, ge=0, description="Smaller orders are not sent.")
    maintenance: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Smallest equity over the size of all positions; below it, all close.",
    )


class Compare(Block):
    """One strategy beside the judged one, on the same decisions: another policy, backbone or forecaster."""

    policy: Use | None = Field(default=None, description="A rule, as buy_and_hold or momentum.")
    backbone: Use | None = Field(default=None, description="Another network under the same head and policy.")
    forecaster: Use | None = Field(default=None, description="A whole model under the same policy.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Compare:
        if sum(use is not None for use in (self.policy, self.backbone, self.forecaster)) != 1:
            raise PydanticCustomError("one_of", "exactly one of policy, backbone and forecaster")
        return self


class ReportConfig(Block):
    """What a run renders."""

    formats: list[str] = Field(default=["md"], description="Names of renderers: md, and html with mnpu-report.")


class RuntimeConfig(Block):
    """How it runs, not what it is; only devices and threads enter a hash, that of the environment.

    Engine and workers enter none: results are the same for any of them.
    """

    engine: NamedUse = Field(
        default=Use(use="local"), description="Where tasks run: a name, or `{use: NAME, ...}` with its parameters."
    )
    workers: int = Field(default=1, ge=1, le=256, description="Tasks at a time. The result is the same for any number.")
    threads: int = Field(default=1, ge=1, le=1024, description="Threads of a numeric library. Part of env_hash.")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where networks are fitted.")
    devices: int = Field(
        default=1, ge=1, le=64, description="Processes that fit a network together, each on a device of its own."
    )
    strategy: Literal["auto", "ddp", "fsdp"] = Field(
        default="auto",
        description="How they share it: every process has all weights (ddp, auto), or a part of them (fsdp).",
    )

    @model_validator(mode="after")
    def _several(self) -> RuntimeConfig:
        if self.strategy != "auto" and self.devices == 1:
            raise PydanticCustomError("strategy", "strategy: auto, or devices: 2 or more to be shared among")
        return self


class Pipeline(Block):
    """A whole pipeline: data, features, model, policy, guardrails, costs, report."""

    name: Name = Field(description="Name in the ledger: letters, digits, dots, dashes and underscores.")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Seed of everything random.")
    data: DataConfig
    features: list[FeatureUse] = Field(
        min_length=1, description="Inputs of the model: `{use: source.function}`, `{use: source.*}` or `{tag: WORD}`."
    )
    validators: list[Use] = Field(
        default=[Use(use="ohlcv"), Use(use="point_in_time")], description="Checks that may refuse the data."
    )
    target: Use = Field(
        default=Use.model_validate({"use": "forward_return", "horizons": [5]}), description="What is forecast."
    )
    fill: Literal["next_close", "next_open", "vwap"] = Field(
        default="next_close", description="Price of the next bar that an order gets; vwap: its volume weighted average."
    )
    currency: Currency | None = Field(
        default=None,
        description="Of the account; prices are converted through the store's exchange rates. Null: as quoted.",
    )
    split: Annotated[SplitConfig, Field(discriminator="use")] = Field(
        description="What is trained on, and what is tested."
    )
    model: ModelConfig
    train: TrainConfig = TrainConfig()
    policy: Use = Field(description="From forecasts to weights.")
    guardrails: list[Use] = Field(default=[], description="Limits on the weights, applied in this order.")
    costs: CostsConfig = CostsConfig()
    execution: ExecutionConfig | None = Field(
        default=None, description="Null: orders of any size are filled whole, and no one asks for margin."
    )
    compare: list[Compare] = Field(default=[], description="Strategies beside the judged one.")
    report: ReportConfig = ReportConfig()
    runtime: RuntimeConfig = RuntimeConfig()
