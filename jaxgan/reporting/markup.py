"""HTML from Python values: whatever is not HTML already gets escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

VOID = ("img", "input", "meta")  # elements that have no end


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: Any, **attributes: Any) -> Html:
    """`<name attributes>children</name>`.

    Args:
      name: of the element.
      children: `Html`, or anything else, whose text is escaped; None is left out.
      attributes: `class_` for `class`, `data_x` for `data-x`; True for one without a value, None or False for none.

    >>> print(element("a", "1 < 2", element("b", 3), href='x"', hidden=True))
    <a href="x&quot;" hidden>1 &lt; 2<b>3</b></a>
    """
    opening = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        opening += f" {key}" if value is True else f' {key}="{html.escape(str(value))}"'
    return Html(f"<{opening}>" if name in VOID else f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Html:
    """One after the other, as in `element`."""
    return Html("".join(c if isinstance(c, Html) else html.escape(str(c)) for c in children if c is not None))


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], **attributes: Any) -> Html:
    """A table that scrolls sideways on its own where the page is narrow."""
    top = element("tr", *(element("th", cell, scope="col") for cell in head))
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    whole = element("table", element("thead", top), element("tbody", *body), **attributes)
    return element("div", whole, class_="scroll", tabindex="0")


def section(title: str, *children: Any) -> Html:
    """A part of the page with a heading, to which the menu leads; empty where it has no children."""
    if not any(child is not None for child in children):
        return Html("")
    return element("section", element("h2", title), *children, id=title.lower().replace(" ", "-"))


def note(*children: Any) -> Html:
    """A sentence in small print."""
    return element("p", *children, class_="note")


def fold(summary: str, *children: Any) -> Html:
    """What is shown when its summary is clicked."""
    return element("details", element("summary", summary), *children)
