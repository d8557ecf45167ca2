"""What every test may ask for: the shared folders, or a reason to skip."""

from __future__ import annotations

import multiprocessing.forkserver as forks
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.changed import ROOT, changed_files, chosen_tests

# Two test processes with a thread per core each wait for one another more than they work. It is set
# before torch is imported, and what the tests start inherits it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Workers of xdist have it, and rich would keep it from then on; a test may set it for itself.
os.environ.pop("COLUMNS", None)

# How long an example takes is a matter of the machine and of what else runs on it. Examples are the
# same ones every time, so that a change is judged by what it changes; MAREY_EXPLORE=1 draws others.
settings.register_profile(
    "marey",
    deadline=None,
    derandomize="MAREY_EXPLORE" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("marey")

SHARED = ROOT.parent / "shared"
WORK = (
    "marey.data.checks.probe",
    "marey.data.packs.pack_clips",
    "marey.data.prepare.prepare",
    "marey.engine.gallery.looks",
)
"""The modules whose functions processes of this machine are asked for."""


def goldens() -> Path:
    """The folder of golden numbers: `MAREY_GOLDENS`, else beside the checkout."""
    return Path(os.environ.get("MAREY_GOLDENS", SHARED / "goldens"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Features and weights are kept in a folder of the tests, not in that of the user."""
    os.environ["MAREY_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def goldens_dir() -> Path:
    if not goldens().is_dir():
        pytest.skip(f"no goldens at {goldens()}; set MAREY_GOLDENS")
    return goldens()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real clips and annotations (never part of the repository)."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no shared data at {SHARED}")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def workers_find_their_modules_loaded() -> Iterator[None]:
    """What forks workers loads what any test asks them to do: a command asks for one thing only."""
    load = forks.set_forkserver_preload
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forks, "set_forkserver_preload", lambda names: load([*names, *WORK]))
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_is_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What frozen encoders gave is not kept among what people keep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAREY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--changed", action="store_true", help="only the tests of what differs from main"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--changed"):
        return
    paths = {item: item.path.relative_to(ROOT).as_posix() for item in items}
    chosen = chosen_tests(changed_files(), paths.values())
    config.hook.pytest_deselected(items=[item for item in items if paths[item] not in chosen])
    items[:] = [item for item in items if paths[item] in chosen]
