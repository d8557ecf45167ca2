"""Where a model looks: for one class, how much each place of each frame speaks for it.

Grad-CAM (arXiv 1610.02391, eq. 1-2) over the encoder's tokens A [t h w], which are the cells of the
last maps of a convolutional network; y is the class's score before softmax:

    alpha_k = mean over t, h, w of dy / dA_k          heat = ReLU( sum_k alpha_k A_k )

**Deviates**: the paper has pictures; here the mean is over the frames of a clip, too, so that one
filter has one weight in all frames and heat may be compared between them.

Of a transformer of Hugging Face A are the tokens that its last block meets: a class token reads the
others there, and what comes out of these speaks for nothing.

Of a Motionformer, whose class token alone looks at all patches in the last block: the weights of
that look, averaged over the attention's heads. They are the same for every class, and say what was
looked at, not what it spoke for.

Both are divided by the largest value of the clip, so that they are in [0, 1], and enlarged by
bilinear interpolation to the size of the frames. They are a hint, not a proof (arXiv 1810.03292).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.engine.inference.predict import Predictor
from marey.engine.inference.scoring import model_inputs
from marey.errors import RunError
from marey.modality import IN_WORDS
from marey.models.encoder import EncoderModule
from marey.models.encoders.attention import ClsAttention
from marey.models.encoders.huggingface_network import HuggingFaceEncoder
from marey.models.encoders.motionformer import Motionformer
from marey.models.layout import cells, split_axis
from marey.models.video_model import VideoModel
from marey.recipes.recipe import TestViews
from marey.types import Clip, Frames, Scores
from marey.video.reading.frame_reader import FrameReader
from marey.video.sampling.segments import at_rate

Way = Literal["gradients", "attention"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Looked:
    """One view of a clip as the model sees it, and where in it the model looks."""

    frames: np.ndarray
    """uint8 [t h w 3]: the crop of the view."""
    heat: np.ndarray
    """float32 [t h w] in [0, 1]; all 0 where nothing speaks for the class."""
    head: str
    label: str
    """The class that is asked about."""
    way: Way


def look(predictor: Predictor, video: FrameReader, label: str = "", head: str = "") -> Looked:
    """Where the predictor's model looks in the middle one of its test views of a video.

    A model of features looks through the encoder that made these. Args and errors as `look_at`;
    DecodeError if the video cannot be read, others as `Predictor.of_videos`.
    """
    predictor = predictor.of_videos
    test = predictor.trained.recipe.test
    indices = at_rate(test.sampling, video.fps).indices(len(video))
    clips, crops = middle_view(test)
    view = test.crop(video.read(indices[clips]))[crops]
    return look_at(predictor, view, label, head)


def middle_view(test: TestViews) -> tuple[int, int]:
    """Which of the clips in time, and which of its crops, is looked at."""
    return test.sampling.clips // 2, test.crop.views // 2


def look_at(predictor: Predictor, view: Frames, label: str = "", head: str = "") -> Looked:
    """Where the predictor's model looks in one view of a clip.

    Args:
        view: uint8 [t 3 h w], as many frames as the test views have.
        label: the class that is asked about; by default the one with the highest score in the view.
        head: of a model with several, the one that is asked; by default the first.

    Raises:
        RunError: a model of features, which have no places; an export, whose inside is closed; or
            one of which it cannot be told.
        ValueError: the model has no such head or class.
    """
    trained = predictor.trained
    head = head or next(iter(trained.classes))
    if trained.model.spec.takes_features:
        raise RunError(
            "the model takes features, which have no places to look at",
            "ask a model of videos where it looks",
        )
    if trained.model.spec.modality != "rgb":
        raise RunError(
            f"the model takes {IN_WORDS[trained.model.spec.modality]}, on which no places are "
            "shown",
            "ask a model of pictures where it looks",
        )
    if any(weight.is_meta for weight in trained.model.parameters()):
        raise RunError(
            "the model is an export without weights of torch, whose inside cannot be looked at",
            "ask the run or release that it was made of",
        )
    if head not in trained.classes:
        raise ValueError(f"head is '{head}', expected one of {', '.join(trained.classes)}")
    classes = trained.classes[head]
    if label and label not in classes:
        raise ValueError(f"label is '{label}', which is no class of the head '{head}'")
    recipe = trained.recipe
    model = trained.model.with_frames(recipe.test.sampling.frames)
    (clip,) = model_inputs(model, view[None, None], recipe.augment, predictor.device)
    asked = classes.index(label) if label else None
    heat, wanted, way = heat_of(model, clip, head=head, label=asked)
    return Looked(
        frames=view.permute(0, 2, 3, 1).numpy(),
        heat=heat.cpu().numpy(),
        head=head,
        label=classes[wanted],
        way=way,
    )


def heat_of(
    model: VideoModel, clip: Clip, *, head: str, label: int | None = None
) -> tuple[Tensor, int, Way]:
    """The heat [t h w] of one clip [1 t c h w], the class it is of, and how it was found.

    The model stays as it is: no gradient of a weight is kept, and nothing hooked stays.

    Args:
        label: class index; by default that of the highest score.

    Raises:
        RunError: the encoder has no tokens, or its features are not made of their last maps.
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("the model is in training mode, expected evaluation. hint: model.eval()")
    encoder = model.encoder
    way: Way = "gradients"
    with torch.inference_mode(False), torch.enable_grad():
        clip = clip.clone()  # one that was made in inference mode takes no part in gradients
        if model.spec.over == "tokens":
            tokens = _tokens(model, clip).requires_grad_()
            seen = _Seen(model(tokens.flatten(1, 2)), tokens, lambda x: _grid(x, clip))
        elif isinstance(encoder, Motionformer):
            seen, way = _attention(model, encoder, clip), "attention"
        elif isinstance(encoder, HuggingFaceEncoder) and encoder.blocks_keep_places:
            seen = _met_by_the_last_block(model, encoder, clip)
        else:
            seen = _last_maps(model, clip)
        scores = seen.scores[head][0]
        wanted = int(scores.argmax()) if label is None else label
        heat = seen.heat() if way == "attention" else seen.grad_cam(scores[wanted])
    largest = heat.max().clamp_min(torch.finfo(heat.dtype).tiny)
    return _as_large_as(heat / largest, clip), wanted, way


@dataclass(frozen=True)
class _Seen:
    """What a model says of one clip, and what it says it by."""

    scores: Scores
    found: Tensor
    """What heat is made of."""
    as_maps: Callable[[Tensor], Tensor] = lambda maps: maps
    """Makes maps [t' c h w] of what has the shape of `found`."""

    def heat(self) -> Tensor:
        """What was found as it is, [t' h w]."""
        return self.as_maps(self.found)[:, 0]

    def grad_cam(self, score: Tensor) -> Tensor:
        """Heat [t' h w] for a score that depends on what was found."""
        (slope,) = torch.autograd.grad(score, self.found)
        weights = self.as_maps(slope).mean(dim=(0, 2, 3))
        maps = self.as_maps(self.found.detach())
        return torch.einsum("tchw,c->thw", maps, weights).relu().float()


def _last_maps(model: VideoModel, clip: Clip) -> _Seen:
    """The last maps [t' c h w] that scores are made of: those that hold the tokens."""
    tokens = _tokens(model, clip)
    with _outputs(model.encoder) as made:
        # the clip asks for gradients, as the weights of a frozen model do not
        scores = model(clip.requires_grad_())
    for maps in reversed(made):
        if _holds(maps, tokens):
            return _Seen(scores, maps)
    raise _refusal(model, "its features are not pooled from its last maps")


def _holds(maps: Tensor, tokens: Tensor) -> bool:
    """Whether `maps` are [t' d h w] with the values of the tokens [1 t' h*w d]."""
    _, frames, places, width = tokens.shape
    if maps.ndim != 4 or maps.shape[:2] != (frames, width) or maps[0, 0].numel() != places:
        return False
    return torch.allclose(cells(maps, frames), tokens, rtol=1e-3, atol=1e-4)


@contextmanager
def _outputs(encoder: nn.Module) -> Iterator[list[Tensor]]:
    """What the modules of an encoder give in the block, in their order."""
    made: list[Tensor] = []

    def after(module: nn.Module, given: object, out: object) -> None:  # noqa: ARG001
        if isinstance(out, Tensor):
            made.append(out)

    hooks = [module.register_forward_hook(after) for module in encoder.modules()]
    try:
        yield made
    finally:
        for hook in hooks:
            hook.remove()


def _met_by_the_last_block(model: VideoModel, encoder: HuggingFaceEncoder, clip: Clip) -> _Seen:
    """The tokens [m s d] that the last block meets."""
    met: list[Tensor] = []

    def before(block: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:  # noqa: ARG001
        met.append(given[0] if given else named["hidden_states"])

    hook = encoder.blocks_by_stage()[-1][-1].register_forward_pre_hook(before, with_kwargs=True)
    try:
        scores = model(clip.requires_grad_())
    finally:
        hook.remove()
    return _Seen(scores, met[0], lambda x: _grid(encoder.places(x), clip))


def _attention(model: VideoModel, encoder: Motionformer, clip: Clip) -> _Seen:
    """How the class token divides its look over the patches [1 f p 1]."""
    met: list[Tensor] = []
    (last,) = (each for each in encoder.modules() if isinstance(each, ClsAttention))
    hook = last.register_forward_pre_hook(lambda _, given: met.append(given[0]))
    try:
        with torch.no_grad():
            scores = model(clip)
            q, k, _ = last.project(met[0])
            weights = (q[:, :, :1] @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
    finally:
        hook.remove()
    of_patches = weights.mean(dim=1)[:, 0, 1:]
    patches = split_axis(of_patches, 1, clip.shape[1] // encoder.spec.tubelet, -1, 1)
    return _Seen(scores, patches, lambda x: _grid(x, clip))


def _tokens(model: VideoModel, clip: Clip) -> Tensor:
    """The encoder's tokens [1 t' n d]; RunError of one that has none."""
    if not isinstance(model.encoder, EncoderModule):
        raise _refusal(model, "it is no EncoderModule, which has tokens")
    try:
        with torch.no_grad():
            return model.encoder.tokens(clip)
    except ValueError as error:
        raise _refusal(model, str(error)) from error


def _grid(tokens: Tensor, clip: Clip) -> Tensor:
    """Maps [t' d h w] of the tokens [1 t' h*w d], whose grid has the shape of the frames."""
    height, width = clip.shape[-2:]
    rows = round((tokens.shape[2] * height / width) ** 0.5)
    return split_axis(tokens[0], 1, rows, -1).permute(0, 3, 1, 2).contiguous()


def _refusal(model: VideoModel, reason: str) -> RunError:
    return RunError(
        f"where this model looks cannot be shown: {type(model.encoder).__name__}: {reason}",
        "convolutional networks, most transformers of Hugging Face, Motionformers and heads over "
        "tokens show it",
    )


def _as_large_as(heat: Tensor, clip: Clip) -> Tensor:
    """Heat [t h w] in the size of the frames of a clip, of heat [t' h' w'].

    A vector that stands for several frames gives its heat to all of them.
    """
    frames = clip.shape[1]
    if len(heat) == 2 * frames - 1:  # of frames, and then of what changes up to the next
        changes = torch.cat([torch.zeros_like(heat[:1]), heat[frames:]])
        heat = torch.maximum(heat[:frames], changes)
    of_frame = torch.arange(frames, device=heat.device) * len(heat) // frames
    large = F.interpolate(heat[None, of_frame], clip.shape[-2:], mode="bilinear")
    return large[0].detach().clamp(0, 1)
