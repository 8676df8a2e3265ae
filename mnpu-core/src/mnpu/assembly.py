"""From a resolved configuration to the parts of a pipeline: every component built, nothing run yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mnpu.config.models import Compare, ModelConfig, Pipeline, Use
from mnpu.engine import Engine, LocalEngine
from mnpu.errors import ConfigError
from mnpu.features.plan import PlannedFeature, plan
from mnpu.guard import Chain
from mnpu.plugins.registry import Registry
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Execution
from mnpu.types import Metric, Result

__all__ = ["Forecaster", "Parts", "Strategy", "assemble", "contributors", "forecaster_of"]


@dataclass(frozen=True)
class Forecaster:
    """A backbone under the pipeline's head, or a ``whole`` model in place of both; ``name`` is its registered name."""

    name: str
    backbone: Any = None
    head: Any = None
    whole: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Strategy:
    """A row of the comparison: a policy, and the forecaster whose forecasts it reads.

    A rule has no forecaster. It is a yardstick, so it is not bent by the guardrails of the strategy that it measures.
    """

    name: str
    policy: Any
    forecaster: Forecaster | None

    @property
    def is_rule(self) -> bool:
        """Whether it decides without a forecast."""
        return self.forecaster is None


@dataclass(frozen=True)
class Parts:
    """A pipeline's components; ``strategies[0]`` is the one that is judged, the others are beside it.

    ``instruments`` and ``loggers`` build them anew for every fit: each watches one. ``warm_start`` is where the weights
    of the judged network begin, None for new ones.
    """

    config: Pipeline
    resolved: Mapping[str, Any]
    store: str
    planned: Sequence[PlannedFeature]
    validators: Sequence[Any]
    target: Any
    strategies: Sequence[Strategy]
    chain: Chain
    costs: CostModel
    metrics: Mapping[str, Callable[[Result], Metric]]
    distributions: Sequence[str]
    instruments: Callable[[], Mapping[str, Any]] = dict
    loggers: Callable[[], Mapping[str, Any]] = dict
    libraries: Sequence[str] = ()
    engine: Engine = field(default_factory=LocalEngine)
    warm_start: Path | None = None
    execution: Execution | None = None

    @property
    def forecasters(self) -> list[Forecaster]:
        """The distinct forecasters, the judged one first."""
        return [s.forecaster for s in self.strategies if s.forecaster is not None]


def _of_one_account(guardrails: Sequence[Any], config: Pipeline) -> Sequence[Any]:
    """The guardrails, refused where one of them is for an account of another size than the one that trades."""
    for use, made in zip(config.guardrails, guardrails, strict=True):
        own = getattr(made, "capital", None)
        if config.execution is not None and own is not None and own != config.execution.capital:
            raise ConfigError(
                f"capital is {own:,.0f} for {use.use} and {config.execution.capital:,.0f} for the account",
                where="guardrails, execution",
                expected="one account",
                next_step=f"Set capital of {use.use} to execution.capital.",
            )
    return guardrails


def assemble(config: Pipeline, resolved: Mapping[str, Any], registry: Registry, *, base: Path) -> Parts:
    """Build every component that ``config`` names.

    Parameters
    ----------
    config : Pipeline
    resolved : mapping
        The configuration with every default filled in.
    registry : Registry
    base : Path
        Folder that a relative store path starts from: the recipe's own.

    Raises
    ------
    ConfigError
        A parameter, or the policy on this universe, is impossible.
    PluginError
        A component is missing or broken.
    """

    def build(kind: str, use: Any, **supplied: Any) -> Any:
        return registry.build(kind, use.use, use.params, **supplied)

    def strategy(model: ModelConfig | Compare) -> Strategy:
        made = _forecaster(model.backbone, config.model.head, model.forecaster, registry)
        return Strategy(made.name, policy, made)

    policy = build("policy", config.policy)
    strategies = [strategy(config.model)]
    for other in config.compare:
        if other.policy is not None:
            strategies.append(Strategy(other.policy.use, build("policy", other.policy), None))
        else:
            strategies.append(strategy(other))
    if config.data.symbols:  # else they are known when the store has been asked for its universe
        refuse_few_symbols(config.data.symbols, strategies)
    planned = plan(config.features, registry)
    target = build("target", config.target)
    _refuse_other_units(config.target.use, target, strategies)
    return Parts(
        config=config,
        resolved=resolved,
        store=store_path(config.data.store, base),
        planned=planned,
        validators=[build("validator", use) for use in config.validators],
        target=target,
        strategies=strategies,
        chain=Chain(_of_one_account([build("guardrail", use) for use in config.guardrails], config)),
        costs=CostModel(**config.costs.model_dump(exclude={"funding"})),
        execution=None if config.execution is None else Execution(**config.execution.model_dump()),
        metrics={c.name: registry.build("metric", c.canonical, {}) for c in registry.components("metric")},
        distributions=contributors(config, planned, registry),
        loggers=lambda: {use.use: build("logger", use) for use in config.train.loggers},
        instruments=lambda: {use.use: build("instrument", use) for use in config.train.instruments},
        libraries=libraries(config, registry),
        engine=build("engine", config.runtime.engine, workers=config.runtime.workers),
        warm_start=None if config.model.starts_from is None else _absolute(config.model.starts_from.path, base),
    )


def forecaster_of(model: Mapping[str, Any], registry: Registry) -> Forecaster:
    """The forecaster that a resolved ``model`` block names, as a bundle keeps it.

    Raises
    ------
    ConfigError
        A setting that the component does not take, or that is impossible.
    PluginError
        A component is missing or broken.
    """
    if model.get("forecaster") is not None:
        return _forecaster(None, None, Use.model_validate(model["forecaster"]), registry)
    return _forecaster(Use.model_validate(model["backbone"]), Use.model_validate(model["head"]), None, registry)


def _forecaster(backbone: Any, head: Any, whole: Any, registry: Registry) -> Forecaster:
    """What builds a ``whole`` model where there is one, and else a ``backbone`` under a ``head``."""

    def part(kind: str, use: Any) -> Callable[..., Any]:
        return partial(registry.build, kind, use.use, use.params)

    if whole is not None:
        return Forecaster(whole.use, whole=part("forecaster", whole))
    return Forecaster(backbone.use, part("backbone", backbone), part("head", head))


def contributors(config: Pipeline, planned: Sequence[PlannedFeature], registry: Registry) -> list[str]:
    """The distributions whose code makes this pipeline's numbers, sorted, core always among them.

    A component that was added by hand in a notebook or a test stands for the module that defines it.
    """
    models: Sequence[ModelConfig | Compare] = (config.model, *config.compare)
    uses = [
        *(("feature_source", source) for source in dict.fromkeys(column.spec.source for column in planned)),
        *(("validator", use.use) for use in config.validators),
        *(("guardrail", use.use) for use in config.guardrails),
        *(("policy", c.policy.use) for c in config.compare if c.policy is not None),
        *(("backbone", m.backbone.use) for m in models if m.backbone is not None),
        *(("forecaster", m.forecaster.use) for m in models if m.forecaster is not None),
        ("target", config.target.use),
        ("head", config.model.head.use),
        ("policy", config.policy.use),
    ]
    found = [registry.find(kind, name) for kind, name in uses]
    return sorted({"mnpu-core", *(c.target.partition(":")[0] if c.version == "local" else c.dist for c in found)})


def libraries(config: Pipeline, registry: Registry) -> list[str]:
    """Distributions that the pipeline's whole models compute with, sorted: their versions can change a number."""
    models: Sequence[ModelConfig | Compare] = (config.model, *config.compare)
    uses = [m.forecaster.use for m in models if m.forecaster is not None]
    found = {name for use in uses for name in getattr(registry.load("forecaster", use), "libraries", ())}
    return sorted(found)


def store_path(url: str, base: Path) -> str:
    """An absolute path for ``sqlite:///relative.db`` and plain paths, which start from the recipe's folder."""
    rest = url.removeprefix("sqlite:///").removeprefix("parquet:///")
    if "://" in rest or not rest:
        raise ConfigError(
            f"{url.partition('://')[0]}:// names no store",  # what follows may hold a password
            where="data.store",
            expected="sqlite:///market.db, parquet:///folder, or a path",
        )
    return str(_absolute(rest, base))


def _absolute(text: str, base: Path) -> Path:
    path = Path(text).expanduser()
    return path if path.is_absolute() else (base / path).resolve()


def _refuse_other_units(name: str, target: Any, strategies: Sequence[Strategy]) -> None:
    """Raise ConfigError where a policy reads returns and the target is something else about the future."""
    readers = [s.policy for s in strategies if getattr(s.policy, "reads_returns", False)]
    if readers and not getattr(target, "of_returns", False):
        raise ConfigError(
            f"{name} forecasts no returns, and {type(readers[0]).__name__} sizes bets by their mean and variance",
            where="target",
            expected="a target whose labels are returns, as forward_return",
            next_step="Take forward_return, or a policy that only ranks or signs: rank_long_short, signed_quantile.",
        )


def refuse_few_symbols(symbols: Sequence[str], strategies: Sequence[Strategy]) -> None:
    """Raise ConfigError where a policy cannot work with so few symbols."""
    for strategy in strategies:
        check = getattr(strategy.policy, "check", None)
        if check is not None:
            check(symbols)
