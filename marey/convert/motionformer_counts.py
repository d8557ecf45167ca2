"""How many training clips lmr-release counted for each class, by which it tells frequent from rare.

class_counts, fst_classes     tensors, of the head EPICKITCHENS.LT_TASK names; which are few-shot
EPICKITCHENS.TRAIN_VERB_COUNTS, TRAIN_NOUN_COUNTS, SSV2.TRAIN_COUNTS         its configuration
EPICKITCHENS.VERB_DIST_SPLITS, ..., SSV2.DIST_SPLITS                         the groups of classes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from marey.convert.motionformer_cfg import data_of, parsed, part
from marey.errors import CheckpointError
from marey.metrics.groups import FEW, release_groups
from marey.models.video_model import Head, ModelSpec

Counts = npt.NDArray[np.int64]


def class_counts(
    weights: Mapping[str, Tensor], beside: Mapping[str, Any], spec: ModelSpec
) -> dict[str, Counts]:
    """Head -> training clips of every class, int64 [k], of the heads whose counts are said.

    CheckpointError if tensor and configuration say different numbers, or none for each class.
    """
    cfg = parsed(beside)
    found: dict[str, Counts] = {}
    for head in spec.heads:
        said = _of_cfg(cfg, head)
        counted = _of_tensor(weights.get("class_counts"), cfg, head)
        if said is not None and counted is not None and not np.array_equal(said, counted):
            i = int(np.flatnonzero(said != counted)[0])
            raise CheckpointError(
                f"class {i} of head '{head.name}' has {said[i]:,} training clips by its "
                f"configuration and {counted[i]:,} by its tensor class_counts",
                "it is a configuration of another model: save the state dict alone, and say what "
                "it does not tell by --set",
            )
        if (known := said if counted is None else counted) is not None:
            found[head.name] = known
    return found


def in_words(
    counts: Mapping[str, Counts], weights: Mapping[str, Tensor], beside: Mapping[str, Any]
) -> str:
    """What was counted, and whether groups that the file has are those of the counts."""
    cfg = parsed(beside)
    return "; ".join(
        f"{head}: {of.sum():,} clips of {len(of)} classes, {of.min():,} to {of.max():,}"
        + _groups_in_words(of, _splits(cfg, head))
        + _few_in_words(of, weights.get("fst_classes"), cfg)
        for head, of in counts.items()
    )


def _few_in_words(counts: Counts, flags: Tensor | None, cfg: Mapping[str, Any]) -> str:
    """Where fst_classes, a flag a class, marks others as few-shot than the counts do."""
    most = part(cfg, "TRAIN").get("RECONSTRUCT_FST_THRESHOLD", FEW)
    if flags is None or flags.numel() != len(counts) or not isinstance(most, int):
        return ""
    marked, few = flags.flatten().numpy() != 0, counts <= most
    if np.array_equal(marked, few):
        return ""
    return (
        f" (its tensor fst_classes marks {marked.sum()} classes as few-shot, {few.sum()} have at "
        f"most {most} clips: the counts are followed)"
    )


def _of_tensor(tensor: Tensor | None, cfg: Mapping[str, Any], head: Head) -> Counts | None:
    """Those of the tensor, if they are this head's."""
    task = part(cfg, "EPICKITCHENS").get("LT_TASK", "verb") if head.name != "label" else "label"
    if tensor is None or task != head.name:
        return None
    return _checked(tensor.flatten().tolist(), head, "its tensor class_counts")


def _of_cfg(cfg: Mapping[str, Any], head: Head) -> Counts | None:
    """Those of the configuration, whose defaults are of other data than it may be trained on."""
    of, key = _KEYS[head.name]
    said = part(cfg, of).get(f"TRAIN_{key}COUNTS")
    if data_of(cfg) != _DATA[of] or not isinstance(said, list | tuple) or not said:
        return None
    return _checked(said, head, f"{of}.TRAIN_{key}COUNTS of its configuration")


def _checked(numbers: list[Any] | tuple[Any, ...], head: Head, source: str) -> Counts:
    if len(numbers) != head.num_classes:
        raise CheckpointError(
            f"{source} counts the clips of {len(numbers)} classes, its head '{head.name}' has "
            f"{head.num_classes}",
            "it is of another model: save the state dict alone, without it",
        )
    odd = [n for n in numbers if not isinstance(n, int | float) or n < 0 or n != int(n)]
    if odd:
        raise CheckpointError(f"{source} holds {odd[0]!r}, expected a number of clips a class")
    return np.array(numbers, dtype=np.int64)


def _groups_in_words(counts: Counts, splits: Mapping[str, frozenset[int]]) -> str:
    if not splits or not counts.sum():
        return ""
    ours = {name: frozenset(of.tolist()) for name, of in release_groups(counts)}
    if ours == splits:
        return " (--groups release are those of its configuration)"
    theirs = "/".join(str(len(of)) for of in splits.values())
    made = "/".join(str(len(of)) for of in ours.values())
    return (
        f" (its configuration has groups of {theirs} classes, head, tail and few; of these counts "
        f"--groups release makes {made})"
    )


def _splits(cfg: Mapping[str, Any], head: str) -> dict[str, frozenset[int]]:
    """Head, tail and few-shot classes of the configuration: three lists, or lists by name."""
    of, key = _KEYS[head]
    said = part(cfg, of).get(f"{key}DIST_SPLITS")
    if isinstance(said, Mapping):
        said = [said.get(name) for name in ("head", "tail", "few")]
    if not isinstance(said, list | tuple) or len(said) != 3:
        return {}
    if not all(isinstance(classes, list | tuple) for classes in said):
        return {}
    return dict(zip(("head", "tail", "few"), map(frozenset, said), strict=True))


_KEYS = {
    "verb": ("EPICKITCHENS", "VERB_"),
    "noun": ("EPICKITCHENS", "NOUN_"),
    "label": ("SSV2", ""),
}
"""Head -> the part of the configuration that counts its classes, and how its keys begin."""
_DATA = {"EPICKITCHENS": "epic", "SSV2": "ssv2"}
