"""Which class a name in a recipe means, and which name a class has.

Classes of marey go by their bare name, ``LDAM``; all others by module and name, ``mine.MyLoss``. A
module that is not loaded yet is imported, which runs its code. A recipe may come from somebody
else, in the folder of a run or of a release, so four rules say what its names can bring to run:

1. a module is taken from where Python itself looks for modules (the command `marey` looks in the
   current folder too, last), never from the folder of the run or release that names it;
2. its source must define a class of that name, which is seen in its text before any of it runs;
3. nothing of Python's own library is imported;
4. what is imported is said on stderr, with the file that names it.

So a recipe chooses among the code that is installed here or lies in the current folder; it brings
none of its own. The same rules hold for names of the command line and of Python.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import logging
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import get_annotations
from pathlib import Path
from typing import Any, Protocol, TypeGuard

from marey.errors import RecipeError, did_you_mean

log = logging.getLogger("marey")

ROOMS = (
    "marey.models.encoders",
    "marey.models.temporal",
    "marey.longtail",
    "marey.timelines",
    "marey.video",
    "marey.video.sampling",
    "marey.data.loading",
)
"""Packages whose public dataclasses recipes may name; those of `marey.recipes.optim` too."""

WEIGHTS_FILES = ("recipe.yaml", "config.json")
"""The recipe of a run and of a release: beside these lie weights, and code that is never run."""
EXPORTS = (".onnx", ".xml", ".pt2")
"""What the files of exports end in, which carry a recipe: beside these no code is run either."""


def name_of(cls: type) -> str:
    """The name of `cls` in recipes: bare if it is marey's, else with its module."""
    ours = cls.__module__.partition(".")[0] == "marey"
    return cls.__name__ if ours else f"{cls.__module__}.{cls.__qualname__}"


@cache
def classes_for(*kinds: type) -> Mapping[str, type]:
    """Name -> class, of marey's classes that are one of `kinds`: protocols or dataclasses."""
    known = [*filter(is_dataclass, kinds), *_own_classes()]
    return {name_of(cls): cls for cls in known if not lacks(cls, kinds)}


def own_class(name: str) -> type | None:
    """The class of marey that goes by this bare name; None if there is none."""
    return next((cls for cls in _own_classes() if cls.__name__ == name), None)


def class_named(name: str, kinds: Sequence[type], where: str = "", source: str = "") -> type:
    """The class that `name` means, imported if need be by the rules above.

    Args:
        name: ``LDAM`` or ``mine.MyLoss``.
        kinds: protocols or dataclasses, one of which it must be.
        where: the place in the recipe, for errors.
        source: the file that names it; empty for the command line and Python.

    Raises:
        RecipeError: there is no such class, it is none of `kinds`, or a rule forbids its import.
    """
    known = classes_for(*kinds)
    by_path = {f"{cls.__module__}.{cls.__name__}": cls for cls in known.values()}
    if cls := known.get(name) or by_path.get(name):
        return cls
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] in ("", "marey"):
        raise unknown_name(where, name, known)
    if module not in sys.modules:
        if reason := obstacle(module, attribute, source):
            raise RecipeError(
                f"{where}: unknown name '{name}'",
                f"{module} is not imported: {reason}; docs/extending.md says where code is found",
            )
        log.warning("importing %s from %s, for %s", module, _file_of(module), where)
        importlib.import_module(module)
    value = getattr(sys.modules[module], attribute, None)
    if not is_dataclass(value):
        raise RecipeError(f"{where}: unknown name '{name}'", f"{module} has no such dataclass")
    if missing := lacks(value, kinds):
        raise RecipeError(f"{where}: '{name}' is no {kinds[0].__name__}", f"it lacks {missing}")
    return value


def obstacle(module: str, attribute: str, source: str = "") -> str:
    """Why a fresh process would not import `attribute` of `module`; empty if it would."""
    if module == "__main__":
        return "it is defined in the script that runs, which is no module"
    if module.partition(".")[0] in sys.stdlib_module_names:
        return "it belongs to Python itself"
    file = _file_of(module)
    if file is None:
        return "there is no such module in Python's path"
    of = Path(source)
    is_given = of.name in WEIGHTS_FILES or of.suffix in EXPORTS
    if is_given and file.is_relative_to(of.parent.resolve()):
        return f"{file} lies in the folder of the run or release, where no code is run"
    if file.suffix != ".py" or attribute not in _classes_in(file):
        return f"{file} defines no class '{attribute}' at its top level"
    return ""


def lacks(cls: type, kinds: Sequence[type]) -> str:
    """What the first protocol of `kinds` has and `cls` does not; empty if `cls` is of any kind."""
    missing = [_missing(cls, kind) for kind in kinds]
    return "" if "" in missing else missing[0]


def is_protocol(hint: object) -> TypeGuard[type]:
    """Whether a hint is a protocol."""
    return bool(getattr(hint, "_is_protocol", False))


def is_dataclass(value: object) -> TypeGuard[type]:
    """Whether a value is a class that is a dataclass."""
    return isinstance(value, type) and dataclasses.is_dataclass(value)


def unknown_name(where: str, word: str, known: Iterable[str]) -> RecipeError:
    """The error for a word that is none of the `known` ones; its hint is the nearest of them.

    That is the one of the same meaning, where other toolboxes have the word.
    """
    known = sorted(known)
    meant = next((ours for ours, theirs in _ELSEWHERE.items() if _plain(word) in theirs), "")
    if meant.partition(".")[0] in known:
        return RecipeError(f"{where}: unknown name '{word}'", f"did you mean '{meant}'?")
    return RecipeError(f"{where}: unknown name '{word}'", did_you_mean(word, known))


_ELSEWHERE = {
    "accumulate": {"accumulation", "accumulateiter", "accumiter", "gradientaccumulationsteps"},
    "amp": {"bf16", "bfloat16", "fp16", "half", "mixedprecision", "precision"},
    "batch_size": {"batch", "batchsize", "bs", "videosperdevice"},
    "checkpoint_every": {"checkpointperiod", "saveevery", "savefreq", "saveperiod"},
    "checkpoints_kept": {"maxkeepckpts", "maxtokeep", "savetotallimit"},
    "checkpointing": {"activationcheckpointing", "gradcheckpointing", "gradientcheckpointing"},
    "clip_grad": {"clipgradnorm", "gradclip", "gradientclip", "gradientclipval", "maxgradnorm"},
    "dropout": {"drop", "dropoutratio", "droprate"},
    "epochs": {"epoch", "maxepoch", "maxepochs", "nepochs", "numepochs", "numtrainepochs"},
    "flip": {"flipratio", "hflip", "mirror"},
    "frames": {"cliplen", "cliplength", "nframes", "numframes", "numsegments", "segments"},
    "layer_decay": {"layerwisedecay", "llrd", "lrlayerdecay"},
    "lr": {"baselr", "learningrate", "lrate"},
    "max_steps": {"maxiter", "maxiters", "maxtrainsteps", "numsteps", "totalsteps"},
    "objective": {"criterion", "loss", "lossfn"},
    "patience": {"earlystop", "earlystopping"},
    "precise_bn": {"numbatchesprecise", "precisebn", "precisestats", "useprecisestats"},
    "seed": {"manualseed", "randomseed"},
    "shard": {"fsdp", "fsdp2", "fullyshard", "zero", "zero3"},
    "size": {"cropsize", "imagesize", "imgsize", "inputsize", "resolution"},
    "sync_bn": {"convertsyncbatchnorm", "syncbatchnorm"},
    "stages.0.optim": {"optim", "optimiser", "optimizer"},
    "stages.0.schedule=Plateau": {"plateau", "reducelronplateau"},
    "stages.0.schedule": {"lrscheduler", "schedule", "scheduler"},
    "warmup": {"warmupepochs"},
    "weight_decay": {"decay", "l2", "wd"},
    "weights": {"checkpoint", "init", "loadfrom", "pretrained"},
    "workers": {"numworkers", "nworkers", "workerspergpu"},
}
"""Name of ours -> what other toolboxes call it, in small letters alone."""


def _plain(word: str) -> str:
    """A name without letter case, and without what divides its words."""
    return word.lower().replace("_", "").replace("-", "")


def _file_of(module: str) -> Path | None:
    """The file that Python would import `module` from, found without running any of it."""
    path: Sequence[str] | None = None
    spec, names = None, module.split(".")
    for count in range(1, len(names) + 1):
        full_name = ".".join(names[:count])
        specs = (finder.find_spec(full_name, path) for finder in sys.meta_path)
        spec = next(filter(None, specs), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return Path(spec.origin).resolve() if spec and spec.origin else None


def _classes_in(file: Path) -> set[str]:
    """The names of the classes that a source file defines at its top level."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError) as error:
        raise RecipeError(f"{file} cannot be read as Python: {error}") from error
    return {node.name for node in body if isinstance(node, ast.ClassDef)}


@cache
def _own_classes() -> tuple[type, ...]:
    """Every public dataclass of the rooms, whose modules this imports."""
    modules = [importlib.import_module("marey.recipes.optim")]
    for room in ROOMS:
        package = importlib.import_module(room)
        for info in pkgutil.iter_modules(package.__path__, f"{room}."):
            if not info.ispkg:
                modules.append(importlib.import_module(info.name))
    return tuple(
        value
        for module in modules
        for name, value in vars(module).items()
        if is_dataclass(value) and value.__module__ == module.__name__ and name[0] != "_"
    )


def _missing(cls: type, kind: type) -> str:
    if not is_protocol(kind):
        return "" if cls is kind else f"the name {name_of(kind)}"
    fields = {f.name for f in dataclasses.fields(cls)}
    for name, member in _members(kind):
        if name not in fields and not hasattr(cls, name):
            return f"`{name}`"
        if inspect.isfunction(member) and not _can_be_called(getattr(cls, name, None), member):
            return f"`{name}{inspect.signature(member)}`"
    abstract = getattr(cls, "__abstractmethods__", ())
    return f"`{min(abstract)}`" if abstract else ""


def _members(protocol: type) -> Iterator[tuple[str, object]]:
    """The public members of a protocol and of those it inherits from, by name."""
    for base in protocol.__mro__:
        if is_protocol(base) and base is not Protocol:
            for name in {**vars(base), **get_annotations(base)}:
                if not name.startswith("_"):
                    yield name, vars(base).get(name)


def _can_be_called(function: Any, wanted: Callable[..., object]) -> bool:
    """Whether a call as the function of a protocol is called suits that of a class."""
    parameters = inspect.signature(wanted).parameters.values()
    by_name = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    try:
        inspect.signature(function).bind(*[None] * (len(parameters) - len(by_name)), **by_name)
    except (TypeError, ValueError):
        return False
    return True
