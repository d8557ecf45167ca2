"""ELAN's own files, .eaf (mpi.nl/tools/elan/EAF_Annotation_Format_3.0.pdf).

An annotation of a tier is a span in milliseconds between two time slots; one that depends on
another has the span of that one. The file that is annotated begins `TIME_ORIGIN` milliseconds
before 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from marey.data.lists.exports.reading import (
    Found,
    choose,
    class_text,
    listing_of,
    moved,
    refuse_roles,
)
from marey.data.lists.exports.xml_text import Element, read_xml, root_name
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import Misfit
from marey.data.lists.text_file import TextFile
from marey.data.manifest.paths import VIDEO
from marey.errors import ManifestError

_OWN, _OF_ANOTHER = "ALIGNABLE_ANNOTATION", "REF_ANNOTATION"


def is_xml(file: TextFile) -> bool:
    """Whether it is a file of ELAN."""
    return root_name(file) == "ANNOTATION_DOCUMENT"


def read_file(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The annotations of one tier."""
    refuse_roles(file.path, wanted, "path", "label")
    document = read_xml(file)
    header = next(document.all("HEADER"), document)
    if (unit := header.get("TIME_UNITS") or "milliseconds") != "milliseconds":
        raise ManifestError(f"{header.line}: times in {unit}", "set them to milliseconds in ELAN")
    path, origin = _media(file, header, wanted)
    tiers = {tier.get("TIER_ID"): tier for tier in document.all("TIER")}
    filled = {
        name: sum(1 for one in _annotations(tier) if _value(one)) for name, tier in tiers.items()
    }
    label = choose(file, "label", "tiers", {n: k for n, k in filled.items() if k}, wanted)
    times = _Times(document, tiers)
    rows: list[ListRow] = []
    passed: Counter[str] = Counter()
    for one in _annotations(tiers[label]):
        try:
            text = class_text([_value(one)])
            if text:
                start, end = times.span(one)
                labels = {"label": text}
                rows.append(ListRow(one.line, path, labels, start + origin, end + origin))
            passed["annotations without text"] += not text
        except Misfit as misfit:
            file.faults.add(one.line, misfit.value, misfit.reason, misfit.remedy)
    export = Found(
        title=f"ELAN {document.get('FORMAT') or document.get('VERSION')}".strip(),
        used={"path": path, "label": label},
        unit="seconds",
        rows=rows,
        passed=passed,
        notes=[moved(path, origin)] if origin else [],
    )
    return listing_of(file, export, wanted)


def _media(file: TextFile, header: Element, wanted: Mapping[str, str]) -> tuple[str, float]:
    """The video that is annotated, and the seconds by which it begins earlier."""
    media: dict[str, Element] = {}
    for one in header.all("MEDIA_DESCRIPTOR"):
        place = one.get("RELATIVE_MEDIA_URL") or one.get("MEDIA_URL")
        if one.get("MIME_TYPE").startswith("video/") or VIDEO.fullmatch(place):
            media[place.removeprefix("./")] = one
    path = choose(file, "path", "videos", dict.fromkeys(media, 1), wanted)
    origin = media[path].get("TIME_ORIGIN") or "0"
    try:
        return path, int(origin) / 1000
    except ValueError as error:
        raise ManifestError(
            f"{media[path].line}: TIME_ORIGIN is {origin!r}, no number",
            "it is when the video begins, in milliseconds: correct or remove it",
        ) from error


def _annotations(tier: Element) -> list[Element]:
    return [one for each in tier.all("ANNOTATION") for one in each.all(_OWN, _OF_ANOTHER)]


def _value(annotation: Element) -> str:
    return annotation.word("ANNOTATION_VALUE")


class _Times:
    """The spans of annotations."""

    def __init__(self, document: Element, tiers: Mapping[str, Element]) -> None:
        slots = (slot for order in document.all("TIME_ORDER") for slot in order.all("TIME_SLOT"))
        self.slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in slots}
        self.by_id = {
            one.get("ANNOTATION_ID"): one for t in tiers.values() for one in _annotations(t)
        }
        self.parts = Counter(
            (name, one.get("ANNOTATION_REF"))
            for name, t in tiers.items()
            for one in _annotations(t)
        )
        self.tier_of = {id(one): name for name, t in tiers.items() for one in _annotations(t)}

    def span(self, annotation: Element) -> tuple[float, float]:
        """Start and end in seconds; `Misfit` if it has no times of its own or of another."""
        one, seen = annotation, 0
        while one.name == _OF_ANOTHER:
            of = one.get("ANNOTATION_REF")
            seen += 1
            if of not in self.by_id or seen > len(self.by_id):
                raise Misfit("an annotation of another that is not there", value=of)
            if self.parts[self.tier_of[id(one)], of] > 1:
                remedy = "its parts have no times: choose a tier that is aligned with the video"
                raise Misfit(
                    "one of several parts of another annotation", remedy, value=_value(one)
                )
            one = self.by_id[of]
        start, end = (self._seconds(one, f"TIME_SLOT_REF{edge}") for edge in (1, 2))
        if end <= start:
            raise Misfit("an annotation that ends before it starts", value=f"{start} to {end}")
        return start, end

    def _seconds(self, annotation: Element, edge: str) -> float:
        value = self.slots.get(annotation.get(edge)) or ""
        if not value.isdecimal():
            raise Misfit("no time", "align it with the video in ELAN", value=_value(annotation))
        return int(value) / 1000
