# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Debian's Chromium without a screen, spoken to over a pipe; the standard library is all it takes."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

SECONDS = 60.0  # for one answer; a busy machine starts Chromium slowly

# What a person would see go wrong, measured on the page as it is laid out now.
MEASURE = r"""
(() => {
  const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const over = (top, under) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((i) => top[i] * alpha + under[i] * (1 - alpha));
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const canvas = parse(getComputedStyle(document.body).backgroundColor);
  const paper = matchMedia("print").matches;  // nothing behind the text is printed
  const root = paper ? [255, 255, 255] : canvas.length > 3 && canvas[3] === 0 ? [255, 255, 255] : canvas;
  const wide = document.documentElement.clientWidth, low = [], out = [], cut = [];
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (!element.closest(".wide") && box.right > wide + 1)
      out.push(element.tagName + ": " + element.textContent.slice(0, 60));
    const scrolls = !paper && getComputedStyle(element).overflowX === "auto";
    if (element.matches(".wide") && element.scrollWidth > element.clientWidth + 1 && !scrolls)
      cut.push(element.textContent.slice(0, 60));
    const said = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!said || element.closest("defs") || element.tagName === "title") continue;
    const style = getComputedStyle(element);
    let under = root, opacity = 1;
    const above = [];
    for (let at = element; at; at = at.parentElement) above.unshift(at);
    for (const at of above) {
      const shade = parse(getComputedStyle(at).backgroundColor);
      if (shade.length && !paper) under = over(shade, under);
      opacity *= Number(getComputedStyle(at).opacity);
    }
    let ink = parse(element.closest("svg") ? style.fill : style.color);
    ink = over([ink[0], ink[1], ink[2], (ink.length > 3 ? ink[3] : 1) * opacity], under);
    const found = ratio(ink, under);
    if (found < 4.5) low.push(found.toFixed(2) + " " + element.tagName + ": " + element.textContent.slice(0, 40));
  }
  return {width: document.documentElement.scrollWidth, window: wide, out, cut, low};
})()
"""


class Browser:
    """One page of one browser. What it logs, and what it asks the network for, is kept in ``events``."""

    def __init__(self, program: str, home: Path) -> None:
        ask, self._to = os.pipe()
        self._from, answer = os.pipe()
        words = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--remote-debugging-pipe", "--no-first-run", f"--user-data-dir={home}", "about:blank",
        ]  # fmt: skip
        # Chromium reads its orders from descriptor 3 and answers on 4; a shell puts the two ends there.
        shell = f'exec "$@" 3<&{ask} 4>&{answer}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, "browser", *words], pass_fds=(ask, answer), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(home)},
        )  # fmt: skip
        os.close(ask)
        os.close(answer)
        self._rest = b""
        self._number = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        os.close(self._to)  # its end of the orders: it leaves
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def do(self, method: str, **params: object) -> dict[str, Any]:
        """One order, and its answer."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": params}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._to, json.dumps(order).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self.events.append(message)

    def wait(self, method: str) -> None:
        """Until an event of this name has come."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium said nothing for {SECONDS:.0f} s"
            chunk = os.read(self._from, 1 << 20)
            assert chunk, f"Chromium ended with {self._process.wait(10)}"
            self._rest += chunk
        head, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(head))

    def open(self, page: Path) -> None:
        """Load a file, and forget what was before it."""
        self.events.clear()
        self.do("Page.navigate", url=page.resolve().as_uri())
        self.wait("Page.loadEventFired")

    def look(self, width: int, scheme: str = "light", media: str = "screen") -> dict[str, Any]:
        """Lay the page out so wide, and measure it."""
        assert media in ("screen", "print")
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.do("Emulation.setEmulatedMedia", media=media, features=features)
        return dict(self.do("Runtime.evaluate", expression=MEASURE, returnByValue=True)["result"]["value"])

    def asked(self) -> list[str]:
        """Everything that was requested, the page itself aside."""
        urls = [event["params"]["request"]["url"] for event in self.events
                if event.get("method") == "Network.requestWillBeSent"]  # fmt: skip
        return urls[1:]

    def complaints(self) -> list[Any]:
        """What stands in its console."""
        names = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [event["params"] for event in self.events if event.get("method") in names]
