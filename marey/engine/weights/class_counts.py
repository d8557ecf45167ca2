"""How many training clips every class had: beside the weights, so that results know head and tail.

RUN/class_counts.json and RELEASE/class_counts.json: head -> number of clips, in order of classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from marey.errors import CheckpointError
from marey.storage.atomic import run_error, write_text
from marey.storage.text_files import as_value, read_json

FILE = "class_counts.json"
Counts = npt.NDArray[np.int64]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]


def write_class_counts(counts: Mapping[str, Counts], folder: Path) -> None:
    """Write the training clips of every class (head -> int64 [k]) into `folder`."""
    facts = {head: of.tolist() for head, of in counts.items()}
    write_text(folder / FILE, json.dumps(facts), run_error)


def read_class_counts(folder: Path, num_classes: Mapping[str, int]) -> dict[str, Counts]:
    """Head -> training clips of every class, int64 [k], of the heads of which the folder says."""
    path = folder / FILE
    if not path.is_file():
        return {}
    facts = read_json(path, CheckpointError, "delete it")
    lists = as_value(dict[str, list[Count]], facts, path, CheckpointError, "delete it")
    told = {head: k for head, k in num_classes.items() if head in lists} or num_classes
    for head, k in told.items():
        if len(lists.get(head, ())) != k:
            raise CheckpointError(
                f"{path}: '{head}' is not one number for each of {k} classes", "delete it"
            )
    return {head: np.array(lists[head], dtype=np.int64) for head in told}
