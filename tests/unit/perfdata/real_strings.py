# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The strings that real plugins printed, with what they mean: label -> (value, unit, max), and the broken tokens.

Number, plugin, string, metrics, broken. The numbers are those of the list of facts about Nagios.
"""

from __future__ import annotations

from typing import NamedTuple

KIB = 1024.0
Expected = dict[str, tuple[float | None, str, float | None]]


class Real(NamedTuple):
    number: str
    plugin: str
    text: str
    metrics: Expected
    broken: list[str] = []  # noqa: RUF012  a NamedTuple's default, never changed


STRINGS = [
    Real(
        "1",
        "check_load",
        "load1=3.540;5.000;10.000;0; load5=2.690;4.000;6.000;0; load15=2.430;3.000;4.000;0;",
        {"load1": (3.54, "", None), "load5": (2.69, "", None), "load15": (2.43, "", None)},
    ),
    Real(
        "2",
        "check_load -r",
        "load1=3.540;;;0; scaled_load1=1.770;5.000;10.000;0; load5=2.690;;;0; scaled_load5=1.345;4.000;6.000;0; "
        "load15=2.430;;;0; scaled_load15=1.215;3.000;4.000;0; ",
        {
            "load1": (3.54, "", None),
            "scaled_load1": (1.77, "", None),
            "load5": (2.69, "", None),
            "scaled_load5": (1.345, "", None),
            "load15": (2.43, "", None),
            "scaled_load15": (1.215, "", None),
        },
    ),
    Real(
        "3",
        "check_disk -w 20% -c 10%",
        "/=36704354304B;216442024755;243497277849;0;270552530944",
        {"/": (36704354304.0, "B", 270552530944.0)},
    ),
    Real(
        "4",
        "check_disk, label with a space",
        "'/mnt/a b'=0B;53687091;60397977;0;67108864",
        {"/mnt/a b": (0.0, "B", 67108864.0)},
    ),
    Real(
        "5",
        "check_disk, label with =",
        "'/mnt/x=y'=0B;53687091;60397977;0;67108864",
        {"/mnt/x=y": (0.0, "B", 67108864.0)},
    ),
    Real(
        "6",
        "check_disk -u kB",
        "/=36704788480B;87155435110;98049864499;0;108944293888",
        {"/": (36704788480.0, "B", 108944293888.0)},
    ),
    Real(
        "7",
        "check_disk, a maximum of 0",
        "/opt/some/bind/mount=0B;0;0;0;0",
        {"/opt/some/bind/mount": (0.0, "B", 0.0)},
    ),
    Real("8", "check_swap without swap", "swap=0B;0;0;0;0", {"swap": (0.0, "B", 0.0)}),
    Real(
        "9",
        "check_ping",
        "rta=0.369000ms;100.000000;500.000000;0.000000 pl=0%;20;60;0;",
        {"rta": (0.000369, "s", None), "pl": (0.0, "ratio", None)},
    ),
    Real(
        "10",
        "check_icmp",
        "rta=0.054ms;100.000;500.000;0; pl=0%;20;60;; rtmax=0.235ms;;;; rtmin=0.008ms;;;;",
        {
            "rta": (5.4e-05, "s", None),
            "pl": (0.0, "ratio", None),
            "rtmax": (0.000235, "s", None),
            "rtmin": (8e-06, "s", None),
        },
    ),
    Real(
        "11",
        "check_icmp, two hosts",
        "127.0.0.1rta=0.025ms;200.000;500.000;0; 127.0.0.1pl=0%;40;80;; 127.0.0.2rta=0.019ms;200.000;500.000;0; "
        "127.0.0.2pl=0%;40;80;;",
        {
            "127.0.0.1rta": (2.5e-05, "s", None),
            "127.0.0.1pl": (0.0, "ratio", None),
            "127.0.0.2rta": (1.9e-05, "s", None),
            "127.0.0.2pl": (0.0, "ratio", None),
        },
    ),
    Real(
        "12",
        "check_icmp, decimal comma",
        "rta=0,018ms;200,000;500,000;0; pl=0%;40;80;; rtmax=0,056ms;;;; rtmin=0,008ms;;;;",
        {
            "rta": (1.8e-05, "s", None),
            "pl": (0.0, "ratio", None),
            "rtmax": (5.6e-05, "s", None),
            "rtmin": (8e-06, "s", None),
        },
    ),
    Real("13", "check_procs", "procs=84;250;400;0;", {"procs": (84.0, "", None)}),
    Real("14", "check_procs, ranges", "procs=1;1:50;1:100;0;", {"procs": (1.0, "", None)}),
    Real("15", "check_procs, inside ranges", "procs=0;@5:10;~:3;0;", {"procs": (0.0, "", None)}),
    Real(
        "16",
        "check_procs -m VSZ",
        "procs=84;;;0; procs_warn=7;;;0; procs_crit=12;;;0;",
        {"procs": (84.0, "", None), "procs_warn": (7.0, "", None), "procs_crit": (12.0, "", None)},
    ),
    Real(
        "17",
        "check_http",
        "time=0.006242s;;;0.000000;10.000000 size=602B;;;0;",
        {"time": (0.006242, "s", 10.0), "size": (602.0, "B", None)},
    ),
    Real(
        "18",
        "check_http -w -c",
        "time=0.003435s;0.500000;1.000000;0.000000;10.000000 size=602B;;;0;",
        {"time": (0.003435, "s", 10.0), "size": (602.0, "B", None)},
    ),
    Real(
        "19",
        "check_tcp",
        "time=0.000444s;0.500000;1.000000;0.000000;10.000000",
        {"time": (0.000444, "s", 10.0)},
    ),
    Real("20", "check_users", "users=0;5;10;0", {"users": (0.0, "", None)}),
    Real(
        "21",
        "check_file_age",
        "age=4713s;60;6000000 size=3B;0;0;0",
        {"age": (4713.0, "s", None), "size": (3.0, "B", None)},
    ),
    Real(
        "22",
        "check_apt",
        "available_upgrades=124;;;0 critical_updates=79;;;0",
        {"available_upgrades": (124.0, "", None), "critical_updates": (79.0, "", None)},
    ),
    Real(
        "23",
        "check_memory",
        "mem_total=24684096kB mem_used=164016kB;4936819;2468409;0;24684096 mem_free=22417100kB",
        {
            "mem_total": (24684096 * KIB, "B", None),
            "mem_used": (164016 * KIB, "B", 24684096 * KIB),
            "mem_free": (22417100 * KIB, "B", None),
        },
    ),
    Real(
        "24",
        "check_memory -s, commas between",
        "mem_inactive=2774700kB, vmem_pageins/s=0, vmem_pageouts/s=0",
        {
            "mem_inactive": (2774700 * KIB, "B", None),
            "vmem_pageins/s": (0.0, "", None),
            "vmem_pageouts/s": (0.0, "", None),
        },
    ),
    Real("25", "pmp-check-unix-memory", "memory_used=3;90;95;0;100", {"memory_used": (3.0, "", 100.0)}),
    Real(
        "26",
        "check_cpu",
        "cpu_user=71.5% cpu_system=24.0% cpu_idle=1.0% cpu_iowait=1.0% cpu_steal=2.5%",
        {
            "cpu_user": (0.715, "ratio", None),
            "cpu_system": (0.24, "ratio", None),
            "cpu_idle": (0.01, "ratio", None),
            "cpu_iowait": (0.01, "ratio", None),
            "cpu_steal": (0.025, "ratio", None),
        },
    ),
    Real(
        "27",
        "check_tcpcount",
        "tcp_established=170 tcp_syn_sent=0",
        {"tcp_established": (170.0, "", None), "tcp_syn_sent": (0.0, "", None)},
    ),
    Real(
        "28",
        "check_intr, slash in the label",
        "intr/s=3306 intr_cpu0/s=2398",
        {"intr/s": (3306.0, "", None), "intr_cpu0/s": (2398.0, "", None)},
    ),
    Real("29", "check_entropy, a stray word", "entropy=256 bytes", {"entropy": (256.0, "", None)}, ["bytes"]),
    Real("30", "check_multipath, no perfdata at all", "Host: vm|", {}, ["Host:", "vm|"]),
    Real("31", "check_madrisan_load", "load1=3.203;0.000;0.000;0", {"load1": (3.203, "", None)}),
    Real("32", "check_uptime, minutes without a unit", "uptime=79;;;0;", {"uptime": (79.0, "", None)}),
    Real(
        "33",
        "check_madrisan_swap",
        "swap_total=0kB swap_used=0kB swap_free=0kB",
        {"swap_total": (0.0, "B", None), "swap_used": (0.0, "B", None), "swap_free": (0.0, "B", None)},
    ),
    Real("34", "check_nbprocs, nothing after the bar", "", {}),
]
