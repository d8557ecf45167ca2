"""The site of the documentation: no link leads nowhere, all pages are in it, nothing is fetched."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.changed import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "site"
    build = [sys.executable, ROOT / "docs" / "build.py", out]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def pages_of_the_nav(nav: list[object]) -> set[str]:
    names = set()
    for entry in nav:
        assert isinstance(entry, dict)
        for value in entry.values():
            names |= {value} if isinstance(value, str) else pages_of_the_nav(value)
    return names


def test_every_page_is_in_the_navigation_and_in_llms_txt(site: Path) -> None:
    pages = {page.name for page in (site / "pages").glob("*.md")}
    assert pages_of_the_nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]) == pages
    listed = re.findall(
        r"^- \[.+\]\((.+\.md)\): .+", (site / "html" / "llms.txt").read_text(), re.M
    )
    assert set(listed) == pages
    assert all((site / "html" / name).is_file() for name in pages)


def test_pages_fetch_nothing(site: Path) -> None:
    for page in (site / "html").rglob("*.html"):
        fetched = re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text()
        )
        assert not fetched, page.name


def test_reference_is_made_of_help_docstrings_and_papers(site: Path) -> None:
    commands, python, papers = (
        (site / "html" / f"{name}.html").read_text() for name in ("commands", "python", "papers")
    )
    assert "marey data init" in commands
    assert "--manifest" in commands
    assert 'id="marey.train"' in python
    assert "arXiv 1811.08383" in papers
    assert "Deviates" in papers
