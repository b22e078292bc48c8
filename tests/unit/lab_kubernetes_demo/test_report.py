# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The demo's picture, page and table: whole, offline, readable without colour, and text stays text."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from lab.kubernetes.demo import picture as pictures
from lab.kubernetes.demo import report
from lab.kubernetes.demo.load import Felt
from lab.kubernetes.demo.picture import every, picture, pieces, steps, words_of
from lab.kubernetes.demo.timeline import Second
from selfheal_cluster.page.drawing import WIDTH
from tests.unit.pages import read

ROWS = [
    Second(0, 1, 1, None, 20, 0), Second(1, 2, 1, 240, 150, 3), Second(2, None, None, None, 140, 0),
    Second(3, 4, 4, 231, 150, 1), Second(4, 1, 1, 3, 0, 0),
]  # fmt: skip
EVENTS = [(1, 0.0, "step 1: Roll out"), (2, 3.5, "pod ei-1 is deleted")]
STEPS = [
    report.Step("Roll out", True, "both ports answer on 3 nodes"),
    report.Step("Scale", False, "there are not 4 pods after 240 s of load", Felt(460, 4, 0.71)),
    report.Step("Worker"),
]
RUN = {
    "status": "healed", "incident": "i-1", "summary": "kw2 is faulty", "strategy": "kubernetes_node",
    "phases": [{"name": "restart", "started": 10.0, "ended": 14.0}], "started_at": 9.0, "ended_at": 20.0,
}  # fmt: skip
HEALS = [{"node": "kw2", "title": "no kubelet", "fault": "no kubelet", "healed": True, "result": RUN}]


def whole(**changes: Any) -> str:
    given: dict[str, Any] = {
        "begin": 1.0, "steps": STEPS, "felt": Felt(460, 4, 0.71), "seconds": ROWS, "events": EVENTS, "heals": HEALS,
        "target": 200, **changes,
    }  # fmt: skip
    return report.page(**given)


def svg(text: str) -> ElementTree.Element:
    found = re.search(r"<svg.*?</svg>", text, re.S)
    assert found
    return ElementTree.fromstring(found[0])


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ([], []),
        ([(0, None), (1, None)], []),
        ([(0, 1), (1, 2)], [[(0, 1), (1, 2)]]),
        ([(0, 1), (1, None), (2, 3), (3, 3)], [[(0, 1)], [(2, 3), (3, 3)]]),
    ],
)
def test_a_hole_in_what_is_known_stays_a_hole(points: list[Any], wanted: list[Any]) -> None:
    assert pieces(points) == wanted


@pytest.mark.parametrize(
    ("piece", "wanted"),
    [
        ([(0, 1)], "M0.0 9.0H10.0"),
        ([(0, 1), (1, 1), (2, 4)], "M0.0 9.0H20.0V6.0H30.0"),
        ([(1, 4), (2, 0)], "M10.0 6.0H20.0V10.0H30.0"),
    ],
)
def test_a_value_holds_until_the_next_one(piece: list[tuple[float, float]], wanted: str) -> None:
    assert steps(piece, lambda at: at * 10, lambda value: 10 - value) == wanted


@pytest.mark.parametrize(("seconds", "wanted"), [(5, 10), (120, 10), (121, 30), (700, 60), (1300, 120), (99999, 600)])
def test_the_axis_has_not_too_many_marks(seconds: float, wanted: int) -> None:
    assert every(seconds) == wanted


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS, ("From 1 to 4 pods were ready", "CPU was up to 240 %", "up to 150 requests began in one second",
                "4 of 460 requests failed, most of them, 3, in the second at 0:01")),
        (ROWS[:1], ("From 1 to 1 pods", "CPU was not measured", "0 of 20 requests failed.")),
        ([Second(0, None, None, None, 0, 0)], ("No pod was seen", "0 of 0 requests failed.")),
        ([], ("No pod was seen", "0 of 0 requests failed.")),
    ],
)  # fmt: skip
def test_the_picture_is_told_in_words(rows: Sequence[Second], words: Sequence[str]) -> None:
    for part in words:
        assert part in words_of(rows)


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [Second(0, None, None, None, 0, 0)], ROWS * 300])
@pytest.mark.parametrize("target", [None, 200])
def test_nothing_is_drawn_outside_the_picture(rows: list[Second], target: int | None) -> None:
    rows = [row._replace(at=place) for place, row in enumerate(rows)]
    last = rows[-1].at + 0.9
    drawn = svg(picture(rows, [*EVENTS, (3, last, "the end"), (4, last + 99, "after it")], target))
    height = float(drawn.attrib["viewBox"].split()[3])
    for element in drawn.iter():
        for name, most in (("x", WIDTH), ("x1", WIDTH), ("x2", WIDTH), ("y", height), ("y1", height), ("y2", height)):
            if name in element.attrib:
                assert 0 <= float(element.attrib[name]) <= most, ElementTree.tostring(element)
        for letter, value in re.findall(r"([HV])([\d.-]+)", element.attrib.get("d", "")):
            assert 0 <= float(value) <= (WIDTH if letter == "H" else height)
        if element.tag == "rect":
            assert float(element.attrib["height"]) >= 8, "one failure of many is seen too"


def test_the_picture_shows_all_of_it() -> None:
    drawn = svg(picture(ROWS, EVENTS, 200))
    assert len(drawn.findall("rect")) == 2, "the seconds in which requests failed"
    assert [it.text for it in drawn.iter("title")] == [
        "3 of 150 failed at 0:01", "1 of 150 failed at 0:03", "1: step 1: Roll out", "2: pod ei-1 is deleted",
    ]  # fmt: skip
    assert {"1", "2", "4", "240", "150"} <= {it.text for it in drawn.findall("text")}
    # wanted and ready have a hole each; CPU two; its aim and the requests none
    assert len(drawn.findall("path")) == 2 + 2 + 2 + 1 + 1
    assert len(svg(picture(ROWS, EVENTS)).findall("path")) == 2 + 2 + 2 + 1
    assert picture([], []) == '<p class="note">Nothing was recorded.</p>'


def test_without_colour_lines_differ_by_their_shape() -> None:
    looks = {(it.attrib.get("stroke-width"), it.attrib.get("stroke-dasharray"))
             for it in svg(picture(ROWS, [], 200)).findall("path")}  # fmt: skip
    assert looks == {(None, "5 4"), ("2.5", None), ("1.5", None), ("1", None)}


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    reader = read(whole())
    assert reader.active == []
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(reader.tags)
    assert reader.tags.count("svg") == 2, "the picture, and the phases of the heal"


def test_every_figure_is_there_in_words() -> None:
    said = " ".join(read(whole()).text)
    for words in (
        "1 of 3 steps ended as they should. Clients sent 460 requests; 4 failed.", "both ports answer on 3 nodes",
        "NOT as it should", "there are not 4 pods after 240 s of load", "not played", "710 ms", "step 1: Roll out",
        "pod ei-1 is deleted", "0:03", "kw2 is faulty", "i-1", "healed and verified",
    ):  # fmt: skip
        assert words in said, words


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "\x1b[2J\u202e", "&lt;b&gt;"])
def test_text_from_outside_stays_text(text: str) -> None:
    heals = [{**HEALS[0], "node": text, "title": text, "result": {**RUN, "problems": [text], "summary": text}}]
    reader = read(whole(steps=[report.Step(text, False, text)], events=[(1, 1.0, text)], heals=heals))
    assert not {"script", "img", "b"} & set(reader.tags)
    said = " ".join(reader.text)
    assert "\x1b" not in said and "\u202e" not in said


def test_a_demo_of_which_nothing_was_recorded_has_a_page_too() -> None:
    assert "Nothing was recorded" in " ".join(read(whole(seconds=[], events=[], heals=[])).text)


def test_the_table_on_the_terminal_is_whole_and_takes_brackets_as_they_are() -> None:
    out = io.StringIO()
    events = [(1, 0.0, "[bold]no mark-up[/bold]"), (2, 3.5, "pod ei-1 is deleted")]
    Console(file=out, width=150, color_system=None).print(report.terminal(report.rows(ROWS, events)))
    said = out.getvalue()
    for words in ("requests/s", "1 of 1", "240 %", "92.0", "[1] [bold]no mark-up[/bold]", "[2] pod ei-1 is deleted"):
        assert words in said, words


def test_a_step_for_programs() -> None:
    assert STEPS[1].told() == {
        "title": "Scale", "ok": False, "said": "there are not 4 pods after 240 s of load", "sent": 460, "failed": 4,
        "gap": 0.71,
    }  # fmt: skip


def test_panels_are_as_high_as_their_highest_value() -> None:
    assert [panel.most for panel in pictures.panels(ROWS, 200)] == [4, 240, 150]
    assert [panel.most for panel in pictures.panels([Second(0, None, None, None, 0, 0)], None)] == [1, 100, 1]
