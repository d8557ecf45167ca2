"""What docs/export.md says."""

from __future__ import annotations

from tests.test_docs import commands
from tests.test_docs_seeds import parsed


def test_every_command_parses() -> None:
    names = [parsed(command)[0] for command in commands("export.md")]
    assert {*names} == {"export", "predict", "eval", "stream"}
    assert names.count("export") == 6
