"""A file of pixels becomes tensors; knows no labels and no models."""

from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.motionformer import RoundedSegments, TimedClips
from marey.video.sampling.resampled import ResampledClips
from marey.video.sampling.segments import Clips, Dense, Segments

__all__ = [
    "Clips",
    "Dense",
    "ResampledClips",
    "RoundedSegments",
    "Segments",
    "TimedClips",
    "Uniform",
]
