"""The committed rows say what the page says, and one seed of three models repeats its row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

from tests.evidence import __main__ as command
from tests.evidence.fitting import fit
from tests.evidence.models import IC, MODELS
from tests.evidence.page import page
from tests.evidence.rows import ROWS, Row, append, read
from tests.evidence.verdicts import SEEDS, binomial_band, current, nulls, verdict

PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"
LINEAR = MODELS["linear"]


def row(plant="signal", seed=0, ic=0.18, low=0.15, high=0.21, model=LINEAR):
    return Row(plant, model.name, model.digest(plant), seed, ic, low, high, ic, 0.2, 300, 5, 1.0)


@pytest.fixture(scope="module")
def committed():
    return current(read(Row, ROWS))


@pytest.mark.parametrize("name", ["linear", "s4d", "omni"])
def test_one_seed_finds_the_planted_signal_as_its_row_says(name, committed):
    if name == "s4d":
        pytest.importorskip("mnpu_models_ssm")
    (kept,) = [r for r in committed if (r.plant, r.model, r.seed) == ("signal", name, 0)]
    again = fit("signal", MODELS[name], 0)
    assert again.score_ic == pytest.approx(kept.score_ic, abs=1e-5)  # the market, on any machine
    assert again.ic == pytest.approx(kept.ic, abs=0.02)  # training, but for rounding
    assert again.ic > 0.8 * IC


def test_every_model_has_every_seed_on_both_markets(committed):
    held = {(r.plant, r.model, r.seed) for r in committed}
    assert held == {(plant, name, seed) for plant in command.PLANTS for name in MODELS for seed in range(SEEDS)}


def test_the_median_over_the_seeds_reaches_four_fifths_of_the_known_coefficient(committed):
    short = [model.name for model in MODELS.values() if not verdict(model, committed).passes]
    assert short == []


def test_in_nothing_as_much_is_found_as_chance_gives(committed):
    assert nulls(committed).passes


def test_the_page_is_that_of_the_rows():
    assert PAGE.read_text(encoding="utf-8") == page(read(Row, ROWS)), "run: nox -s evidence -- page"


@pytest.mark.parametrize(("n", "p", "level"), [(300, 0.05, 0.99), (40, 0.05, 0.95), (7, 0.3, 0.9)])
def test_a_binomial_band_is_that_of_scipy(n, p, level):
    from scipy.stats import binom

    low, high = binomial_band(n, p, level)
    tail = (1 - level) / 2
    assert binom.cdf(low, n, p) > tail >= binom.cdf(low - 1, n, p)
    assert binom.sf(high - 1, n, p) > tail >= binom.sf(high, n, p)


def test_an_interval_on_one_side_of_zero_rejects():
    assert [row(low=low, high=high).rejects for low, high in ((0.1, 0.2), (-0.1, 0.1), (-0.2, -0.1))] == [1, 0, 1]


def test_rows_of_other_settings_and_twice_the_same_seed_do_not_count():
    rows = [row(), replace(row(seed=1), digest="another"), row(ic=0.17), replace(row(), model="gone")]
    assert [r.ic for r in current(rows)] == [0.17]


def test_a_verdict_needs_all_seeds_and_four_fifths():
    enough = [row(seed=seed, ic=0.161) for seed in range(SEEDS)]
    assert verdict(LINEAR, enough).passes
    assert not verdict(LINEAR, enough[1:]).passes
    assert not verdict(LINEAR, [replace(r, ic=0.159) for r in enough]).passes


def test_a_line_that_was_cut_off_is_no_row_and_spoils_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    append(row(), path)
    path.write_text(path.read_text() + '{"plant": "sig', encoding="utf-8")
    assert read(Row, path) == [row()]
    append(row(seed=1), path)
    assert read(Row, path) == [row(), row(seed=1)]


def test_what_has_a_row_is_not_fitted_again(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(command.fitting, "fit", lambda plant, model, seed: asked.append(seed) or row(plant, seed))
    options = ["--models", "linear", "--plants", "signal", "--rows", str(tmp_path / "rows.jsonl")]
    command.main([*options, "--seeds", "1"])
    command.main([*options, "--seeds", "3"])
    assert asked == [0, 1, 2]


@pytest.mark.parametrize(
    ("ic", "low", "said"), [(0.17, -0.1, ""), (0.15, -0.1, "too little"), (0.17, 0.1, "not chance")]
)
def test_evidence_that_falls_short_ends_with_one(tmp_path, monkeypatch, capsys, ic, low, said):
    for name, value in (("ROOT", tmp_path), ("ROWS", tmp_path / "rows.jsonl"), ("REAL_ROWS", tmp_path / "none.jsonl")):
        monkeypatch.setattr(command, name, value)
    (tmp_path / "docs").mkdir()
    for model in MODELS.values():
        for seed in range(SEEDS):
            append(row(seed=seed, ic=ic, model=model), tmp_path / "rows.jsonl")
            # a twentieth of the nulls is rejected anyway: none at all would not be chance either
            append(row("null", seed, low=low if seed else 0.01, model=model), tmp_path / "rows.jsonl")
    assert command.main(["page"]) == bool(said)
    assert said in capsys.readouterr().err
    assert "| `omni` | `quantile` |" in (tmp_path / "docs" / "evidence.md").read_text(encoding="utf-8")
