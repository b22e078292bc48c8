# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Rest until something comes into the spool: woken by the kernel, and never depending on it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal_cluster.healer.wake import Wake

LONG = 20.0  # seconds that no test waits for: whoever is woken comes back at once


@pytest.fixture(name="spool")
def _spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture(name="wake")
def _wake(spool: Path) -> Iterator[Wake]:
    wake = Wake(str(spool))
    wake.rest(0.001)
    yield wake
    wake.close()


def rested(wake: Wake, seconds: float) -> float:
    begun = time.monotonic()
    wake.rest(seconds)
    return time.monotonic() - begun


def deliver(spool: Path) -> None:
    """As selfheal-event does: written beside, then renamed."""
    (spool / ".part").write_text("{}")
    (spool / ".part").rename(spool / "1.event")


def test_a_file_wakes(spool: Path, wake: Wake) -> None:
    threading.Timer(0.1, deliver, [spool]).start()
    assert rested(wake, LONG) < LONG / 2


def test_what_came_between_two_rests_is_not_missed(spool: Path, wake: Wake) -> None:
    deliver(spool)
    assert rested(wake, LONG) < LONG / 2


def test_without_a_file_it_rests_as_long_as_asked(wake: Wake) -> None:
    assert rested(wake, 0.2) >= 0.19


def test_a_folder_that_is_missing_is_slept_over_and_watched_when_it_is_there(tmp_path: Path) -> None:
    wake = Wake(str(tmp_path / "later"))
    assert rested(wake, 0.1) >= 0.09
    (tmp_path / "later").mkdir()
    wake.rest(0.001)
    deliver(tmp_path / "later")
    assert rested(wake, LONG) < LONG / 2
    wake.close()


def test_a_folder_made_anew_is_watched(spool: Path, wake: Wake) -> None:
    spool.rename(spool.with_name("old"))
    spool.mkdir()
    wake.rest(0.001)
    deliver(spool)
    assert rested(wake, LONG) < LONG / 2


def test_the_word_ends_no_process_that_has_other_threads(spool: Path, wake: Wake) -> None:
    """A signal of a process goes to any thread; this one had ended the whole of it."""
    ended = threading.Event()
    other = threading.Thread(target=ended.wait, args=[LONG])
    other.start()
    for _each in range(20):
        deliver(spool)
        assert rested(wake, LONG) < LONG / 2
    ended.set()
    other.join()


def test_a_stop_ends_a_rest(wake: Wake) -> None:
    before = signal.signal(signal.SIGUSR2, lambda _number, _frame: None)
    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR2]).start()
    assert rested(wake, LONG) < LONG / 2
    signal.signal(signal.SIGUSR2, before)
