"""YAML scalars are strict, every value knows its place, and what could hurt is refused."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mnpu.config.yaml import parse_scalar, read_file, read_text
from mnpu.errors import ConfigError


def read(text, **env):
    return read_text(text, name="p.yaml", env=env)


TICKERS = ["ON", "NO", "TRUE", "True", "Yes", "off", "005930", "007", "600519.SS", "BRK.B", "NULL", "~"]
NEAR_NUMBERS = ["1_000", "0x1F", "0o7", ".inf", ".nan", "1e", "1e9999", "12:30:00", "2005-01-01"]


@pytest.mark.parametrize("text", TICKERS + NEAR_NUMBERS)
def test_what_might_be_a_ticker_or_a_time_stays_text(text):
    assert read(f"a: {text}\nb: [{text}]\n").value == {"a": text, "b": [text]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("true", True), ("false", False), ("null", None), ("", None)),
        *(("0", 0), ("-4", -4), ("+7", 7), ("1e-4", 1e-4), ("3e-4", 3e-4), (".5", 0.5), ("5.", 5.0), ("0.10", 0.1)),
        *(("1e3", 1000.0), ("-0.0", -0.0), ("1.5E+2", 150.0)),
    ],
)
def test_plain_numbers_booleans_and_null_are_read(text, value):
    (read_value,) = read(f"a: {text}\n").value.values()
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize("text", ["true", "5", "1e-4", "null"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_make_text(text, quote):
    assert read(f"a: {quote}{text}{quote}\n").value == {"a": text}


def test_keys_are_always_text():
    assert read("{005930: a, ON: b, 5: c, true: d}").value == {"005930": "a", "ON": "b", "5": "c", "true": "d"}


@given(st.integers(-(10**40), 10**40))
def test_every_integer_reads_as_itself(number):
    assert parse_scalar(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_reads_back_bit_for_bit(number):
    back = parse_scalar(repr(number))
    assert isinstance(back, float)
    assert back == number
    assert math.copysign(1, back) == math.copysign(1, number)


@given(st.text(alphabet="0123456789.eE+-_xaNO:", max_size=8))
def test_a_scalar_is_text_or_what_python_reads_too(text):
    value = parse_scalar(text)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        assert value == float(text)


def test_places_are_line_and_column():
    tree = read("a: 1\nb:\n  - x\n  - {c: 5}\n")
    assert tree.where(("a",)) == "p.yaml:1:4"
    assert tree.where(("b", 1, "c")) == "p.yaml:4:9"
    assert tree.where_key(("b", 1, "c")) == "p.yaml:4:6"
    assert tree.where(("b", 1, "missing")) == "p.yaml:4:5"


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", "p.yaml:3:1", "a is given twice"),
        ("m:\n  k: 1\n  k: 2\n", "p.yaml:3:3", "m.k is given twice"),
        ("a: &x 1\nb: *x\n", "p.yaml:1:4", "&x is an anchor"),
        ("b: *x\n", "p.yaml:1:4", "*x is an alias"),
        ("a: !!python/object:os.system x\n", "p.yaml:1:4", "is a tag"),
        ("a: !!str 5\n", "p.yaml:1:4", "is a tag"),
        ("a: {<<: {b: 1}}\n", "p.yaml:1:5", "merge key"),
        ("- a\n- b\n", "p.yaml:1:1", "the file is a list"),
        ("just text\n", "p.yaml:1:1", "the file is 'just text'"),
        ("", "p.yaml:1:1", "is empty"),
        ("# only a comment\n", "p.yaml:1:1", "is empty"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2:1", "a second document"),
        ("a:\n\tb: 1\n", "p.yaml:2:1", "a tab indents"),
        ("a: [1, 2\nb: 3\n", "p.yaml:2:2", "is not YAML"),
        ("a: b: c\n", "p.yaml:1:5", "is not YAML"),
        ("a: 1\nb: 'open\n", "p.yaml:", "is not YAML"),
        ("? [1, 2]\n: 3\n", "p.yaml:1:3", "a key is not text"),
        ("a: \x07\n", "p.yaml:1:4", "character that YAML does not allow"),
        ("a: {b: ${env:X}}\n", "p.yaml:1", "is not YAML"),
        ("a: " + "[" * 40 + "]" * 40, "p.yaml:1:", "nested too deeply"),
        ("a: " + "{b: " * 40 + "1" + "}" * 40, "p.yaml:1:", "nested too deeply"),
    ],
)
def test_what_is_refused_says_where_and_what(text, where, what):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith(where)
    assert what in str(caught.value)


def test_a_hundred_thousand_brackets_are_an_error_not_a_crash():
    with pytest.raises(ConfigError):
        read("a: " + "[" * 100_000)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "p.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_file(tmp_path / "p.yaml", env={}).value == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("raw", "where", "what"),
    [
        (b"a: 1\nb: \xff\xfe\n", ":2:4: ", "holds the byte 0xff"),
        ("a: 1\n".encode("utf-16"), ":1:1: ", "UTF-16"),
        (b"a: \x00\n", ":1:4: ", "does not allow"),
    ],
)
def test_bytes_that_are_not_utf8_text_are_refused(tmp_path, raw, where, what):
    (tmp_path / "p.yaml").write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path / "p.yaml", env={})
    assert where in str(caught.value)
    assert what in str(caught.value)


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("a: 1")
    with pytest.raises(ConfigError, match=r"Did you mean '.*pipeline\.yaml'"):
        read_file(tmp_path / "pipelin.yaml", env={})
    with pytest.raises(ConfigError, match="is a folder"):
        read_file(tmp_path, env={})


def test_the_environment_is_read_by_the_same_rules():
    text = "a: ${env:N}\nb: '${env:N}'\nc: x-${env:N}\nd: ${env:NOT:-1e-4}\ne: ${env:NOT:-}\nf: $${env:N}\n"
    tree = read(text, N="5")
    assert tree.value == {"a": 5, "b": "5", "c": "x-5", "d": 1e-4, "e": None, "f": "${env:N}"}
    assert tree.references == {("b",): "${env:N}", ("c",): "x-${env:N}"}


def test_a_value_from_the_environment_is_not_expanded_again():
    assert read("a: ${env:X}", X="${env:Y}", Y="secret").value == {"a": "${env:Y}"}


@pytest.mark.parametrize(
    ("text", "what"),
    [("a:\n  b: ${env:NOPE}", "a.b needs the environment variable NOPE"), ("a: ${oc.env:X}", "holds '${oc.env:X}'")],
)
def test_an_interpolation_that_cannot_be_done_says_why(text, what):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert what in str(caught.value)
    assert "p.yaml:" in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    )
)
def test_whatever_is_in_a_file_is_read_or_refused_with_its_place(value):
    text = yaml.safe_dump({"a": value})
    outcome = outcome_of(text)
    assert outcome.startswith("p.yaml:") or outcome == "a"


def outcome_of(text):
    """The keys at the top, or where it was refused."""
    try:
        return " ".join(read(text).value)
    except ConfigError as error:
        return error.where
