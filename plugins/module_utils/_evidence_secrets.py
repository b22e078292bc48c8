# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How secrets are cut out of evidence. Pure.

An ill node may print anything, so no expression may take more than linear time: each begins where a run of its
characters begins, and no two runs overlap. A name keeps its place, only its value goes.
"""

from __future__ import annotations

import re
from typing import Callable, Tuple

CUT = "[cut out]"

# Words that name a secret wherever they stand in a longer name.
_STRONG = (
    r"(?:password|passwd|passphrase|passcode|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|"
    r"auth_?pass|credential|requirepass|masterauth)"
)
# ``pass`` ends many harmless words too: db_pass and storepass name a secret, bypass and passed do not.
_HARMLESS = ("by", "com", "tres", "sur", "over", "under", "low", "high", "band", "multi")
_PASS = "".join(f"(?<!{word})" for word in _HARMLESS) + r"pass(?![^\W\d_])"
# With a blank after it only an option (--pass x) or a longer name (DB_PASS x) counts, but not nginx's proxy_pass x.
_PASS_BLANK = rf"(?:-[\w.-]*{_PASS}|[\w.-]*_(?<!proxy_)(?<!cgi_)(?<!wsgi_)(?<!grpc_)(?<!cached_)pass(?![^\W\d_]))"

_NAME = r"(?<![\w.-])(?={})[\w.-]+\\*[\"']?"  # a whole name, from its first character on
_INSIDE = r"[\w.-]*"
_SIGN = r"\s*(?:[=:]{1,2}>?|\(|&gt;)\s*"
_BLANK = r"(?![\w:.-]+=[\"'])"  # after a blank: the next attribute of a tag is no value
_QUOTED = (
    r"[bru]{0,2}\$?(?:\"[^\"\\\r\n]*(?:\\.[^\"\\\r\n]*)*\"?|'[^'\\\r\n]*(?:\\.[^'\\\r\n]*)*'?)"
    r"|\\+\"[^\"\r\n]*\"?|\\+'[^'\r\n]*'?"
)
_VALUE = rf"(?:\[cut out\]|{_QUOTED}|[^\s\"'<][^\s,;&\"'\]}})<]*)"

_WHOLE = (
    # a private key, whole or with its end cut off
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.S),
    # https://user:password@host, redis://:password@host
    re.compile(r"(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"),
    re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{6,}"),
    # tokens that are known by their shape
    re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}\b"),
)
# The first group stays, the rest goes.
_AFTER = (
    # <password>x</password>, <property name="db.password">x</property>
    re.compile(
        rf"(?i)(<(?=[a-z_])(?=[^<>]*(?:{_STRONG}|{_PASS}))[^<>]*(?<!/)>\s*)"
        r"(?:<!\[CDATA\[(?s:.*?)(?:\]\]>|\Z)|[^\s<][^<\r\n]*)"
    ),
    # <property name="password" value="x"/>, in either order
    re.compile(
        rf"(?i)(<(?=[a-z_])(?=[^<>]*(?:{_STRONG}|{_PASS}))[^<>]*?\bvalue\s*=\s*[\"'])"
        r"(?:(?<=\")[^\"<]*|(?<=')[^'<]*)"
    ),
    # Authorization: Basic ..., Proxy-Authorization, cookies; also as the key of a dictionary
    re.compile(rf"(?i)((?:authorization|cookie)\\*[\"']?[ \t]*:[ \t]*)(?:\[cut out\]|{_QUOTED}|[^\r\n]+)"),
    # sentinel auth-pass NAME x
    re.compile(r"(?i)(\bauth-pass[ \t]+)[^\r\n]+"),
    # curl -u user:x, --user user:x; HAProxy's stats auth user:x
    re.compile(
        r"(?i)(?<![^\s\"'])((?:-u[ \t]*|-[a-z]{1,6}u[ \t]+|--(?:proxy-)?user(?:=|[ \t]+)|stats[ \t]+auth[ \t]+)"
        r"[\"']?[^\s:\"']+:)(?:\[cut out\]|[^\s\"']+)"
    ),
    re.compile(rf"(?i)(\bidentified[ \t]+(?:with[ \t]+\S+[ \t]+)?by[ \t]+){_VALUE}"),
    # password=x, "token": "x", --secret x, auth_pass x
    re.compile(rf"(?i)({_NAME.format(_INSIDE + _STRONG)}(?:{_SIGN}|\s+{_BLANK})){_VALUE}"),
    re.compile(rf"(?i)({_NAME.format(_INSIDE + _PASS)}{_SIGN}){_VALUE}"),
    re.compile(rf"(?i)({_NAME.format(_PASS_BLANK)}[ \t]+{_BLANK}){_VALUE}"),
)
# Commands whose short option carries the secret: the line that names one, and the option.
_COMMANDS: Tuple[Tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (
        re.compile(r"^[^\r\n]*?\b(?:mysql|mariadb|sshpass)[^\r\n]*", re.M),
        re.compile(rf"((?<!\S)-p[ \t]?(?!-)){_VALUE}"),
    ),
    (re.compile(r"^[^\r\n]*?\bredis-cli\b[^\r\n]*", re.M), re.compile(rf"((?<!\S)-a[ \t]+){_VALUE}")),
)


def _keep(match: re.Match[str]) -> str:
    return str(match.group(1)) + CUT


def _keep_in_line(option: re.Pattern[str]) -> Callable[[re.Match[str]], str]:
    return lambda line: option.sub(_keep, line.group(0))


def redact(text: str) -> str:
    """Text without what looks like a secret. Rather a word too many than a password too few."""
    for expression in _WHOLE:
        text = expression.sub(CUT, text)
    for expression in _AFTER:
        text = expression.sub(_keep, text)
    for line, option in _COMMANDS:
        text = line.sub(_keep_in_line(option), text)
    return text
