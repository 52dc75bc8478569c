# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how the page of a run looks: on a phone, on paper, by day and by night."""

from __future__ import annotations

import typing as t

STYLE: t.Final = """
:root { --ink: #1b1f24; --quiet: #57606a; --paper: #ffffff; --card: #f6f8fa; --rule: #d0d7de; --good: #1a7f37;
  --bad: #b3261e; --open: #8a5a00; --accent: #0550ae; --added: #8250df; --on-bar: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --quiet: #9da7b3; --paper: #0d1117; --card: #161b22; --rule: #30363d; --good: #56d364;
    --bad: #ff7b72; --open: #e3b341; --accent: #79c0ff; --added: #d2a8ff; --on-bar: #0d1117; } }
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
td { overflow-wrap: anywhere; min-width: 5rem; }
.passed { color: var(--good); } .failed { color: var(--bad); } .not_verified { color: var(--open); }
td.passed, td.failed, td.not_verified { font-weight: 600; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: .75rem; margin: 0;
  width: max-content; min-width: 100%;
  font-size: .85rem; }
pre.wrapped { width: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
svg { display: block; font: 13px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg .strong { font-weight: 600; } svg text.quiet { fill: var(--quiet); }
.segment { stroke: var(--accent); stroke-width: 4; stroke-linecap: round; opacity: .55; }
.cable { stroke: var(--quiet); stroke-width: 1.5; } .cable.router { stroke: var(--added); stroke-width: 3; }
rect.guest, rect.router { fill: var(--card); stroke: var(--rule); } rect.router { stroke: var(--added); }
.port { fill: var(--accent); stroke: var(--paper); stroke-width: 2; }
.tick { stroke: var(--rule); } rect.bar { fill: var(--accent); stroke: var(--paper); }
rect.bar.failed { fill: var(--bad); } svg text.on-bar { fill: var(--on-bar); font-size: 11px; }
rect.room { fill: var(--card); stroke: var(--rule); } rect.used { fill: var(--quiet); }
rect.added { fill: var(--added); }
@media (max-width: 40rem) { body { padding: .75rem; } th, td { padding: .25rem .35rem; font-size: .9rem; } }
@media print { body { max-width: none; font-size: 11px; } .scroll { border: 0; overflow: visible; padding: 0; }
  pre { width: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
  section { break-inside: avoid; } svg { max-width: 100%; height: auto; } }
"""
