"""Training that keeps recipes: the same numbers, statistics counted once, fewer bytes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.memory import kept_bytes
from marey.models import VideoModel
from marey.models.layers import conv
from marey.models.layout import channels_last
from marey.models.recomputing import recomputed
from tests.laws.kinds import KINDS, random_clip, random_model

NAMES = ("tsm", "gc-tdn", "tsn-mobilenet", "blvnet-tam")


def _as_it_is(_: VideoModel) -> None:
    pass


def _some_norms_fixed(model: VideoModel) -> None:
    """As partial batch norm: all but the first evaluate, and learn."""
    for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)][1:]:
        norm.eval()


def _some_weights_fixed(model: VideoModel) -> None:
    for number, parameter in enumerate(model.encoder.parameters()):
        parameter.requires_grad_(number % 3 != 0)


def _stored_channels_last(model: VideoModel) -> None:
    channels_last(model)


@pytest.mark.parametrize(
    "prepare", [_as_it_is, _some_norms_fixed, _some_weights_fixed, _stored_channels_last]
)
@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_the_same(name: str, prepare: Callable[[VideoModel], None]) -> None:
    one, other = random_model(KINDS[name]).train(), random_model(KINDS[name]).train()
    clip = random_clip(one.spec, batch=2)
    losses = []
    for model in (one, other):
        prepare(model)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1  # by which a batch that is counted twice is told
        torch.manual_seed(3)
        with recomputed() if model is other else nullcontext():
            losses.append(model(clip)["label"].square().sum())
        losses[-1].backward()
    assert torch.equal(*losses)
    # rounding is that of the largest numbers: in front of a norm gradients cancel to almost nothing
    largest = max(p.grad.abs().max().item() for p in one.parameters() if p.grad is not None)
    for (key, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), key
        if a.grad is not None and b.grad is not None:
            assert (a.grad - b.grad).abs().max().item() < 1e-12 * largest, key
    for (key, counted), again in zip(one.named_buffers(), other.buffers(), strict=True):
        assert torch.equal(counted, again), key


def test_less_is_kept_of_a_network_of_pairs() -> None:
    model = random_model(KINDS["blvnet-tam"]).train()
    clip = random_clip(model.spec, batch=2)

    def kept() -> int:
        return kept_bytes(lambda: model(clip), model, given=[clip])

    whole = kept()
    with recomputed():
        assert kept() < 0.75 * whole


class _Row(nn.Module):
    """Two convolutions with a norm and a ReLU between them."""

    def __init__(self, *, inplace: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.last = conv(3, 4, 3), nn.BatchNorm2d(4), conv(4, 2, 3)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.relu(self.norm(self.first(x))))
        return y


X = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("inplace", [True, False])
def test_what_the_relu_made_is_not_kept(inplace: bool) -> None:
    row = _Row(inplace=inplace)
    row(X)
    one_map, few = 4 * 4 * 6 * 6 * 4, 500

    def kept() -> int:
        return kept_bytes(lambda: row(X).sum(), row, given=[X])

    assert 2 * one_map <= kept() < 2 * one_map + few
    with recomputed():
        assert one_map <= kept() < one_map + few


def _gradients(row: _Row, loss: Callable[[_Row], Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(loss(row), list(row.parameters())))


def _written_to(row: _Row) -> Tensor:
    y = F.relu(row.norm(row.first(X)))
    with torch.no_grad():
        y.add_(1)  # before the convolution has it
    out: Tensor = row.last(y).square().sum()
    return out


def _in_parts(row: _Row) -> Tensor:
    y = row.relu(row.norm(row.first(X)))
    return torch.stack([row.last(part).square() for part in y.view(2, 2, *y.shape[1:])]).sum()


def _twice(row: _Row) -> Tensor:
    y = row.relu(row.norm(row.first(X)))
    out: Tensor = (row.last(y) * row.last(y.flip(0)) * row.last(y)).sum()
    return out


@pytest.mark.parametrize("loss", [_in_parts, _twice])
def test_parts_and_several_layers_behind(loss: Callable[[_Row], Tensor]) -> None:
    expected = _gradients(_Row(), loss)
    with recomputed():
        found = _gradients(_Row(), loss)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_what_was_written_to_is_kept_as_it_is() -> None:
    row = _Row()
    y = F.relu(row.norm(row.first(X))) + 1
    expected = torch.autograd.grad(row.last(y).square().sum(), row.last.weight)
    row = _Row()
    with recomputed():
        found = torch.autograd.grad(_written_to(row), row.last.weight)
    torch.testing.assert_close(found, expected)


def test_backward_may_be_asked_again() -> None:
    row = _Row()
    with recomputed():
        loss = row(X).square().sum()
    first = torch.autograd.grad(loss, list(row.parameters()), retain_graph=True)
    again = torch.autograd.grad(loss, list(row.parameters()))
    assert all(map(torch.equal, first, again))


def test_gradients_of_gradients() -> None:
    row = _Row().double()

    def both(x: Tensor) -> list[Tensor]:
        (gradient,) = torch.autograd.grad(row(x).square().sum(), x, create_graph=True)
        return list(torch.autograd.grad(gradient.square().sum(), list(row.parameters())))

    x = X.double().requires_grad_()
    expected = both(x)
    with recomputed():
        found = both(x)
    torch.testing.assert_close(found, expected)


def test_in_bfloat16() -> None:
    grads = []
    for context in (nullcontext(), recomputed()):
        row = _Row()
        with context, torch.autocast("cpu", torch.bfloat16):
            loss = row(X).float().square().sum()
        grads.append(torch.autograd.grad(loss, list(row.parameters())))
    torch.testing.assert_close(*grads, rtol=2e-2, atol=2e-2)


def test_all_is_let_go() -> None:
    row = _Row()
    made: list[weakref.ref[Tensor]] = []
    row.first.register_forward_hook(lambda _, __, y: made.append(weakref.ref(y)))
    gc.disable()
    try:
        with recomputed():
            loss = row(X).sum()
        loss.backward()
        del loss
        assert made[0]() is None
    finally:
        gc.enable()


def test_evaluation_is_untouched() -> None:
    row = _Row().eval()
    with torch.no_grad():
        expected = row(X)
        with recomputed():
            assert torch.equal(row(X), expected)


def test_in_processes_that_share_gradients(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        row = _Row()
        shared = DistributedDataParallel(row)
        with recomputed():
            loss = shared(X).square().sum()
        loss.backward()
        expected = _gradients(_Row(), lambda alone: alone(X).square().sum())
        found = [p.grad for p in row.parameters()]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    finally:
        dist.destroy_process_group()
