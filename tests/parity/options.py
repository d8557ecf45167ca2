"""The options that the originals' constructors and scripts have, under every name of theirs.

temporal-shift-module, TDN, GST and Group Contextualization call one thing by several names: the
option `--shift_div` is `shift_div` in the wrapper, `n_div` and `fold_div` in the shift, and `div`
for short. A golden file may use any of them; an option nobody knows is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "T": ("num_segments", "n_segment", "n_segments", "segments", "num_segment"),
    "num_class": ("num_classes", "n_class"),
    "arch": ("base_model", "backbone", "archs"),
    "modality": (),
    "new_length": (),
    "dropout": ("do",),
    "partial_bn": (),
    "fc_lr5": (),
    "ef_lr5": (),
    "shift": ("is_shift",),
    "shift_div": ("div", "n_div", "fold_div"),
    "place": ("shift_place",),
    "tpool": ("temporal_pool",),
    "nl": ("non_local",),
    "net": ("nets",),
    "cdiv": (),
    "loop": (),
    "alpha": (),
    "beta": (),
    "base": ("model",),
    "r": ("reduction",),
    "width_mult": ("width",),
}
"""Our word -> theirs besides."""

INERT = {
    *("pretrain", "pretrained", "img_feature_dim", "loss_type", "suffix", "crop_num", "print_spec"),
    *("k", "element_filter", "stage", "input_size", "flow_prefix", "gd", "ef_lr", "checkpoint_dir"),
    *("full_res", "twice_sample", "dense_sample", "dataset", "store_name", "tune_from", "type"),
    *("train_list", "val_list", "test_list", "root_path", "snapshot_pref", "root_log", "resume"),
    *("root_model", "experiment_name", "output_dir", "gpus", "local_rank", "workers", "print_freq"),
    *("epochs", "start_epoch", "batch_size", "lr", "lr_type", "lr_steps", "lr_scheduler", "wd"),
    *("lr_decay_rate", "warmup_epoch", "warmup_multiplier", "momentum", "weight_decay", "softmax"),
    *("clip_gradient", "eval_freq", "evaluate", "test_crops", "test_segments", "csv_file", "coeff"),
    *("max_num", "crop_fusion_type", "clip_index", "num_clips", "multi_segments"),
}
"""Options of theirs that no number of a model depends on: of data, training and its start."""

ONLY: Mapping[str, tuple[Any, ...]] = {
    "consensus_type": ("avg",),
    "consensus": ("avg",),
    "before_softmax": (True,),
}
"""Options of which one value was ever used; another is a model that is not here."""


_OURS = {theirs: ours for ours, words in SPELLINGS.items() for theirs in (ours, *words)}


class NotBuiltYet(Exception):
    """A golden file is of a model that we have not; its message is the name of what is missing."""


def options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the family, by our words; AssertionError names what none of them is.

    Their scripts share one list, so that each may say something that its model does not ask.
    """
    if "npb" in config:  # no partial batch norm
        said = {"partial_bn": not config["npb"]}
        config = {name: v for name, v in config.items() if name != "npb"} | said
    check_known(config, {*_OURS, *INERT, *ONLY})
    only(config, ONLY)
    found: dict[str, Any] = {}
    for name, value in config.items():
        if name in _OURS:
            ours = _OURS[name]
            assert found.setdefault(ours, value) == value, f"{ours} has two values"
    return found


def check_known(config: Collection[str], known: Collection[str]) -> None:
    """AssertionError for options of which nobody knows what they do."""
    unknown = sorted(set(config) - set(known))
    assert not unknown, f"no rule for config {unknown}"


def only(config: Mapping[str, Any], values: Mapping[str, tuple[Any, ...]]) -> None:
    """`NotBuiltYet` for another value of an option than those that we have."""
    for name, known in values.items():
        if config.get(name, known[0]) not in known:
            raise NotBuiltYet(f"{name} {config[name]!r}")
