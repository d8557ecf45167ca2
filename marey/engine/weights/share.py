"""Sending a model to the hub of Hugging Face: a release without what is its owner's alone.

Only the files of `write_shared` are sent. What is left out of them is said, and where others are to
know what nobody can tell from the weights (licence, data) the owner says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from marey.engine.weights.calibration import Calibration, write_calibration
from marey.engine.weights.class_counts import write_class_counts
from marey.engine.weights.hub_card import Said, hub_card
from marey.engine.weights.trained import Trained, calibration_if_any, write_release
from marey.errors import RunError
from marey.recipes.huggingface import is_hub_name
from marey.recipes.release import CARD, CONFIG, NEVER_TRAINED, never_trained
from marey.recipes.shared import features_to_share, own_classes, to_share
from marey.storage.atomic import run_error, write_text
from marey.storage.temporary import temporary_folder


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What is sent.

    Args:
        name: ORG/NAME.
        files: name -> bytes.
        left_out: what is not, by its key.
        notes: what its owner should know before.
        card: the text of README.md.
        url: where it went; empty of what was only to be shown.
    """

    name: str
    files: dict[str, int]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    card: str
    url: str = ""


def push(
    trained: Trained,
    said: Said,
    *,
    private: bool = False,
    message: str = "",
    token: str | None = None,
    dry_run: bool = False,
    say: Callable[[Shared], None] = lambda _: None,
) -> Shared:
    """Send a model to the repository ORG/NAME of the hub, which is made if there is none.

    Args:
        trained: the model.
        said: where it goes, and what its owner says of it.
        private: whether nobody else is to see it; a repository that others see is refused then.
        message: of the commit.
        token: of the hub; by default the one that `hf auth login` or HF_TOKEN left.
        dry_run: only make what would be sent, and send nothing.
        say: told what is sent, before it is.

    Raises:
        RunError: huggingface_hub is not installed, there is no token, or the hub takes none of it.
        RecipeError: the recipe names a place of this machine.
        ValueError: the name is not ORG/NAME.
    """
    if not is_hub_name(said.name):
        raise ValueError(f"name is '{said.name}', expected ORG/NAME")
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise RunError("huggingface_hub is not installed", "pip install 'marey[deploy]'") from error
    with temporary_folder("push") as made:
        shared = write_shared(trained, made / "release", said)
        say(shared)
        if dry_run:
            return shared
        with _as_errors(said.name):
            api = hub.HfApi(token=token or hub.get_token())
            if api.token is None:
                raise RunError("there is no token of the hub", "hf auth login, or set HF_TOKEN")
            repo = api.create_repo(said.name, private=private or None, exist_ok=True).repo_id
            if private and not api.model_info(repo).private:
                raise RunError(
                    f"{repo} is there already, and everybody sees it",
                    "make it private on the hub, give another name, or leave out --private",
                )
            done = api.upload_folder(
                repo_id=repo,
                folder_path=made / "release",
                allow_patterns=list(shared.files),
                commit_message=message or "Share a model of marey",
            )
        return replace(shared, url=str(done.repo_url))


def write_shared(trained: Trained, out: Path, said: Said) -> Shared:
    """Write what is sent of a model into the new folder `out`: no place, no name of a list."""
    recipe, left = to_share(trained.recipe, said.name.rpartition("/")[2])
    features = features_to_share(trained.features)
    calibration, more = _calibration(trained)
    left += [f"features.{key}" for key in trained.features if key not in features] + more
    whole = replace(trained, recipe=recipe)
    starts_from = "weights of its owner's" if "weights" in left else ""
    card = str(hub_card(whole, said, calibration, starts_from=starts_from))
    write_release(
        out,
        recipe,
        trained.model.state_dict(),
        trained.classes,
        "",
        made_by=_never_trained(trained.folder),
        chosen=trained.chosen,
        features=features,
    )
    write_text(out / CARD, card, run_error)
    if trained.class_counts:
        write_class_counts(trained.class_counts, out)
    if calibration:
        write_calibration(calibration, out)
    return Shared(
        name=said.name,
        files={path.name: path.stat().st_size for path in sorted(out.iterdir())},
        left_out=tuple(left),
        notes=tuple(_notes(whole, said)),
        card=card,
    )


def _calibration(trained: Trained) -> tuple[Calibration | None, list[str]]:
    """The temperatures, without the names of the clips they were measured on; what is left out."""
    found = calibration_if_any(trained)
    if found is None:
        return None, []
    left = [f"calibration.{key}" for key in ("manifest", "other_clips") if getattr(found, key)]
    return replace(found, manifest="", other_clips=""), left


def _never_trained(folder: Path | None) -> dict[str, str]:
    """The head of a converted checkpoint that never learned, which whoever loads it is told."""
    converted = folder is not None and (folder / CONFIG).is_file()
    said = never_trained(folder) if folder and converted else ""
    return {NEVER_TRAINED: said} if said else {}


def _notes(trained: Trained, said: Said) -> Iterator[str]:
    if not said.licence:
        yield "no licence is stated, so that nobody may use it: --license apache-2.0 ..."
    if not said.data:
        yield "what it was trained on is not stated, so that the hub lists no numbers: --data NAME"
    if own := own_classes(trained.recipe):
        yield f"whoever loads it needs {', '.join(own)}, which marey does not have"
    if trained.recipe.model.takes_features:
        yield "it takes features, no videos: marey join makes one model of it and its encoder"


@contextmanager
def _as_errors(name: str) -> Iterator[None]:
    """What the hub answers, as one line."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(
            f"{name} could not be sent: {first}", "nothing of it is there, or the whole"
        ) from error
