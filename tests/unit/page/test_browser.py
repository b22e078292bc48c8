# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The pages of incidents in a real browser: nothing is fetched, nothing overflows, everything can be read."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy import COUNTERS
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_healer import begin_run
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import release
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import overview
from selfheal_cluster import view as views
from selfheal_cluster.page import incident_page
from tests.unit.journal.helpers import NOW, UNIT, new, opened, question
from tests.unit.page.browser import Browser
from tests.unit.page.test_incident_page import whole

LONG = "x" * 300  # a word that no line has room for
PHASES = ("confirm", "shift", "evidence", "restart", "verify", "readmit", "soak")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "these tests need a browser: apt-get install chromium (tools/setup test does it)"
    with Browser(program, tmp_path_factory.mktemp("chromium")) as found:
        yield found


def told(journal: Journal, incident: str) -> dict[str, Any]:
    """What the page gets of a journal."""
    found = json.loads(json.dumps(overview(journal, NOW + 60, incident, 500, False)))
    data = views.one_incident(found, incident)
    assert data is not None
    return data


def healed(folder: Path) -> dict[str, Any]:
    with new(folder) as journal:
        heal = journal.decide(question(), NOW)
        phases = [{"name": name, "started": NOW + n, "ended": NOW + n + 1} for n, name in enumerate(PHASES)]
        detail = {"phases": phases, "traffic_safe_at": NOW + 2, "restored_at": NOW + 6, "problems": []}
        release(journal, heal["incident"], heal["epoch"], "healed", detail, NOW + 7)
        return told(journal, heal["incident"])


def refused(folder: Path) -> dict[str, Any]:
    with new(folder, initialised=False) as journal:
        incident = opened(journal)
        assert not journal.decide({**question(), "incident": incident}, NOW)["admitted"]
        journal.db.execute("UPDATE decisions SET incident = ?", (incident,))
        return told(journal, incident)


def left_out(_folder: Path) -> dict[str, Any]:
    data = whole()
    data["attempts"][0]["detail"]["problems"] = [LONG]
    data["incident"]["reasons"] = [LONG]
    data["decisions"][0]["summary"] = LONG
    data["words"][0]["reason"] = LONG
    felt = data["attempts"][0]["detail"]["felt"]
    felt["backends"][0] = {"backend": LONG, "counters": dict.fromkeys(COUNTERS, 1234567)}
    felt["gaps"][0]["balancer"] = LONG
    return data


def running(folder: Path) -> dict[str, Any]:
    with new(folder) as journal:
        incident = opened(journal)
        begin_run(journal, incident, UNIT, NOW)
        journal.decide({**question(), "incident": incident}, NOW + 1)
        return told(journal, incident)


@pytest.mark.parametrize(
    ("make", "says"),
    [(healed, "Healed and verified."), (refused, "refused (mode"), (left_out, "stays out of traffic"),
     (running, "Under way at ")],
    ids=["healed", "refused", "left out", "running"],
)  # fmt: skip
def test_a_page_in_a_browser(browser: Browser, tmp_path: Path, make: Any, says: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(incident_page(make(tmp_path)), encoding="utf-8")
    assert says in page.read_text(encoding="utf-8"), "the states are said in words"
    browser.open(page)
    for media, width in (("screen", 1280), ("screen", 400), ("print", 720)):
        for scheme in ("light", "dark"):
            seen = browser.look(width, scheme, media)
            assert seen["width"] <= seen["window"], (media, width, "the page scrolls sideways")
            for what in ("out", "cut", "low"):  # beyond the edge, cut off, contrast below 4.5
                assert seen[what] == [], (media, width, scheme, what)
    assert browser.asked() == [], "it opens offline"
    assert browser.complaints() == []
    paper = browser.do("Page.printToPDF", printBackground=False)["data"]
    assert base64.b64decode(paper).startswith(b"%PDF-")


SPOILT = """<!doctype html><html><head><style>p{color:#999}td{white-space:nowrap}.wide{overflow-x:visible}
</style></head><body><p>pale</p><h1 style="width:900px">far</h1><div class="wide"><table><tr><td>%s</td></tr></table>
</div><img src="http://127.0.0.1:9/x.png"><script>console.log("a word"); nothing()</script></body></html>"""


def test_what_is_wrong_with_a_page_is_seen(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(SPOILT % LONG, encoding="utf-8")
    browser.open(page)
    seen = browser.look(400)
    assert seen["width"] > seen["window"]
    assert any("far" in one for one in seen["out"]) and seen["cut"] and any("pale" in one for one in seen["low"])
    assert browser.asked() == ["http://127.0.0.1:9/x.png"]
    assert len(browser.complaints()) >= 2
