"""LMR, long-tail mixed reconstruction: "Use Your Head" (Perrett et al., arXiv 2304.01143).

A class of five clips does not show how its clips vary, and a network learns the five by heart. But
the frequent classes do show how clips vary. So LMR rebuilds each clip of a rare class in part from
clips of frequent classes that resemble it, and mixes clips pairwise, labels and all, so that what
lies between two classes is learnt as lying between. It works on the features x in front of the
classifier and only while training; a trained network has nothing of it.

**How much of a clip is rebuilt.** Rarity should fall fast among rare classes and slowly among
frequent ones, so it is taken to be the inverse logarithm of the number n of training clips,

    (1)  t(y) = 1 / ln(d n(y) + eps)

and is stretched over all classes, to h for the most frequent and l for the rarest:

    (2)  c(y) = h + (l - h) (t(y) - min t) / (max t - min t)

d sets how fast it falls: the larger, the more of the classes in the middle are left as they are.

**From what.** From the keys k: the clips of the batch and those of the last batches, which are kept
in a memory bank. Neither the clip itself nor any clip of a few-shot class may help (A = 0),

    (3)  A(i,j) = [ j is not i, and n(y_j) > few ]
    (4)  W(i,:) = softmax of z s(i,:) over the j with A(i,j) = 1,   s(i,j) = LN(x_i) . LN(k_j) / D

After layer norm a vector of D numbers has the squared length D, so s is a correlation, between -1
and 1. With the paper's z = 1 no key can thus weigh more than e^2 = 7.4 times another: W is near to
the mean over the frequent clips at hand, inclined to those that resemble. A larger z, `scale`,
makes the choice sharper: few keys that resemble, instead of the middle of all.

**Rebuilding.** Each row of the reconstruction sums to 1:

    (5)  R_i = c(y_i) sum_j W(i,j) k_j + (1 - c(y_i)) x_i

**Mixing.** A clip keeps the share a of itself and takes the rest from a partner b, drawn from the
whole batch. With M = diag(a) + diag(1 - a) P, P(i, b(i)) = 1, features and labels are mixed alike:

    (6)  x' = M R      (7)  y' = M onehot(y)

The loss is the cross-entropy of classify(x') and y'. Rows of M sum to 1, so y' are distributions.

**Other attentions.** The released code has three similarities besides that of (4), all of features
x / |x|_1, whose absolute values sum to 1:

    cos_sim    s(i,j) = x_i . k_j / (|x_i|_1 |k_j|_1), which is no cosine: that divides by |.|_2
    q          s(i,j) = f(x_i / |x_i|_1) . f(k_j / |k_j|_1), f linear and learned
    q_k        s(i,j) = f(x_i / |x_i|_1) . g(k_j / |k_j|_1), two of them

None is divided by D. Entries are near 1/D then, so that W is all but the mean until `scale` or what
is learned is large. The linear layers start as that code's and learn beside the model; a trained
network has none of them.

In practice LMR is the second of two stages: see `marey.recipes.lmr` and docs/lmr.md.

**Deviates**: `variant="released"` computes what the published numbers were made with, which differs
from this in the points of `marey.longtail.lmr_released`, in the layer norm (that of the
transformer's output, with its learned scale and shift) and in its hyper-parameters. In
`variant="paper"`, h is 0 in the paper; eps grows where ln would not be positive, so that the
rarest class always gets l; classes of equal counts get h, since none is rarer; a clip that nobody
may help stays as it is; a class without clips counts as rare as the rarest that has some. z is 16
where nothing else is said, and `scale=1` is the paper's: by a norm that learns nothing, a mean over
the frequent clips harms rare classes (docs/longtail.md measures it). The release compares by the
network's learned norm, whose scale may sharpen as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.errors import RecipeError, did_you_mean
from marey.longtail import lmr_released
from marey.longtail.joint import JointRows
from marey.longtail.memory_bank import MemoryBank
from marey.longtail.objective import CrossEntropy, Objective, PerHead, ScoringModel
from marey.types import Clip, Labels, check_choices, check_numbers

SCALE = 16.0
"""The default of `LMR.scale`: of 1, 4, 8 and 16 the best or level with it (docs/longtail.md)."""


@dataclass(frozen=True, kw_only=True)
class LMR(Objective):
    """Cross-entropy of clips that are rebuilt and mixed; l, h, d, eps as in the equations.

    `eps=None` is what the training code comes to: d times the smallest count, but at least 5 d.
    Classes of at most `few` clips help nobody. The memory bank has `bank` batches, this one
    included; 0 is none, and then the gradient flows through the keys as well. A clip is mixed with
    the probability `mix`. Rarity is that of `head`'s classes, the first head's if it is empty; the
    labels of all heads are mixed alike. With `gather`, the batches of all processes are one.
    `scale` is z of (4): the larger, the fewer keys a clip is rebuilt from. By default it is 16, and
    the paper's 1 in the released variant and in attentions other than "static".
    `attention` says how clips are compared: "static" is (4). `loss` is that of the mixed clips and
    labels; the paper's is the cross-entropy.
    """

    l: float = 0.6  # noqa: E741
    h: float = 0.001
    d: float = 0.25
    eps: float | None = None
    few: int = 20
    bank: int = 8
    mix: float = 0.5
    head: str = ""
    variant: Literal["paper", "released"] = "paper"
    gather: bool = False
    scale: float | None = None
    attention: Literal["static", "cos_sim", "q", "q_k"] = "static"
    loss: PerHead = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_choices(self)
        if not 0 <= self.h <= self.l <= 1:
            raise ValueError(f"h is {self.h} and l {self.l}, expected 0 <= h <= l <= 1")
        check_numbers(above=0, d=self.d, scale=self.scale)
        check_numbers(at_least=0, eps=self.eps, few=self.few, bank=self.bank)
        check_numbers(at_least=0, at_most=1, mix=self.mix)
        if self.loss.several_labels != self.several_labels:
            several = self.loss.several_labels
            labels, of = ("several labels", "SigmoidLMR") if several else ("one label", "LMR")
            raise ValueError(
                f"loss is {type(self.loss).__name__}, for {labels} a clip, expected in {of} alone"
            )

    @property
    def z(self) -> float:
        """What similarities are multiplied by: `scale`, or the default of what is compared how."""
        if self.scale is not None:
            return self.scale
        return SCALE if (self.variant, self.attention) == ("paper", "static") else 1.0

    def build(self, class_counts: Mapping[str, Tensor]) -> LMRObjective:
        """The objective, for training sets of these clips a class (int64 [k] for each head)."""
        return LMRObjective(self, class_counts)


class LMRObjective(nn.Module):
    """See `LMR`. Its state is the memory bank, and the linear layers of an attention that learns.

    What depends on how many classes a clip has are the methods `as_labels` to `helps`.
    """

    weights: Tensor
    is_few: Tensor

    def __init__(self, spec: LMR, class_counts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.spec, self.head = spec, spec.head or next(iter(class_counts))
        if self.head not in class_counts:
            raise RecipeError(f"LMR's head is '{self.head}'", did_you_mean(self.head, class_counts))
        self.num_classes = {head: len(counts) for head, counts in class_counts.items()}
        self.rules = _RELEASED if spec.variant == "released" else _PAPER
        counts = class_counts[self.head]
        weights = self.rules.class_weights(counts, l=spec.l, h=spec.h, d=spec.d, eps=spec.eps)
        if not weights.isfinite().all():
            raise RecipeError(
                f"the weights of '{self.head}' divide by 0 in LMR's released formula, with "
                f"{int(counts.min())} to {int(counts.max())} clips a class",
                "variant='paper' is defined for all counts",
            )
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("is_few", counts <= spec.few, persistent=False)
        self.losses = spec.loss.build(class_counts)
        self.bank = MemoryBank(spec.bank)
        self.q_linear: nn.Linear | None = None
        self.k_linear: nn.Linear | None = None

    def meet(self, width: int) -> None:
        """Make the linear layers of `attention` for features of so many numbers."""
        if self.spec.attention in ("q", "q_k"):
            self.q_linear = _linear(width)
        if self.spec.attention == "q_k":
            self.k_linear = _linear(width)

    def forward(self, model: ScoringModel, clip: Clip, labels: Labels) -> Tensor:
        """The loss, a scalar in float32; outside of training, that of the clips as they are."""
        x = model.features(clip).mean(dim=1)
        norm = final_norm(model) if self.spec.variant == "released" else None
        if self.training:
            x, labels = self.mixed(x, labels, norm)
        return self.losses.total(model.classify(x[:, None]), labels)

    def as_labels(self, y: Tensor, head: str) -> Tensor:
        """Labels of `head` as float [n k]."""
        return as_distribution(y, self.num_classes[head], head)

    def told(self, labels: Tensor) -> Tensor:
        """What of the labels [n k] of a clip decides, and is kept in the bank: its class [n]."""
        return labels.argmax(dim=1)

    def rarity(self, told: Tensor) -> Tensor:
        """c [n] of clips, of what is `told` of them."""
        return self.weights[told]

    def helps(self, told: Tensor) -> Tensor:
        """Which keys may help, bool [m]."""
        return ~self.is_few[told]

    def mixed(
        self, x: Tensor, labels: Labels, norm: nn.LayerNorm | None = None
    ) -> tuple[Tensor, Labels]:
        """Features [n d] rebuilt and mixed, and every head's labels float [n k] mixed alike."""
        gather = self.spec.gather
        with torch.autocast(x.device.type, enabled=False):  # sums over keys want float32
            x = x.float()
            soft = {head: self.as_labels(y, head) for head, y in labels.items()}
            rows = JointRows.around(x) if gather or self.spec.bank else JointRows((len(x),))
            if gather:
                x, soft = rows.gather(x), {head: rows.gather(y) for head, y in soft.items()}
            x = self.rebuilt(x, self.told(soft[self.head]), rows, norm)
            partner = torch.randint(len(x), (len(x),)).to(x.device)
            kept = self.rules.kept(len(x), self.spec.mix).to(x.device)
            if gather:
                partner, kept = rows.agree(partner), rows.agree(kept)
            own = rows.own if gather else slice(None)
            soft = {head: mix(y, partner, kept)[own] for head, y in soft.items()}
            return mix(x, partner, kept)[own], soft

    def rebuilt(
        self, x: Tensor, told: Tensor, rows: JointRows, norm: nn.LayerNorm | None = None
    ) -> Tensor:
        """R [n d] of features [n d] and what is `told` of them, which then are in the bank."""
        keys, of_keys, gather = x, told, self.spec.gather
        if self.spec.bank:
            joint = (x, told) if gather else (rows.gather(x.detach()), rows.gather(told))
            self.bank.append(*joint, rows.ranks())
            keys, of_keys = self.bank.rows(None if gather else rows.rank)
        own = self.rules.own_columns(len(x), len(keys)).to(x.device)
        s = self.spec.z * self.compared(x, keys, norm)
        w = self.rules.attention(s, self.helps(of_keys), own)
        return reconstruct(x, keys, w, self.rarity(told))

    def compared(self, x: Tensor, keys: Tensor, norm: nn.LayerNorm | None = None) -> Tensor:
        """s [n m] of clips [n d] and keys [m d], by the attention of the spec."""
        if self.spec.attention in ("static", "cos_sim"):
            return unlearned_similarity(self.spec, x, keys, norm)
        assert self.q_linear is not None, "meet(width) makes the layers of this attention"
        a, b = (F.normalize(v, p=1.0, dim=1) for v in (x, keys))
        s: Tensor = self.q_linear(a) @ (self.k_linear or self.q_linear)(b).T
        return s


def _linear(width: int) -> nn.Linear:
    """A layer started as all of the released network's: truncated normal, biases of 0."""
    layer = nn.Linear(width, width)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def class_weights(counts: Tensor, *, l: float, h: float, d: float, eps: float | None) -> Tensor:  # noqa: E741
    """Weights c float [k] from clips a class int64 [k]: l for the rarest, never rising (eq. 1, 2).

    >>> class_weights(torch.tensor([1, 10, 100]), l=1.0, h=0.01, d=0.15, eps=None)
    tensor([1.0000, 0.0838, 0.0100])
    """
    counts = counts.double()
    smallest = counts[counts > 0].min() if counts.any() else counts.new_ones(())
    counts = counts.clamp(min=smallest)
    if eps is None:
        eps = d * max(5.0, float(smallest))
    t = 1 / (d * counts + max(eps, _LEAST - d * float(smallest))).log()
    spread = t.max() - t.min()
    above = (t - t.min()) / spread if spread > 0 else torch.zeros_like(t)
    return (h + (l - h) * above).float()


_LEAST = 1.1
"""The least number that a logarithm is taken of, for the rarest class; the authors' example."""


def similarity(x: Tensor, keys: Tensor, norm: nn.LayerNorm | None = None) -> Tensor:
    """s [n m] of clips [n d] and keys [m d]: their correlation, or that after `norm` (eq. 4)."""
    a, b = (F.layer_norm(v, v.shape[1:]) if norm is None else norm(v) for v in (x, keys))
    return a @ b.T / x.shape[1]


def unlearned_similarity(
    spec: LMR, x: Tensor, keys: Tensor, norm: nn.LayerNorm | None = None
) -> Tensor:
    """s [n m] of clips [n d] and keys [m d], by an attention that has nothing to learn."""
    assert spec.attention in ("static", "cos_sim")
    if spec.attention == "static":
        return similarity(x, keys, norm)
    return F.normalize(x, p=1.0, dim=1) @ F.normalize(keys, p=1.0, dim=1).T


def attention(s: Tensor, helps: Tensor, own: Tensor) -> Tensor:
    """W [n m] from z s [n m]; rows sum to 1, or to 0 where there is no clip to help (eq. 3, 4).

    helps: bool [m], false for keys of few-shot classes; own: int64 [n], where each clip is its key.
    """
    allowed = helps.expand_as(s).clone()
    allowed[torch.arange(len(s), device=s.device), own] = False
    alone = ~allowed.any(dim=1, keepdim=True)
    w = s.masked_fill(~(allowed | alone), -torch.inf).softmax(dim=1)
    return w.masked_fill(alone, 0.0)


def own_columns(num_clips: int, num_keys: int) -> Tensor:
    """The column int64 [n] where each clip stands itself: the batch enters the keys last."""
    return torch.arange(num_keys - num_clips, num_keys)


def reconstruct(x: Tensor, keys: Tensor, w: Tensor, c: Tensor) -> Tensor:
    """R [n d] from clips [n d], keys [m d], W [n m] and c [n]; x where W is 0 (eq. 5)."""
    c = c[:, None]
    return c * (w @ keys) + (1 - c * w.sum(dim=1, keepdim=True)) * x


def kept(num_clips: int, mix: float) -> Tensor:
    """a float [n], the share each clip keeps of itself: uniform for about `mix` of them, else 1."""
    share = torch.rand(num_clips)
    return torch.where(torch.rand(num_clips) < mix, share, 1.0)


def mix(rows: Tensor, partner: Tensor, kept: Tensor) -> Tensor:
    """M `rows` [n ...]: what each row keeps of itself and the rest of its partner's (eq. 6, 7)."""
    return kept[:, None] * rows + (1 - kept[:, None]) * rows[partner]


def as_distribution(labels: Tensor, num_classes: int, head: str = "label") -> Tensor:
    """Probabilities float [n k] of class indices [n] or of labels mixed already.

    RecipeError if a row of [n k] is no distribution: then a clip has several classes at once.
    """
    if labels.ndim == 1:
        return F.one_hot(labels, num_classes).float()
    if (labels < 0).any() or ((labels.sum(dim=1) - 1).abs() > 1e-3).any():
        raise RecipeError(
            f"LMR mixes clips of one class each, but the labels of '{head}' do not sum to 1: "
            "clips have several classes, or none",
            "take an objective for several labels",
        )
    return labels.float()


def contributions(
    x: Tensor,
    classes: Tensor,
    is_few: Tensor,
    norm: nn.LayerNorm | None = None,
    scale: float = SCALE,
) -> Tensor:
    """From which classes each class is rebuilt: weights [k k], a row for each class rebuilt.

    The mean of W over the clips of a class, with all of the features x [n d] as keys; `is_few`
    is bool [k]. Rows sum to 1, or to 0 for classes without clips, and give nothing to few-shot.
    """
    of_key = F.one_hot(classes, len(is_few)).to(x)
    total = x.new_zeros(len(is_few), len(is_few))
    for own in torch.split(torch.arange(len(x), device=x.device), 1024):
        w = attention(scale * similarity(x[own], x, norm), ~is_few[classes], own)
        total.index_add_(0, classes[own], w @ of_key)
    return total / of_key.sum(dim=0).clamp(min=1)[:, None]


def final_norm(model: object) -> nn.LayerNorm | None:
    """The norm of a transformer's output, by which the released code compares clips, if any."""
    norm = getattr(getattr(model, "encoder", None), "final_norm", None)
    return norm if isinstance(norm, nn.LayerNorm) else None


@dataclass(frozen=True)
class _Rules:
    """The functions in which the variants differ."""

    class_weights: Callable[..., Tensor]
    attention: Callable[[Tensor, Tensor, Tensor], Tensor]
    own_columns: Callable[[int, int], Tensor]
    kept: Callable[[int, float], Tensor]


_PAPER = _Rules(class_weights, attention, own_columns, kept)
_RELEASED = _Rules(
    lmr_released.class_weights,
    lmr_released.attention,
    lmr_released.own_columns,
    lmr_released.kept,
)
