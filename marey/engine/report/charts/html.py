"""HTML and SVG as text: tags, tables and the page that holds them.

What is written here is also well-formed XML, so a test can parse a whole page and nothing a user
typed (class names, paths, a recipe) can break out of its place. No scripts, nothing fetched.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

VOID = frozenset({"meta", "img", "rect", "line", "polyline", "path"})
"""Elements that never have content here; HTML would read `<p/>` as an open paragraph."""
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(value: object) -> str:
    """`value` escaped for element content and attributes; what XML cannot hold becomes U+FFFD."""
    return html.escape(_UNPRINTABLE.sub("�", str(value)))


def tag(name: str, attributes: Mapping[str, object] | None = None, *children: str) -> str:
    """An element; attributes are escaped here, children are markup already.

    >>> tag("p", {"class": "a & b"}, text("1 < 2"))
    '<p class="a &amp; b">1 &lt; 2</p>'
    """
    pairs = "".join(f' {k}="{text(_number(v))}"' for k, v in (attributes or {}).items())
    return f"<{name}{pairs}/>" if name in VOID else f"<{name}{pairs}>{''.join(children)}</{name}>"


def paragraph(sentence: str, kind: str = "") -> str:
    """A paragraph of plain text; kinds: "" | note | warning."""
    return tag("p", {"class": kind} if kind else None, text(sentence))


def section(title: str, *parts: str) -> str:
    """A part of the page under a heading."""
    return tag("section", None, tag("h2", None, text(title)), *parts)


def grid(*parts: str) -> str:
    """Parts side by side where the window is wide enough."""
    return tag("div", {"class": "grid"}, *parts)


def tiles(items: Iterable[tuple[str, str, str]]) -> str:
    """The numbers to see first: (name, value, remark)."""
    cells = [
        tag(
            "div",
            {"class": "tile"},
            tag("span", {"class": "name"}, text(name)),
            tag("b", None, text(value)),
            tag("span", {"class": "remark"}, text(remark or "\u00a0")),
        )
        for name, value, remark in items
    ]
    return tag("div", {"class": "tiles"}, *cells)


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Collection[int] = ()
) -> str:
    """A table of plain text; the columns in `numbers` are set flush right."""

    def row(kind: str, cells: Sequence[object]) -> str:
        return tag(
            "tr",
            None,
            *[
                tag(kind, {"class": "number"} if i in numbers else None, text(cell) or "\u00a0")
                for i, cell in enumerate(cells)
            ],
        )

    body = [row("td", cells) for cells in rows]
    head = tag("thead", None, row("th", header))
    return tag("div", {"class": "scroll"}, tag("table", None, head, tag("tbody", None, *body)))


def details(summary: str, *parts: str) -> str:
    """Parts that open on a click."""
    return tag("details", None, tag("summary", None, text(summary)), *parts)


def page(title: str, *parts: str) -> str:
    """A whole document that needs no other file."""
    head = tag(
        "head",
        None,
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("title", None, text(title)),
        tag("style", None, STYLE),
    )
    body = tag("body", None, tag("main", None, *parts))
    return "<!DOCTYPE html>\n" + tag("html", {"lang": "en"}, head, body) + "\n"


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


STYLE = """
:root { --paper:#fff; --ink:#1c1e22; --soft:#5c636d; --rule:#dfe2e6; --panel:#f6f7f8;
  --alarm:#a33a12; --alarm-paper:#fdf1ea; --heat:#1f5fa8; --good:#2f855a; --bad:#c2542d;
  --s0:#2468b2; --s1:#c8551b; --s2:#2c8a57; --s3:#8657b3; --s4:#a37a00; --s5:#bf3f78; }
@media screen and (prefers-color-scheme: dark) { :root { --paper:#15171a; --ink:#e6e8eb;
  --soft:#9ba3ae; --rule:#30353c; --panel:#1d2024; --alarm:#f2a37f; --alarm-paper:#2d1f18;
  --heat:#6db3f7; --good:#63c08d; --bad:#ee8a60;
  --s0:#6cabeb; --s1:#f08d5b; --s2:#63c08d; --s3:#b997e3; --s4:#d8b64c; --s5:#e885b0; } }
* { box-sizing:border-box }
body { margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif }
main { max-width:1000px; margin:0 auto; padding:32px 20px 64px }
h1 { font-size:1.6rem; line-height:1.25; margin:0; font-weight:650; overflow-wrap:anywhere }
h2 { font-size:1.1rem; margin:0 0 .6rem; font-weight:650 }
h3 { font-size:.95rem; margin:1.4rem 0 .4rem; font-weight:600 }
section { margin-top:2.6rem; padding-top:1.2rem; border-top:1px solid var(--rule) }
p { margin:.4rem 0; max-width:72ch; overflow-wrap:anywhere }
.note, .remark, .name, figcaption { color:var(--soft) }
.warning { color:var(--alarm); background:var(--alarm-paper); border-left:3px solid var(--alarm);
  padding:.5rem .8rem; max-width:none }
.grid { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));
  gap:24px 32px; align-items:start }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(130px,1fr)); gap:1px;
  margin:1.4rem 0; background:var(--rule); border:1px solid var(--rule) }
.tile { background:var(--paper); padding:.6rem .8rem; display:flex; flex-direction:column }
.tile b { font-size:1.35rem; font-weight:600; font-variant-numeric:tabular-nums }
.tile span { font-size:.8rem }
.scroll { overflow-x:auto; margin:.6rem 0 }
table { border-collapse:collapse; font-size:.88rem }
th, td { text-align:left; padding:.3rem 1.1rem .3rem 0; border-bottom:1px solid var(--rule);
  vertical-align:top; overflow-wrap:break-word }
th { font-weight:600; white-space:nowrap }
.number { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap }
pre { overflow-x:auto; background:var(--panel); padding:.8rem 1rem; font-size:.8rem;
  line-height:1.45 }
summary { cursor:pointer; font-weight:600 }
figure { margin:0 }
.strip { margin:0 0 1.2rem; break-inside:avoid }
.strip img { display:block; max-width:100%; height:auto; border:1px solid var(--rule) }
figcaption { font-size:.85rem; margin-bottom:.3rem; overflow-wrap:anywhere }
figcaption b { color:var(--ink); font-weight:600 }
svg { display:block; width:100%; max-width:580px; height:auto; font-size:11px }
svg text { fill:var(--soft); font-family:inherit }
svg .title { fill:var(--ink); font-size:13px; font-weight:600 }
svg .strong { fill:var(--ink) }
svg .rule { stroke:var(--rule); stroke-width:1 }
svg .axis { stroke:var(--soft); stroke-width:1 }
svg .line { fill:none; stroke-width:2; stroke-linejoin:round }
svg .dashed { stroke:var(--soft); stroke-dasharray:4 3; fill:none }
@media print { main { max-width:none; padding:0 } section, svg, tr { break-inside:avoid }
  body { font-size:11px } }
"""
