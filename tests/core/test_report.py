"""The report says what was earned, how sure that is, and what it rests on, with the same characters in every format."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnpu import report
from mnpu.metrics import distribution
from mnpu.report import calibration, charts, evidence, format, headline, luck, markdown, provenance
from mnpu.report.sections import added_sections, sections, title
from mnpu.types import Figure, GateOutcome, Line, Metric, Positions, Section, Table, TrialRow
from tests.fakes import make_result


@pytest.fixture(scope="module")
def result():
    return make_result(600)


def text_of(section: Section) -> str:
    return markdown.render("x", [section])


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "cell"),
        [(0.1234, "12.3%"), (-0.5, "−50.0%"), (0.0, "0.0%"), (-1e-9, "0.0%"), (12.5, "1,250.0%"), (None, "n/a")],
    )
    def test_a_fraction_is_shown_in_per_cent(self, value, cell):
        assert format.percent(value) == cell

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
    def test_what_is_no_number_is_not_available(self, value):
        assert format.number(value) == "n/a"

    @given(st.floats(-1e9, 1e9))
    def test_every_number_is_recognised_as_one(self, value):
        assert format.is_numeric(format.number(value))
        assert format.is_numeric(format.percent(value, signed=True))

    @given(st.floats(-1e6, 1e6), st.integers(0, 4))
    def test_a_number_reads_back_to_what_was_rounded(self, value, digits):
        read = float(format.number(value, digits).replace(",", "").replace("−", "-"))
        assert read == pytest.approx(value, abs=0.5001 * 10**-digits)

    def test_a_standard_error_stands_beside_its_metric(self):
        assert format.metric_cell(Metric("sharpe", 0.451, "ratio", se=0.19)) == "0.45 ± 0.19"

    def test_an_undefined_metric_has_no_number(self):
        assert format.metric_cell(Metric("rank_ic", None, "correlation", reason="one symbol")) == "n/a"

    def test_a_metric_of_a_plugin_is_shown_by_its_own_name_and_unit(self):
        metric = Metric("tail_share", 0.25, "fraction")
        assert (format.label_of(metric.name), format.metric_cell(metric)) == ("Tail share", "25.0%")


class TestHeadline:
    def test_survivorship_stands_right_beside_the_numbers(self, result):
        kinds = [block.kind if isinstance(block, Table) else block for block in headline.headline(result).blocks]
        at = kinds.index("tiles")
        assert "chosen in hindsight" in kinds[at + 1]

    def test_a_dataset_that_says_nothing_is_read_as_chosen_with_hindsight(self, result):
        silent = replace(result, notes=(), panel=None)
        assert "say nothing about survivorship" in text_of(headline.headline(silent))

    def test_whatever_a_dataset_calls_flattering_stands_there_too(self, result):
        told = replace(result, notes=("Quotes are asks. Selling at them is flattering.",), panel=None)
        text = text_of(headline.headline(told))
        assert "Selling at them is flattering." in text
        assert "say nothing about survivorship" in text

    def test_a_failed_gate_is_said_before_any_number(self, result):
        failed = replace(result, gates=(GateOutcome("negated", False, "same sign"),))
        assert text_of(headline.headline(failed)).index("This run failed") < text_of(headline.headline(failed)).index(
            "|"
        )

    def test_a_missing_metric_is_explained(self, result):
        alone = replace(result, metrics={"rank_ic": Metric("rank_ic", None, "", reason="one symbol has no ranks")})
        assert "Rank IC: one symbol has no ranks" in text_of(headline.headline(alone))

    def test_the_comparison_has_a_row_for_each_strategy_and_sets_the_first_in_bold(self, result):
        table = headline.comparison_table(result)
        assert [row[0] for row in table.rows] == ["omni", "buy_and_hold", "momentum", "linear"]
        assert table.highlight == 0

    def test_rules_are_named_as_yardsticks_without_guardrails(self, result):
        said = headline.comparison(result).blocks[0]
        assert "`buy_and_hold` and `momentum` are yardsticks" in said
        assert "no guardrail limits" in said
        learned = tuple(other for other in result.comparisons if other.forecast is not None)
        assert "yardstick" not in headline.comparison(replace(result, comparisons=learned)).blocks[0]


class TestLuck:
    """What is said; whether it is right is the matter of test_judging."""

    def judged(self, result, **changes):
        return replace(result, judgement=replace(result.judgement, **changes))

    @pytest.mark.parametrize(
        ("verdict", "words"),
        [
            ("luck", "not distinguishable from luck"),
            ("unknown", "not distinguishable from luck"),
            ("skill", "distinguishable from luck"),
            ("loss", "loses more than luck explains"),
            ("gates", "says nothing: an honesty gate failed"),
        ],
    )
    def test_the_words_stand_with_every_headline_sharpe(self, result, verdict, words):
        told = self.judged(result, verdict=verdict)
        for section in (headline.headline(told), headline.comparison(told)):
            assert f"omni: {words} (DSR " in text_of(section)
        assert f"**{words.capitalize()}.**" in text_of(luck.luck(told))
        assert "4 of 4 honesty gates passed." in text_of(headline.headline(told))

    def test_the_deflated_ratio_stands_beside_the_ratio_of_every_strategy(self, result):
        for table in (headline.comparison_table(result), headline.summary_table(result)):
            at = table.columns.index("DSR")
            assert table.columns[at - 1] == "Sharpe ± se"
            assert [row[at] for row in table.rows] == [
                format.percent(metric.value) for metric in result.judgement.dsr_of.values()
            ]

    def test_a_pbo_that_cannot_be_had_says_what_it_needs(self, result):
        assert "PBO: needs 10 strategies on the same decisions, has 2." in text_of(headline.headline(result))

    def test_numbers_stand_with_what_they_say(self, result):
        table = next(block for block in luck.luck(result).blocks if isinstance(block, Table))
        shown = {row[0]: row[1] for row in table.rows}
        assert shown["PSR"] == format.percent(result.judgement.psr.value)
        assert shown["Trials"] == "3"
        low, high = result.judgement.interval
        assert shown["95% interval"] == f"{format.number(low)} to {format.number(high)}"
        t = result.metrics["rank_ic_t"].value
        assert f"t = {format.number(t)} with errors of Newey and West" in text_of(luck.luck(result))

    def test_the_picture_is_the_law_of_the_best_of_so_many(self, result):
        """Checked against the largest of drawn numbers, and the area is one."""
        figure = next(block for block in luck.luck(result).blocks if isinstance(block, Figure))
        mark, best, own = figure.lines
        step = best.x[1] - best.x[0]
        assert best.y.sum() * step == pytest.approx(1.0, abs=0.01)
        assert own.y.sum() * step == pytest.approx(1.0, abs=0.01)
        drawn = result.judgement.sharpe_spread * np.random.default_rng(0).standard_normal((100_000, 3)).max(axis=1)
        assert (best.x * best.y).sum() * step == pytest.approx(drawn.mean(), abs=0.02)
        assert list(mark.x) == [result.metrics["sharpe"].value] * 2

    def test_where_there_is_a_pbo_the_places_are_drawn(self, result):
        share = np.array([0.05, 0.15, 0.15, 0.95])
        told = self.judged(result, pbo=Metric("pbo", 0.75, "probability"), logits=np.log(share / (1 - share)))
        figure = next(block for block in luck.luck(told).blocks if isinstance(block, Figure) and block.kind == "bar")
        assert list(figure.lines[0].y) == [25, 50, 0, 0, 0, 0, 0, 0, 0, 25]

    def test_trials_are_listed_with_what_they_did_otherwise(self, result):
        began = pd.Timestamp("2026-01-04", tz="UTC")
        row = TrialRow("r", "r-001", "demo", began, "failed", None, None, "`seed` 3")
        told = self.judged(result, trials=(row, *result.judgement.trials))
        table = next(block for block in luck.trials(told).blocks if isinstance(block, Table))
        assert table.rows[0][1] == "this run"
        assert ("2026-01-04 00:00 UTC", "failed", "n/a", "", "`seed` 3", "`r-001`") in table.rows

    def test_the_active_return_is_tested_bar_by_bar(self, result):
        other = result.comparisons[0]
        active = result.net - other.net
        t = active.mean() / (active.std(ddof=1) / np.sqrt(len(active)))
        row = [block for block in luck.luck(result).blocks if isinstance(block, Table)][-1].rows[0]
        assert row[:3] == (
            other.name,
            format.percent(active.mean() * 252, 2, signed=True),
            format.number(t, 2, signed=True),
        )

    def test_the_same_returns_are_no_evidence(self, result):
        twin = replace(result, comparisons=(replace(result, name="twin"),))
        assert "the same returns" in text_of(luck.luck(twin))

    def test_where_nobody_judged_nothing_is_claimed(self, result):
        unjudged = replace(result, judgement=None)
        for section in (headline.headline(unjudged), luck.luck(unjudged)):
            assert "not distinguishable from luck (nobody asked" in text_of(section)
        assert "Nobody asked the ledger" in text_of(luck.trials(unjudged))


class TestCharts:
    def test_the_drawdown_curve_reaches_the_metric(self, result):
        _, depths = charts.charts(result).blocks
        assert depths.lines[0].y.min() == pytest.approx(100 * result.metrics["max_drawdown"].value)

    def test_equity_has_one_instant_more_than_there_are_decisions(self, result):
        stamps = charts.equity_stamps(result)
        assert len(stamps) == len(result.equity)
        assert stamps.is_monotonic_increasing
        assert stamps[0] == result.fill_times[0]

    def test_the_last_value_stands_at_the_next_bar(self, result):
        two = pd.DatetimeIndex(["2018-12-27 21:00", "2018-12-28 21:00"], tz="UTC")
        filled = replace(result, times=two, fill_times=two)
        bars = filled.fill_times.append(pd.DatetimeIndex(["2018-12-31 21:00"], tz="UTC"))
        assert charts.equity_stamps(filled, bars)[-1] == bars[-1]
        assert charts.equity_stamps(filled)[-1] == pd.Timestamp("2018-12-29 21:00", tz="UTC")

    def test_an_unfilled_last_decision_does_not_break_the_axis(self, result):
        late = replace(result, fill_times=result.fill_times[:-1].append(pd.DatetimeIndex([pd.NaT], tz="UTC")))
        assert not charts.equity_stamps(late).isna().any()


class TestCalibration:
    def test_coverage_equals_a_loop_over_every_outcome(self, result):
        measured = calibration.coverage(result.forecast, result.labels)
        inside = [
            low <= y <= high
            for low, high, y in zip(
                result.forecast.quantiles[:, :, 0, 0].ravel(),
                result.forecast.quantiles[:, :, 0, -1].ravel(),
                result.labels[:, :, 0].ravel(),
                strict=True,
            )
            if y == y
        ]
        nominal, observed, n = measured[-1]
        assert (nominal, observed, n) == (pytest.approx(0.9), pytest.approx(np.mean(inside)), len(inside))

    def test_intervals_go_from_narrow_to_wide(self, result):
        assert [row[0] for row in calibration.coverage(result.forecast, result.labels)] == pytest.approx(
            [0.5, 0.8, 0.9]
        )

    def test_a_rule_without_forecasts_says_so(self, result):
        assert "nothing to calibrate" in text_of(calibration.calibration(result.comparisons[0]))

    def test_without_a_calibration_nothing_is_called_before(self, result):
        assert "efore" not in text_of(calibration.calibration(result))

    def test_each_tenth_of_the_transform_is_a_count(self, result):
        [table] = [
            block
            for block in calibration.calibration(result).blocks
            if isinstance(block, Table) and block.columns[0] == "Place"
        ]
        values = distribution.pit(result.forecast, result.labels)
        shares = [np.mean((values >= k / 10) & (values < (k + 1) / 10)) for k in range(10)]
        assert [row[1] for row in table.rows] == [format.percent(share) for share in shares]

    def test_calibrated_and_before_stand_side_by_side(self, result):
        before = replace(result.forecast, quantiles=result.forecast.quantiles * 0.5)
        both = replace(result, forecast=replace(result.forecast, uncalibrated=before))
        tables = [block for block in calibration.calibration(both).blocks if isinstance(block, Table)]
        covered = tables[0]
        scores = {row[0]: row[1:] for row in next(t for t in tables if t.columns[0] == "Score").rows}
        for name, cells in (("CRPS", distribution.crps), ("PIT distance from uniform", distribution.pit_ks)):
            expected = [format.metric_cell(cells(version, result.labels)) for version in (result.forecast, before)]
            assert list(scores[name]) == expected
        observed = calibration.coverage(before, result.labels)
        assert [row[4] for row in covered.rows] == [format.percent(share) for _, share, _ in observed]
        assert "Brier score" not in scores  # no classes, so no row that says n/a

    def test_each_regime_is_covered_as_a_loop_says(self, result):
        close = result.panel["close"]
        market = np.r_[np.nan, (close[1:] / close[:-1] - 1).mean(axis=1)]
        last = [market[max(t - 20, 0) : t + 1] for t in range(600)]
        deviation = np.array([np.nanstd(x, ddof=1) if np.isfinite(x).sum() >= 15 else np.nan for x in last])
        inside, decisions = [], 0
        for t in range(300, 600):  # from here on all of 252 are known
            low, high = np.nanquantile(deviation[:t], [1 / 3, 2 / 3])
            if not low < deviation[t] <= high:
                continue
            decisions += 1
            q, y = result.forecast.quantiles[t, :, 0], result.labels[t, :, 0]
            inside += [a <= v <= b for a, b, v in zip(q[:, 0], q[:, -1], y, strict=True) if v == v]
        later = replace(
            result,
            forecast=replace(
                result.forecast,
                quantiles=np.where(np.arange(600)[:, None, None, None] < 300, np.nan, result.forecast.quantiles),
            ),
        )
        table = next(
            b for b in calibration.calibration(later).blocks if isinstance(b, Table) and b.columns[0] == "Volatility"
        )
        middle = next(row for row in table.rows if row[0] == "middle")
        assert middle[2] == format.percent(np.mean(inside))
        assert int(middle[1]) >= decisions > 20

    def test_classes_show_what_was_said_beside_what_came(self, result):
        rng = np.random.default_rng(3)
        said = rng.dirichlet([1, 1, 1], size=result.labels.shape)
        classed = replace(
            result.forecast,
            probabilities=said,
            evidence=said[..., 0],
            thresholds=np.tile([-0.01, 0.01], (len(result.times), 1, 1)),
        )
        section = calibration.calibration(replace(result, forecast=classed))
        table = section.blocks[-1]
        known = np.isfinite(result.labels[:, :, 0])
        came = np.select([result.labels[:, :, 0] < -0.01, result.labels[:, :, 0] > 0.01], [0, 2], 1)[known]
        top = said[:, :, 0][known]
        order = np.argsort(top.max(axis=1))[-len(top) // 10 :]  # the surest tenth
        right = np.mean(top[order].argmax(axis=1) == came[order])
        assert abs(float(table.rows[-1][1].rstrip("%")) - 100 * right) < 0.3
        assert sum(int(row[3].replace(",", "")) for row in table.rows) == len(top)


class TestGuardrailsAndGates:
    def test_violations_are_counted_by_rule_and_code(self, result):
        table = next(block for block in evidence.guardrails(result).blocks if isinstance(block, Table))
        n = len(result.times)
        assert table.rows[0] == ("exposure", "EXPOSURE_SYMBOL", "scale", str(len(range(0, n, 7))), "14.3%")
        assert sum(int(row[3]) for row in table.rows) == len(result.positions.violations)

    def test_no_violation_is_said_too(self, result):
        calm = replace(result, positions=replace(result.positions, violations=()))
        assert "No guardrail changed a book" in text_of(evidence.guardrails(calm))

    def test_every_gate_has_its_row_and_its_numbers(self, result):
        text = text_of(evidence.gates(result))
        for gate in result.gates:
            assert f"| {gate.name} | pass | {gate.detail} |" in text

    def test_a_failed_gate_cannot_be_overlooked(self, result):
        text = text_of(evidence.gates(replace(result, gates=(GateOutcome("future", False, "macro.vix changed"),))))
        assert "0 of 1 passed" in text
        assert "FAIL" in text


class TestProvenance:
    def test_the_reader_learns_when_prices_were_adjusted_and_series_known(self, result):
        text = text_of(provenance.data(result))
        for said in ("2022-12-28", "month end + 7 days", "75 days", "declared", "BSD-3-Clause"):
            assert said in text

    def test_a_feature_says_which_table_it_reads_and_when_that_is_known(self, result):
        rows = provenance.features(result).blocks[1].rows
        assert [row[-2:] for row in (rows[0], rows[-1])] == [
            ("prices: close", "the bar's close"),
            ("macro_observations: moodys_baa", "month end + 15 days (declared)"),
        ]

    def test_a_lag_that_several_series_share_is_said_once_and_one_that_nobody_recorded_is_not_invented(self, result):
        spec = replace(result.features[-1], series=("a", "b"), release_lags=("", ""), bases=("observed", "observed"))
        bare = replace(spec, release_lags=(), bases=())
        rows = provenance.features(replace(result, features=(spec, bare))).blocks[1].rows
        assert [row[-1] for row in rows] == ["observed", "n/a"]

    def test_folds_have_dates(self, result):
        table = provenance.folds(result).blocks[1]
        assert table.rows[0][1] == "2010-01-04 to 2011-02-25"
        assert table.rows[0][3].startswith("2011-07-15")

    def test_without_recorded_times_the_test_dates_are_those_of_the_result(self, result):
        bare = replace(result, folds=replace(result.folds, times=None))
        rows = provenance.folds(bare).blocks[1].rows
        assert rows[0][3] == provenance.folds(result).blocks[1].rows[0][3]
        assert rows[0][1] == "bars 0 to 299"

    def test_costs_add_up(self, result):
        rows = provenance.costs(result).blocks[2].rows
        paid = sum(series.sum() for series in result.costs.values())
        assert rows[-1][2] == format.percent(paid)

    def test_a_run_without_costs_says_so(self, result):
        assert "No cost was charged" in text_of(provenance.costs(replace(result, costs={})))

    def test_the_run_can_be_done_again(self, result):
        text = text_of(provenance.reproducibility(result))
        for said in (result.run.run_id, result.run.config_hash, result.run.data_hash, "torch 2.13.0"):
            assert said in text


class TestMarkdown:
    def test_a_table_has_as_many_cells_in_every_row(self, result):
        text = markdown.render(title(result), sections(result))
        for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1

    def test_data_cannot_break_a_table_or_open_a_tag(self):
        table = Table(("a", "b"), (("x | y\nz", "<script>"),))
        text = markdown.render("<b>", [Section("t", (table, "<img>"))])
        assert "x \\| y z" in text
        assert "<" not in text

    def test_numbers_are_set_flush_right(self):
        text = markdown.render("t", [Section("s", (Table(("name", "n"), (("a", "1.0"), ("b", "n/a"))),))])
        assert "| --- | ---: |" in text

    def test_a_column_without_values_follows_its_neighbour(self):
        table = Table(("name", "n", "none", "word", "nothing"), (("a", "1.0", "n/a", "x", "n/a"),))
        assert format.numeric_columns(table) == [False, True, True, False, False]

    def test_a_flat_curve_and_an_empty_one_are_drawn(self):
        figure = Figure("f", (Line("flat", [0, 1], [1.0, 1.0]), Line("none", [], [])))
        text = markdown.render("t", [Section("s", (figure,))])
        assert "▁▁" in text
        assert "| none | n/a |" in text

    def test_the_same_result_gives_the_same_text(self, result):
        assert markdown.render("t", sections(result)) == markdown.render("t", sections(make_result(600)))


class FakeRegistry:
    """Renderers and sections by name, as the real registry gives them."""

    def __init__(self, renderers, parts=()):
        self.found = {"renderer": dict(renderers), "report_section": dict(parts)}

    def components(self, kind):
        return [SimpleNamespace(name=name, canonical=f"local/{name}") for name in self.found[kind]]

    def load(self, kind, name):
        return self.found[kind][name.removeprefix("local/")]


class TestWriting:
    def test_each_format_is_one_file_in_the_order_asked_for(self, result, tmp_path):
        registry = FakeRegistry({"md": markdown.render, "txt": lambda title, parts: title})
        paths = report.write(result, tmp_path / "deep", ["txt", "md"], registry)
        assert [path.name for path in paths] == ["report.txt", "report.md"]
        assert sorted(Path(tmp_path / "deep").iterdir()) == sorted(paths)

    def test_a_section_of_a_plugin_comes_after_the_comparison(self, result):
        registry = FakeRegistry({}, {"mine": lambda result: Section("Mine", ("hello",))})
        titles = [s.title for s in sections(result, added=added_sections(result, registry))]
        assert titles[titles.index("Mine") - 1] == "Beside the alternatives"

    def test_a_section_that_fails_says_so_and_the_report_goes_on(self, result):
        registry = FakeRegistry({}, {"bad": lambda result: 1 / 0})
        (section,) = added_sections(result, registry)
        assert "ZeroDivisionError" in section.blocks[0]

    def test_a_renderer_that_fails_leaves_no_half_file(self, result, tmp_path):
        (tmp_path / "report.md").write_text("old")

        def broken(title, parts):
            raise ValueError("no ink")

        with pytest.raises(ValueError, match="no ink"):
            report.write(result, tmp_path, ["md"], FakeRegistry({"md": broken}))
        assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
        assert (tmp_path / "report.md").read_text() == "old"


def test_a_single_symbol_without_panel_run_or_folds_still_has_a_report(result):
    bare = replace(
        result.comparisons[0],
        positions=Positions(
            result.times, ("EURUSD",), np.zeros((len(result.times), 1)), np.ones(len(result.times), bool)
        ),
    )
    text = markdown.render(title(bare), sections(bare))
    assert "on EURUSD" in text
    assert "No run is attached" in text
