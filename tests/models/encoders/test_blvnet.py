from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.errors import CheckpointError
from marey.models import TAM, TSM, BLResNetSpec, BLVNetSpec, Head, ModelSpec, TemporalPool
from marey.models.encoders.blvnet import BLVNet
from marey.models.temporal.tam import Aggregation

REFERENCE = TAM(init="reference")


def random_net(tam: TAM | None, num_pairs: int, depth: int = 50) -> BLVNet:
    """A network, in float64, whose every weight matters: norms are not at their start."""
    torch.manual_seed(0)
    net = BLVNetSpec(depth, tam=tam).build((), num_pairs).eval().double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    for name, parameter in net.named_parameters():
        if ".taps." in name:
            nn.init.normal_(parameter, mean=0.3, std=0.5)
    return net


def with_copied_frames(net: BLVNet, clip: Tensor) -> Tensor:
    """The network as upstream writes it: each pair's map is copied into both of its frames."""
    clips, frames = clip.shape[:2]
    x = net.relu(net.bn1(net.conv1(clip.flatten(0, 1))))
    x = over_frames(net, x, frames)
    x = net.fork(x[0::2], x[1::2])
    for stage in (net.layer1, net.layer2, net.layer3):
        x = over_frames(stage, x.repeat_interleave(2, dim=0), frames)
        little, big = stage.little_e(stage.little(x[0::2])), stage.big(x[1::2])
        x = stage.fusion(F.relu(F.interpolate(big, little.shape[2:]) + little))
    return net.avgpool(net.layer4(x)).reshape(clips, frames // 2, -1)


def over_frames(owner: nn.Module, x: Tensor, frames: int) -> Tensor:
    """What the TAM of `owner`, if it has one, makes of all frames."""
    if not hasattr(owner, "stage_in"):
        return x
    pairwise = owner.stage_in
    plain = Aggregation(pairwise.spec, x.shape[1], frames).double()
    plain.load_state_dict(pairwise.state_dict())
    return plain(x)


@pytest.mark.parametrize(
    ("tam", "num_pairs", "height", "width"),
    [
        (TAM(3), 4, 32, 32),
        (TAM(3), 3, 33, 33),
        (TAM(3), 1, 65, 65),
        (TAM(3), 2, 97, 128),
        (TAM(1), 2, 32, 32),
        (TAM(2), 3, 32, 32),
        (TAM(4), 3, 32, 32),
        (TAM(5), 4, 32, 33),
        (TAM(7), 5, 32, 32),
        (TAM(3, "max"), 3, 32, 32),
        (TAM(2, depthwise=False, init="reference"), 2, 32, 32),
        (None, 2, 48, 32),
    ],
    ids=str,
)
@torch.no_grad()
def test_the_pair_form_equals_the_form_with_copied_frames(
    tam: TAM | None, num_pairs: int, height: int, width: int
) -> None:
    net = random_net(tam, num_pairs)
    clip = torch.randn(2, 2 * num_pairs, 3, height, width, dtype=torch.float64)
    features = net(clip)
    assert features.shape == (2, num_pairs, 2048)
    torch.testing.assert_close(features, with_copied_frames(net, clip), rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def net() -> BLVNet:
    return random_net(REFERENCE, 2)


@torch.no_grad()
def test_frames_of_a_pair_have_roles_and_without_tam_pairs_have_no_order(net: BLVNet) -> None:
    clip = torch.randn(1, 4, 3, 32, 32, dtype=torch.float64)
    plain = random_net(None, 2)
    swapped_pairs, swapped_frames = clip[:, [2, 3, 0, 1]], clip[:, [1, 0, 3, 2]]
    for model, ordered in ((net, True), (plain, False)):
        wanted = model(clip).mean(dim=1)
        assert torch.allclose(model(swapped_pairs).mean(dim=1), wanted) is not ordered
        assert not torch.allclose(model(swapped_frames).mean(dim=1), wanted)


def test_there_are_seven_tams_whose_parameters_do_not_depend_on_depth() -> None:
    for depth in (50, 101, 152):
        with torch.device("meta"):
            net = BLVNetSpec(depth).build((), 8)
        added = {n: p.numel() for n, p in net.named_parameters() if ".taps." in n}
        places = {name.rpartition(".taps.")[0] for name in added}
        assert sum(added.values()) == 18_048
        assert len(added) == 21
        assert places == {
            *("stage_in", "layer1.stage_in", "layer2.stage_in", "layer3.stage_in"),
            *("layer4.0.block_in", "layer4.1.residual_in", "layer4.2.residual_in"),
        }


def test_weights_of_eight_pairs_load_into_sixteen_unchanged() -> None:
    with torch.device("meta"):
        eight, sixteen = (
            ModelSpec(BLVNetSpec(50), (), num_segments=pairs, heads=(Head("label", 174),)).build()
            for pairs in (8, 16)
        )
    sixteen.load_state_dict(eight.state_dict(), assign=True)
    assert (eight.frames, sixteen.frames) == (16, 32)
    assert sixteen(torch.empty(1, 32, 3, 32, 32, device="meta"))["label"].shape == (1, 174)


@pytest.mark.parametrize("channels", [3, 10])
def test_an_imagenet_start_loads_every_key_and_leaves_tam_at_its_start(channels: int) -> None:
    torch.manual_seed(1)
    image = BLResNetSpec(50).build((), 1).state_dict()
    assert len(image) == 428 - 2  # less the classifier
    weights = image | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    model = ModelSpec(BLVNetSpec(50, in_channels=channels), num_segments=2).build()
    model.load_encoder(weights)
    state = model.encoder.state_dict()
    same = [name for name in image if torch.equal(state[name], image[name])]
    assert len(same) == len(image) - (channels != 3)
    assert len(state) - len(image) == 21
    for name, tap in state.items():
        if ".taps." in name:
            assert torch.equal(tap, torch.full_like(tap, float(name.endswith(".1"))))
    first = state["conv1.weight"]
    if channels == 10:  # two fields, x and y, five times: the mean over RGB each
        wanted = image["conv1.weight"].mean(dim=1, keepdim=True).expand_as(first)
        torch.testing.assert_close(first, wanted)


def test_weights_of_another_depth_are_an_error() -> None:
    with torch.device("meta"):
        other = BLResNetSpec(101).build((), 1).state_dict()
        model = ModelSpec(BLVNetSpec(50), num_segments=2).build()
        with pytest.raises(CheckpointError, match="weights do not fit the encoder"):
            model.load_encoder(other)


def test_other_ops_see_pairs() -> None:
    with torch.device("meta"):
        ops = (TSM(place="residual_in"), TemporalPool(stage=1))
        net = BLVNetSpec(50, tam=None).build(ops, 4)
        assert net.get_submodule("layer1.big.0.residual_in").num_frames == 4
        assert net.get_submodule("layer2.little.0.residual_in").num_frames == 2
        assert net(torch.empty(2, 8, 3, 32, 32)).shape == (2, 2, 2048)


def test_a_second_op_in_the_place_of_its_tam_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"TAM\(.*\) and _TAMOfPairs\(.*both want the site"):
        BLVNetSpec(50).build((TAM(),), 4)


def test_print_shows_pairs_and_taps() -> None:
    with torch.device("meta"):
        shown = str(BLVNetSpec(50, tam=TAM(5)).build((), 4))
    assert "(stage_in): Aggregation(\n    num_frames=4, TAM(taps=5" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 18}, r"depth is 18, expected one of \(50, 101, 152\)"),
        ({"alpha": 3}, "alpha is 3, expected a divisor of 64"),
        ({"beta": 0}, "beta is 0, expected at least 1"),
    ],
)
def test_an_impossible_spec_is_an_error(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BLVNetSpec(**arguments)  # type: ignore[arg-type]


def test_a_thin_net_has_the_published_layers_at_a_share_of_their_width() -> None:
    thin, full = (BLVNetSpec(50, channels=c).build((), 2).state_dict() for c in (16, 64))
    assert list(thin) == list(full)
    assert {(len(full[key]) // len(thin[key])) for key in thin if key.endswith("conv2.weight")} == {
        4
    }
