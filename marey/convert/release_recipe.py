"""The recipe of a release: the published row whose model it is, or the views that are usual there.

A checkpoint does not say on which frames and crops its accuracy was measured. Model and data set
together are those of a published row or of none; where there is one, its recipe is the release's.
Otherwise the views are those by which its code base tests that data set; without a data set they
are a default, which is said to be one, with what else it could be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from marey.convert.repository import Settings
from marey.errors import counted
from marey.modality import modality_for
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.googlenet_clips import I3DInceptionSpec, S3DSpec
from marey.models.encoders.i3d import I3DResNetSpec
from marey.models.encoders.r2plus1d import R2Plus1DSpec
from marey.models.encoders.tdn import TDNSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.group_context import GroupContext
from marey.models.temporal.tam import TAM
from marey.models.video_model import ModelSpec
from marey.recipes.catalog import rows_in
from marey.recipes.describe import claim_in_words
from marey.recipes.protocols import protocol, protocol_of
from marey.recipes.published import as_pretrained
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.video.augment import Augment
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.resampled import ResampledClips
from marey.video.sampling.segments import Dense, Sampling, Segments

Usual = Mapping[str, str]
"""Data set, or the frames a name speaks of -> protocol; that of "" where neither is said."""

_TSM = {"k400": "tsm-1x1", "ssv1": "tsm-2x3", "ssv2": "tsm-2x3", "dense": "tsm-dense-10x3"}
_GC = {"ssv1": "gc-2x1", "ssv2": "gc-2x1", "twice": "gc-2x1", "dense": "gc-dense-10x1"}
_ARP = {
    **{"k400": "arp-dense-10x3", "ssv2": "arp-2x3-upstream"},
    **dict.fromkeys(("mini-ssv2", "mini-k400", "mini-mit"), "arp-1x1-upstream"),
    "": "arp-1x1-upstream",
}
_USUAL: Mapping[str, Usual] = {
    "tsm": {**_TSM, "": "tsm-1x1"},
    "gc": {**_GC, "": "gc-1x1"},
    "ecal": {**_GC, "": "gc-1x1"},
    "gst": {"": "tsm-1x1"},
    "tdn": {"k400": "tdn-10x3", "": "tdn-1x1"},
    "gc on tdn": {"k400": "tdn-10x3", "": "gc-1x1"},
    "blvnet": {"k400": "blvnet-dense-3x3", "": "blvnet-1x1-upstream"},
    "arp": _ARP,
    "torchvision": {**_ARP, "": "tsm-1x1"},  # TSN of action-recognition-pytorch, by its name
    "torchvision-video": {"": "torchvision-5x1"},
    "mmaction2": {
        **dict.fromkeys(("ssv1", "ssv2", "jester"), "tsm-2x3"),
        "dense": "tsm-dense-10x3",
        "": "tsm-1x1",
    },
}
_ROWS: Mapping[str, tuple[str, ...]] = {
    "tsm": ("tsm",),
    "gc": ("gc",),
    "ecal": ("ecal",),
    "gst": ("gst",),
    "tdn": ("tdn",),
    "gc on tdn": ("gc",),
    "blvnet": ("blvnet",),
    "arp": ("arp",),
    "torchvision": ("arp",),
    "torchvision-video": ("torchvision_video",),
    "mmaction2": ("tsn",),
}
"""Files of `marey.recipes` with the published rows of a code base."""


def recipe_of(spec: ModelSpec, name: str, settings: Settings, repository: str = "") -> Recipe:
    """The recipe called `name` that tests the model as its code base did."""
    code = _code(repository, spec)
    if rows := published_rows(spec, settings, repository):
        row = rows[0]
        model = replace(row.model, encoder=spec.encoder, dropout=spec.dropout and row.model.dropout)
        return replace(row, name=name, model=model, weights="")
    frames = sampling_of(spec)
    spec = replace(spec, modality=modality_for(spec.encoder.in_channels) or "rgb")
    plain = Recipe(
        name=name,
        model=spec,
        train=Views(frames),
        test=TestViews(frames),
        augment=as_pretrained(spec.encoder, Augment()),
    )
    test = protocol(_USUAL[code][_key(settings, code)]).views(plain)
    if code == "mmaction2":
        test = replace(test, average="probs")
    train = Views(test.sampling) if isinstance(test.sampling, Dense) else plain.train
    return replace(plain, train=train, test=test)


def sampling_of(spec: ModelSpec) -> Sampling:
    """Frames spread evenly; TDN's five follow each other, IBM's are those it was tested with.

    torchvision's clips have 15 frames a second.
    """
    if isinstance(spec.encoder, R2Plus1DSpec) or _is_torchvisions_s3d(spec):
        return ResampledClips(spec.frames, clips=1)
    of_ibm = (BLVNetSpec, I3DResNetSpec, I3DInceptionSpec, S3DSpec)
    if isinstance(spec.encoder, of_ibm) or _has(spec, TAM):
        return Uniform(spec.frames, variant="upstream")
    return Segments(spec.num_segments, spec.encoder.frames_per_segment)


def _is_torchvisions_s3d(spec: ModelSpec) -> bool:
    return isinstance(spec.encoder, S3DSpec) and spec.encoder.form == "torchvision"


def published_rows(spec: ModelSpec, settings: Settings, repository: str) -> list[Recipe]:
    """The published rows of this model on this data set; the first is that of its main number.

    Of rows that differ in the frames they are trained on, those of dense windows come last, and
    only those stay that fit what was said.
    """
    code = _code(repository, spec)
    rows = [
        row
        for row in rows_in(*_ROWS.get(code, ())).values()
        if settings.data
        and re.search(rf"\df?-{settings.data}(-|$)", row.name)
        and _computes_as(row.model, spec)
    ]
    rows.sort(key=_is_dense)
    if settings.sampling and "dense" in _USUAL[code]:
        rows = [row for row in rows if _is_dense(row) == (settings.sampling == "dense")]
    return rows


def views_in_words(spec: ModelSpec, settings: Settings, repository: str) -> str:
    """The protocol of the test views, why it is this one, and which others it could be."""
    code = _code(repository, spec)
    usual, key = _USUAL[code], _key(settings, code)
    rows = published_rows(spec, settings, repository)
    more = [f"the row {row.name} of the same model" for row in rows[1:]]
    if rows:
        named, why = protocol_of(rows[0]), f"those of the published row {rows[0].name}"
        claim = claim_in_words(rows[0].claim)
        why += f", which claims {claim} (not measured here)" if claim else ", which claims nothing"
    elif key in ("dense", "twice"):
        named, why = usual[key], f"sampling={key}"
    elif key:
        named, why = usual[key], f"by which its code base tests {key}"
    else:
        said = f"no one protocol is usual for {settings.data}" if settings.data else _UNSAID
        named, why = usual[""], f"a default: {said}"
    if spec.num_segments > 1 and key not in ("dense", "twice"):
        more += [f"{other} ({how})" for how, other in _ways(usual, settings) if other != named]
    about = f"{named}: {protocol(named).about}" if named else "without a name"
    if rows and rows[0].test.sampling.frames != spec.frames:
        tested = counted(rows[0].test.sampling.frames, "frame")
        about += f", of {tested} ({spec.frames} in training)"
    return f"{about}; {why}" + (f"; it could be {', '.join(more)}" if more else "")


_UNSAID = "the data set is not said"


def _ways(usual: Usual, settings: Settings) -> Iterator[tuple[str, str]]:
    """What would have to be said for each of the protocols, or whose it is."""
    given: dict[str, list[str]] = {}
    for key, named in usual.items():
        if key == "dense" and settings.sampling is None:
            given.setdefault(named, []).append("--set sampling=dense")
        elif key not in ("", "twice", "dense") and settings.data is None:
            given.setdefault(named, []).append(f"--set data={key}")
        elif key not in ("", "twice", "dense") and settings.data not in usual:
            given.setdefault(named, []).append(f"as for {key}")
    for named, how in given.items():
        yield " or ".join(how), named


def _key(settings: Settings, code: str) -> str:
    """What decides the views where no row does: frames that were said, else the data set."""
    said = (settings.sampling, settings.data)
    return next((word for word in said if word and word in _USUAL[code]), "")


def _code(repository: str, spec: ModelSpec) -> str:
    """The entry of the tables: Group-Contextualization tests TSN, TSM and GST in one way."""
    if _has(spec, GroupContext):
        return "gc on tdn" if isinstance(spec.encoder, TDNSpec) else "gc"
    code = repository.removesuffix("-mobilenetv2")
    return code if code in _USUAL else "tsm"


def _is_dense(row: Recipe) -> bool:
    return isinstance(row.train.sampling, Dense)


def _has(spec: ModelSpec, kind: type[TemporalOp]) -> bool:
    return any(isinstance(op, kind) for op in spec.temporal)


def _computes_as(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether they compute the same of the same weights, whatever they start from."""
    encoders = [
        replace(spec.encoder, inflation="divided")
        if isinstance(spec.encoder, I3DResNetSpec | I3DInceptionSpec | S3DSpec)
        else spec.encoder
        for spec in (one, other)
    ]
    return (
        encoders[0] == encoders[1]
        and one.temporal == other.temporal
        and one.num_segments == other.num_segments
        and one.heads == other.heads
    )
