"""Registers the guardrails."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_guardrails():
    return {
        "exposure": "mnpu_guardrails.exposure:Exposure",
        "concentration": "mnpu_guardrails.concentration:Concentration",
        "turnover": "mnpu_guardrails.turnover:Turnover",
        "leverage": "mnpu_guardrails.leverage:Leverage",
        "drawdown": "mnpu_guardrails.brakes:Drawdown",
        "daily_loss": "mnpu_guardrails.brakes:DailyLoss",
        "volatility_target": "mnpu_guardrails.risk:VolatilityTarget",
        "tail_risk": "mnpu_guardrails.risk:TailRisk",
        "stale_data": "mnpu_guardrails.stale_data:StaleData",
        "liquidity": "mnpu_guardrails.liquidity:Liquidity",
        "kill_switch": "mnpu_guardrails.brakes:KillSwitch",
    }
