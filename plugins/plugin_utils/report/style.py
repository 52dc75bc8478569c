# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how the page of a run looks: on a phone, on paper, by day and by night."""

from __future__ import annotations

import typing as t

STYLE: t.Final = """
:root { color-scheme: light; --ink: #1b1f24; --quiet: #57606a; --paper: #ffffff; --card: #f6f8fa; --rule: #d0d7de;
  --good: #1a7f37; --bad: #b3261e; --open: #8a5a00; --accent: #0550ae; --added: #8250df; --on-bar: #ffffff; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ink: #e6edf3; --quiet: #9da7b3; --paper: #0d1117; --card: #161b22; --rule: #30363d;
    --good: #56d364; --bad: #ff7b72; --open: #e3b341; --accent: #79c0ff; --added: #d2a8ff; --on-bar: #0d1117; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .quiet { color: var(--quiet); fill: var(--quiet); }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: 1rem 0; list-style: none; }
.counts li { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: .4rem .8rem; }
.counts b { font-size: 1.2rem; margin-right: .3rem; }
.scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: 6px; padding: .5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); }
td { min-width: 3.5rem; overflow-wrap: break-word; }
td:is([data-head="type"], [data-head="status"], [data-head="outcome"]) { white-space: nowrap; }
td:is([data-head^="what"], [data-head="result"], [data-head="remark"]) { min-width: 6rem; overflow-wrap: anywhere; }
.passed { color: var(--good); } .failed { color: var(--bad); } .not_verified { color: var(--open); }
td.passed, td.failed, td.not_verified { font-weight: 600; }
pre { margin: 0; padding: .25rem; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
svg { display: block; font: 13px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg .strong { font-weight: 600; } svg .quiet { fill: var(--quiet); }
.segment { stroke: var(--accent); stroke-width: 4; stroke-linecap: round; opacity: .55; }
.cable { stroke: var(--quiet); stroke-width: 1.5; } .cable.router { stroke: var(--added); stroke-width: 3; }
rect.guest, rect.router { fill: var(--card); stroke: var(--rule); } rect.router { stroke: var(--added); }
.port { fill: var(--accent); stroke: var(--paper); stroke-width: 2; }
.tick { stroke: var(--rule); } rect.bar { fill: var(--accent); stroke: var(--paper); }
rect.bar.failed { fill: var(--bad); } svg text.on-bar { fill: var(--on-bar); font-size: 11px; }
rect.room { fill: var(--card); stroke: var(--rule); } rect.used { fill: var(--quiet); }
rect.added { fill: var(--added); }
.meter { width: 300px; max-width: 100%; height: auto; }
@media screen and (max-width: 60rem) { th, td { padding: .3rem .4rem; font-size: .9rem; } }
@media (max-width: 44rem) { .wide { display: none; } }
@media screen and (max-width: 40rem) { body { padding: .75rem; } td { padding: .1rem .35rem; }
  table, caption, tbody, tr { display: block; }
  thead { display: block; position: absolute; width: 1px; height: 1px; overflow: hidden; }
  tr { padding: .35rem 0; border-bottom: 1px solid var(--rule); } tr:last-child { border: 0; }
  td { display: grid; grid-template-columns: 7.5rem minmax(0, 1fr); gap: .5rem; border: 0; } td:empty { display: none; }
  td::before { content: attr(data-head); color: var(--quiet); font-weight: 400; } td:first-child { font-weight: 600; } }
@media print { body { max-width: none; padding: 0; font-size: 11px; }
  .scroll { border: 0; overflow: visible; padding: 0; } pre { font-size: 10px; }
  h2 { break-after: avoid; } tr, svg, .counts { break-inside: avoid; }
  .network { max-width: 100%; height: auto; } }
"""
