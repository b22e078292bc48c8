# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Text from outside, made safe to show to a human.

What Nagios, HAProxy or a node says may hold control sequences that move a terminal's cursor, and marks that turn
the direction of writing. They are shown as what they are instead of being obeyed.
"""

from __future__ import annotations

import unicodedata

# Cc: control characters. Cf: invisible format marks, the bidirectional ones among them. Cs, Co: no characters.
HIDDEN = ("Cc", "Cf", "Cs", "Co")


def clean(value: object, limit: int = 0) -> str:
    """One line without anything that a terminal would obey; cut to ``limit`` characters when that is given."""
    out = []
    for character in str(value):
        if character in "\t\n\r":
            out.append(" ")
        elif unicodedata.category(character) in HIDDEN or character in "\u2028\u2029":
            out.append(f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}")
        else:
            out.append(character)
    text = "".join(out).strip()
    if limit and len(text) > limit:
        return text[: limit - 3] + "..."
    return text
