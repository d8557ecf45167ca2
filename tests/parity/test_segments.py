"""Golden files that differ in their segments alone: the model of one, rebuilt, gives the other's.

The weights of golden files follow from their names, so both files have the same. The file with
fewer frames is the target, which is the cheaper way round; 32-bit numbers suffice, as the files
themselves are held to 64 bits elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import torch

from tests.parity.golden import Golden
from tests.parity.specs import differs_on_purpose, not_built_yet, spec_of
from tests.parity.test_goldens import MODELS, clip_of, each, loaded, name_of

SEGMENTS = ("T", "groups")
"""What the originals call their number."""


def pairs() -> Iterator[tuple[Golden, Golden]]:
    """(longer, shorter): files of one builder and config, but for the number of segments."""
    files = [g for g in MODELS if not g.is_training and "logits" in g.values and _is_built(g)]
    by_kind: dict[tuple[str, str, int], list[Golden]] = {}
    for golden in files:
        rest = {k: v for k, v in golden.config.items() if k not in (*SEGMENTS, "model_name")}
        kind = (golden.builder, str(sorted(rest.items())), len(golden.names))
        by_kind.setdefault(kind, []).append(golden)
    for kind in by_kind.values():
        for longer, shorter in permutations(kind, 2):
            if spec_of(longer).frames > spec_of(shorter).frames:
                yield longer, shorter


def _is_built(golden: Golden) -> bool:
    is_small = golden.values["input_shape"][-1] <= 112
    return is_small and not (not_built_yet(golden) or differs_on_purpose(golden))


PAIRS = {name_of(shorter): longer for longer, shorter in pairs()}


@each([golden for golden in MODELS if name_of(golden) in PAIRS])
@torch.no_grad()
def test_the_model_of_more_segments_gives_the_logits_of_fewer(golden: Golden) -> None:
    spec = spec_of(golden)
    longer = loaded(PAIRS[name_of(golden)]).eval()
    model = longer.with_frames(spec.frames)
    assert model.spec == spec
    wanted = np.array(golden.values["logits"])
    logits = model(clip_of(golden).float())["label"].numpy()
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-5 * max(1.0, np.abs(wanted).max()))
