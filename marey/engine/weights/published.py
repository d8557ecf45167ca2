"""Files of weights as their authors publish them: where one lies on this machine, how it is had.

All lie in the folder that MAREY_WEIGHTS names, else in the cache (`marey.storage.cache`):

    resnet50-0676ba61.pth        as published
    releases/tsm-r50-8f-k400/    what `marey weights get` made of such a file, to predict with

A file is looked for in both, in the cache of torch.hub and in installed packages; only `fetch` goes
to the network. Where a name ends in the first digits, eight or more, of the file's SHA-256, as
torchvision's, timm's and mmaction2's do, they are verified wherever it lies.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import urlsplit

import torch

from marey.errors import CheckpointError
from marey.storage.atomic import make_folder, run_error
from marey.storage.cache import cache_home, missing_folder, named_folder
from marey.storage.download import Progress, download

MOST = 4 << 30
"""Bytes of a file whose size is not published."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file of weights, and what is known of it; each fact stands in `source`.

    Args:
        name: by which it is asked for: that of a recipe, or of a network.
        file: its name; empty where only the page that links it tells.
        older: a name that it had before.
        url: of the file itself.
        page: where a person gets it by hand, if there is no plain download.
        mebibytes: its size, if that is published.
        licence: of the code base that publishes it.
        source: where these facts were read.
        also: other recipes that are of the same file.
        labels: the data set whose class names are its classes', in this order.
        settings: what its tensors do not tell, as `marey convert --set` takes it.
    """

    name: str
    file: str = ""
    older: str = ""
    url: str = ""
    page: str = ""
    mebibytes: float | None = None
    licence: str = ""
    source: str = ""
    also: tuple[str, ...] = ()
    labels: str = ""
    settings: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every name that the file may have."""
        return tuple(filter(None, (self.file, self.older)))

    @property
    def digits(self) -> tuple[str, ...]:
        """The first digits of its SHA-256, by each of its names that has them."""
        found = (re.search(r"-([0-9a-f]{8,64})\.\w+$", file) for file in self.files)
        return tuple(match[1] for match in found if match)

    @property
    def size(self) -> str:
        """How large it is, in words."""
        return f"{self.mebibytes:.0f} MiB" if self.mebibytes else "size unpublished"

    @property
    def how(self) -> str:
        """How to get it, in words."""
        if self.url:
            return f"marey weights get {self.name}, or from {self.url}"
        return f"by hand: {self.page}"

    @property
    def about(self) -> str:
        """What is fetched, how much and from where."""
        licence = f", licence {self.licence}" if self.licence else ""
        checked = "" if self.digits else ", no checksum published"
        return f"{self.file} ({self.size}{licence}{checked}) from {urlsplit(self.url).hostname}"


def cache_folder() -> Path:
    """Where downloads go, and where a person may put a file."""
    return named_folder("MAREY_WEIGHTS") or cache_home()


def find(published: PublishedFile) -> Path:
    """Where the file lies on this machine, its checksum verified; nothing is downloaded.

    Raises:
        CheckpointError: it is not here, and where to put it; or it is damaged.
    """
    if (path := local_file(published)) is not None:
        return path
    raise CheckpointError(
        f"the weights {published.file or published.name} are not on this machine"
        f"{missing_folder('MAREY_WEIGHTS')}",
        f"get them ({published.how}) and put the file into {cache_folder()}",
    )


def local_file(published: PublishedFile) -> Path | None:
    """Where the file lies, or None; CheckpointError if it is damaged."""
    path = next((path for path in _candidates(published) if path.is_file()), None)
    if path is not None:
        _verify(path, published)
    return path


def fetch(
    published: PublishedFile, folder: Path | None = None, *, progress: Progress | None = None
) -> Path:
    """Download the file into `folder`, by default the cache; the path, once it is checked.

    progress: called with bytes (done, total).

    Raises:
        CheckpointError: there is no plain download, no network, or another file at its place.
    """
    folder = folder or cache_folder()
    if not published.url:
        raise CheckpointError(
            f"{published.file or published.name} is not to be had by a plain download",
            f"get it ({published.how}) and put it into {folder}",
        )
    path = folder / published.file
    if path.is_file():
        _verify(path, published)
        return path
    make_folder(folder, run_error)
    most = MOST if published.mebibytes is None else int(published.mebibytes * 1.1 * 2**20)
    try:
        download(published.url, path, most=most, digits=published.digits, progress=progress)
    except OSError as error:
        raise CheckpointError(
            f"{published.url} could not be downloaded: {error.strerror}",
            f"fetch {published.file} where there is a network and put it into {folder}",
        ) from error
    return path


def _candidates(published: PublishedFile) -> Iterator[Path]:
    folders = cache_folder(), cache_home(), Path(torch.hub.get_dir()) / "checkpoints"
    for folder in folders:
        yield from (folder / file for file in published.files)
    packaged = _packaged()
    yield from (packaged[file] for file in published.files if file in packaged)


@cache
def _packaged() -> Mapping[str, Path]:
    """Name -> path, of the files of weights in installed packages; looked for once, in a second."""
    return {
        file.name: Path(str(distribution.locate_file(file)))
        for distribution in distributions()
        for file in distribution.files or ()
        if file.suffix in (".pth", ".tar")
    }


def _verify(path: Path, published: PublishedFile) -> None:
    if not published.digits:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(published.digits):
        raise CheckpointError(
            f"{path} is not {published.file}: its SHA-256 begins with {digest[:8]}, "
            f"expected {published.digits[0]}",
            "it is cut short or another file; delete it and get it again",
        )
