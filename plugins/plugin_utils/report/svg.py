# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: elements of HTML and SVG as text; whatever comes from elsewhere is escaped."""

from __future__ import annotations

import html
import typing as t


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def escaped(value: t.Any) -> str:
    """A value as text that holds no markup of its own."""
    return value if isinstance(value, Markup) else html.escape(str(value))


def element(tag: str, *content: t.Any, **attributes: t.Any) -> Markup:
    """An element. Attributes: ``class_`` for class, ``text_anchor`` for text-anchor; None leaves one out."""
    told = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{told}>{''.join(escaped(each) for each in content)}</{tag}>")


def drawing(width: float, height: float, label: str, *content: Markup) -> Markup:
    """A picture of this size, which says in words what it shows."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
    inner = "".join(content)
    return Markup(f'{head}height="{height:g}" role="img" aria-label="{html.escape(label)}">{inner}</svg>')


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=f"{x1:g}", y1=f"{y1:g}", x2=f"{x2:g}", y2=f"{y2:g}", class_=class_)


def text(x: float, y: float, words: t.Any, class_: str = "", anchor: str | None = None) -> Markup:
    return element("text", words, x=f"{x:g}", y=f"{y:g}", class_=class_ or None, text_anchor=anchor)


def box(x: float, y: float, width: float, height: float, class_: str, *content: Markup) -> Markup:
    sizes = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{width:g}", "height": f"{height:g}"}
    return element("rect", *content, **sizes, rx="3", class_=class_)
