"""The scores of a trained model for the clips of a manifest, in parts.

So an evaluation that was killed goes on where it was, and shards or the nodes of a cluster give the
predictions of one process, byte for byte, where processors, threads and batches are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.scoring import ScoreArrays, check_heads, score_clips
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.trained import Trained
from marey.jobs.parts import Parts, input_digest
from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_plain

PART_ROWS = 1024
"""Clips of a part, rounded up to whole batches."""
MISSING = "missing"
"""The column that says why a clip could not be read."""


@dataclass(frozen=True, eq=False)
class Tested:
    """A trained model, how it is tested, and the clips."""

    trained: Trained
    recipe: Recipe
    manifest: Manifest
    workers: int
    batch_size: int
    device: str

    def parts(self, target: Path, **more: str) -> Parts:
        """The parts of the evaluation that is written to `target`; `more` changes its text only."""
        size = -(-PART_ROWS // self.batch_size) * self.batch_size
        facts = {
            "recipe": to_plain(self.recipe),
            "weights": weights_digest(self.trained.model),
            "manifest": self.manifest.digest(),
            "where": self.manifest.where(),
            "batch_size": self.batch_size,
            "more": more,
        }
        return Parts(target, len(self.manifest), size, input_digest(facts))

    def write(
        self, rows: range, file: BinaryIO, *, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Write the scores of these clips as an Arrow file, a column a head."""
        check_heads(self.trained.model, self.manifest, self.recipe.test.average)
        found, missing = self.scores(rows, progress=progress)
        columns: dict[str, pa.Array] = {
            f"scores.{head}": pa.FixedSizeListArray.from_arrays(
                pa.array(scores.ravel()), scores.shape[1]
            )
            for head, scores in found.items()
        }
        reasons = [missing.get(row) for row in range(len(rows))]
        table = pa.table(columns | {MISSING: pa.array(reasons, pa.large_string())})
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def scores(
        self, rows: range, *, progress: Callable[[int, int], None] | None = None
    ) -> tuple[ScoreArrays, dict[int, str]]:
        """Scores [n k] a head of these clips, and place among them -> why one could not be read."""

        def tell(done: int, _: int) -> None:
            if progress is not None:
                progress(rows.start + done, len(self.manifest))

        return score_clips(
            self.trained.model,
            self.manifest.take(np.arange(rows.start, rows.stop)),
            self.recipe.test,
            augment=self.recipe.augment,
            batch_size=self.batch_size,
            workers=self.workers,
            backend=self.recipe.data.backend,
            device=self.device,
            amp=self.recipe.amp,
            progress=tell,
        )

    def evaluation(self, paths: Sequence[Path], trained_on: TrainingCounts) -> Evaluation:
        """The evaluation whose parts lie at `paths`."""
        table = pa.concat_tables(
            [pa.ipc.open_file(pa.memory_map(str(p))).read_all() for p in paths]
        )
        scores: ScoreArrays = {
            head.name: _matrix(table[f"scores.{head.name}"])
            for head in self.trained.model.spec.heads
        }
        reasons = enumerate(table[MISSING].to_pylist())
        missing = {row: reason for row, reason in reasons if reason is not None}
        return Evaluation(self.manifest, scores, missing, self.recipe.test.average, trained_on)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Scores float32 [n k] of a column of lists."""
    flat = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return np.concatenate(flat).reshape(len(column), -1)
