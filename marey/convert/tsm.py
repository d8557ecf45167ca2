"""temporal-shift-module: TSN, TSM, non-local blocks, temporal pooling, MobileNetV2, BN-Inception.

layer1.0.conv1.net.weight     the shift is wrapped around what it precedes
layer2.0.block.*  .nl.*       a non-local block is wrapped around the block it follows
features.3.conv.0.net.weight  MobileNetV2's layers are counted through, not nested
inception_3a_1x1.weight       BN-Inception, whose shift leaves no mark
new_fc | base_model.fc        the classifier, by whether there is dropout
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from marey.convert.repository import Repository, Settings, Shapes, Told, by_rules
from marey.convert.shapes import (
    IMAGENET,
    dropout_of,
    heads_of,
    mobilenet_of,
    model_of,
    num_blocks,
    resnet_of,
)
from marey.errors import CheckpointError, first_few
from marey.models.encoder import Encoder
from marey.models.encoders import bninception
from marey.models.encoders.bninception import BNInceptionSpec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.sites import DEEP, TemporalOp
from marey.models.temporal.nonlocal_block import NonLocal
from marey.models.temporal.temporal_pool import TemporalPool
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec

_NON_LOCAL = {
    r"nl\.theta": "block_out.theta",
    r"nl\.(phi|g)\.0": r"block_out.\1",
    r"nl\.W\.0": "block_out.out",
    r"nl\.W\.1": "block_out.bn",
    "nl$": "block_out",
}


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    name = unwrapped(name.removeprefix("base_model."))
    if _BN_INCEPTION.match(name):
        return f"encoder.{bninception.ours(name)}"
    return encoder_or_head(_nested(by_rules(name, _NON_LOCAL)))


_BN_INCEPTION = re.compile(r"conv1_7x7|conv2_3x3|inception_\d\w_")


def unwrapped(name: str) -> str:
    """The name without the words of temporal wrappers: ``.net`` and, below non-local, ``.block``.

    >>> unwrapped("layer2.net.0.block.conv1.net.weight")
    'layer2.0.conv1.weight'
    """
    return re.sub(r"\.(net|block)(?=\.|$)", "", name)


def check_wrapped_whole(names: Iterable[str]) -> None:
    """CheckpointError unless whatever has a temporal wrapper lies in it with all its tensors."""
    inside: dict[str, set[str]] = {}
    for name in names:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            inside.setdefault(".".join(parts[:depth]), set()).add(parts[depth])
    for path, words in inside.items():
        if words.isdisjoint({"net", "block"}):
            continue
        if words not in ({"net"}, {"block", "nl"}, {"block", "non_local_block"}):
            raise CheckpointError(
                f"of what lies in {path}, only a part is in a temporal wrapper "
                f"({first_few(sorted(words))})",
                "it is no checkpoint of one model",
            )
        if not _WRAPPED.search(path):
            raise CheckpointError(f"it has a temporal wrapper around {path}, where none is known")


_WRAPPED = re.compile(
    r"(?:^|\.)(?:layer2|layer\d\.(?:net\.)?\d+(?:\.block)?(?:\.conv1(?:\.conv)?)?|"
    r"(?:features\.\d+|layer\d\.\d+)\.conv\.0)$"
)
"""What published code wraps: a stage, to pool its time; blocks and convolutions, to shift."""


def encoder_or_head(name: str) -> str:
    """The name with our prefix: most belong to the encoder, the last layer to the head."""
    head = re.sub(r"^(new_fc|fc|classifier)(?=\.|$)", "heads.label", name)
    return head if head != name else f"encoder.{name}"


def _nested(name: str) -> str:
    """Torchvision nests convolution, norm and ReLU of a MobileNetV2 block, but for the last two."""
    match = re.fullmatch(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", name)
    if not match:
        return name
    block, position, leaf = int(match[1]), int(match[2]), match[3]
    triple, within = divmod(position, 3)
    last = 3 if block == 1 else 6  # the first block does not expand its channels
    at = f"{triple}.{within}" if position < last else f"{triple + within}"
    return f"features.{block}.conv.{at}.{leaf}"


def _recognises(shapes: Shapes) -> bool:
    """Its wrapper's prefix without the marks of those who copied it, or its bare MobileNetV2."""
    copied = any(re.search(r"\.eft\d?\.|Tconv|_bak\.", name) for name in shapes)
    own = any(name.startswith(("base_model.conv1", "base_model.features.")) for name in shapes)
    return (own and not copied) or "features.1.conv.3.weight" in shapes


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    encoder: Encoder
    if stem := ours.get("encoder.conv1.conv.weight"):
        encoder = BNInceptionSpec(in_channels=stem[1], channels=stem[0])
        ops = _ops_of_bninception(settings)
        return model_of(encoder, ops, ours, settings, dropout_of(shapes))
    check_wrapped_whole(shapes)
    heads, dropout = heads_of(ours), dropout_of(shapes)
    if "encoder.features.0.0.weight" in ours:
        encoder = mobilenet = mobilenet_of(ours)
        marked = r"features\.(\d+)\.conv\.0\.net\."
        shift = mobilenet_shift_of(mobilenet, {int(m[1]) for m in matches(marked, shapes)})
        if "classifier.weight" in shapes and not shift:
            ops = _ops_of_bare(shapes, settings)
            return ModelSpec(
                encoder, ops, num_segments=settings.num_segments or 1, heads=heads, dropout=dropout
            )
    else:
        encoder = resnet_of(ours)
        shift = shift_of(shapes, num_blocks(ours))
    shift = shift or unmarked_shift(settings)
    ops = with_shift(shift, settings, *_wrapped_ops(shapes))
    return ModelSpec(encoder, ops, num_segments=settings.segments, heads=heads, dropout=dropout)


def matches(pattern: str, names: Iterable[str]) -> Iterator[re.Match[str]]:
    """Where `pattern` is found, in those of `names` that have it."""
    return (match for name in names if (match := re.search(pattern, name)))


def with_shift(shift: TSM | None, settings: Settings, *ops: TemporalOp) -> tuple[TemporalOp, ...]:
    """The shift, of as many channels as was said, and `ops`."""
    settings.need("num_segments", *(["shift_div"] if shift else []))
    if shift is None:
        return ops
    assert settings.shift_div is not None
    if settings.shift_div < 2:
        raise CheckpointError(
            f"shift_div is {settings.shift_div}, expected 2 or more: names of its tensors mark a "
            "shift (.net)"
        )
    return (replace(shift, shift_div=settings.shift_div), *ops)


def shift_of(names: Iterable[str], depths: tuple[int, ...]) -> TSM | None:
    """The shift whose wrapper shows in the names of a ResNet, its `shift_div` left open.

    Raises:
        CheckpointError: the blocks that have one are none of the sets that published code makes.
    """
    names = list(names)
    at = r"layer(\d)\.(?:net\.)?(\d+)\.(?:block\.)?"
    residual = _blocks_at(at + r"conv1\.(?:conv\.)?net\.", names)
    whole = _blocks_at(at + r"net\.", names)
    every = {(stage, i) for stage, depth in enumerate(depths, 1) for i in range(depth)}
    even = {(stage, i) for stage, i in every if i % 2 == 0}
    even_in_deep = {(stage, i) for stage, i in every if i % 2 == 0 or depths[stage - 1] < DEEP}
    is_deep = max(depths, default=0) >= DEEP
    if residual and whole:
        raise CheckpointError("some of its blocks shift their residual, others their whole input")
    if not residual and not whole:
        return None
    if whole == every:
        return TSM(place="block_in", alternate="none")
    if residual == every:
        return TSM(alternate="none" if is_deep else "network")
    if residual == even:
        return TSM(alternate="network" if is_deep else "always")
    if residual == even_in_deep:
        return TSM(alternate="stage")
    shown = first_few(f"layer{stage}.{i}" for stage, i in sorted(residual | whole))
    raise CheckpointError(
        f"its names mark a shift in {len(residual | whole)} of {len(every)} blocks ({shown})",
        "known are a shift in every block, in every second one, and in every second one of a "
        f"stage of {DEEP} or more",
    )


def _blocks_at(pattern: str, names: Iterable[str]) -> set[tuple[int, int]]:
    return {(int(match[1]), int(match[2])) for match in matches(pattern, names)}


def mobilenet_shift_of(encoder: MobileNetV2Spec, marked: set[int]) -> TSM | None:
    """The shift in the blocks that have a shortcut, if these features are marked, or none is."""
    blocks = encoder.blocks((), num_frames=1)
    known = {block.ordinal + 1 for block in blocks if block.has_skip}
    if not marked or marked == known:
        return TSM() if marked else None
    raise CheckpointError(
        f"its names mark a shift in the features {sorted(marked)}",
        f"known is a shift in all that have a shortcut: {sorted(known)}",
    )


def unmarked_shift(settings: Settings, *also: str) -> TSM | None:
    """The shift that was said, where no tensor shows it; none with a `shift_div` of 0.

    Raises:
        CheckpointError: it was not said; asks for it, and for what of `also` was not said.
    """
    because = (
        "These are the tensors of a TSN, and as well of a TSM by Group-Contextualization's code, "
        "where a shift leaves no mark"
    )
    settings.need(
        *("num_segments", *also, "shift_div"),
        because="" if settings.shift_div is not None else because,
        shift_div="0 (a TSN: no frame sees another) "
        "or --set shift_div=8 --set place=blockres (a TSM)",
    )
    if not settings.shift_div:
        return None
    return TSM(place="block_out" if settings.place == "block" else "residual_in", alternate="stage")


def _ops_of_bninception(settings: Settings) -> tuple[TemporalOp, ...]:
    """The shift in front of its blocks, if it was said that there is one."""
    settings.need(
        *("num_segments", "shift_div"),
        because="A shift leaves no mark in a BN-Inception" if settings.shift_div is None else "",
        shift_div="0 (a TSN: no frame sees another) or --set shift_div=8 (a TSM)",
    )
    if not settings.shift_div:
        return ()
    if settings.place == "blockres":
        raise CheckpointError(
            "its shift is a blockres one, which adds a block of BN-Inception to what went into it: "
            "it is not built here",
            "most blocks have other widths than their input, so that no such model can be trained",
        )
    return (TSM(settings.shift_div, place="block_in"),)


def assumed(spec: ModelSpec, settings: Settings, _told: Told) -> tuple[str, ...]:
    """Where a shift stands that leaves no mark, unless that was said."""
    shifts = [op for op in spec.temporal if isinstance(op, TSM) and op.alternate == "stage"]
    if isinstance(spec.encoder, BNInceptionSpec) and spec.temporal and not settings.place:
        return ("the shift stands in front of every block (place=block)",)
    if settings.place or not shifts:
        return ()
    return ("the shift stands before conv1 of every block (place=blockres), not behind the block",)


def marks(shapes: Shapes) -> dict[str, Any]:
    """What names of tensors tell of temporal wrappers, in the words of `marey.convert.naming`."""
    if any(_BN_INCEPTION.match(name.removeprefix("base_model.")) for name in shapes):
        return {"non_local": False, "temporal_pool": False, "calibrators": ""}
    whole = any(matches(r"layer\d\.(?:net\.)?\d+\.(?:block\.)?net\.", shapes))
    residual = any(matches(r"conv1\.(?:conv\.)?net\.|\.conv\.0\.net\.", shapes))
    found: dict[str, Any] = {
        "shift": whole or residual,
        "non_local": any(matches(r"\.(?:nl|non_local_block)\.", shapes)),
        "temporal_pool": any(matches(r"layer2\.net\.", shapes)),
        "calibrators": "",
    }
    return found | ({"place": "block" if whole else "blockres"} if whole or residual else {})


def _wrapped_ops(names: Iterable[str]) -> tuple[TemporalOp, ...]:
    pool = any(re.search(r"layer2\.net\.", name) for name in names)
    attending = {int(m[1]) - 1 for n in names if (m := re.search(r"layer(\d)\..*\.nl\.", n))}
    ops: tuple[TemporalOp, ...] = (TemporalPool(stage=1),) if pool else ()
    return (*ops, NonLocal(tuple(sorted(attending)))) if attending else ops


def _ops_of_bare(shapes: Shapes, settings: Settings) -> tuple[TemporalOp, ...]:
    """Those of the online network, which is unwrapped; a picture network of ImageNet has none."""
    if shapes["classifier.weight"][0] == IMAGENET:
        return ()
    settings.need("num_segments")
    if settings.shift_div == 0:
        return ()
    return (TSM(settings.shift_div or 8, direction="past"),)


REPOSITORY = Repository(
    name="tsm", recognises=_recognises, rename=rename, spec=_spec, assumed=assumed, marks=marks
)
"""mit-han-lab's temporal-shift-module, and plain TSN and TSM of Group-Contextualization."""
