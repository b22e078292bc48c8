# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a relief deletes, on real folders: only what the policy names, whatever links, names and races are there."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _relief, _restart
from ansible_collections.selfheal.cluster.plugins.module_utils import _restart_checks as checks
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import uptime_clock
from ansible_collections.selfheal.cluster.plugins.module_utils._relief import Relief
from ansible_collections.selfheal.cluster.plugins.modules.node_restart import relieve
from tests.unit.restart.test_restart import Systemd, params

WANTED = {"path": "/var/log/ei", "pattern": "*.log.*", "older_seconds": 3600}
HOUR = 3600.0


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The folder of the policy, below a root of its own."""
    folder = tmp_path / "root/var/log/ei"
    folder.mkdir(parents=True)
    return folder


def put(path: Path, hours: float = 2, size: int = 5000) -> Path:
    """A file that was changed so many hours ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - hours * HOUR
    os.utime(path, (then, then))
    return path


def relief(logs: Path, *wanted: dict[str, Any], seconds: float = 60, **changes: Any) -> Relief:
    root = str(logs.parents[2])
    partitions = [{"path": "/var/log", "below": 0.9}]
    return Relief(wanted or [WANTED], partitions, uptime_clock() + seconds, root=root, **changes)


def cleared(one: Relief) -> list[str]:
    """Look and clear; the names of what went, in their order."""
    try:
        one.look()
        one.clear()
    finally:
        one.close()
    return [found.name for found in one.removed]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The use of the partition: at the look, before it is cleared, and after."""
    seen = [0.97, 0.97, 0.5]
    monkeypatch.setattr(_relief, "use", lambda mount: seen.pop(0) if len(seen) > 1 else seen[0])
    monkeypatch.setattr(_relief, "ROOM_SECONDS", 0.0)
    return seen


# What goes and what stays


def test_only_old_regular_files_of_that_name_go_the_oldest_first(logs: Path) -> None:
    put(logs / "ei.log.1", 3)
    put(logs / "ei.log.2", 5)
    put(logs / "old/deep/er.log.gz", 4)
    put(logs / ".log.", 2)
    stay = [
        put(logs / "ei.log"),
        put(logs / "young.log.1", 0.9),
        put(logs / "future.log.1", -5),
        put(logs / "EI.LOG.1"),
    ]
    stay.append(put(logs.parent / "other/ei.log.1"))
    put(logs / "one.log.1").rename(logs / "two.log.1")
    os.link(logs / "two.log.1", logs / "three.log.1")
    (logs / "link.log.1").symlink_to(stay[0])
    os.mkfifo(logs / "fifo.log.1")
    (logs / "folder.log.1").mkdir()
    one = relief(logs)
    assert cleared(one) == ["ei.log.2", "er.log.gz", "ei.log.1", ".log."]
    assert all(path.exists() for path in (*stay, logs / "two.log.1", logs / "three.log.1", logs / "folder.log.1"))
    assert (logs / "link.log.1").is_symlink() and (logs / "fifo.log.1").exists()
    assert one.skipped == {"hard_link": 2, "no_file": 2, "young": 2}


def test_a_file_that_a_process_has_open_stays(logs: Path) -> None:
    kept, gone = put(logs / "ei.log.1"), put(logs / "ei.log.2")
    one = relief(logs)
    with kept.open("rb"):
        one.look()
        assert [item["path"] for item in one.told(would=True)["removed"]] == ["/var/log/ei/ei.log.2"]
        one.clear()
    one.close()
    assert kept.exists() and not gone.exists()


def test_a_file_that_was_opened_since_the_look_stays(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a file system where the kernel does not count for us."""
    monkeypatch.setattr(_relief, "OPEN_SECONDS", -1.0)
    monkeypatch.setattr(_relief, "alone", lambda descriptor: None)
    kept = put(logs / "ei.log.1")
    one = relief(logs)
    one.look()
    with kept.open("rb"):
        one.clear()
    one.close()
    assert kept.exists() and one.skipped == {"open": 1}


@pytest.mark.parametrize(
    ("hidden", "lease", "goes", "why"),
    [
        (False, None, True, {}),
        (False, errno.EINVAL, True, {}),  # a file system without leases, and /proc tells all
        (False, errno.EAGAIN, False, {"open": 1}),  # mapped, or opened this moment
        (True, None, True, {}),
        (True, errno.EINVAL, False, {"unseen": 1}),  # nobody can tell: it stays
        (True, errno.EAGAIN, False, {"open": 1}),
    ],
)
def test_where_a_process_hides_its_files_the_kernels_count_decides(
    logs: Path, monkeypatch: pytest.MonkeyPatch, hidden: bool, lease: int | None, goes: bool, why: dict[str, int]
) -> None:
    put(logs / "ei.log.1")
    proc = logs.parents[3] / "proc"
    (proc / "17/fd").mkdir(parents=True)
    (proc / "17/fd/3").symlink_to("/dev/null")
    real, real_fcntl = os.stat, fcntl.fcntl

    def stat(path: Any, **kwargs: Any) -> os.stat_result:
        if hidden and str(path).endswith("17/fd/3"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, **kwargs)

    def count(descriptor: int, command: int, argument: int = 0) -> int:
        if lease and argument == fcntl.F_WRLCK:
            raise OSError(lease, os.strerror(lease))
        return real_fcntl(descriptor, command, argument)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(fcntl, "fcntl", count)
    one = relief(logs, proc=str(proc))
    assert cleared(one) == (["ei.log.1"] if goes else [])
    assert one.skipped == why


def test_who_opens_a_file_that_is_just_deleted_does_not_end_the_relief(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells the holder of a lease by SIGIO, which ends a process that does not ignore it."""
    put(logs / "ei.log.1")
    put(logs / "ei.log.2")
    real = os.unlink

    def signalled(*args: Any, **kwargs: Any) -> None:
        os.kill(os.getpid(), signal.SIGIO)
        real(*args, **kwargs)

    monkeypatch.setattr(os, "unlink", signalled)
    before = signal.getsignal(signal.SIGIO)
    assert len(cleared(relief(logs))) == 2
    assert signal.getsignal(signal.SIGIO) == before


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a\nb.log.1", "a\\nb.log.1"),
        (b"\xff\xfe.log.1", "\\xff\\xfe.log.1"),
        (b"\x1b[31m.log.1", "\\x1b[31m.log.1"),
        ("ü.log.1".encode(), "ü.log.1"),
        (b"{{ lookup('pipe', 'id') }}.log.1", "{{ lookup('pipe', 'id') }}.log.1"),
        (b"-rf *.log.1", "-rf *.log.1"),
    ],
    ids=repr,
)
def test_any_name_is_deleted_and_told_in_one_line(logs: Path, name: bytes, shown: str) -> None:
    put(Path(os.fsdecode(os.fsencode(logs) + b"/" + name)))
    one = relief(logs)
    one.look()
    one.clear()
    told = one.told()
    one.close()
    assert list(logs.iterdir()) == []
    assert [item["path"] for item in told["removed"]] == [f"/var/log/ei/{shown}"]
    assert told["files"] == 1 and told["bytes"] >= 5000 and told["removed"][0]["bytes"] == 5000


def test_a_path_below_another_one_counts_each_file_once(logs: Path) -> None:
    put(logs / "old/ei.log.1")
    one = relief(logs, WANTED, {**WANTED, "path": "/var/log/ei/old"})
    assert cleared(one) == ["ei.log.1"] and one.matched == 1


# Links


@pytest.mark.parametrize("part", ["var", "var/log", "var/log/ei"])
def test_no_link_is_followed_on_the_way_to_the_folder(logs: Path, part: str) -> None:
    victim = put(logs / "ei.log.1")
    root = logs.parents[2]
    (root / part).rename(root / "elsewhere")
    (root / part).symlink_to(root / "elsewhere")
    with pytest.raises(SelfhealError, match="without following a link") as refused:
        cleared(relief(logs))
    assert refused.value.reason == "not_relievable"
    assert victim.exists()


def test_a_linked_folder_below_is_not_entered(logs: Path, tmp_path: Path) -> None:
    victim = put(tmp_path / "victim/ei.log.1")
    (logs / "sub").symlink_to(victim.parent)
    put(logs / "ei.log.2")
    assert cleared(relief(logs)) == ["ei.log.2"]
    assert victim.exists()


def test_a_folder_that_is_not_there_is_refused(logs: Path) -> None:
    with pytest.raises(SelfhealError, match="/var/log/nobody cannot be opened"):
        cleared(relief(logs, {**WANTED, "path": "/var/log/nobody"}))


def test_a_plan_without_path_or_partition_is_refused(logs: Path) -> None:
    with pytest.raises(SelfhealError, match="names no path"):
        cleared(Relief([], [{"path": "/var/log", "below": 0.9}], uptime_clock() + 9))
    with pytest.raises(SelfhealError, match="no partition"):
        cleared(Relief([WANTED], [], uptime_clock() + 9))


# Races: what changes after the look


def swap_folder(logs: Path, victim: Path) -> None:
    (logs / "sub").rename(logs / "moved")
    (logs / "sub").symlink_to(victim.parent)


def swap_folder_for_another(logs: Path, victim: Path) -> None:
    (logs / "sub").rename(logs / "moved")
    victim.parent.rename(logs / "sub")


def swap_file(logs: Path, victim: Path) -> None:
    (logs / "sub/ei.log.1").rename(logs / "moved")
    victim.rename(logs / "sub/ei.log.1")


def swap_for_link(logs: Path, victim: Path) -> None:
    (logs / "sub/ei.log.1").rename(logs / "moved")
    (logs / "sub/ei.log.1").symlink_to(victim)


def write_again(logs: Path, victim: Path) -> None:
    (logs / "sub/ei.log.1").write_bytes(b"new")


def link_again(logs: Path, victim: Path) -> None:
    os.link(logs / "sub/ei.log.1", logs / "moved")


def take_away(logs: Path, victim: Path) -> None:
    (logs / "sub/ei.log.1").rename(logs / "moved")


@pytest.mark.parametrize(
    "race",
    [swap_folder, swap_folder_for_another, swap_file, swap_for_link, write_again, link_again, take_away],
)
def test_what_changed_since_the_look_makes_the_deletion_miss(
    logs: Path, tmp_path: Path, race: Callable[[Path, Path], None]
) -> None:
    put(logs / "sub/ei.log.1")
    victim = put(tmp_path / "root/victim/ei.log.1")
    one = relief(logs)
    one.look()
    before = sorted(path.stat().st_ino for path in (victim, logs / "sub/ei.log.1"))
    race(logs, victim)
    one.clear()
    one.close()
    assert one.removed == [] and one.skipped == {"changed": 1}
    left = {path.stat().st_ino for path in (tmp_path / "root").rglob("*") if path.is_file()}
    assert left >= set(before)


def test_the_folder_of_the_policy_itself_is_held_not_named_again(logs: Path, tmp_path: Path) -> None:
    """Swapped as a whole after the look, the name of the policy leads to the victim; the descriptor does not."""
    put(logs / "ei.log.1")
    victim = put(tmp_path / "victim/ei.log.1")
    one = relief(logs)
    one.look()
    logs.rename(tmp_path / "moved")
    logs.symlink_to(victim.parent)
    one.clear()
    one.close()
    assert victim.exists() and not (tmp_path / "moved/ei.log.1").exists()


def test_a_folder_swapped_while_it_is_read_is_not_entered(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(logs / "sub/ei.log.1")
    victim = put(tmp_path / "victim/ei.log.1")
    one = relief(logs)
    real = one._open_below

    def swapping(number: int, folders: Any) -> int:
        if folders == ("sub",) and not (logs / "sub").is_symlink():
            swap_folder(logs, victim)
        return real(number, folders)

    monkeypatch.setattr(one, "_open_below", swapping)
    assert cleared(one) == []
    assert victim.exists() and one.skipped == {"changed": 1}


def test_a_file_swapped_between_the_last_look_and_its_opening_stays(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = put(logs / "ei.log.1").stat()
    victim = put(tmp_path / "victim")
    os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    one = relief(logs)
    one.look()
    real = os.open

    def swapping(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == "ei.log.1" and victim.exists():
            victim.replace(logs / "ei.log.1")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", swapping)
    one.clear()
    one.close()
    assert (logs / "ei.log.1").exists() and one.skipped == {"changed": 1}


# Other file systems

MOUNTED = """
import os, sys, time
from ansible_collections.selfheal.cluster.plugins.module_utils._relief import Relief
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import uptime_clock
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
root, path, partition = sys.argv[1:]
one = Relief([{"path": path, "pattern": "*.log.*", "older_seconds": 3600}], [{"path": partition, "below": 0.9}],
             uptime_clock() + 60, root=root)
try:
    one.look(); one.clear()
    print([found.name for found in one.removed], one.skipped)
except SelfhealError as error:
    print(error.reason, error)
"""


@pytest.mark.parametrize(
    ("path", "partition", "said"),
    [
        ("/var/log/ei", "/var/log", "['ei.log.1'] {'other_file_system': 1}"),
        ("/var/log/ei/sub", "/var/log/ei/sub", "['ei.log.2', 'ei.log.3'] {}"),
        ("/var/log/ei/sub", "/var/log", "not_relievable /var/log/ei/sub is not on the full partition /var/log"),
    ],
)
def test_it_stays_on_the_file_system_of_the_full_partition(logs: Path, path: str, partition: str, said: str) -> None:
    """A tmpfs in a mount namespace of its own, so that nothing is left behind."""
    put(logs / "ei.log.1")
    (logs / "sub").mkdir()
    setup = 'mount -t tmpfs none "$1/var/log/ei/sub" && cd "$1/var/log/ei/sub" && '
    setup += 'touch -d "2 hours ago" ei.log.2 ei.log.3 && exec "$4" -c "$5" "$1" "$2" "$3"'
    namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*namespace, "sh", "-c", setup, "sh", str(logs.parents[2]), path, partition, sys.executable, MOUNTED],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip() == said, done.stderr


# Bounds


def test_a_number_of_files_bounds_it_and_the_oldest_go(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_relief, "MAX_FILES", 3)
    for hours in range(2, 8):
        put(logs / f"ei.log.{hours}", hours)
    one = relief(logs)
    assert cleared(one) == ["ei.log.7", "ei.log.6", "ei.log.5"]
    assert one.bound == "files" and one.matched == 6


def test_exactly_that_number_is_no_bound(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_relief, "MAX_FILES", 2)
    put(logs / "ei.log.1"), put(logs / "ei.log.2")  # one line: exactly two
    one = relief(logs)
    assert len(cleared(one)) == 2 and one.bound == ""


def test_its_time_bounds_it(logs: Path) -> None:
    put(logs / "ei.log.1")
    one = relief(logs, seconds=-1)
    assert cleared(one) == [] and one.bound == "time"
    one = relief(logs)
    one.look()
    one.end = uptime_clock() - 1
    one.clear()
    one.close()
    assert (logs / "ei.log.1").exists() and one.bound == "time"


def test_a_heal_that_is_outdated_deletes_no_further_file(logs: Path) -> None:
    """Invariant 8: a run that slept past its lease can change nothing."""
    for number in range(3):
        put(logs / f"ei.log.{number}")
    left = iter([None, SelfhealError("stale_epoch", "another heal has taken over")])

    def right() -> None:
        if error := next(left):
            raise error

    with pytest.raises(SelfhealError, match="taken over"):
        cleared(relief(logs, right=right))
    assert len(list(logs.iterdir())) == 2


def test_a_folder_that_is_too_deep_is_left_alone(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_relief, "MAX_DEPTH", 1)
    put(logs / "a/ei.log.1"), put(logs / "a/b/ei.log.2")  # one line: one within, one beyond
    one = relief(logs)
    assert cleared(one) == ["ei.log.1"] and one.skipped == {"too_deep": 1}


def test_a_result_names_some_files_and_counts_all(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        put(logs / f"ei.log.{number}", 10 - number)
    one = relief(logs)
    one.look()
    monkeypatch.setattr(_relief, "TOLD_FILES", 4)
    told = one.told(would=True)
    assert (told["files"], len(told["removed"]), told["not_named"]) == (9, 4, 5)
    assert told["removed"][0]["path"] == "/var/log/ei/ei.log.0"
    assert abs(told["removed"][0]["changed_at"] - (time.time() - 10 * HOUR)) < 60
    monkeypatch.setattr(_relief, "TOLD_BYTES", 50)
    assert len(one.told(would=True)["removed"]) == 2
    one.close()
    assert len(list(logs.iterdir())) == 9


def test_descriptors_are_given_back(logs: Path) -> None:
    put(logs / "a/b/ei.log.1")
    before = len(list(Path("/proc/self/fd").iterdir()))
    cleared(relief(logs))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# Room


def test_use_is_counted_as_df_does(logs: Path) -> None:
    folder = os.open(logs, os.O_RDONLY)
    said = subprocess.run(["df", "--output=pcent", str(logs)], capture_output=True, text=True, check=True).stdout
    assert _relief.use(folder) * 100 == pytest.approx(float(said.split()[-1].rstrip("%")), abs=1.5)
    os.close(folder)


@pytest.mark.parametrize(("after", "ok"), [(0.5, True), (0.899, True), (0.9, False), (0.97, False)])
def test_success_is_room_and_not_a_number_of_files(logs: Path, full: list[float], after: float, ok: bool) -> None:
    put(logs / "ei.log.1")
    full[:] = [0.97, after]
    one = relief(logs)
    cleared(one)
    one.mounts = [-1]
    if ok:
        one.prove()
    else:
        with pytest.raises(SelfhealError, match=r"1 files were deleted and /var/log is 9\d\.0 % full") as failed:
            one.prove()
        assert failed.value.reason == "still_full"


# The module


@pytest.fixture
def _healthy_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(
        checks, "disk", lambda root, full=False: None if full else pytest.fail("full is what it is for")
    )
    monkeypatch.setattr(_restart, "POLL", 0.0)
    yield


def once(logs: Path, check: bool = False, **changes: Any) -> tuple[dict[str, Any], Systemd, _restart.Restart]:
    systemd, root = Systemd(), str(logs.parents[2])
    values = params(
        logs.parents[3] / "state", kind="relief", relief=[WANTED], partitions=[{"path": "/var/log", "below": 0.9}],
        config_test=[["false"]], **changes,
    )  # fmt: skip
    restart = _restart.Restart(values, systemd, root)
    return relieve(restart, check), systemd, restart


@pytest.mark.usefixtures("_healthy_machine")
def test_a_relief_deletes_and_restarts_nothing(logs: Path, full: list[float]) -> None:
    put(logs / "ei.log.1")
    result, systemd, restart = once(logs)
    assert result["changed"] and result["relieved"] and not result["restarted"] and "failed" not in result
    assert result["relief"]["files"] == 1
    assert result["relief"]["partitions"] == [{"path": "/var/log", "below": 0.9, "before": 0.97, "after": 0.5}]
    assert result["diff"] == {"before": {"/var/log": 0.97}, "after": {"/var/log": 0.5}}
    assert set(result["phases"]) == {"preflight_seconds", "relief_seconds", "answer_seconds"}
    assert systemd.calls == []
    assert restart.holds.seen_epoch("service:ei.service") == 5


@pytest.mark.usefixtures("_healthy_machine")
def test_check_mode_lists_and_deletes_nothing(logs: Path, full: list[float]) -> None:
    put(logs / "ei.log.1")
    result, _systemd, restart = once(logs, check=True)
    assert result["changed"] and not result["relieved"]
    assert [item["path"] for item in result["relief"]["removed"]] == ["/var/log/ei/ei.log.1"]
    assert (logs / "ei.log.1").exists()
    assert restart.holds.seen_epoch("service:ei.service") == 0


@pytest.mark.usefixtures("_healthy_machine")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"witnesses": []}, "not_out_of_traffic"),
        ({"witnesses": [{"balancer": "lb1", "out": False, "age_seconds": 1.0}]}, "not_out_of_traffic"),
        ({"witnesses": [{"balancer": "lb1", "out": True, "age_seconds": 99.0}]}, "witness_stale"),
        ({"epoch": 4}, "stale_epoch"),
        ({"peers": ["not an address"], "port": 80}, "not_restartable"),
        ({"relief": []}, "not_relievable"),
    ],
)
def test_without_the_right_nothing_is_deleted(
    logs: Path, full: list[float], changes: dict[str, Any], reason: str
) -> None:
    """Invariant 8, as for a restart: refused before anything was done, so that the heal goes back."""
    put(logs / "ei.log.1")
    holds = _restart.Restart(params(logs.parents[3] / "state")).holds
    with holds.lock():
        holds.raise_epoch("service:ei.service", 5)
    values = {"kind": "relief", "relief": [WANTED], "partitions": [{"path": "/var/log", "below": 0.9}], **changes}
    for check in (False, True):
        restart = _restart.Restart(params(logs.parents[3] / "state", **values), Systemd(), str(logs.parents[2]))
        result = relieve(restart, check)
        assert result["failed"] and result["reason"] == reason
        assert not result["relieved"] and not result["changed"]
        assert (logs / "ei.log.1").exists()


@pytest.mark.usefixtures("_healthy_machine")
def test_our_own_machine_is_never_relieved(logs: Path, full: list[float]) -> None:
    put(logs / "ei.log.1")
    (logs.parents[2] / "etc").mkdir()
    (logs.parents[2] / "etc/machine-id").write_text("ours\n")
    result, _systemd, _restarted = once(logs, forbidden_machine_ids=["ours"])
    assert result["reason"] == "own_host" and (logs / "ei.log.1").exists()


@pytest.mark.usefixtures("_healthy_machine")
def test_a_partition_that_stays_full_is_a_failure_that_tells_what_went(logs: Path, full: list[float]) -> None:
    put(logs / "ei.log.1")
    full[-1] = 0.95
    result, _systemd, _restarted = once(logs)
    assert result["failed"] and result["reason"] == "still_full"
    assert result["relieved"] and result["changed"] and result["relief"]["files"] == 1


@pytest.mark.usefixtures("_healthy_machine")
def test_nothing_to_delete_is_a_failure_and_not_a_refusal(logs: Path, full: list[float]) -> None:
    """The node stays out and a person is called; were it given back, it would be taken out again and again."""
    full[-1] = 0.97
    result, _systemd, _restarted = once(logs)
    assert result["reason"] == "still_full" and result["relieved"] and not result["changed"]


@pytest.mark.usefixtures("_healthy_machine")
def test_a_service_that_does_not_answer_is_not_called_relieved_well(logs: Path, full: list[float]) -> None:
    put(logs / "ei.log.1")
    result, _systemd, _restarted = once(logs, health_port=1, timeout=0.3)
    assert result["reason"] == "no_answer" and result["relieved"]
    assert "was relieved but does not answer" in result["msg"]


@pytest.mark.usefixtures("_healthy_machine")
def test_it_may_be_called_again_and_no_restart_counts_as_done(logs: Path, full: list[float]) -> None:
    put(logs / "ei.log.1")
    first, _systemd, restart = once(logs)
    put(logs / "ei.log.2")
    full[:] = [0.97, 0.97, 0.5]
    result, _systemd, restart = once(logs, epoch=6)
    assert result["relief"]["files"] == 1
    assert result["relief"]["earlier"] == [first["relief"]]  # its word may have been lost with the connection
    assert restart.record() == {}
    (kept,) = (logs.parents[3] / "state/restarts").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    full[:] = [0.97, 0.97, 0.5]
    assert [len(one["removed"]) for one in once(logs, epoch=7)[0]["relief"]["earlier"]] == [1, 1]
    for changes in ({"incident": "i2"}, {"since_epoch": 8}):
        full[:] = [0.97, 0.97, 0.5]
        assert "earlier" not in once(logs, epoch=8, **changes)[0]["relief"]


@pytest.mark.usefixtures("_healthy_machine")
@pytest.mark.parametrize("check", [True, False])
def test_nothing_is_deleted_if_there_is_room_by_now(logs: Path, full: list[float], check: bool) -> None:
    put(logs / "ei.log.1")
    full[:] = [0.89]
    result, _systemd, _restarted = once(logs, check=check)
    assert "failed" not in result and not result["changed"] and result["relief"]["files"] == 0
    assert (logs / "ei.log.1").exists()
