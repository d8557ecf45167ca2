"""docs/benchmarks.md, made of what the benchmarks wrote.

    python -m benchmarks.page benchmarks/results

Every JSON file of the folder becomes a table, a column for each key of its rows, under the command
that makes it and the machine that it was made on. Plots, the SVGs in a folder of its name, are
copied beside the page and shown below it. What was measured otherwise stands in by_hand.md of that
folder, with its machine, and is put at the end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marey.storage.atomic import write_text

PAGE = Path("docs/benchmarks.md")
BY_HAND = "by_hand.md"
HEAD = """\
# Benchmarks

Made by `{command}` of what `python -m benchmarks.NAME --json FILE` wrote; change nothing here.
Seconds are medians, by processor time unless they are called wall. `ratio` is how many times as
fast as the reference, which is the published code's way of doing the same.
"""
TITLES = {
    "inference": "One clip through each model",
    "training": "A step of training",
    "gpu": "On a GPU",
    "loading": "Clips from their files to batches",
    "growth": "Growth",
}
"""Of the sections, which come in this order; others after them, under their own names."""

NOTES = {
    "inference": "`optimize, exact` and `optimize, close` are the forms that `marey optimize` takes"
    " by processor time; of `process_bytes` the weights are a part.\n",
    "training": "`kept_bytes` is what forward leaves for backward, `peak_bytes` the most of a step,"
    " both without weights.\n",
    "gpu": "Seconds count by the wall here. `ratio` is to the reference in TF32, `bf16_ratio` to it"
    " under autocast to bfloat16, as ours.\n",
    "loading": "`cores_for_an_h200`: how many such cores feed one that trains on 700 clips a"
    " second, which TSM-R50 at 8 x 224 in bfloat16 is estimated at, not measured.\n",
    "growth": "`growth` is the time over that of the first value. An exponent below what is"
    " expected has a part that does not grow.\n",
}


def page(folder: Path) -> str:
    """The page of all results in `folder`, as Markdown."""
    results = {path.stem: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    order = sorted(results, key=lambda name: (_place(name), name))
    sections = [_section(name, results[name], folder) for name in order]
    by_hand = folder / BY_HAND
    if by_hand.is_file():
        sections.append(by_hand.read_text(encoding="utf-8").strip() + "\n")
    head = HEAD.format(command=f"python -m benchmarks.page {folder.as_posix()}")
    return "\n".join([head, *sections])


def _place(name: str) -> int:
    titles = list(TITLES)
    return titles.index(name) if name in titles else len(titles)


def _section(name: str, content: Mapping[str, Any], folder: Path) -> str:
    rows: Sequence[Mapping[str, object]] = content["rows"]
    parts = [
        f"## {TITLES.get(name, name)}\n",
        f"`python -m benchmarks.{name} --json FILE`, on {_machine(content['machine'])}.\n",
        NOTES.get(name, ""),
        _table(rows),
        _largest_batches(content.get("memory", {})),
        _list("Left out", content.get("left_out", {})),
        _list("What became of its parts", content.get("parts", {})),
    ]
    plots = _plots(folder).items()
    parts += [f"![{p.stem}]({beside})\n" for beside, p in plots if p.parent.name == name]
    return "\n".join(filter(None, parts))


def _largest_batches(memory: Mapping[str, Mapping[str, int]]) -> str:
    """A table of the largest batches that fit, a row for each model."""
    if not memory:
        return ""
    rows = [{"model": model, **found} for model, found in memory.items()]
    return "The largest batches of training in bfloat16 that fit:\n\n" + _table(rows)


def _list(title: str, said: Mapping[str, str]) -> str:
    """What is said of each, on a line of its own."""
    if not said:
        return ""
    return "\n".join([f"{title}:\n", *(f"- {name}: {why}" for name, why in said.items()), ""])


def _machine(machine: Mapping[str, Any]) -> str:
    """The machine in words: processor, threads of cores, device and versions."""
    versions = machine["versions"]
    device = machine["gpu"] or "without a GPU"
    sets = ", ".join(machine["instruction_sets"])
    return (
        f"{machine['threads']} of {machine['cores']} cores of {machine['processor']} ({sets}), "
        f"{device}, Python {versions['python']}, torch {versions['torch']}"
    )


def _table(rows: Sequence[Mapping[str, object]]) -> str:
    """The rows with the keys as columns, of those that any row has a value for."""
    keys = list(dict.fromkeys(key for row in rows for key in row if row[key] is not None))
    lines = [f"| {' | '.join(keys)} |", "|---" * len(keys) + "|"]
    lines += [f"| {' | '.join(_text(key, row.get(key)) for key in keys)} |" for row in rows]
    return "\n".join([*lines, ""])


def _text(key: str, value: object) -> str:
    if value is None:
        return ""
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / 1e6:,.0f} MB"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _plots(folder: Path) -> dict[str, Path]:
    """The SVGs of each result, by the names that they have beside the page."""
    return {f"{plot.parent.name}-{plot.name}": plot for plot in sorted(folder.glob("*/*.svg"))}


def main(words: Sequence[str] | None = None) -> None:
    """Write the page of the folder that `words`, or the command line, names."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.page", description="docs/benchmarks.md of what was measured."
    )
    parser.add_argument("folder", type=Path, help="of NAME.json, NAME/*.svg and by_hand.md")
    parser.add_argument("--out", type=Path, default=PAGE, help=f"{PAGE}")
    asked = parser.parse_args(words)
    write_text(asked.out, page(asked.folder))
    for name, plot in _plots(asked.folder).items():
        write_text(asked.out.parent / name, plot.read_text(encoding="utf-8"))
    print(f"wrote {asked.out}")


if __name__ == "__main__":
    main()
