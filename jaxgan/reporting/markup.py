"""Builds HTML elements from Python values, and escapes every value that is not HTML already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape

VOID = ("img", "input", "meta")  # elements that have no end


def element(name: str, *children: Any, **attributes: Any) -> Markup:
    """Builds `<name attributes>children</name>`.

    Args:
      name: name of the element.
      children: contents, escaped unless they are `Markup`; None is left out.
      attributes: `class_` stands for `class` and `data_x` for `data-x`. True gives an attribute without a value; None
        and False leave it out.

    >>> print(element("a", "1 < 2", element("b", 3), href='x"', hidden=True))
    <a href="x&#34;" hidden>1 &lt; 2<b>3</b></a>
    """
    opening = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        opening += f" {key}" if value is True else f' {key}="{escape(value)}"'
    return Markup(f"<{opening}>" if name in VOID else f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Markup:
    """Joins children as `element` does."""
    return Markup("").join(child for child in children if child is not None)


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], **attributes: Any) -> Markup:
    """Builds a table that scrolls sideways where the page is narrow."""
    top = element("tr", *(element("th", cell, scope="col") for cell in head))
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    whole = element("table", element("thead", top), element("tbody", *body), **attributes)
    return element("div", whole, class_="scroll", tabindex="0")


def section(title: str, *children: Any) -> Markup:
    """Builds a part of the page with a heading that the menu links to; without children it is empty."""
    if not any(child is not None for child in children):
        return Markup("")
    return element("section", element("h2", title), *children, id=title.lower().replace(" ", "-"))


def note(*children: Any) -> Markup:
    """Builds a sentence in small print."""
    return element("p", *children, class_="note")


def fold(summary: str, *children: Any) -> Markup:
    """Builds a summary that shows its contents when it is clicked."""
    return element("details", element("summary", summary), *children)
