# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The look of every page of ours: readable in the dark, without colour, and on paper."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#1c2127;--paper:#fff;--soft:#f2f4f6;--line:#c8ced4}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--paper:#15181b;--soft:#1f2429;--line:#3c444b}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:0 auto;
padding:1.5rem;overflow-wrap:break-word}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.2rem 0 .5rem;border-bottom:2px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}th,td{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.n{white-space:nowrap}
.verdict{font-size:1.1rem;border:2px solid var(--line);border-left-width:.6rem;padding:.6rem 1rem;
background:var(--soft)}.wide{overflow-x:auto}svg{max-width:100%;height:auto;display:block}
svg text{fill:var(--ink);font:12px system-ui,sans-serif}
.wide svg{min-width:40rem}
.note{opacity:.8;font-size:.9rem}
@media print{:root{color-scheme:light}body{max-width:none;font-size:10pt;padding:0}h2,h3{break-after:avoid}
tr,svg{break-inside:avoid}.wide{overflow-x:visible}.wide svg{min-width:0}th,td{padding:.2rem .3rem;
overflow-wrap:anywhere}td.n{white-space:normal}}
"""
