"""The weights of a network of Hugging Face transformers, from its folder on this machine.

transformers reads them: of any generation of names, in one file or several. Nothing is fetched, no
code in the folder is run, and pickled files are read with `weights_only=True`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from marey.engine.weights.usable import check_weights
from marey.errors import CheckpointError, first_few
from marey.models.encoder import Encoder
from marey.models.encoders.huggingface import HuggingFaceSpec, stated_config
from marey.models.encoders.huggingface_kinds import Architecture
from marey.models.encoders.huggingface_network import (
    FRESH,
    config_of,
    transformers,
    without_pooler,
)
from marey.recipes.release import CONFIG
from marey.storage.text_files import read_json


def pretrained(folder: Path, encoder: Encoder) -> tuple[dict[str, Tensor], str]:
    """The weights of the network in `folder`, under transformers' names, and what was taken.

    Raises:
        CheckpointError: they cannot be read, are of another architecture than `encoder`, or not
            whole; or transformers is not installed.
    """
    kind = _kind_in(folder)
    if not isinstance(encoder, HuggingFaceSpec) or encoder.kind != kind:
        raise CheckpointError(f"{folder} holds a {kind}, not a {encoder}", f"hf:{folder}")
    try:
        library = transformers()
        with _quiet(library):
            network, found = _read(library, folder, encoder.architecture)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    own = network.state_dict()
    other = {each[0] for each in found["mismatched_keys"]}
    lacking = [name for name in {*found["missing_keys"], *other} if not name.startswith(FRESH)]
    if lacking:
        raise CheckpointError(
            f"{folder} lacks weights of its {kind}, or has them in another shape: "
            f"{first_few(sorted(lacking))}",
            "get it again, whole",
        )
    used = ("fc_norm.", "pooler.")
    fresh = sorted(name for name in found["missing_keys"] if name.startswith(used))
    said = f"encoder from {folder}"
    if fresh:
        said += f", which lacks {', '.join(fresh)}: a norm that begins anew"
    return check_weights(own, folder), said


def _kind_in(folder: Path) -> str:
    facts = read_json(folder / CONFIG, CheckpointError, "get it again, whole")
    try:
        return stated_config(facts).kind
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error


def _read(library: Any, folder: Path, architecture: Architecture) -> tuple[Any, dict[str, Any]]:
    config = config_of(architecture, architecture.trained_frames)
    try:
        read, found = getattr(library, architecture.kind.network).from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # which are an error of ours, with names
            **without_pooler(architecture),
        )
    except (
        *(OSError, ValueError, RuntimeError, KeyError, AttributeError, ImportError, TypeError),
        *(SafetensorError, UnpicklingError),
    ) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"{folder}: {first[0]}", "get it again, whole") from error
    return read, found


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Without transformers' own report of what it loads: what matters of it is said by us."""
    logging = library.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
