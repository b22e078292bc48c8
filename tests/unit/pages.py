# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Reads a page as a browser would, for the tests of what we write."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta"}
LOADS = ("src", "href", "srcset", "data")


class Reader(HTMLParser):
    """Collects text, tags, and everything that would make a browser load or run something; tags must be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.active += [f"{name}={value}" for name, value in attrs if name in LOADS or name[:2] == "on"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Reader:
    """The whole page, every tag of it closed."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader
