"""The official weights are found, verified, fetched on request only, and asked for by name."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import torch

from marey.convert.convert import convert
from marey.convert.repository import Settings
from marey.engine.inference.predict import load
from marey.engine.train.loop import train
from marey.engine.weights import published
from marey.engine.weights.checkpoint import load_weights
from marey.engine.weights.imagenet import OFFICIAL, official_for
from marey.engine.weights.published import PublishedFile, fetch, find
from marey.engine.weights.starting import initialize
from marey.errors import CheckpointError
from marey.models import TSM, GroupContext, Head, MobileNetV2Spec, ModelSpec, ResNetSpec
from marey.models.encoder import Encoder
from marey.models.encoders.blresnet import BLResNetSpec
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.features import FeaturesSpec
from marey.models.encoders.i3d import I3DResNetSpec
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.encoders.tdn import TDNSpec
from marey.recipes.catalog import find as recipe
from marey.recipes.catalog import rows
from marey.storage import download
from tests.convert.upstream import tsm_resnet
from tests.tiny import TinySpec, tiny_recipe, write_set

CONTENT = b"weights"
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No weights but those of the test: neither this user's nor an installed package's."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("MAREY_WEIGHTS", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(published, "_packaged", dict)
    monkeypatch.setattr(download, "WAIT_SECONDS", 0)
    return folder


@dataclass(frozen=True)
class Served:
    """A file on a server of this machine, and what was asked of it."""

    official: PublishedFile
    requests: list[str]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder, requests = tmp_path / "served", []
    folder.mkdir()
    (folder / f"net-{DIGITS}.pth").write_bytes(CONTENT)

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_: object) -> None:
            requests.append(self.path)

    server = HTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/net-{DIGITS}.pth"
    yield Served(PublishedFile(name="net", file=f"net-{DIGITS}.pth", url=url), requests)
    server.shutdown()
    server.server_close()


def test_a_download_is_checked_and_then_found(served: Served, nowhere: Path) -> None:
    official = served.official
    with pytest.raises(CheckpointError, match="are not on this machine.*marey weights get net"):
        find(official)
    assert not served.requests  # nothing is downloaded unless asked for
    path = fetch(official)
    assert path == nowhere / official.file
    assert path.read_bytes() == CONTENT
    assert find(official) == fetch(official) == path
    assert served.requests == [f"/{official.file}"]
    assert [p.name for p in nowhere.iterdir()] == [official.file]


def test_a_download_shows_how_far_it_is(served: Served, tmp_path: Path) -> None:
    seen = []
    fetch(served.official, tmp_path / "new" / "folder", progress=lambda *at: seen.append(at))
    assert seen == [(0, len(CONTENT)), (len(CONTENT), len(CONTENT))]


def test_a_download_with_another_checksum_is_thrown_away(served: Served, nowhere: Path) -> None:
    wrong = PublishedFile(name="net", file="net-00000000.pth", url=served.official.url)
    with pytest.raises(
        CheckpointError, match=f"begins with {DIGITS}, expected 00000000.*hint: fetch"
    ):
        fetch(wrong)
    assert not any(nowhere.iterdir())


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/w.pth", "http://127.0.0.1:9999999/w.pth", "http://127.0.0.1:x/w.pth"],
)
def test_without_a_network_it_is_said_where_to_put_the_file(url: str, nowhere: Path) -> None:
    file = f"net-{DIGITS}.pth"
    said = f"could not be downloaded.*fetch {file} .* put it into {nowhere}"
    with pytest.raises(CheckpointError, match=said):
        fetch(PublishedFile(name="net", file=file, url=url))


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch, nowhere: Path) -> None:
    monkeypatch.setenv("MAREY_STORE_SECONDS", "0.2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/w.pth"
        with pytest.raises(CheckpointError, match="could not be downloaded: .*timed out"):
            fetch(PublishedFile(name="net", file=f"net-{DIGITS}.pth", url=url))
    assert socket.getdefaulttimeout() is None


def test_a_damaged_file_is_refused_where_it_lies(served: Served, nowhere: Path) -> None:
    (nowhere / served.official.file).write_bytes(b"cut short")
    for use in (find, fetch):
        with pytest.raises(CheckpointError, match="cut short or another file"):
            use(served.official)


def test_the_cache_of_torch_hub_and_older_names_are_looked_at(tmp_path: Path) -> None:
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / f"net-{DIGITS}.pth").write_bytes(CONTENT)
    newer = PublishedFile(
        name="net", file="net-11111111.pth", older=f"net-{DIGITS}.pth", url="http://127.0.0.1:9"
    )
    assert find(newer) == cache / f"net-{DIGITS}.pth"


@pytest.mark.parametrize(
    ("encoder", "file"),
    [
        (ResNetSpec(18), "resnet18-f37072fd.pth"),
        (ResNetSpec(50), "resnet50-0676ba61.pth"),
        (ResNetSpec(50, in_channels=10), "resnet50-0676ba61.pth"),
        (ResNetSpec(50, 32, 4), "resnext50_32x4d-7cdf4587.pth"),
        (ResNetSpec(101, 32, 8), "resnext101_32x8d-8ba56ff5.pth"),
        (ResNetSpec(101, 1, 128), "wide_resnet101_2-32ee1156.pth"),
        (TDNSpec(101), "resnet101-63fe2227.pth"),
        (I3DResNetSpec(50), "resnet50-0676ba61.pth"),
        (MobileNetV2Spec(), "mobilenet_v2-b0353104.pth"),
        (BLVNetSpec(101), "ImageNet-bLResNet-101-a2-b4.pth.tar"),
        (MotionformerSpec(), "jx_vit_base_p16_224-80ecf9dd.pth"),
        (MotionformerSpec(depth=24, width=1024, num_heads=16), "jx_vit_large_p16_224-4ee7a4dc.pth"),
    ],
)
def test_each_encoder_has_its_file(encoder: Encoder, file: str) -> None:
    assert official_for(encoder).file == file
    with pytest.raises(CheckpointError, match=f"{file} are not on this machine"):
        find(official_for(encoder))


def test_what_has_no_plain_download_is_listed_and_says_how_it_is_had(tmp_path: Path) -> None:
    official = OFFICIAL["bLResNet-50-a2-b4"]
    assert official == official_for(BLVNetSpec(50))
    with pytest.raises(CheckpointError, match=r"plain download.*by hand: the README of IBM/BigLi"):
        fetch(official, tmp_path)
    with pytest.raises(
        CheckpointError, match=r"get them \(by hand: the README of IBM/BigLittleNet"
    ):
        find(official)


@pytest.mark.parametrize(
    "encoder",
    [
        MobileNetV2Spec(0.5),
        MotionformerSpec(depth=2),
        TinySpec(),
        ResNetSpec(26),
        BLVNetSpec(152),  # it was never released, and neither was another alpha or beta
        BLVNetSpec(50, alpha=4, beta=2),
        *(spec(50, channels=16) for spec in (ResNetSpec, TDNSpec, BLVNetSpec, BLResNetSpec)),
    ],
    ids=str,
)
def test_an_encoder_without_official_weights_says_so(encoder: Encoder) -> None:
    with pytest.raises(CheckpointError, match="no official ImageNet weights for .*--weights FILE"):
        official_for(encoder)


def test_every_row_that_starts_from_imagenet_has_a_file() -> None:
    for row in rows().values():
        if row.weights == "imagenet":
            assert official_for(row.model.encoder).file


def test_training_without_the_weights_stops_before_a_run_exists(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "clips", per_class=1, val_per_class=1)
    for name, message in (
        ("tsm-r50-8f-k400", "resnet50-0676ba61.pth are not on this machine"),
        ("tsm-r50-8f-ucf101", "starts from the weights of tsm-r50-8f-k400.*--weights FILE"),
    ):
        row = recipe(name).with_data(str(manifest))
        row = replace(row, model=replace(row.model, heads=()))
        with pytest.raises(CheckpointError, match=message):
            train(row, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_run_may_start_from_a_file_and_says_so(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "clips", per_class=1, val_per_class=1)
    tiny = tiny_recipe(manifest, epochs=1, batch_size=2)
    first = train(tiny, tmp_path / "first", quiet=True)
    checkpoint = first / "checkpoints" / "last.pt"
    run = train(replace(tiny, weights=str(checkpoint)), tmp_path / "second", quiet=True)
    assert f"weights from {checkpoint}" in (run / "train.log").read_text()


def test_a_model_of_one_label_starts_one_of_two_and_heads_are_fresh(tmp_path: Path) -> None:
    one = ModelSpec(TinySpec(), (), num_segments=2, heads=(Head("label", 4),)).build()
    torch.save({"state_dict": one.state_dict()}, tmp_path / "one.pt")
    two = ModelSpec(
        TinySpec(), (), num_segments=2, heads=(Head("verb", 4), Head("noun", 5))
    ).build()
    said = initialize(two, tmp_path / "one.pt")
    assert "without heads.verb.weight" in said
    assert "heads.label.bias" in said
    assert torch.equal(two.encoder.conv1.weight, one.encoder.conv1.weight)


def test_a_linear_model_of_features_has_heads_alone_and_starts_another(tmp_path: Path) -> None:
    spec = ModelSpec(FeaturesSpec(6), (), num_segments=1, heads=(Head("label", 4),))
    one, other = spec.build(), spec.build()
    torch.save({"state_dict": one.state_dict()}, tmp_path / "one.pt")
    initialize(other, tmp_path / "one.pt")
    assert torch.equal(other.heads["label"].weight, one.heads["label"].weight)
    torch.save({"conv1.weight": torch.ones(1, 3, 3, 3)}, tmp_path / "picture.pt")
    with pytest.raises(CheckpointError, match="do not fit the encoder: 1 unmatched: conv1.weight"):
        initialize(other, tmp_path / "picture.pt")


def test_a_run_may_start_from_what_was_converted_but_not_from_what_was_not(tmp_path: Path) -> None:
    model = ModelSpec(
        ResNetSpec(18, channels=16), (TSM(),), num_segments=2, heads=(Head("label", 4),)
    ).build()
    upstream = {tsm_resnet(name): weight for name, weight in model.state_dict().items()}
    torch.save(upstream, tmp_path / "theirs.pth")
    convert(
        tmp_path / "theirs.pth", tmp_path / "ours", settings=Settings(num_segments=2, shift_div=8)
    )
    other = ModelSpec(
        ResNetSpec(18, channels=16), (TSM(),), num_segments=4, heads=(Head("label", 4),)
    ).build()
    assert initialize(other, tmp_path / "ours") == f"weights from {tmp_path / 'ours'}"
    assert torch.equal(other.encoder.conv1.weight, model.encoder.conv1.weight)
    with pytest.raises(CheckpointError, match="unmatched.*marey convert reads those of others"):
        initialize(other, tmp_path / "theirs.pth")


def test_a_model_without_the_op_starts_one_with_it_and_the_rest_is_said(tmp_path: Path) -> None:
    heads = (Head("label", 3),)
    thin = ResNetSpec(18, channels=16)
    plain = ModelSpec(thin, (TSM(),), num_segments=2, heads=heads).build()
    torch.save(plain.state_dict(), tmp_path / "tsm.pth")
    calibrated = ModelSpec(
        thin, (TSM(), GroupContext(site="after_bn1")), num_segments=2, heads=heads
    )
    model = calibrated.build()
    said = initialize(model, tmp_path / "tsm.pth")
    assert "without what the temporal ops added (" in said
    assert torch.equal(model.encoder.conv1.weight, plain.encoder.conv1.weight)


@pytest.fixture(scope="module")
def mobilenet(shared_dir: Path) -> Path:
    path = shared_dir / "data" / "weights" / OFFICIAL["mobilenet_v2"].file
    if not path.is_file():
        pytest.skip(f"no weights at {path}")
    return path


REDBONE = 169
"""One of ImageNet's classes 151 to 268, which are breeds of dogs."""


def test_the_real_mobilenet_sees_the_dog_in_a_real_film(
    mobilenet: Path, shared_dir: Path, tmp_path: Path
) -> None:
    film = shared_dir / "data" / "media" / "hiera" / "examples" / "vid" / "dog.mp4"
    if not film.is_file():
        pytest.skip(f"no film at {film}")
    found = convert(mobilenet, tmp_path / "release")
    assert (found.repository, found.num_tensors, found.dropped) == ("torchvision", 314, ())
    best = load(tmp_path / "release").predict(film, top=1)[0]
    assert best["label"] == str(REDBONE)
    assert best["score"] == pytest.approx(0.739, abs=0.02)


def test_the_real_mobilenet_is_found_and_fills_every_tensor(
    mobilenet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAREY_WEIGHTS", str(mobilenet.parent))
    spec = ModelSpec(MobileNetV2Spec(), (TSM(),), num_segments=2, heads=(Head("label", 3),))
    path = find(official_for(spec.encoder))
    assert path == mobilenet
    model = spec.build()
    assert initialize(model, path) == f"encoder from {path}"
    own = model.encoder.state_dict()
    for name, weight in load_weights(path).items():
        if not name.startswith("classifier."):
            assert torch.equal(own[name], weight), name
