"""The site of the documentation: `make docs`, or `python docs/build.py OUT`.

The pages are those of this folder and the README. What follows from the code is made of it: the
commands of their `--help`, the Python interface and the papers' equations of docstrings. A link
that leads nowhere ends the build. Nothing is fetched: it needs `pip install 'marey[docs]'` alone.

    OUT/pages    Markdown, whole
    OUT/html     the site; llms.txt lists its pages in words, each beside its Markdown
"""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

import marey

ROOT = Path(__file__).resolve().parents[1]
GUESTS = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Pages that do not lie in docs/, and what they are called on the site."""
PAPERS = {
    "Ways to look at time": "models.temporal",
    "Networks": "models.encoders",
    "Learning from unequal classes": "longtail",
}
"""Title -> the room whose modules have a paper each."""


def main(words: Sequence[str]) -> None:
    """Build the site in the folder that is named."""
    (out,) = map(Path, words or ["build/docs"])
    shutil.rmtree(out, ignore_errors=True)
    pages = out / "pages"
    shutil.copytree(ROOT / "docs", pages, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for guest, name in GUESTS.items():
        (pages / name).write_text((ROOT / guest).read_text("utf-8"), "utf-8")
    (pages / "python.md").write_text(python_page(), "utf-8")
    (pages / "papers.md").write_text(papers_page(), "utf-8")
    for page in pages.glob("*.md"):
        page.write_text(with_links_of_the_site(page.read_text("utf-8")), "utf-8")
    commands = ("-m", "typer", "marey.cli.app", "utils", "docs", "--name", "marey")
    run(sys.executable, *commands, "--title", "Commands", "--output", pages / "commands.md")
    for file in ("mkdocs.yml", "docs/examples_fenced.py"):
        shutil.copy(ROOT / file, out)
    run(sys.executable, "-m", "zensical", "build", "--strict", "-f", out / "mkdocs.yml")
    for page in pages.glob("*.md"):
        shutil.copy(page, out / "html")
    (out / "html" / "llms.txt").write_text(llms_text(pages), "utf-8")


def run(*words: str | Path) -> None:
    """Run a command; one that fails shows what it said, and ends the build."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.exit(done.stdout.decode(errors="replace"))


def with_links_of_the_site(text: str) -> str:
    """The links of a page, which lead to files of the repository, as those of the site."""
    text = re.sub(r"\]\((?:\.\./)?docs/", "](", text)
    for guest, name in GUESTS.items():
        text = re.sub(rf"\]\((?:\.\./)?{re.escape(guest)}", f"]({name}", text)
    return text


def python_page() -> str:
    """The public names, by their docstrings."""
    about = "What `import marey` offers; a name is loaded when it is first used."
    return f"# Python\n\n{about}\n\n" + "\n".join(f"::: marey.{name}\n" for name in marey.__all__)


def papers_page() -> str:
    """What each module of a paper says of it, in the module's own words."""
    return "".join(_papers())


def _papers() -> Iterator[str]:
    yield "# The papers, their equations, what differs\n\n"
    yield "What marey does otherwise than a paper, or its code, is marked **Deviates**.\n\n"
    for title, room in PAPERS.items():
        yield f"## {title}\n\n"
        folder = ROOT / "marey" / Path(*room.split("."))
        for file in sorted(folder.glob("[a-z]*.py")):
            about = importlib.import_module(f"marey.{room}.{file.stem}").__doc__ or ""
            first, _, rest = about.partition("\n")
            if "arXiv" in about:
                yield f"### {first.rstrip('.')}\n\n`{file.relative_to(ROOT)}`\n\n{rest}\n"


def llms_text(pages: Path) -> str:
    """The pages by their first sentences, for readers that are machines (llmstxt.org)."""
    lines = ["# marey", "", f"> {marey.__doc__.splitlines()[0]}", ""]
    for section in yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]:
        for title, entries in section.items():
            entries = [{title: entries}] if isinstance(entries, str) else entries
            lines += [f"## {title}", ""]
            for entry in entries:
                for name, page in entry.items():
                    lines.append(f"- [{name}]({page}): {first_sentence(pages / page)}")
            lines.append("")
    return "\n".join(lines)


def first_sentence(page: Path) -> str:
    """That of the first paragraph of a page."""
    paragraphs = page.read_text("utf-8").split("\n\n")
    words = next((p for p in paragraphs if p[:1].isalpha() or p[:1] == "`"), "")
    return re.split(r"(?<=\.)\s", " ".join(words.split()))[0].rstrip(":")


if __name__ == "__main__":
    main(sys.argv[1:])
