# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: elements of HTML and SVG as text; whatever comes from elsewhere is escaped."""

from __future__ import annotations

import html
import typing as t

#: A number of pixels, or a percentage of the picture.
Length = float | str


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


def drawing(width: float, height: float, label: str, *content: Markup, class_: str | None = None) -> Markup:
    """A picture of this size, which says in words what it shows. Its class may make it smaller, all of it alike."""
    sizes = {"viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}", "height": f"{height:g}"}
    return _picture(label, content, class_=class_, **sizes)


def chart(height: float, label: str, *content: Markup) -> Markup:
    """A picture as wide as the page, with places in percent. It says in words what it shows."""
    return _picture(label, content, width="100%", height=f"{height:g}")


def _picture(label: str, content: t.Iterable[Markup], **attributes: str | None) -> Markup:
    space = "http://www.w3.org/2000/svg"
    return element("svg", *content, xmlns=space, **attributes, role="img", aria_label=label)


def line(x1: Length, y1: Length, x2: Length, y2: Length, class_: str) -> Markup:
    return element("line", x1=_told(x1), y1=_told(y1), x2=_told(x2), y2=_told(y2), class_=class_)


def text(
    x: Length, y: Length, words: t.Any, class_: str = "", anchor: str | None = None, dx: str | None = None
) -> Markup:
    return element("text", words, x=_told(x), y=_told(y), dx=dx, class_=class_ or None, text_anchor=anchor)


def box(x: Length, y: Length, width: Length, height: Length, class_: str, *content: Markup) -> Markup:
    sizes = {"x": _told(x), "y": _told(y), "width": _told(width), "height": _told(height)}
    return element("rect", *content, **sizes, rx="3", class_=class_)


def _told(length: Length) -> str:
    return length if isinstance(length, str) else f"{length:g}"
