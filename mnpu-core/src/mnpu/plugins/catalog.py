"""Names that first-party plugins provide, so that a miss can say what to install.

Only plugins that exist are listed. A test holds this table equal to what the packages register.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["KNOWN", "provider"]

#: Distribution to the components it provides, as ``kind: names``.
KNOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "mnpu-data-macro": {"feature_source": ("macro",)},
        "mnpu-data-onchain": {"feature_source": ("funding", "onchain")},
        "mnpu-data-sentiment": {"feature_source": ("sentiment",)},
        "mnpu-guardrails": {
            "guardrail": (
                "exposure",
                "concentration",
                "turnover",
                "leverage",
                "drawdown",
                "daily_loss",
                "volatility_target",
                "tail_risk",
                "stale_data",
                "liquidity",
                "kill_switch",
            )
        },
        "mnpu-models-moe": {"backbone": ("moe_transformer",)},
        "mnpu-models-ssm": {
            "backbone": (
                "mamba",
                "mamba2",
                "s4d",
            )
        },
        "mnpu-report": {"renderer": ("html",), "report_section": ("calendar_returns",)},
    }
)


def provider(kind: str, name: str) -> str:
    """The first-party distribution that provides ``name``, empty if none does. Canonical ids are understood."""
    dist, _, short = name.rpartition("/")
    for known, kinds in KNOWN.items():
        if dist in ("", known) and short in kinds.get(kind, ()):
            return known
    return ""
