"""A trained model to use, by its weights or by a file that `marey export` wrote."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from marey.data.manifest.manifest import Manifest
from marey.engine.runtimes.exported import Exported, exported_file, exported_now, open_exported
from marey.engine.runtimes.graph_files import Runtime, runtime_of
from marey.engine.weights.calibration import Calibration, plain_views
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.joined import for_clips, of_videos
from marey.engine.weights.trained import Trained, calibration_of, load_trained
from marey.errors import CheckpointError, RecipeError, RunError
from marey.recipes.recipe import Recipe

log = logging.getLogger("marey")


@dataclass(frozen=True, eq=False)
class Usable:
    """A model, and what scores in place of its weights if anything does.

    Of a file `trained` has recipe, labels and counts, and a model of shapes without weights.
    """

    path: Path
    trained: Trained
    device: str
    exported: Exported | None = None

    @property
    def digest(self) -> str:
        """Tells its scores from those of other models."""
        return self.exported.digest if self.exported else weights_digest(self.trained.model)

    def of_videos(self) -> Usable:
        """As it takes videos: a model of features behind the encoder of these (`of_videos`)."""
        return replace(self, trained=of_videos(self.trained))

    def for_clips(self, clips: Manifest) -> Usable:
        """As it takes these clips (`for_clips`)."""
        return replace(self, trained=for_clips(self.trained, clips))

    def tested_by(self, recipe: Recipe, runtime: Runtime | None = None) -> Usable:
        """With the test views of `recipe`, scored by `runtime` in place of torch's own weights.

        Of a run it is made anew in every process, which is said; of a file it is the file's.

        Raises:
            RunError: the runtime is not that of the file, or `exported_now`.
        """
        trained = replace(self.trained, recipe=recipe)
        if self.exported is not None:
            own = runtime_of(self.exported.path)
            if runtime not in (None, own):
                raise RunError(
                    f"{self.exported.path} is a file of {own}, and {runtime} is asked for",
                    f"export the run for it: marey export RUN --to {runtime}",
                )
            return replace(self, trained=trained)
        if runtime is None:
            return replace(self, trained=trained)
        log.info("made for %s anew, which `marey export --to %s` does once", runtime, runtime)
        return replace(self, trained=trained, exported=exported_now(runtime, trained, self.device))

    def calibration(self) -> Calibration:
        """Its temperatures in these test views; CheckpointError or RecipeError without any."""
        if self.trained.folder is not None:
            return calibration_of(self.trained)
        found = self.exported.calibration if self.exported else None
        if found is None:
            raise CheckpointError(
                f"{self.path} carries no temperatures",
                "measure them before it is exported: marey eval RUN --calibrate",
            )
        if missing := [head for head in self.trained.classes if head not in found.temperatures]:
            raise CheckpointError(
                f"{self.path} carries no temperature of '{missing[0]}'", "export it again"
            )
        if found.views != plain_views(self.trained.recipe.test):
            raise RecipeError(f"{self.path} was calibrated in other test views than these")
        return found


def open_model(path: str | Path, device: str = "cpu", *, trusted: bool = False) -> Usable:
    """The model at `path`: of a run or a release, or of the file or folder of an export.

    Args:
        device: where it computes.
        trusted: whether who made a file may run code here, as opening a .pt2 file lets them.

    Raises:
        MareyError: as `load_trained` and `open_exported`.
    """
    path = Path(path)
    if file := exported_file(path):
        exported = open_exported(file, device, trusted=trusted)
        return Usable(path, exported.trained, device, exported)
    return Usable(path, load_trained(path, device), device)
