"""How every query looks at each frame apart: exactly, or by one of three approximations.

    z[f, s] = sum_p softmax_p(q[s] . k[f, p] / sqrt(d)) v[f, p]     S queries, P keys in a frame

Trajectory attention (arXiv 2106.05392) needs all F x S of them, which costs S x S. With L << S
landmarks, or m random features, it costs S x L:

    Orthoformer  softmax(q l') softmax_p(l k') v               l: L queries, almost orthogonal
    Nystrom      softmax(q k~') pinv(softmax(q~ k~')) softmax_p(q~ k') v     arXiv 2102.03902
    Performer    phi(q) (phi(k)' v) / phi(q) sum_p phi(k)      arXiv 2009.14794 (FAVOR+)

q~ and k~ are means of runs of tokens. The approximations have no weights: a model trained with one
of them can be tested with another, or exactly.

**Deviates**: the release crashes with Nystrom and with Performer before it computes anything; here
they do what its functions compute. Its Orthoformer starts from a random query, also in test, so its
scores change from run to run; here it starts from the first one unless `start` is "random". Its
Performer draws new features from the sum of all queries, which ties the clips of a batch together;
here they are drawn once, from `seed`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.layout import split_axis
from marey.types import check_choices, check_counts, check_numbers


@dataclass(frozen=True)
class Exact:
    """No approximation."""

    def build(self, head_width: int) -> ExactAttention:  # noqa: ARG002
        """The module."""
        return ExactAttention()


@dataclass(frozen=True)
class Orthoformer:
    """Through the `landmarks` queries that are the least alike, found one after the other."""

    landmarks: int = 128
    start: Literal["first", "random"] = "first"

    def __post_init__(self) -> None:
        check_choices(self)
        check_counts(landmarks=self.landmarks)

    def build(self, head_width: int) -> OrthoformerAttention:  # noqa: ARG002
        """The module."""
        return OrthoformerAttention(self)


@dataclass(frozen=True)
class Nystrom:
    """Through `landmarks` means of tokens, of one place in all frames or of one frame ("space")."""

    landmarks: int = 128
    along: Literal["time", "space"] = "time"
    iterations: int = 6

    def __post_init__(self) -> None:
        check_choices(self)
        check_counts(landmarks=self.landmarks, iterations=self.iterations)

    def build(self, head_width: int) -> NystromAttention:  # noqa: ARG002
        """The module."""
        return NystromAttention(self)


@dataclass(frozen=True)
class Performer:
    """By `features` random features, whose products are softmax's on average."""

    features: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(features=self.features)
        check_numbers(at_least=0, seed=self.seed)

    def build(self, head_width: int) -> PerformerAttention:
        """The module, its features drawn."""
        return PerformerAttention(self, head_width)


FrameAttention: TypeAlias = Exact | Orthoformer | Nystrom | Performer


class ExactAttention(nn.Module):
    """Queries, keys and values [b h s d] of F frames, frame by frame -> [b f h s d]."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, num_frames: int) -> Tensor:
        """The values [b f h s d] that each query sees in each frame."""
        return look_at_frames(q, k, v, num_frames, scale=q.shape[-1] ** -0.5)


class OrthoformerAttention(nn.Module):
    """`Orthoformer` as a module, with the shapes of `ExactAttention`."""

    def __init__(self, spec: Orthoformer) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, q: Tensor, k: Tensor, v: Tensor, num_frames: int) -> Tensor:
        """The values [b f h s d] that each query sees in each frame."""
        q, k = q * q.shape[-1] ** -0.25, k * k.shape[-1] ** -0.25
        with torch.no_grad():
            chosen = least_alike(q.flatten(0, 1), self.spec.landmarks, self._start(q))
            landmarks = split_axis(_taken(q.flatten(0, 1), chosen), 0, *q.shape[:2])
        near = (q @ landmarks.transpose(-1, -2)).softmax(-1)
        return near[:, None] @ look_at_frames(landmarks, k, v, num_frames, scale=1.0)

    def _start(self, q: Tensor) -> Tensor:
        b, h, s, _ = q.shape
        if self.spec.start == "first":
            return torch.zeros(b * h, 1, dtype=torch.int64, device=q.device)
        return torch.randint(s, (b * h, 1), device=q.device)


class NystromAttention(nn.Module):
    """`Nystrom` as a module, with the shapes of `ExactAttention`."""

    def __init__(self, spec: Nystrom) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, q: Tensor, k: Tensor, v: Tensor, num_frames: int) -> Tensor:
        """The values [b f h s d] that each query sees in each frame."""
        q = q * q.shape[-1] ** -0.5
        q_mean, k_mean = self._means(q, num_frames), self._means(k, num_frames)
        to_means = (q @ k_mean.transpose(-1, -2)).softmax(-1)
        between = (q_mean @ k_mean.transpose(-1, -2)).softmax(-1)
        near = to_means @ pseudo_inverse(between, self.spec.iterations)
        return near[:, None] @ look_at_frames(q_mean, k, v, num_frames, scale=1.0)

    def _means(self, x: Tensor, num_frames: int) -> Tensor:
        """Means [b h l d] of l runs of tokens; the last runs are one longer if they must."""
        if self.spec.along == "time":  # one place, frame after frame, is a run
            x = split_axis(x, 2, num_frames, -1).transpose(2, 3).flatten(2, 3)
        count = min(self.spec.landmarks, x.shape[2])
        length, longer = divmod(x.shape[2], count)
        border = (count - longer) * length
        means = split_axis(x[:, :, :border], 2, -1, length).mean(3)
        if not longer:
            return means
        return torch.cat([means, split_axis(x[:, :, border:], 2, -1, length + 1).mean(3)], dim=2)


class PerformerAttention(nn.Module):
    """`Performer` as a module, likewise. Its features [m d] are no part of a checkpoint."""

    features: Tensor

    def __init__(self, spec: Performer, head_width: int) -> None:
        super().__init__()
        drawn = orthogonal_features(spec.features, head_width, spec.seed)
        self.register_buffer("features", drawn.to(torch.get_default_device()), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, num_frames: int) -> Tensor:
        """The values [b f h s d] that each query sees in each frame."""
        phi_q = positive_features(q, self.features, over=(-1,))[:, None]
        phi_k = positive_features(k, self.features, over=(-1, -2))
        phi_k, v = (split_axis(x, 2, num_frames, -1).transpose(1, 2) for x in (phi_k, v))
        weight = phi_q @ phi_k.sum(3)[..., None]
        return phi_q @ (phi_k.transpose(-1, -2) @ v) / weight


def look_at_frames(q: Tensor, k: Tensor, v: Tensor, num_frames: int, *, scale: float) -> Tensor:
    """softmax_p(scale q k') v of each frame [b f h l d], of q [b h l d] and k, v [b h s d]."""
    k, v = (split_axis(x, 2, num_frames, -1).transpose(1, 2).flatten(0, 1) for x in (k, v))
    q = q[:, None].expand(-1, num_frames, -1, -1, -1).flatten(0, 1)
    seen = F.scaled_dot_product_attention(q, k, v, scale=scale)
    return split_axis(seen, 0, -1, num_frames)


def least_alike(x: Tensor, count: int, start: Tensor) -> Tensor:
    """Indices [n count], in order, of vectors of x [n s d] that are almost orthogonal.

    From `start` [n 1] on, the next is the one whose largest |cosine| to those taken is smallest.
    """
    unit = F.normalize(x, dim=-1)
    likeness = torch.zeros_like(x[..., 0])
    taken = [start]
    for _ in range(min(count, x.shape[1]) - 1):
        cosine = (unit @ _taken(unit, taken[-1]).transpose(-1, -2)).squeeze(-1)
        likeness = torch.maximum(likeness, cosine.abs()).scatter(1, taken[-1], torch.inf)
        taken.append(likeness.argmin(1, keepdim=True))
    return torch.cat(taken, dim=1).sort(dim=1).values


def pseudo_inverse(matrix: Tensor, iterations: int) -> Tensor:
    """The inverse of [... l l], nearly, by iteration (arXiv 2102.03902, eq. 11).

    V <- V (13 I - K V (15 I - K V (7 I - K V))) / 4,  at first K' / its largest column sum
    """
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    inverse = matrix.transpose(-1, -2) / matrix.sum(-2).amax(-1)[..., None, None]
    for _ in range(iterations):
        product = matrix @ inverse
        inner = 15 * identity - product @ (7 * identity - product)
        inverse = inverse @ (13 * identity - product @ inner) / 4
    return inverse


def positive_features(x: Tensor, features: Tensor, *, over: tuple[int, ...]) -> Tensor:
    """phi(x) [... m] of x [... s d]: positive, largest about 1 over the axes `over`.

    phi(x) = (exp(w . x' - |x'|^2 / 2 - max w . x') + 1e-6) / sqrt(m),  x' = x / d^(1/4)
    """
    x = x * x.shape[-1] ** -0.25
    projected = x @ features.to(x.dtype).transpose(-1, -2)
    square = x.square().sum(-1, keepdim=True) / 2
    largest = projected.detach().amax(over, keepdim=True)
    return ((projected - square - largest).exp() + 1e-6) / math.sqrt(len(features))


def orthogonal_features(count: int, width: int, seed: int) -> Tensor:
    """Normal vectors [count width] on the CPU, orthogonal within each `width` of them."""
    rng = torch.Generator()
    rng.manual_seed(seed)
    with torch.device("cpu"):
        blocks = torch.randn(-(-count // width), width, width, generator=rng)
        lengths = torch.randn(count, width, generator=rng).norm(dim=1, keepdim=True)
        q, r = torch.linalg.qr(blocks)
        directions = q * r.diagonal(dim1=1, dim2=2).sign()[:, None]  # else not evenly distributed
        features: Tensor = directions.flatten(0, 1)[:count] * lengths
    return features


def _taken(x: Tensor, indices: Tensor) -> Tensor:
    """The vectors [n l d] of x [n s d] at `indices` [n l]."""
    return x.gather(1, indices[..., None].expand(-1, -1, x.shape[-1]))
