"""What a pipeline's YAML file may hold; a component's own parameters are checked against its constructor.

These models are strict (no text becomes a number) and frozen, and refuse unknown keys.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mnpu.config.alerts import AlertsConfig
from mnpu.config.periods import PERIOD
from mnpu.frequencies import Frequency

__all__ = [
    "CalibrationConfig",
    "Compare",
    "ContrastiveConfig",
    "CostsConfig",
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


_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_EVERY = r"^[1-9][0-9]* (epoch|step)s?$"
_SYMBOL = r"^\S{1,32}$"


def _date(value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        if isinstance(value, str) and len(value) == len("2005-01-31"):
            return dt.date.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError("date", "a date that exists, as in 2005-01-31")


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    """A validator of text; an error says ``expected``."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise PydanticCustomError("pattern", "{expected}", {"expected": expected})
        return text

    return check


def _pattern(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


def _datasets(value: Any) -> Any:
    named = isinstance(value, Mapping) and all(isinstance(v, str) and v for v in value.values())
    if value is None or (isinstance(value, str) and value) or named:
        return value
    raise PydanticCustomError("dataset", "the name of a dataset, or a map from symbols to names")


Date = Annotated[
    dt.date,
    BeforeValidator(_date),
    PlainSerializer(dt.date.isoformat),
    WithJsonSchema({"type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
]
Dataset = Annotated[
    Any,
    BeforeValidator(_datasets),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
                {"type": "null"},
            ]
        }
    ),
]
Name = Annotated[
    str, AfterValidator(_matching(_NAME, "up to 64 letters, digits, dots, dashes and underscores")), _pattern(_NAME)
]
Period = Annotated[
    str,
    AfterValidator(_matching(PERIOD, "a whole number and y, mo, w or d, as in 5y, 6mo, 2w or 30d")),
    _pattern(PERIOD),
]
Every = Annotated[
    str, AfterValidator(_matching(_EVERY, "a number and a unit, as in 1 epoch or 500 steps")), _pattern(_EVERY)
]
Symbol = Annotated[
    str, AfterValidator(_matching(_SYMBOL, "a symbol of up to 32 characters without spaces")), _pattern(_SYMBOL)
]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Use(BaseModel):
    """A component by its registered name, with its parameters beside it: ``{use: s4d, d_state: 16}``.

    Attributes
    ----------
    use : str
        Short name, or ``distribution/name``. A feature is ``source.function``.
    params : dict
        Everything else in the block, checked against the component's signature by `mnpu.config.resolve`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra={"required": ["use"]})

    use: str = Field(min_length=1, description="Name of the component; `mnpu plugins list` shows what is installed.")
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, block: Any) -> Any:
        if not isinstance(block, Mapping):
            return block
        params = {key: value for key, value in block.items() if key != "use"}
        return {"params": params} | ({"use": block["use"]} if "use" in block else {})

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"use": self.use, **handler(self)["params"]}


class FeatureUse(Use):
    """Features by name, by a pattern of one source, or by tag; see `mnpu.features.select`.

    Attributes
    ----------
    use : str
        ``source.function``, or a pattern such as ``macro.*``; empty where a tag alone chooses.
    tag : str
        A word that the chosen features carry; empty where there is none.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["use"]}, {"required": ["tag"]}]})

    use: str = Field(
        default="", min_length=1, description="source.function, or source.* for several; see `mnpu features list`."
    )
    tag: str = Field(default="", min_length=1, description="A word that features carry: all that do are chosen.")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, block: Any) -> Any:
        if not isinstance(block, Mapping):
            return block
        named = {key: block[key] for key in ("use", "tag") if key in block}
        return {"params": {key: value for key, value in block.items() if key not in named}, **named}

    @model_validator(mode="after")
    def _some(self) -> FeatureUse:
        if not (self.use or self.tag):
            raise PydanticCustomError("one_of", "use: source.function, or tag: a word that features carry")
        return self

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        named = {"use": self.use, "tag": self.tag}
        return {**{key: value for key, value in named.items() if value}, **handler(self)["params"]}


def _named(value: Any) -> Any:
    return {"use": value} if isinstance(value, str) else value


NamedUse = Annotated[Use, BeforeValidator(_named)]


class DataConfig(_Block):
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


class WalkForward(_Block):
    """Folds in time order. Purge and embargo follow from the intervals that the target's labels span."""

    use: Literal["walk_forward"] = Field(description="The only way to split.")
    train: Period = Field(description="Training range, as in 5y, 6mo, 2w or 30d; the shortest one if anchored.")
    validation: Period = Field(description="Range that decides when training stops.")
    test: Period = Field(description="Range that is forecast and judged; the folds' test ranges follow each other.")
    anchored: bool = Field(default=True, description="Every fold trains from the first bar on.")


class EnsembleConfig(_Block):
    """Several networks that differ in their seed alone, and forecast as one."""

    seeds: int = Field(ge=2, le=100, description="Members: quantiles and probabilities are averaged over them.")


class WarmStart(_Block):
    """Where weights come from before training."""

    path: str = Field(min_length=1, description="A bundle, or the folder of a run, which has one for each fold.")
    parts: Literal["network", "backbone"] = Field(
        default="network", description="All weights, or the backbone's alone, under a new head."
    )


class CalibrationConfig(_Block):
    """How forecasts are held to outcomes of the past; see `mnpu.training.calibrating`."""

    use: Literal["split", "adaptive"] = Field(
        description="split: once a fold, on a range of its own before the test. adaptive: anew at each decision, from "
        "the outcomes that are known by then."
    )
    share: float = Field(
        default=0.5, gt=0, lt=1, description="Share of the validation range, at its end, that calibrates instead."
    )
    rate: float | None = Field(
        default=None, gt=0, description="Of adaptive: how far a working level moves at each decision. Default 0.01."
    )
    memory: int | None = Field(
        default=None, ge=1, description="Of adaptive: decisions whose outcomes are remembered. Default 250."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_adaptive(cls, block: Any) -> Any:
        adaptive = isinstance(block, Mapping) and block.get("use") == "adaptive"
        if not adaptive:
            return block
        return {**block, **{key: usual for key, usual in (("rate", 0.01), ("memory", 250)) if block.get(key) is None}}

    @model_validator(mode="after")
    def _only_its_own(self) -> CalibrationConfig:
        if self.use == "split" and not (self.rate is None and self.memory is None):
            raise PydanticCustomError("one_of", "neither rate nor memory with split: they are settings of adaptive")
        return self


class ModelConfig(_Block):
    """What is fitted: windows of features, through a backbone, to a head's distribution; or a whole forecaster."""

    lookback: int = Field(ge=1, description="Bars in a window.")
    min_present: float = Field(
        default=0.8, gt=0, le=1, description="Smallest share of a window's cells that must be known for it to be used."
    )
    unseen: Literal["refuse", "leave_out"] = Field(
        default="refuse",
        description="What becomes of a feature without a value in a fold's training range: it stops the run; or, as "
        "one with a single value, it is left out of that fold, which is said and reported.",
    )
    checkpoint_activations: bool = Field(
        default=False,
        description="Compute a backbone's blocks again in the backward pass instead of keeping what they computed: "
        "less memory for long windows, the same numbers, more time. Backbones without blocks are left as they are.",
    )
    backbone: Use | None = Field(default=None, description="Network from (B, L, F) to (B, L, D).")
    head: Use = Field(
        default=Use(use="quantile"), description="From the last step of every backbone here to a distribution."
    )
    forecaster: Use | None = Field(
        default=None, description="A whole model in place of backbone and head, as ridge or lightgbm."
    )
    calibration: CalibrationConfig | None = Field(
        default=None, description="Holds forecasts to outcomes of the past: `{use: split}`, `{use: adaptive}` or null."
    )
    warm_start: str | WarmStart | None = Field(
        default=None,
        description="Begin the judged network with the weights of this bundle, or of a run's newest bundle that has "
        "seen nothing later than the fold may; a path, or `{path: ..., parts: backbone}`. Null for new weights.",
    )
    ensemble: EnsembleConfig | None = Field(
        default=None, description="Every network of the run from several seeds, as `{seeds: 5}`; null for one."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> ModelConfig:
        if (self.backbone is None) == (self.forecaster is None):
            raise PydanticCustomError("one_of", "exactly one of backbone and forecaster")
        return self

    @property
    def starts_from(self) -> WarmStart | None:
        """``warm_start`` as a block, however it is written."""
        return WarmStart(path=self.warm_start) if isinstance(self.warm_start, str) else self.warm_start


class _Pretraining(_Block):
    epochs: int = Field(default=5, ge=1, description="Passes over the training windows.")
    lr: float = Field(default=1e-3, gt=0, description="Learning rate of AdamW.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Weight decay of AdamW.")


class MaskedConfig(_Pretraining):
    """Hide stretches of each column and let the backbone fill them in."""

    use: Literal["masked"] = Field(description="Rebuild what is hidden.")
    share: float = Field(default=0.4, gt=0, lt=1, description="Share of each column's patches that is hidden.")
    patch_length: int | None = Field(
        default=None, ge=1, description="Bars of a patch; null for 8, or half of the lookback where that is shorter."
    )


class ContrastiveConfig(_Pretraining):
    """Distort each window twice and let the backbone find the two among all."""

    use: Literal["contrastive"] = Field(description="Tell windows apart.")
    temperature: float = Field(default=0.2, gt=0, description="The smaller, the more the most similar windows count.")
    jitter: float = Field(default=0.1, ge=0, description="Deviation of the noise, in units of the scaled features.")
    scaling: float = Field(default=0.1, ge=0, description="Deviation of the logarithm of each column's factor.")
    hidden: float = Field(default=0.2, ge=0, lt=1, description="Probability that a bar is hidden.")


class TrainConfig(_Block):
    """How it is fitted, in every fold anew."""

    epochs: int = Field(default=5, ge=1, description="Most passes over the training windows.")
    batch_size: int = Field(default=512, ge=1, description="Windows in a batch.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients make one step, to save memory.")
    max_steps_per_epoch: int | None = Field(default=None, ge=1, description="Steps in an epoch; null for all windows.")
    pretrain: Annotated[MaskedConfig | ContrastiveConfig, Field(discriminator="use")] | None = Field(
        default=None,
        description="What the backbone learns of the training windows before it sees a label; null for nothing.",
    )
    optimizer: Literal["adamw", "adam", "sgd", "lion"] = Field(default="adamw", description="Rule of a step.")
    lr: float = Field(default=1e-3, gt=0, description="Learning rate, the largest of the schedule.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Weight decay; biases and gains have none.")
    momentum: float | None = Field(default=None, ge=0, lt=1, description="Momentum of sgd, null for 0.9.")
    schedule: Literal["constant", "cosine", "linear", "one_cycle"] = Field(
        default="constant", description="How the learning rate falls over all epochs."
    )
    warmup_steps: int = Field(default=0, ge=0, description="Steps over which the learning rate rises from nothing.")
    clip: float | None = Field(default=1.0, gt=0, description="Largest norm of a step's gradient; null for any.")
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="Validate and keep the moving average of the weights, with this decay."
    )
    patience: int = Field(default=3, ge=1, description="Epochs without a better validation loss before it stops.")
    min_delta: float = Field(default=0.0, ge=0, description="By how much a loss must be smaller to count as better.")
    precision: Literal[32, 16, "bf16"] = Field(
        default=32, description="Bits of a number in matrix products: 32, bf16, or 16 on a GPU. Weights have 32."
    )
    instruments: list[NamedUse] = Field(
        default=[Use(use="norms"), Use(use="calibration"), Use(use="throughput")],
        description="What watches it: a name, or `{use: NAME, ...}` with its parameters. They change no number.",
    )
    alerts: AlertsConfig = AlertsConfig()
    loggers: list[NamedUse] = Field(
        default=[],
        description="Where its course is written, too: csv, tensorboard, wandb or mlflow, by name or as `{use: NAME, "
        "...}`. They change no number.",
    )
    checkpoint_every: Every | None = Field(
        default="1 epoch",
        description="How often the fit in progress is written down, as `2 epochs` or `500 steps`, so that a run that "
        "was killed can go on; null for never. No number of the result depends on it.",
    )

    @model_validator(mode="after")
    def _momentum(self) -> TrainConfig:
        if self.momentum is not None and self.optimizer != "sgd":
            raise PydanticCustomError("momentum", "no momentum, which is a setting of optimizer: sgd")
        return self


class CostsConfig(_Block):
    """What a trade costs, in 1/10,000 of the traded notional."""

    commission_bps: float = Field(default=1.0, ge=0, description="Commission.")
    half_spread_bps: float = Field(default=2.0, ge=0, description="Half of the bid-ask spread.")


class Compare(_Block):
    """One strategy beside the judged one, on the same decisions: another policy, backbone or forecaster."""

    policy: Use | None = Field(default=None, description="A rule, as buy_and_hold or momentum.")
    backbone: Use | None = Field(default=None, description="Another network under the same head and policy.")
    forecaster: Use | None = Field(default=None, description="A whole model under the same policy.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Compare:
        if sum(use is not None for use in (self.policy, self.backbone, self.forecaster)) != 1:
            raise PydanticCustomError("one_of", "exactly one of policy, backbone and forecaster")
        return self


class ReportConfig(_Block):
    """What a run renders."""

    formats: list[str] = Field(default=["md"], description="Names of renderers: md, and html with mnpu-report.")


class RuntimeConfig(_Block):
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


class Pipeline(_Block):
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
    compare: list[Compare] = Field(default=[], description="Strategies beside the judged one.")
    report: ReportConfig = ReportConfig()
    runtime: RuntimeConfig = RuntimeConfig()
