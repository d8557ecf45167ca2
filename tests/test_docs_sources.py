"""docs/sources.md: its commands, code and recipe are true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from marey.data.loading.mixing import Mixed
from marey.data.loading.samplers import ClassBalanced
from marey.data.manifest.read import read_manifest
from marey.recipes.catalog import find
from marey.recipes.recipe import DataSpec
from marey.recipes.schema import from_yaml, override
from marey.storage import asking, blocks
from marey.storage import url as urls
from marey.video.reading import jpeg, media_file, pixels
from tests.test_docs import DOCS, run

TEXT = (DOCS / "sources.md").read_text(encoding="utf-8")
BASH = [block.replace("\\\n", " ") for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)]


def test_a_manifest_is_converted_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("manifest.csv").write_text("path,label,split\na.mp4,0,train\nb.mp4,1,val\n")
    run(BASH[0])
    assert read_manifest("manifest.arrow").digest() == read_manifest("manifest.csv").digest()


def test_the_mixture_of_the_command_is_the_one_described() -> None:
    words = shlex.split(BASH[1])
    assert words[:3] == ["marey", "train", "tsm-r50"]
    recipe = override(find("tsm-r50"), [words[-1]])
    weights = (("real", 1.0), ("synthetic", 0.5))
    assert recipe.stages[0].sampler == Mixed(weights, ClassBalanced())


def test_the_data_of_the_recipe_are_read() -> None:
    (block,) = re.findall(r"```yaml\ndata:\n(.*?)```", TEXT, re.DOTALL)
    lines = "\n".join(line[2:] for line in block.splitlines())
    assert from_yaml(DataSpec, lines).roots == (("synthetic", "s3://bucket/made"),)


def test_the_numbers_are_those_of_the_code() -> None:
    assert urls.WHOLE == blocks.BLOCK * blocks.MAX_BLOCKS == 32 << 20
    assert "up to\n32 MiB is read at once" in TEXT
    assert asking.TRIES == 3
    assert asking.Patience(60, 10, 20, 64 << 10) == asking.Patience()
    assert (pixels.MOST_PIXELS, pixels.LONGEST) == (134_217_728, 256)
    assert (media_file.MOST_UNUSED, jpeg.MOST_BYTES) == (128 << 20, 512 << 20)
