"""The files that predictions are written as, by name, and what each needs to be right.

A submission is checked before a clip is scored (classes, levels) and before it is written: every
clip has an id of the data set's form and no two the same, and none is missing unless that is
allowed; then a missing clip has the same score for every class, and so the first ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

from marey.data.lists.class_names import are_numbers, plain_name
from marey.engine.inference.outputs import answer_lists, epic100, tables
from marey.engine.inference.outputs.scored_clips import ScoredClips, joined
from marey.errors import RunError, counted, did_you_mean
from marey.storage.atomic import replacing, run_error

Write: TypeAlias = Callable[[BinaryIO, Sequence[str], ScoredClips], None]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is wanted of a file, in plain values."""

    form: str
    """One of `FORMS`."""
    top: int = 5
    """Classes a clip, in tables."""
    all_scores: bool = False
    """Whether tables have the probability of every class too."""
    allow_missing: bool = False
    """Whether a submission may lack clips."""
    sls: str | None = None
    """The levels of supervision that EPIC-KITCHENS asks for: `2,3,3`."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a challenge takes, of which data set."""

    title: str
    heads: Mapping[str, int] = field(default_factory=dict)
    """Head -> the classes of the data set; none if any model will do."""
    known: Mapping[str, Mapping[int, str] | Collection[str]] = field(default_factory=dict)
    """Head -> names of some classes, by their numbers if those matter."""
    ids: str = ".+"
    """What clips are called, as a regular expression."""
    writes_names: bool = False
    """Whether classes need names."""
    by_path: bool = False
    """Whether clips are called by their path in the list."""


_SOMETHING = {"label": ("Holding something", "Pouring something into something")}
SUBMISSIONS: Mapping[str, Submission] = {
    "epic100": Submission(
        title="EPIC-KITCHENS-100",
        heads={"verb": 97, "noun": 300},
        known={"verb": {0: "take", 1: "put"}, "noun": {0: "tap", 1: "spoon"}},
        ids=r"P\d\d_\d{2,3}_\d+",
    ),
    "ssv2": Submission(
        title="Something-Something V2", heads={"label": 174}, known=_SOMETHING, ids=r"\d+"
    ),
    "ssv1": Submission(
        title="Something-Something V1",
        heads={"label": 174},
        known=_SOMETHING,
        ids=r"\d+",
        writes_names=True,
    ),
    "jester": Submission(
        title="Jester",
        heads={"label": 27},
        known={"label": ("Thumb Up", "No gesture", "Swiping Left")},
        ids=r"\d+",
        writes_names=True,
    ),
    "tsm": Submission(title="any data set", writes_names=True, by_path=True),
    "tsm-top5": Submission(title="any data set", by_path=True),
}
SUFFIXES = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
TABLES = ("parquet", "csv", "jsonl")
FORMS = (*TABLES, *SUBMISSIONS)


def form_of(out: Path, form: str | None) -> str:
    """What the file `out` is to be, by its suffix if it is not said.

    RunError if that is unclear, or its name says another.
    """
    suffix = out.suffix.lower()
    if form is not None:
        if form not in FORMS:
            raise RunError(f"there is no format {form!r}", did_you_mean(form, FORMS))
        usual = _suffixes(form)
        if suffix in {*SUFFIXES, ".json", ".zip"} - {*usual}:
            named = " or ".join(f"NAME{each}" for each in usual)
            raise RunError(f"--format {form} is no file called {out.name}", f"call it {named}")
        return form
    if suffix not in SUFFIXES:
        raise RunError(
            f"{out} is no name of a file of predictions",
            "call it NAME.parquet, NAME.csv or NAME.jsonl, or say what it is: --format "
            + ", ".join(SUBMISSIONS),
        )
    return SUFFIXES[suffix]


def _suffixes(form: str) -> tuple[str, ...]:
    """The ends of names that say a form, if they are any that say one."""
    if form in TABLES:
        return tuple(suffix for suffix, of in SUFFIXES.items() if of == form)
    return (".json", ".zip") if form == "epic100" else (".csv",)


def refuse_own_input(out: Path, *inputs: str | Path) -> None:
    """RunError if the file to write is one that is read."""
    for each in map(Path, inputs):
        if each.is_file() and out.is_file() and out.samefile(each):
            raise RunError(f"--out {out} is what is read, and would be lost", "give another name")


def check_classes(
    options: OutputOptions, classes: Mapping[str, Sequence[str]], several: Collection[str] = ()
) -> None:
    """RunError if a model of these classes cannot answer as a file asks for, or levels lack.

    Args:
        classes: head -> class names.
        several: heads by which a clip may have several classes.
    """
    if options.sls is not None and options.form != "epic100":
        raise RunError(f"--sls is no part of {options.form}", "leave it out, or --format epic100")
    if options.form not in SUBMISSIONS:
        return
    wanted = SUBMISSIONS[options.form]
    counts = {head: len(names) for head, names in classes.items()}
    shown = " and ".join(f"{count} of '{head}'" for head, count in counts.items())
    if any(counts.get(head) != count for head, count in wanted.heads.items()):
        asked = " and ".join(f"{count} of '{head}'" for head, count in wanted.heads.items())
        raise RunError(f"the model knows {shown}, {wanted.title} has the classes {asked}")
    if set(counts) - {*wanted.heads, "action"} and (wanted.heads or len(counts) > 1):
        raise RunError(f"the model answers {shown}, --format {options.form} holds one answer")
    if several:
        raise RunError(f"clips of '{next(iter(several))}' have several classes, a line has one")
    for head in wanted.heads or counts:
        _check_names(options.form, wanted, head, classes[head])
    if options.form == "epic100":
        epic100.actions_of(classes.get("action", ()))
        _levels(options)


def write_output(
    options: OutputOptions, parts: Iterable[ScoredClips], out: Path, say: Callable[[str], None]
) -> None:
    """Write the file, whole or not at all.

    Args:
        parts: the clips in the order of their list, one part after the other.
        say: called with what there is to say of clips that are missing.

    Raises:
        RunError: a submission lacks clips that it must have, or ids that it needs.
    """
    if options.form in SUBMISSIONS:
        clips = joined(parts)
        names = _checked_names(options, clips)
        if missing := clips.missing:
            say(
                f"{counted(len(missing), 'clip')} could not be read: every class has the same score"
            )
        write = partial(_WRITERS[options.form], options, out)
        with replacing(out, run_error) as file:
            write(file, names, clips.with_equal_scores())
        return
    table = tables.write_csv if options.form == "csv" else tables.write_json_lines
    with replacing(out, run_error) as file:
        table(file, parts, top=options.top, all_scores=options.all_scores)


def _check_names(form: str, wanted: Submission, head: str, names: Sequence[str]) -> None:
    if are_numbers(names):
        if wanted.writes_names:
            raise RunError(
                f"the classes of '{head}' have no names, which --format {form} writes",
                "train on, or convert with, a file of class names",
            )
        return
    plain = list(map(plain_name, names))
    known = wanted.known.get(head, ())
    pairs = known.items() if isinstance(known, Mapping) else ((None, name) for name in known)
    for number, name in pairs:
        if plain_name(name) not in (plain if number is None else plain[number : number + 1]):
            where = "no class" if number is None else f"not class {number}"
            raise RunError(
                f"{name!r} is {where} of '{head}', as it is of {wanted.title}",
                "is it a model of that data set, with its classes in their order?",
            )


def _checked_names(options: OutputOptions, clips: ScoredClips) -> list[str]:
    """What each clip is called in a submission; RunError if that is not its data set's."""
    wanted = SUBMISSIONS[options.form]
    names = clips.listed_paths if wanted.by_path else clips.names
    wrong = [row for row, name in enumerate(names) if not re.fullmatch(wanted.ids, name)]
    if wrong:
        raise RunError(
            f"{clips.source}: {counted(len(wrong), 'clip')} without an id of {wanted.title};"
            f" the first is {names[wrong[0]]!r}, {clips.paths[wrong[0]]}",
            "give the list a column `id`, or --columns id=COLUMN",
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise RunError(
            f"{clips.source}: {counted(len(twice), 'id')} shared by several clips; "
            f"the first is {twice[0]!r}",
            "a submission has each clip once: take it out of the list, or give ids",
        )
    if clips.missing and not options.allow_missing:
        first = ", ".join(names[row] for row in clips.missing[:5])
        reason = clips.errors[clips.missing[0]]
        raise RunError(
            f"{len(clips.missing):,} of {counted(len(clips), 'clip')} could not be read: {first}; "
            f"{reason}",
            "--allow-missing gives them the same score for every class; what is scored is kept",
        )
    return names


def _levels(options: OutputOptions) -> epic100.Levels:
    if options.sls is None:
        raise RunError(
            "EPIC-KITCHENS asks for the levels of supervision: pretraining, training labels and"
            " training data",
            "give --sls PT,TL,TD, each from 0 to 5: 1,3,3 is pretrained on public images, trained"
            " on the starts and ends of the training set",
        )
    return epic100.Levels.parse(options.sls)


def _epic100(
    options: OutputOptions, out: Path, file: BinaryIO, names: Sequence[str], clips: ScoredClips
) -> None:
    write = epic100.write_zip if out.suffix.lower() == ".zip" else epic100.write_submission
    write(file, names, clips, _levels(options))


def _lines(write: Write) -> Callable[..., None]:
    return lambda _options, _out, file, names, clips: write(file, names, clips)


_WRITERS: Mapping[str, Callable[..., None]] = {
    "epic100": _epic100,
    "ssv2": _lines(answer_lists.write_official_numbers),
    "ssv1": _lines(answer_lists.write_names),
    "jester": _lines(answer_lists.write_names),
    "tsm": _lines(answer_lists.write_names),
    "tsm-top5": _lines(answer_lists.write_numbers),
}
