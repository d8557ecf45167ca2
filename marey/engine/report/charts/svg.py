"""SVG as text: elements, and the few marks that all charts are made of.

What is written here is well-formed XML, and nothing a user typed (class names, paths) can break out
of its place: all that is not `Markup` already is escaped. Colours are those of the page
(`templates/style.css`), pixels count from the top left.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

WIDTH = 480
NUM_COLORS = 6
_DASHES = (None, "7 4", "2 3", "9 3 2 3")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(value: object) -> Markup:
    """`value` escaped for content and attributes; what XML cannot hold becomes U+FFFD."""
    if isinstance(value, Markup):
        return value
    return escape(_UNPRINTABLE.sub("�", str(value)))


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """An element; children that are not `Markup` and all attributes are escaped.

    An underscore in the name of an attribute is a dash, one at its end is dropped; attributes that
    are None are left out.

    >>> tag("text", "1 < 2", text_anchor="end", class_="title")
    Markup('<text text-anchor="end" class="title">1 &lt; 2</text>')
    """
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    pairs = "".join(f' {k}="{text(_number(v))}"' for k, v in named.items() if v is not None)
    content = "".join(map(text, children))
    return Markup(f"<{name}{pairs}>{content}</{name}>" if children else f"<{name}{pairs}/>")


def drawing(title: str, height: float, *parts: str, width: float = WIDTH) -> Markup:
    """A chart with its title."""
    return tag(
        "svg",
        label(0, 14, title, kind="title"),
        *parts,
        viewBox=f"0 0 {width:.0f} {height:g}",
        role="img",
        aria_label=title,
        style=None if width == WIDTH else f"max-width:{width:.0f}px",
    )


def empty(title: str) -> Markup:
    """A chart that says there is nothing to draw."""
    return drawing(title, 60, label(0, 40, "no values to draw"))


def label(
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    kind: str = "",
    *,
    turn: float = 0,
    **more: object,
) -> Markup:
    """A piece of text, turned by `turn` degrees about its anchor."""
    rotation = f"rotate({turn:g} {x:.1f} {y:.1f})" if turn else None
    more = {"text_anchor": anchor, "class_": kind or None, "transform": rotation} | more
    return tag("text", words, x=x, y=y, **more)


def line(x1: float, y1: float, x2: float, y2: float, kind: str, **more: object) -> Markup:
    """A line of a kind: rule | axis | line | dashed."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind, **more)


def rect(
    x: float, y: float, width: float, height: float, fill: str, tip: str = "", **more: object
) -> Markup:
    """A filled rectangle, with a tooltip or without."""
    tips = [tag("title", tip)] if tip else []
    return tag("rect", *tips, x=x, y=y, width=width, height=height, fill=fill, **more)


def dot(x: float, y: float, radius: float, fill: str, tip: str = "", **more: object) -> Markup:
    """A filled circle, with a tooltip or without."""
    tips = [tag("title", tip)] if tip else []
    return tag("circle", *tips, cx=x, cy=y, r=radius, fill=fill, **more)


def with_tip(tip: str, *marks: str) -> Markup:
    """Marks with a tooltip, which browsers show of a `<title>`."""
    return tag("g", tag("title", tip), *marks)


def short(words: str, length: int) -> str:
    """`words` in `length` characters or less; their end, which often tells names apart, stays.

    >>> short("Pretending to open something 13", 16)
    'Pretending…ng 13'
    """
    if len(words) <= length:
        return words
    end = length // 3
    return f"{words[: length - 1 - end]}…{words[len(words) - end :]}"


def color(index: int) -> str:
    """The colour of the curve or run of that number."""
    return f"var(--s{index % NUM_COLORS})"


def dashes(index: int) -> str | None:
    """The dashes of that curve: through the gaps of a later one the earlier ones are seen."""
    return _DASHES[index % len(_DASHES)]


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
