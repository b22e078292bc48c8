# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The parser of performance data: real strings, rules one by one, and properties over made-up ones."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.selfheal.cluster.plugins.module_utils import _perfdata
from ansible_collections.selfheal.cluster.plugins.module_utils._perfdata import Perfdata, parse
from tests.bench import reference
from tests.bench.compare import plain
from tests.unit.perfdata.real_strings import STRINGS, Real


def test_all_real_strings_are_here() -> None:
    assert [real.number for real in STRINGS] == [str(number) for number in range(1, 35)]


@pytest.mark.parametrize("real", STRINGS, ids=lambda real: f"{real.number}-{real.plugin}")
def test_real_string(real: Real) -> None:
    found = parse(real.text)
    assert list(found.metrics) == list(real.metrics)
    for label, (value, unit, greatest) in real.metrics.items():
        metric = found.metrics[label]
        assert metric.value == pytest.approx(value)
        assert (metric.unit, metric.max) == (unit, greatest)
    assert found.broken == real.broken
    assert plain(found) == reference.read(real.text)


def test_printed_thresholds_stay_text() -> None:
    metric = parse("procs=0;@5:10;~:3;0;").metrics["procs"]
    assert (metric.warn, metric.crit) == ("@5:10", "~:3")


# text, {label: value}, broken tokens, why
RULES = [
    ("a=U b=1", {"a": None, "b": 1.0}, [], "U is a label without a value"),
    ("a=U;;;0;100", {"a": None}, [], "U keeps its label with limits behind it"),
    ("a=1 junk b=2", {"a": 1.0, "b": 2.0}, ["junk"], "a stray word costs nothing else"),
    ("a=1,5 b=2", {"b": 2.0}, ["a=1,5"], "a comma without a unit may be a list"),
    ("a=1,5s b=2", {"a": 1.5, "b": 2.0}, [], "a comma before a unit is a decimal comma"),
    ("a=1,024MB b=2", {"b": 2.0}, ["a=1,024MB"], "a thousand or a little over one: not guessed"),
    ("a=0,125MB", {"a": 0.125 * 1024**2}, [], "nobody groups thousands behind a zero"),
    ("a=1,2,3ms b=2", {"b": 2.0}, ["a=1,2,3ms"], "two commas are no number"),
    ("a=1, b=2,", {"a": 1.0, "b": 2.0}, [], "a comma between tokens belongs to none"),
    ("a=1;2;3;4;5;6 b=2", {"a": 1.0, "b": 2.0}, [], "more fields than there are: those behind the maximum are left"),
    ("a=1;2;3, b=2;;;4,", {"a": 1.0, "b": 2.0}, [], "a comma between tokens behind limits"),
    ("a=1;;;;;; b=2", {"a": 1.0, "b": 2.0}, [], "empty fields too many are harmless"),
    ("a=1;b=2 c=3", {"c": 3.0}, ["a=1;b=2"], "semicolons instead of spaces: nothing of it can be trusted"),
    ("a= b=2", {"b": 2.0}, ["a="], "no value"),
    ("=1 b=2", {"b": 2.0}, ["=1"], "no label"),
    ("a=nan b=inf c=1", {"c": 1.0}, ["a=nan", "b=inf"], "no numbers for our purposes"),
    ("a=1e999 b=2", {"b": 2.0}, ["a=1e999"], "would overflow to infinity"),
    ("a=" + "9" * 31 + " b=2", {"b": 2.0}, ["a=" + "9" * 31], "more digits than any probe has"),
    ("a=" + "9" * 30 + "e99EB", {"a": 1e30 * 1e99 * 1024.0**6}, [], "the greatest number there is"),
    ("a=1.5e-3s", {"a": 0.0015}, [], "exponents come from Python plugins"),
    ("a=-5 b=+5", {"a": -5.0, "b": 5.0}, [], "signs"),
    ("a=1.2.3 b=2", {"b": 2.0}, ["a=1.2.3"], "a version is no number"),
    ("a=.5 b=5.", {"a": 0.5, "b": 5.0}, [], "bare points, as the guidelines allow"),
    ("a=5rpm b=2", {"a": 5.0, "b": 2.0}, [], "an unknown unit is kept, the number too"),
    ("a=1 a=2 b=3", {"a": None, "b": 3.0}, ["a=(given twice, differently)"], "two words on one thing: in doubt, none"),
    ("a=1 a=1", {"a": 1.0}, [], "the same word twice is no contradiction"),
    ("'it''s'=1", {"it's": 1.0}, [], "two quotes are one"),
    ("'a b=1 c=2", {"b": 1.0, "c": 2.0}, ["'a"], "an open quote swallows nothing"),
    ("'a=1 b=2 'c d'=3", {"b": 2.0, "c d": 3.0}, ["'a=1"], "an open quote before a proper one"),
    ("'a b'=x c=2", {"c": 2.0}, ["'a b'=x"], "a quoted label without a number"),
    ("'a b'c=1 d=2", {"b'c": 1.0, "d": 2.0}, ["'a"], "text behind the quotes: a label of its own, odd as it is"),
    ("a=1\tb=2\n c=3\r\n", {"a": 1.0, "b": 2.0, "c": 3.0}, [], "any white space"),
    ("größe=5µs", {"größe": 5e-6}, [], "not only ASCII"),
    ("a=١", {}, ["a=١"], "digits are those of ASCII"),
    ("$(reboot)=1;`id`", {"$(reboot)": 1.0}, [], "text from outside stays text"),
    ("   ", {}, [], "nothing"),
]


@pytest.mark.parametrize(("text", "values", "broken", "why"), RULES, ids=[rule[3] for rule in RULES])
def test_rule(text: str, values: dict[str, float | None], broken: list[str], why: str) -> None:
    found = parse(text)
    got = {label: metric.value for label, metric in found.metrics.items()}
    assert got == pytest.approx(values), why
    assert found.broken == broken, why
    assert plain(found) == reference.read(text), why


UNITS = [
    ("5s", 5.0, "s"),
    ("5ms", 0.005, "s"),
    ("5us", 5e-6, "s"),
    ("5%", 0.05, "ratio"),
    ("5B", 5.0, "B"),
    ("5KB", 5 * 1024.0, "B"),
    ("5kB", 5 * 1024.0, "B"),
    ("5KiB", 5 * 1024.0, "B"),
    ("5kb", 5 * 1024.0, "B"),
    ("5MB", 5 * 1024.0**2, "B"),
    ("5GB", 5 * 1024.0**3, "B"),
    ("5TB", 5 * 1024.0**4, "B"),
    ("5c", 5.0, "c"),
    ("5", 5.0, ""),
    ("5b", 5.0, ""),  # bits, and not ours to turn into bytes
    ("5Mb", 5.0, ""),
]


@pytest.mark.parametrize(("text", "value", "unit"), UNITS)
def test_units_are_normalised(text: str, value: float, unit: str) -> None:
    metric = parse(f"x={text}").metrics["x"]
    assert metric.value == pytest.approx(value)
    assert (metric.unit, metric.raw_unit) == (unit, text[1:])


def test_limits_take_the_unit_of_the_value() -> None:
    metric = parse("x=1MB;;;1;2").metrics["x"]
    assert (metric.min, metric.max) == (1024.0**2, 2 * 1024.0**2)


def test_limits_may_have_a_unit_of_their_own() -> None:
    assert parse("x=1MB;;;0;1GB").metrics["x"].max == 1024.0**3


@pytest.mark.parametrize("limit", ["", "x", "1:2", "1e999", "--1"])
def test_a_limit_that_is_no_number_is_none(limit: str) -> None:
    assert parse(f"x=1;;;0;{limit}").metrics["x"].max is None


@pytest.mark.parametrize("thing", [None, 5, b"a=1", ["a=1"], {"a": 1}])
def test_what_is_no_text_holds_nothing(thing: Any) -> None:
    assert parse(thing) == Perfdata({}, [])


def test_an_endless_string_is_read_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_perfdata, "MAX_LENGTH", 12)
    found = parse("a=1 b=2 c=3 d=4 e=5")
    assert list(found.metrics) == ["a", "b", "c"]
    assert found.broken == ["d=4 e=5"]


def test_an_endless_token_is_cut() -> None:
    found = parse("a=" + "1" * 100_000)
    assert len(found.broken) == 2
    assert not found.metrics


HOSTILE = {
    "digits": "a=" + "1" * 60_000 + "x1",
    "quotes": "'" * 60_000,
    "open quotes": "'a " * 20_000,
    "double quotes": "''a " * 15_000,
    "equals": "=1" * 30_000,
    "semicolons": "a=" + ";" * 60_000 + "x",
    "exponents": "a=1e" + "1" * 60_000 + "!1",
    "points": "a=" + "." * 60_000,
    "units": "a=1" + "x" * 60_000 + "=",
    "decimals": "a=1," + "2" * 60_000 + "ms;x=",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    """An expression that goes back and forth would take minutes here and run into the timeout of the test run."""
    assert plain(parse(text)) == reference.read(text)


LABELS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=12)
VALUES = st.floats(min_value=-1e15, max_value=1e15, allow_nan=False).map(lambda value: round(value, 6))
RAW_UNITS = st.sampled_from(["", "s", "ms", "us", "%", "B", "kB", "KiB", "MB", "TB", "c", "rpm"])
LIMITS = st.sampled_from(["", "5", "10:", "~:10", "10:20", "@10:20", "0", "1.5"])
METRICS = st.tuples(LABELS, VALUES, RAW_UNITS, st.lists(LIMITS, max_size=4))


def written(label: str, value: float, raw_unit: str, limits: list[str]) -> str:
    plain = re.fullmatch(r"[^\s='][^\s=]*", label)
    shown = label if plain else "'" + label.replace("'", "''") + "'"
    return f"{shown}={value:.6f}{raw_unit}" + "".join(f";{limit}" for limit in limits)


@given(st.lists(METRICS, max_size=8, unique_by=lambda metric: metric[0]))
def test_what_is_written_is_read(metrics: list[tuple[str, float, str, list[str]]]) -> None:
    found = parse(" ".join(written(*metric) for metric in metrics))
    assert found.broken == []
    assert list(found.metrics) == [metric[0] for metric in metrics]
    for label, value, raw_unit, limits in metrics:
        metric = found.metrics[label]
        assert metric.value == pytest.approx(value * reference.unit_of(raw_unit)[1])
        assert metric.raw_unit == raw_unit
        assert (metric.warn, metric.crit) == tuple([*limits, "", ""][:2])


BROKEN = st.sampled_from(["junk", "x=", "=5", "x=1,5", "'x", "x='", "x=nan", "x=1.2.3", "'x'y", "|", ";"])


@given(st.lists(METRICS, min_size=1, max_size=6, unique_by=lambda metric: metric[0]), BROKEN, st.data())
def test_a_broken_token_never_loses_another(
    metrics: list[tuple[str, float, str, list[str]]], bad: str, data: st.DataObject
) -> None:
    # An open quote is closed by a later one, wherever that comes from; labels with quotes are left out here.
    tokens = [written(*metric) for metric in metrics if "'" not in written(*metric)]
    whole = parse(" ".join(tokens))
    tokens.insert(data.draw(st.integers(0, len(tokens))), bad)
    found = parse(" ".join(tokens))
    assert bad in found.broken
    assert {**found.metrics, **whole.metrics} == found.metrics


NOISE = st.text(st.sampled_from(list("ab'=;,. \t0123-+eEUBkMms%:@~|\nµ")), max_size=60)


@given(st.one_of(st.text(max_size=200), NOISE))
def test_any_text_is_read_as_the_slow_parser_reads_it(text: str) -> None:
    assert plain(parse(text)) == reference.read(text)
