"""What a pipeline may say of its models: what is fitted, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from mnpu.config.alerts import AlertsConfig
from mnpu.config.blocks import Block, Every, NamedUse, Use

__all__ = [
    "CalibrationConfig",
    "ContrastiveConfig",
    "EnsembleConfig",
    "MaskedConfig",
    "ModelConfig",
    "TrainConfig",
    "WarmStart",
]

LARGEST = 2**31 - 1  #: Of a count that compiled code takes: a larger one is a slip, and would overflow there.


class EnsembleConfig(Block):
    """Several networks that differ in their seed alone, and forecast as one."""

    seeds: int = Field(ge=2, le=100, description="Members: quantiles and probabilities are averaged over them.")


class WarmStart(Block):
    """Where weights come from before training."""

    path: str = Field(min_length=1, description="A bundle, or the folder of a run, which has one for each fold.")
    parts: Literal["network", "backbone"] = Field(
        default="network", description="All weights, or the backbone's alone, under a new head."
    )


class CalibrationConfig(Block):
    """How forecasts are held to outcomes of the past; see `mnpu.training.calibrating`."""

    use: Literal["split", "adaptive"] = Field(
        description="split: once a fold, on a range of its own before the test. adaptive: anew at each decision, from "
        "the outcomes that are known by then."
    )
    share: float = Field(
        default=0.5, gt=0, lt=1, description="Share of the validation range, at its end, that calibrates instead."
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Of adaptive: how far a working level moves at each decision. Default 0.01.",
    )
    memory: int | None = Field(
        default=None, ge=1, le=LARGEST, description="Of adaptive: decisions whose outcomes are remembered. Default 250."
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


class ModelConfig(Block):
    """What is fitted: windows of features, through a backbone, to a head's distribution; or a whole forecaster."""

    lookback: int = Field(ge=1, le=LARGEST, description="Bars in a window.")
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
            raise PydanticCustomError("one_of", "exactly one of backbone and forecaster; null takes one away")
        return self

    @property
    def starts_from(self) -> WarmStart | None:
        """``warm_start`` as a block, however it is written."""
        return WarmStart(path=self.warm_start) if isinstance(self.warm_start, str) else self.warm_start


class _Pretraining(Block):
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


class TrainConfig(Block):
    """How it is fitted, in every fold anew."""

    epochs: int = Field(default=5, ge=1, description="Most passes over the training windows.")
    batch_size: int = Field(default=512, ge=1, le=LARGEST, description="Windows in a batch.")
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
