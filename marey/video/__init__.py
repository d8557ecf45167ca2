"""A file of pixels becomes tensors; knows no labels and no models."""

from marey.video.blvnet_sampling import Uniform
from marey.video.motionformer_sampling import RoundedSegments, TimedClips
from marey.video.sampling import Clips, Dense, Segments

__all__ = ["Clips", "Dense", "RoundedSegments", "Segments", "TimedClips", "Uniform"]
