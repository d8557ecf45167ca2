"""Options that several commands have; typer reads these types at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from marey.cli import completion
from marey.cli.shared import above_zero, refused_values
from marey.jobs.shards import Shard


def _shard(text: str | Shard) -> Shard:
    """What --shard names; typer gives its default to a parser, too."""
    with refused_values():
        return text if isinstance(text, Shard) else Shard.parse(text)


ManifestFile = Annotated[
    str, typer.Argument(help="manifest: CSV, Parquet or Arrow, a file or a url")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="stages.0.optim.lr=0.02 ...",
        metavar="[KEY=VALUE]...",
        autocompletion=completion.changes,
    ),
]
ViewOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="frames=16 test.crop.size=112 ...",
        metavar="[KEY=VALUE]...",
        autocompletion=completion.changes,
    ),
]
Model = Annotated[
    Path,
    typer.Argument(
        help="folder of a run, release or export, a name of marey weights, or hub:ORG/NAME",
        autocompletion=completion.checkpoints,
    ),
]
TrainManifests = Annotated[
    list[str] | None,
    typer.Option("--manifest", help="file or url to train on; several are joined"),
]
ValManifest = Annotated[str | None, typer.Option("--val-manifest", help="default: split val of it")]
StartWeights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="PATH",
        help="to start from: file, run, release, a name of marey weights; imagenet: the"
        " official ones",
        autocompletion=completion.weights,
    ),
]
FromScratch = Annotated[
    bool, typer.Option("--from-scratch", help="without a recipe: start from nothing")
]
RecipeName = Annotated[
    str,
    typer.Argument(help="name, YAML file or folder of a run", autocompletion=completion.recipes),
]

Columns = Annotated[
    str | None,
    typer.Option(
        help="what the columns are: path=a,label=b or, without a header, 'path start end'"
    ),
]
Ignore = Annotated[str | None, typer.Option(help="columns that do not matter: a,b")]
Form = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="parquet, csv or jsonl (default: by the suffix of --out), or a submission: epic100,"
        " ssv2, ssv1, jester, tsm, tsm-top5",
    ),
]
AllScores = Annotated[
    bool, typer.Option("--all-scores", help="csv, jsonl: the probability of every class too")
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="a submission may have clips that were not read")
]
Sls = Annotated[
    str | None,
    typer.Option(metavar="PT,TL,TD", help="levels of supervision, for epic100, each 0 to 5"),
]
Root = Annotated[str | None, typer.Option(help="where the clips' paths start")]
Split = Annotated[str, typer.Option(help="rows to take, if the manifest has a split column")]
Probe = Annotated[bool, typer.Option(help="open every clip and count its frames")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there already")]
Timeout = Annotated[
    float,
    typer.Option(parser=above_zero, metavar="SECONDS", help="that a file may take without a frame"),
]

Segments = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="of a clip; default: as the test views say")
]
Calibrated = Annotated[
    bool, typer.Option("--calibrated", help="divide logits by the temperature of eval --calibrate")
]
Trusted = Annotated[
    bool, typer.Option("--trusted", help="a .pt2 file may run what it holds when it is opened")
]
GraphRuntime = Annotated[
    Literal["onnx", "openvino", "pt2"] | None,
    typer.Option(help="what scores in place of torch; of a run it is made anew each time"),
]
Workers = Annotated[
    int | None, typer.Option("-j", "--workers", min=0, help="processes that read clips")
]
BatchSize = Annotated[int | None, typer.Option("-b", "--batch-size", min=1, help="clips a process")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; default: what is there")]
Amp = Annotated[
    Literal["auto", "true", "false"] | None,
    typer.Option(help="bfloat16 where it is safe; auto: if it is faster here (default)"),
]
AMP_VALUES: dict[str, bool | Literal["auto"]] = {"auto": "auto", "true": True, "false": False}
"""What the words mean to a recipe."""

Download = Annotated[
    bool, typer.Option("--download", help="fetch published weights that are not here")
]

Executor = Annotated[
    Literal["local", "ray"],
    typer.Option("--executor", help="this machine or a Ray cluster"),
]
Address = Annotated[
    str | None, typer.Option(help="of the Ray cluster; auto: the one this machine is in")
]
Share = Annotated[
    Shard,
    typer.Option(
        "--shard",
        parser=_shard,
        metavar="I/N",
        show_default=False,
        help="do share I of N, from 0; the last joins",
    ),
]
