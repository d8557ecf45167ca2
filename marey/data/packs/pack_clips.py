"""All clips of a manifest written in another form, and the manifest of what was written.

    made = pack_clips(read_manifest("manifest.csv"), Path("packed"), JpegPacks())

    packed/
        manifest.csv, labels.txt    the clips that could be read, as every command takes them
        rejects.csv                 the others: path, row (from 1), reason
        renamed.csv                 clips that are not called by path and span: path, row, name
        checksums.csv               bytes and sha256 of files and folders (packs have their own)
        packing.json                what was asked for, so that nothing else is mixed in
        packs/00000.tar ...         or clips/, or frames/

The work is cut into parts, each made by one process: see `marey.jobs.parts`. Of a clip, one frame
at a time is in memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import pyarrow as pa

from marey.data.manifest.columns import BOUNDS
from marey.data.manifest.manifest import Manifest, VideoClip, digest_with
from marey.data.manifest.read import read_manifest
from marey.data.manifest.write import write_manifest
from marey.data.packs.checksums import read_checksums, write_checksums
from marey.data.packs.clip_names import Names, clip_names
from marey.data.packs.crashes import crashing_clips, noted
from marey.data.packs.earlier_names import root_names, row_names
from marey.data.packs.forms import UNFINISHED, PackFormat, Write, draft_of
from marey.errors import DecodeError, ManifestError, StorageError, counted
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.half_done import input_digest
from marey.jobs.parts import Parts, Progress, make_parts
from marey.jobs.shards import WHOLE, Shard
from marey.jobs.tables import read_tables, write_table
from marey.storage.atomic import write_csv, write_text
from marey.storage.text_files import read_csv, read_json, reading

REJECTS = ("path", "row", "reason")
"""The columns of rejects.csv; rows count from 1."""
RENAMED = ("path", "row", "name")
"""The columns of renamed.csv, which is there if a clip is."""
COPIED = ("splits", "groups", "sources", "ids")
"""The columns, beside labels, that a packing's manifest has from the one it was made of."""

NAMING = "by path and span"
"""How clips are named (`marey.data.packs.clip_names`): a packing has names of one kind."""
BY_ROW = "by the common folder"
"""How they were named before; before that, nothing was noted (`marey.data.packs.earlier_names`)."""

RECEIPT = pa.schema(
    [
        ("row", pa.int64()),
        ("path", pa.large_string()),
        ("num_frames", pa.int64()),
        ("fps", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("sha256", pa.large_string()),
        ("error", pa.large_string()),
    ]
)
"""What a part says of its clips; with an `error` everything but `row` is null."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What a packing came to."""

    manifest: Path
    num_clips: int
    num_rejects: int
    num_bytes: int
    """Of frames or files."""
    num_renamed: int
    """Clips that are called otherwise than by their paths and spans, as renamed.csv has them."""
    earlier_names: bool
    """Whether clips have the names of an earlier version (`marey.data.packs.earlier_names`)."""


@dataclass(frozen=True, eq=False)
class _Packing:
    """What a process has to know to make any part."""

    clips: Manifest
    out: Path
    form: PackFormat
    names: Names
    clip_seconds: float


def pack_clips(
    manifest: Manifest,
    out: Path,
    form: PackFormat,
    *,
    executor: Executor = PROCESSES,
    shard: Shard = WHOLE,
    spaces: bool = True,
    clip_seconds: float = 600.0,
    progress: Progress | None = None,
) -> Packed | None:
    """The clips of `manifest` in the folder `out`, in another form; None if other shards lack.

    A clip that cannot be read, or crashes or hangs the decoder, is left out and listed in
    rejects.csv. Interrupted or killed, the same call goes on from the parts that are done; what is
    finished is left as it is, but for labels, splits and the like, which are those of `manifest`.

    Args:
        form: what clips become: `JpegPacks`, `Mp4Files` or `FrameFolders`.
        executor: the processes that pack, a part at a time each.
        shard: the share of the parts to make.
        spaces: whether names keep spaces; else they have `_` in their place.
        clip_seconds: how long a clip may take without a frame before it counts as one that hangs
            the decoder (`marey.jobs.hangs`).
        progress: called with clips (done, total) of the shard.

    Raises:
        ManifestError: if `out` holds what was made of another input or in another form, or cannot
            be written; or if the root of the clips vanishes.
    """
    if manifest.features is not None:
        raise ManifestError(
            f"{manifest.source} holds features, which have no frames",
            "marey data pack LIST NAME.arrow puts them into one file",
        )
    target = out / f"manifest{_suffix(manifest)}"
    if target.exists() and not (out / "packing.json").exists():
        raise ManifestError(f"{target} is there and was not packed", "give another folder")
    facts = {"form": type(form).__name__, **asdict(form), "clips": _clips_digest(manifest)}  # type: ignore[call-overload]
    naming = _noted(out).get("names") if _noted(out) else NAMING
    facts |= ({"names": naming} if naming else {}) | ({} if spaces else {"spaces": False})
    labels_before, labels = _claim(out, facts), digest_with(manifest, *COPIED)
    if target.exists():
        if labels_before != labels:
            _label_anew(manifest, out, target)
            _note(out, facts, labels)
        return _account(out, target)
    _note(out, facts, labels)
    slim = manifest.without(*manifest.labels, "split", "group", "id")
    names = _names(manifest, out, naming, suffixes=form.suffixes, spaces=spaces)
    job = _Packing(slim, out.absolute(), form, names, clip_seconds)
    done = make_parts(
        Parts(target, len(manifest), form.part_size, input_digest(facts)),
        partial(_make_part, job),
        partial(_join, manifest, out, target),
        executor=executor,
        shard=shard,
        timeout_seconds=clip_seconds,
        progress=progress,
    )
    return _account(out, target) if done else None


# --- one part, in a worker -----------------------------------------------------------------------


def _make_part(job: _Packing, rows: range, file: BinaryIO) -> None:
    """Write the clips of `rows`, and what came of each into `file`."""
    number = rows.start // job.form.part_size
    clips = [job.clips.clip(row) for row in rows]
    receipts: list[dict[str, Any]] = []
    with noted(draft_of(job.out, number).with_suffix(".begun")) as died:
        crashes = crashing_clips(clips, seconds=job.clip_seconds) if died else {}
        with job.form.writing(job.out, number) as write:
            for clip in clips:
                reason = crashes.get(clip.row)
                answer = {"error": reason} if reason else _made(job, clip, write)
                receipts.append({"row": clip.row} | answer)
    write_table(pa.Table.from_pylist(receipts, schema=RECEIPT), file)


def _made(job: _Packing, clip: VideoClip, write: Write) -> dict[str, Any]:
    """What came of one clip, or why nothing did."""
    try:
        return asdict(write(clip, job.names.name(clip, job.clips.roots.of(clip.row))))
    except StorageError as error:  # else all clips there would be left out
        raise ManifestError(
            error.message,
            "if it is away, bring it back and give the same command: finished work is kept; if it"
            " is this clip alone, leave it out of the list",
        ) from error
    except (DecodeError, MemoryError, av.FFmpegError) as error:
        return {"error": str(error) or "too large for the memory"}


# --- the whole -----------------------------------------------------------------------------------


def _join(manifest: Manifest, out: Path, target: Path, parts: Sequence[Path]) -> None:
    """Write the manifest, the rejects and the checksums of what all parts say."""
    table = pa.concat_tables(read_tables(parts))
    failed = table["error"].is_valid().to_numpy()
    kept = table.filter(pa.array(~failed))
    if not len(kept):
        raise ManifestError(
            f"{manifest.source}: no clip could be read; the first: {table['error'][0]}",
            "marey data check lists them all",
        )
    rejects = table.filter(pa.array(failed)).select(["row", "error"]).to_pylist()
    write_csv(
        out / "rejects.csv",
        REJECTS,
        ((str(manifest.paths[r["row"]]), r["row"] + 1, r["error"]) for r in rejects),
    )
    paths, sizes, digests = (kept[c].to_pylist() for c in ("path", "bytes", "sha256"))
    write_checksums(out, zip(paths, sizes, digests, strict=True))
    packed = _packed(manifest, out, kept["row"].to_numpy(), kept)
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    write_manifest(packed, target)


def _label_anew(manifest: Manifest, out: Path, target: Path) -> None:
    """Write the manifest again, of what was packed, with the labels that `manifest` has now."""
    rejects = out / "rejects.csv"
    with reading(rejects, ManifestError, "remove the folder, and give the same command"):
        left_out = [int(row) - 1 for _, row, _ in _rejects(out)]
        if not all(0 <= row < len(manifest) for row in left_out):
            raise ValueError(f"a row is none of the {len(manifest):,} of {manifest.source}")
    rows = np.setdiff1d(np.arange(len(manifest)), np.array(left_out, np.int64))
    before = read_manifest(target, heads={})
    if len(before) != len(rows):
        raise ManifestError(
            f"{target} has {counted(len(before), 'clip')}, not the {len(rows):,} packed",
            "remove it, and give the same command",
        )
    write_manifest(_packed(manifest, out, rows, before.table), target)


def _packed(manifest: Manifest, out: Path, rows: np.ndarray, made: pa.Table) -> Manifest:
    """Some rows of `manifest` by the paths, frame counts and rates of what they became."""
    columns = dict.fromkeys(chain(*BOUNDS.values()))  # a packed clip has no span
    columns |= {
        n: made[n] if n in made.column_names else None for n in ("path", "num_frames", "fps")
    }
    packed = manifest.take(rows).below(out).with_columns(columns)
    has_rates = packed.rates is not None and not np.isnan(packed.rates).all()
    return packed if has_rates else packed.without("fps")


def _names(
    manifest: Manifest, out: Path, naming: str | None, *, suffixes: bool, spaces: bool
) -> Names:
    """The names of all clips; those that are not path and span are listed in `out`."""
    if naming is None:
        return root_names(manifest, suffixes=suffixes)
    if naming == BY_ROW:
        return row_names(manifest, suffixes=suffixes)
    names = clip_names(manifest, suffixes=suffixes, spaces=spaces)
    if names.renamed:
        rows = ((str(manifest.paths[row]), row + 1, names.renamed[row]) for row in names.renamed)
        write_csv(out / "renamed.csv", RENAMED, sorted(rows, key=itemgetter(1)))
    return names


def _claim(out: Path, facts: dict[str, Any]) -> str:
    """The digest of labels that `out` was made with; ManifestError if it is for something else."""
    before = _noted(out)
    if not before:
        return ""
    labels = str(before.pop("labels", ""))
    if before != json.loads(json.dumps(facts)):
        raise ManifestError(
            f"{out} was made of other clips, or in another form",
            "give another folder, or remove it",
        )
    return labels


def _noted(out: Path) -> dict[str, Any]:
    """What was noted in `out`; nothing if it is for nothing yet."""
    note = out / "packing.json"
    if not note.exists():
        return {}
    return read_json(note, ManifestError, "remove the folder, or give another one")


def _note(out: Path, facts: dict[str, Any], labels: str) -> None:
    """Note in `out` what it is for."""
    text = json.dumps(facts | {"labels": labels}, indent=1, sort_keys=True)
    write_text(out / "packing.json", text)


def _account(out: Path, target: Path) -> Packed:
    num_bytes = sum(size for _, size, _ in read_checksums(out))
    num_rejects = len(_rejects(out))
    renamed = out / "renamed.csv"
    hint = "remove the folder, pack again"
    num_renamed = len(read_csv(renamed, RENAMED, ManifestError, hint)) if renamed.exists() else 0
    return Packed(
        manifest=target,
        num_clips=len(read_manifest(target, heads={})),
        num_rejects=num_rejects,
        num_bytes=num_bytes,
        num_renamed=num_renamed,
        earlier_names=_noted(out).get("names") in (None, BY_ROW),
    )


def _rejects(out: Path) -> list[list[str]]:
    return read_csv(out / "rejects.csv", REJECTS, ManifestError, "remove the folder, pack again")


def _clips_digest(manifest: Manifest) -> str:
    """Of all that decides what is packed: paths, roots, spans, frame counts and rates."""
    columns = (manifest.frame_counts, manifest.rates)
    facts = [sha256(np.ascontiguousarray(c).data).hexdigest() for c in columns if c is not None]
    bare = manifest.without(*manifest.labels)
    return input_digest({"clips": bare.digest(), "where": manifest.where(), "facts": facts})


def _suffix(manifest: Manifest) -> str:
    """Of the manifest to write: the kind that is read, so that a long one opens at once again."""
    suffix = manifest.source.suffix.lower()
    return suffix if suffix in (".parquet", ".arrow") else ".csv"
