"""Finding a recipe: by the name of a row, a YAML file, or the folder of a run or release.

``hf:FOLDER`` and ``hf:ORG/NAME`` are networks of Hugging Face (`marey.recipes.huggingface`). A plus
sign and a word after any of them change how much of the encoder learns (`marey.recipes.tuning`), or
add a second stage: ``tsm-r18+crt``, ``hf:FOLDER+lora``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from marey.errors import RecipeError, did_you_mean
from marey.recipes import ensembles as ensemble_rows
from marey.recipes.ensembles import ensembles
from marey.recipes.huggingface import PREFIX, hugging_face, is_hugging_face
from marey.recipes.longtail import CHANGES
from marey.recipes.recipe import Recipe
from marey.recipes.release import CONFIG, WEIGHTS, going_on_from, read_config
from marey.recipes.schema import from_yaml
from marey.recipes.tuning import WORDS, degree
from marey.storage.text_files import read_text

_FILES = (
    *(
        "own_videos",
        "frozen_encoders",
        "features",
        "demo",
        "tsn",
        "tsm",
        "gc",
        "ecal",
        "gst",
        "tdn",
    ),
    *("blvnet", "arp", "torchvision_video", "motionformer", "lmr", "videolt"),
)
_MODULES = tuple(import_module(f"marey.recipes.{file}") for file in _FILES)
"""Where rows stand, in the order in which they are listed."""


def rows() -> dict[str, Recipe]:
    """Name -> recipe, of all that come with marey."""
    return {recipe.name: recipe for module in _MODULES for recipe in _of(module)}


def rows_in(*files: str) -> dict[str, Recipe]:
    """Name -> recipe, of the rows of some files: ``rows_in("tsm", "gc")``."""
    wanted = {f"marey.recipes.{file}" for file in files}
    modules = [module for module in _MODULES if module.__name__ in wanted]
    return {recipe.name: recipe for module in modules for recipe in _of(module)}


def groups() -> dict[str, dict[str, Recipe]]:
    """The recipes of each file, under its title."""
    return {
        (module.__doc__ or "").splitlines()[0].rstrip("."): {r.name: r for r in _of(module)}
        for module in _MODULES
    }


def deviations(name: str) -> str:
    """What the rows of this recipe's file do otherwise than what was published; empty for none.

    `name` may be that of an ensemble.
    """
    of_one_model = (module for module in _MODULES if name in {r.name for r in _of(module)})
    module = ensemble_rows if name in ensembles() else next(of_one_model)
    paragraphs = (module.__doc__ or "").split("\n\n")
    deviations = (" ".join(text.split()) for text in paragraphs if text.startswith("**Deviates**"))
    return next(deviations, "").removeprefix("**Deviates**: ")


def find(name: str | None) -> Recipe:
    """The recipe that `name` means.

    Args:
        name: that of a row (`marey recipes` lists them), a YAML file, the folder of a run, or that
            of a release (`marey convert` makes one) or of a network of Hugging Face, whose weights
            it then starts from; a plus sign and a word change or follow its training.

    Raises:
        RecipeError: there is none; suggests the nearest name. An ensemble is no recipe.

    >>> find("tsm-r18+crt").stages[1].trainable
    'heads'
    """
    if name in ensembles():
        members = " and ".join(member.name for member in ensembles()[name].members)
        raise RecipeError(
            f"'{name}' is an ensemble: of {members}, each trained on its own",
            f"marey recipes show {name} has the commands",
        )
    base, plus, second = (name or "").rpartition("+")
    if plus and not Path((name or "").removeprefix(PREFIX)).exists():
        return _change(base, second)(find(base))
    if name and name.startswith(PREFIX):
        return hugging_face(name.removeprefix(PREFIX))
    known = rows()
    if name is None:
        raise RecipeError("which recipe?", "marey recipes lists them")
    if name in known:
        return known[name]
    path = Path(name)
    if is_hugging_face(path):
        return hugging_face(name if path.is_absolute() else f"./{name}")
    if release := _release(path):
        return going_on_from(release)
    if path.is_dir():
        path = path / "recipe.yaml"
    if path.is_file():
        return from_yaml(Recipe, read_text(path, RecipeError), source=str(path))
    raise RecipeError(
        f"no recipe or file '{name}'",
        did_you_mean(
            name, known | ensembles(), otherwise="marey recipes lists those that there are"
        ),
    )


def as_it_lies(name: str) -> Recipe:
    """As `find`, but a release has the classes it was trained on: what it costs as it is."""
    release = None if name in rows() else _release(Path(name))
    return find(name) if release is None else read_config(release)


def _release(path: Path) -> Path | None:
    """The folder of the release that is given by its folder or a file of it; None for others."""
    folder = path.parent if path.name in (CONFIG, WEIGHTS) else path
    return folder if (folder / CONFIG).is_file() and not is_hugging_face(folder) else None


def _change(base: str, word: str) -> Callable[[Recipe], Recipe]:
    change = CHANGES.get(word) or degree(word)
    start, plus, before = base.rpartition("+")
    if plus and degree(word) and not Path(base.removeprefix(PREFIX)).exists():
        if degree(before):
            raise RecipeError(
                f"+{before} and +{word} both say how much of the encoder learns",
                f"one of them: {start}+{before} or {start}+{word}",
            )
        raise RecipeError(
            f"+{word} says what learns in the first stage, which +{before} changes or follows",
            f"the other way round: {start}+{word}+{before}",
        )
    if change is None:
        unknown = did_you_mean(word, [*CHANGES, *WORDS])
        near = did_you_mean(f"{base}+{word}", ensembles(), otherwise=unknown)
        raise RecipeError(f"no change '{word}' of a recipe", near)
    return change


def _of(module: ModuleType) -> Iterator[Recipe]:
    """The recipes that are names of the module, or in its tuple of rows."""
    for value in vars(module).values():
        if isinstance(value, Recipe):
            yield value
        elif isinstance(value, tuple) and value and isinstance(value[0], Recipe):
            yield from value
