"""Models: encoders, temporal ops and heads."""

from marey.models.encoders.attention import Divided, Joint, Trajectory
from marey.models.encoders.attentive_pool import AttentivePoolSpec
from marey.models.encoders.blresnet import BLResNetSpec
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.bninception import BNInceptionSpec
from marey.models.encoders.features import FeaturesSpec, LateAverageSpec, NetVLADSpec
from marey.models.encoders.frame_attention import Exact, Nystrom, Orthoformer, Performer
from marey.models.encoders.googlenet import GoogLeNetSpec
from marey.models.encoders.googlenet_clips import I3DInceptionSpec, S3DSpec
from marey.models.encoders.i3d import I3DResNetSpec
from marey.models.encoders.inception_v3 import InceptionV3Spec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.encoders.r2plus1d import R2Plus1DSpec, S3DResNetSpec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.encoders.rgb_difference import RGBDifferenceSpec
from marey.models.encoders.tdn import TDNSpec
from marey.models.encoders.time_statistics import TimeStatisticsSpec
from marey.models.encoders.timm import TimmSpec
from marey.models.stream import StreamingModel, streaming
from marey.models.temporal.ecal import ECal
from marey.models.temporal.group_context import GroupContext
from marey.models.temporal.gst import GST
from marey.models.temporal.nonlocal_block import NonLocal
from marey.models.temporal.tam import TAM
from marey.models.temporal.tdn import LongTermDifference
from marey.models.temporal.temporal_pool import TemporalPool
from marey.models.temporal.tsm import TSM
from marey.models.video_model import Head, ModelSpec, VideoModel

__all__ = [
    "GST",
    "TAM",
    "TSM",
    "AttentivePoolSpec",
    "BLResNetSpec",
    "BLVNetSpec",
    "BNInceptionSpec",
    "Divided",
    "ECal",
    "Exact",
    "FeaturesSpec",
    "GoogLeNetSpec",
    "GroupContext",
    "Head",
    "I3DInceptionSpec",
    "I3DResNetSpec",
    "InceptionV3Spec",
    "Joint",
    "LateAverageSpec",
    "LongTermDifference",
    "MobileNetV2Spec",
    "ModelSpec",
    "MotionformerSpec",
    "NetVLADSpec",
    "NonLocal",
    "Nystrom",
    "Orthoformer",
    "Performer",
    "R2Plus1DSpec",
    "RGBDifferenceSpec",
    "ResNetSpec",
    "S3DResNetSpec",
    "S3DSpec",
    "StreamingModel",
    "TDNSpec",
    "TemporalPool",
    "TimeStatisticsSpec",
    "TimmSpec",
    "Trajectory",
    "VideoModel",
    "streaming",
]
