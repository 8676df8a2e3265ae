"""What core itself registers, through the same hooks as any plugin."""

from mnpu.plugins.hookspecs import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_feature_sources():
    return {
        "alpha158": "mnpu.features.alpha158",
        "alpha360": "mnpu.features.alpha360",
        "calendar": "mnpu.features.calendar",
        "cross_asset": "mnpu.features.cross_asset",
        "cross_section": "mnpu.features.cross_section",
        "fractional": "mnpu.features.fractional",
        "liquidity": "mnpu.features.liquidity",
        "moments": "mnpu.features.moments",
        "price": "mnpu.features.price",
        "regime": "mnpu.features.regime",
        "returns": "mnpu.features.returns",
        "spectral": "mnpu.features.spectral",
        "ta": "mnpu.features.libraries.ta",
        "talib": "mnpu.features.libraries.talib",
        "technical": "mnpu.features.technical",
        "volatility": "mnpu.features.volatility",
    }


@hookimpl
def mnpu_validators():
    return {
        "coded_missing": "mnpu.validation.coded_missing:CodedMissing",
        "frozen": "mnpu.validation.frozen:Frozen",
        "jumps": "mnpu.validation.jumps:Jumps",
        "ohlcv": "mnpu.validation.ohlcv:Ohlcv",
        "orphans": "mnpu.validation.orphans:Orphans",
        "point_in_time": "mnpu.validation.point_in_time:PointInTime",
        "regularity": "mnpu.validation.regularity:Regularity",
        "schema": "mnpu.validation.schema:Schema",
        "sessions": "mnpu.validation.sessions:Sessions",
        "spikes": "mnpu.validation.spikes:Spikes",
        "truncated": "mnpu.validation.truncated:Truncated",
        "twins": "mnpu.validation.twins:Twins",
    }


@hookimpl
def mnpu_backbones():
    return {
        "dlinear": "mnpu.nn.dlinear:DLinear",
        "gru": "mnpu.nn.gru:GRU",
        "linear": "mnpu.nn.linear:Linear",
        "omni": "mnpu.nn.omni:Omni",
        "patch_transformer": "mnpu.nn.patch_transformer:PatchTransformer",
        "tcn": "mnpu.nn.tcn:TCN",
    }


@hookimpl
def mnpu_heads():
    return {
        "dirichlet_quantile": "mnpu.nn.dirichlet_quantile:DirichletQuantile",
        "gaussian": "mnpu.nn.gaussian:Gaussian",
        "point": "mnpu.nn.point:Point",
        "quantile": "mnpu.nn.quantile:Quantile",
        "student_t": "mnpu.nn.student_t:StudentT",
    }


@hookimpl
def mnpu_instruments():
    return {
        "calibration": "mnpu.training.instruments.calibration:Calibration",
        "curvature": "mnpu.training.instruments.curvature:Curvature",
        "dead_units": "mnpu.training.instruments.dead_units:DeadUnits",
        "landscape": "mnpu.training.instruments.landscape:Landscape",
        "noise_scale": "mnpu.training.instruments.noise_scale:NoiseScale",
        "norms": "mnpu.training.instruments.norms:Norms",
        "throughput": "mnpu.training.instruments.throughput:Throughput",
    }


@hookimpl
def mnpu_loggers():
    return {
        "csv": "mnpu.training.loggers:Csv",
        "mlflow": "mnpu.training.loggers:MLflow",
        "tensorboard": "mnpu.training.loggers:TensorBoard",
        "wandb": "mnpu.training.loggers:WandB",
    }


@hookimpl
def mnpu_forecasters():
    return {"lightgbm": "mnpu.forecasters.lightgbm:LightGBM", "ridge": "mnpu.forecasters.ridge:Ridge"}


@hookimpl
def mnpu_targets():
    return {
        "direction": "mnpu.data.targets.direction:Direction",
        "forward_return": "mnpu.data.targets.forward_return:ForwardReturn",
        "triple_barrier": "mnpu.data.targets.triple_barrier:TripleBarrier",
        "vol_scaled_return": "mnpu.data.targets.vol_scaled_return:VolScaledReturn",
    }


@hookimpl
def mnpu_policies():
    return {
        "buy_and_hold": "mnpu.policies.buy_and_hold:BuyAndHold",
        "equal_weight": "mnpu.policies.equal_weight:EqualWeight",
        "kelly_fraction": "mnpu.policies.kelly_fraction:KellyFraction",
        "mean_variance": "mnpu.policies.mean_variance:MeanVariance",
        "momentum": "mnpu.policies.momentum:Momentum",
        "rank_long_short": "mnpu.policies.rank_long_short:RankLongShort",
        "risk_parity": "mnpu.policies.risk_parity:RiskParity",
        "signed_quantile": "mnpu.policies.signed_quantile:SignedQuantile",
        "volatility_scaled": "mnpu.policies.volatility_scaled:VolatilityScaled",
    }


@hookimpl
def mnpu_guardrails():
    return {"gross_cap": "mnpu.guard:GrossCap"}


@hookimpl
def mnpu_engines():
    return {"local": "mnpu.engine:LocalEngine"}


@hookimpl
def mnpu_renderers():
    return {"md": "mnpu.report.markdown:render"}
