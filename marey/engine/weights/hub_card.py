"""The card of a model on the hub: what a person should know, and the metadata that the hub reads.

Numbers are those that `marey eval` measured. The data and the licence are only what the owner says
they are, and where nothing is said, it is that. Clips that the model was not validated on have
names of their owner's, which stay with the owner: their numbers stand under "other clips".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import Results, read_results
from marey.engine.weights.calibration import Calibration
from marey.engine.weights.trained import Trained
from marey.metrics.catalog import headlines
from marey.recipes.describe import facts

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

TASK = "video-classification"
MOST_NAMES = 100
"""Classes of a head that the card names; all stand in its file."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What only the owner of a model knows.

    Args:
        name: ORG/NAME on the hub.
        licence: an identifier of the hub (apache-2.0, cc-by-nc-4.0 ...); empty says none.
        data: what it was trained and validated on, by its name or its id on the hub; empty: not
            said, and then the numbers stand in no metadata, as they are of nothing that has a name.
    """

    name: str
    licence: str = ""
    data: str = ""


def hub_card(
    trained: Trained, said: Said, calibration: Calibration | None, *, starts_from: str
) -> ModelCard:
    """The card of a model whose recipe has no places in it.

    starts_from: with which weights its training began, where its recipe does not say it any more.
    """
    from huggingface_hub import ModelCard, ModelCardData

    results = list(_results(trained.folder))
    data = ModelCardData(
        model_name=said.name.rpartition("/")[2],
        library_name="marey",
        pipeline_tag=TASK,
        tags=["marey", "action-recognition", "video", trained.recipe.name],
        license=said.licence or None,
        datasets=[said.data] if said.data else None,
        metrics=["accuracy"] if any("acc/top1" in each.metrics for each in results) else None,
        eval_results=list(_eval_results(results, said.data)) or None,
    )
    stated = facts(trained.recipe) | ({"starts from": starts_from} if starts_from else {})
    text = _text(trained, said, results, calibration, stated)
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}", ignore_metadata_errors=False)


def _results(folder: Path | None) -> Iterator[Results]:
    """What was measured of the model in a folder."""
    for path in sorted(folder.glob(f"results/*/{RESULTS}")) if folder else ():
        yield read_results(path)


def _eval_results(results: list[Results], data: str) -> Iterator[Any]:
    """The numbers of the clips that `data` names, as the hub lists them."""
    from huggingface_hub import EvalResult

    for of in results:
        if not data or of.other_clips or of.role == "training":
            continue
        for key, named in headlines(of.metrics).items():
            if math.isfinite(value := of.metric(key)):
                yield EvalResult(
                    task_type=TASK,
                    dataset_type=data.lower().replace(" ", "-"),
                    dataset_name=data,
                    dataset_split=of.split or None,
                    metric_type="accuracy" if key.endswith("acc/top1") else key.replace("/", "_"),
                    metric_name=f"{named.title} ({named.metric.unit or 'no unit'})",
                    metric_value=round(value, 2),
                )


def _text(
    trained: Trained,
    said: Said,
    results: list[Results],
    calibration: Calibration | None,
    stated: Mapping[str, str],
) -> str:
    recipe = trained.recipe
    takes_features = recipe.model.takes_features
    example = "features.npy" if takes_features else "clip.mp4"
    weights = trained.chosen.in_words()
    rows = "\n".join(f"| {name} | {fact} |" for name, fact in stated.items())
    measured = "\n".join(map(_row, results)) or "| nothing | | | | |"
    calibrated = (
        f"Its {calibration.in_words()}; `--calibrated` applies it.\n" if calibration else ""
    )
    classes = "\n".join(f"- **{head}**: {_names(of)}" for head, of in trained.classes.items())
    return f"""# {said.name.rpartition("/")[2]}

An action recogniser trained with marey.

```sh
pip install 'marey[deploy]'
marey predict hub:{said.name} {example} --download
```

```python
import marey

model = marey.from_pretrained("{said.name}", download=True)
model.predict("{example}")
```

## Recipe

| {recipe.name} | |
|---|---|
{rows}

The claim is the published number of the row, on its own data; what these weights reach is below.

## Measured

{f"The {weights}." if weights else "Which weights of its training these are is not known."}

| clips | measured | number of clips | clips x crops | note |
|---|---|---|---|---|
{measured}

{calibrated}
## Data

{said.data or "Its owner does not say what it was trained on."}

## Licence

{said.licence or "Its owner states none."}

## Classes

{classes}
"""


def _row(of: Results) -> str:
    numbers = ", ".join(
        f"{named.title} {named.metric.text(of.metric(key), 2)}"
        for key, named in headlines(of.metrics).items()
    )
    which = ("other clips, " if of.other_clips else "") + (of.split and f"split {of.split}")
    views = f"{of.views.clips} x {of.views.crops}"
    clips = which.removesuffix(", ") or "its validation clips"
    return f"| {clips} | {numbers} | {of.num_clips} | {views} | {of.caution} |"


def _names(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
