# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A slow and obvious reader of performance data, written apart from the fast one: no regular expression, no shortcut.

It walks over the characters and says at each what the rules say. Tests and bench hold the fast parser against it.
"""

from __future__ import annotations

DIGITS = "0123456789"
LONGEST = 30


def read(text: str) -> tuple[dict[str, dict[str, object]], list[str]]:
    """All labels with their values, and the broken tokens."""
    metrics: dict[str, dict[str, object]] = {}
    broken: list[str] = []
    for token in split(text):
        metric = read_token(token)
        if metric is None:
            broken.append(token)
            continue
        label = metric["label"]
        assert isinstance(label, str)
        if label in metrics:
            same = all(metrics[label][key] == metric[key] for key in ("value", "unit", "raw_unit"))
            if not same:
                metric["value"] = None
                broken.append(f"{label}=(given twice, differently)")
        metrics[label] = metric
    return metrics, broken


def split(text: str) -> list[str]:
    """Tokens end at white space, except inside a quoted label that is followed by an equals sign."""
    tokens = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start = at
        end_of_label = end_of_quotes(text, at)
        if end_of_label is not None:
            at = end_of_label
        while at < len(text) and not text[at].isspace():
            at += 1
        tokens.append(text[start:at])
    return tokens


def end_of_quotes(text: str, at: int) -> int | None:
    """Where the equals sign after a quoted label stands, if there is a quoted label here."""
    if text[at] != "'":
        return None
    at += 1
    while at < len(text):
        if text[at] != "'":
            at += 1
        elif text[at : at + 2] == "''":
            at += 2
        else:
            return at + 1 if text[at + 1 : at + 2] == "=" else None
    return None


def read_token(token: str) -> dict[str, object] | None:
    """One token as a metric; None when it is broken."""
    quotes = end_of_quotes(token, 0)
    if quotes is not None:
        label, rest = token[1 : quotes - 1].replace("''", "'"), token[quotes + 1 :]
    else:
        if token[0] in "'=" or "=" not in token:
            return None
        equals = token.index("=")
        label, rest = token[:equals], token[equals + 1 :]
    if rest.endswith(","):
        rest = rest[:-1]
    fields = rest.split(";")
    if "=" in rest:
        return None
    fields += [""] * (5 - len(fields))
    value_text, warn, crit, low, high = fields[:5]
    if value_text == "U":
        return metric(label, None, "", warn, crit, low, high)
    number, raw_unit = split_number(value_text)
    if number is None or raw_unit.startswith(","):
        whole, comma, behind = value_text.partition(",")
        decimals, raw_unit = split_digits(behind)
        sign = whole[:1] if whole[:1] in ("+", "-") else ""
        if len(whole) > LONGEST + len(sign) or len(decimals) > LONGEST:
            return None
        if not comma or not decimals or not raw_unit or not is_digits(whole[len(sign) :]) or not is_unit(raw_unit):
            return None
        thousands = unit_of(raw_unit)[0] == "B" and len(decimals) == 3 and whole[len(sign) :] != "0"
        if thousands:
            return None
        number = float(f"{whole}.{decimals}")
        warn, crit, low, high = (field.replace(",", ".") for field in (warn, crit, low, high))
    if not is_unit(raw_unit):
        return None
    return metric(label, number, raw_unit, warn, crit, low, high)


def metric(
    label: str, number: float | None, raw_unit: str, warn: str, crit: str, low: str, high: str
) -> dict[str, object]:
    unit, factor = unit_of(raw_unit)
    return {
        "label": label,
        "value": None if number is None else number * factor,
        "unit": unit,
        "raw_unit": raw_unit,
        "warn": warn,
        "crit": crit,
        "min": limit(low, raw_unit),
        "max": limit(high, raw_unit),
    }


def limit(text: str, raw_unit: str) -> float | None:
    number, own_unit = split_number(text)
    if number is None or not is_unit(own_unit):
        return None
    return number * unit_of(own_unit or raw_unit)[1]


def split_number(text: str) -> tuple[float | None, str]:
    """The number at the start, and what follows it; more digits than any probe prints are no number."""
    at = 1 if text[:1] in ("+", "-") else 0
    before = at
    while text[at : at + 1] and text[at] in DIGITS:
        at += 1
    digits = at - before
    too_long = digits > LONGEST
    if text[at : at + 1] == ".":
        after = at + 1
        while text[after : after + 1] and text[after] in DIGITS:
            after += 1
        if digits or after > at + 1:
            digits += after - at - 1
            too_long = too_long or after - at - 1 > LONGEST
            at = after
    if not digits or too_long:
        return None, text
    if text[at : at + 1] in ("e", "E"):
        power = at + 1
        if text[power : power + 1] in ("+", "-"):
            power += 1
        end = power
        while text[end : end + 1] and text[end] in DIGITS:
            end += 1
        if end - power > 2:
            return None, text
        if end > power:
            at = end
    return float(text[:at]), text[at:]


def split_digits(text: str) -> tuple[str, str]:
    at = 0
    while at < len(text) and text[at] in DIGITS:
        at += 1
    return text[:at], text[at:]


def is_digits(text: str) -> bool:
    return bool(text) and all(character in DIGITS for character in text)


def is_unit(text: str) -> bool:
    return not any(character in DIGITS + ";,'=.+-" for character in text)


def unit_of(raw: str) -> tuple[str, float]:
    seconds = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
    if raw in seconds:
        return "s", seconds[raw]
    if raw == "%":
        return "ratio", 1e-2
    if raw == "c":
        return "c", 1.0
    if raw == "B":
        return "B", 1.0
    for power, letter in enumerate("KMGTPE", start=1):
        if raw in (f"{letter}B", f"{letter}iB", f"{letter.lower()}B", f"{letter.lower()}b"):
            return "B", 1024.0**power
    return "", 1.0
