"""What a pipeline's YAML file may hold; a component's own parameters are checked against its constructor.

These models are strict (no text becomes a number) and frozen, and refuse unknown keys.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from mnpu.config.blocks import Block, Dataset, Date, FeatureUse, Name, NamedUse, Period, Symbol, Use
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

__all__ = [
    "CalibrationConfig",
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
    "ReportConfig",
    "RuntimeConfig",
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


class WalkForward(Block):
    """Folds in time order. Purge and embargo follow from the intervals that the target's labels span."""

    use: Literal["walk_forward"] = Field(description="The only way to split.")
    train: Period = Field(description="Training range, as in 5y, 6mo, 2w or 30d; the shortest one if anchored.")
    validation: Period = Field(description="Range that decides when training stops.")
    test: Period = Field(description="Range that is forecast and judged; the folds' test ranges follow each other.")
    anchored: bool = Field(default=True, description="Every fold trains from the first bar on.")


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

    capital: float = Field(default=1_000_000.0, gt=0, description="Money to start with, in the currency of the prices.")
    participation: float | None = Field(
        default=None, gt=0, le=1, description="Largest share of the value traded in the bar of the fill."
    )
    carry: bool = Field(default=True, description="Try in the next bars what a bar's volume did not allow.")
    lot: float | None = Field(default=None, gt=0, description="Whole multiples of it are traded, in adjusted shares.")
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
    fill: Literal["next_close", "next_open"] = Field(default="next_close", description="Price that an order gets.")
    split: WalkForward
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
