"""Long-tailed versions of manifests: how many clips a class keeps, and which."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.features.feature_file import feature_schema, feature_writer
from marey.data.longtail.profile import (
    SSV2_LT,
    ParetoProfile,
    Wish,
    largest_that_fits,
    nearest_profile,
)
from marey.data.longtail.split import long_tail, write_long_tail
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.errors import ManifestError
from marey.metrics.groups import profile

NAMES = tuple("abcdefgh")


def write_manifest_of(folder: Path, train: list[int], val: int = 2, split: bool = True) -> Path:
    """A manifest of classes with so many training clips, and `val` more of each."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.txt").write_text("\n".join(NAMES[: len(train)]) + "\n")
    rows = ["path,label,split" if split else "path,label"]
    for label, count in enumerate(train):
        rows += [f"{label}/{i}.mp4,{label}" + ",train" * split for i in range(count)]
        rows += [f"{label}/v{i}.mp4,{label},val" for i in range(val * split)]
    (folder / "all.csv").write_text("\n".join(rows) + "\n")
    return folder / "all.csv"


def read(path: Path, split: str | None = None) -> Manifest:
    return read_manifest(path, split=split)


# --- how many -----------------------------------------------------------------------------------


@given(
    st.integers(1, 60),
    st.integers(1, 3000),
    st.floats(1, 1000),
    st.floats(0.5, 20),
)
def test_counts_fall_from_the_largest_to_it_by_the_imbalance(
    k: int, largest: int, imbalance: float, exponent: float
) -> None:
    counts = ParetoProfile(largest, imbalance, exponent).counts(k)
    assert counts[0] == largest
    assert (np.diff(counts) <= 0).all()
    assert counts[-1] >= 1
    if k > 1:
        assert counts[-1] == pytest.approx(largest / imbalance, abs=1)


@given(
    st.lists(st.integers(1, 500), min_size=2, max_size=30), st.floats(1, 300), st.floats(0.5, 20)
)
def test_the_largest_that_fits_leaves_no_class_short_and_one_more_would(
    there: list[int], imbalance: float, exponent: float
) -> None:
    ranked = np.sort(there)[::-1]
    largest = largest_that_fits(ranked, imbalance, exponent)
    assert (ParetoProfile(largest, imbalance, exponent).counts(len(ranked)) <= ranked).all()
    beyond = ParetoProfile(largest + 1, imbalance, exponent).counts(len(ranked))
    assert (beyond > ranked).any() or largest == ranked[0]


@pytest.mark.parametrize(
    "wish",
    [
        Wish(head_percent=20, few_percent=50),
        Wish(few_percent=40, largest=80),
        Wish(head_percent=20, imbalance=30),
        Wish(head_percent=30),
    ],
)
def test_a_wish_is_met_within_a_class(wish: Wish) -> None:
    found = profile(nearest_profile(np.full(20, 88), wish).counts(20))
    for wanted, got in (
        (wish.head_percent, found.head_percent),
        (wish.few_percent, found.few_percent),
    ):
        assert wanted is None or got == pytest.approx(wanted, abs=5)
    if wish.largest:
        assert found.num_clips <= 20 * wish.largest
    if wish.imbalance:
        assert found.imbalance == pytest.approx(wish.imbalance, rel=0.2)


def test_without_a_wish_the_tail_is_as_large_as_the_clips_allow() -> None:
    assert nearest_profile(np.full(20, 88), Wish(imbalance=10)) == ParetoProfile(88, 10)


def test_a_wish_that_cannot_be_met_says_what_is_nearest() -> None:
    with pytest.raises(ManifestError, match=r"the nearest has 20\.0 % head and 60\.0 % few-shot"):
        nearest_profile(np.full(20, 88), Wish(few_percent=40, imbalance=27, largest=80))


def test_an_imbalance_beyond_the_clips_there_are_is_refused() -> None:
    with pytest.raises(ManifestError, match="imbalance is 300, but the largest class has 5 clips"):
        nearest_profile(np.full(3, 5), Wish(imbalance=300))
    assert nearest_profile(np.full(3, 5), Wish(imbalance=5)).counts(3).tolist()[::2] == [5, 1]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ParetoProfile(0, 5), "the largest class has 0 clips"),
        (lambda: ParetoProfile(9, 0.5), "imbalance is 0.5"),
        (lambda: ParetoProfile(9, 5, 0), "exponent is 0"),
        (lambda: Wish(few_percent=120), "few_percent is 120, expected 0 to 100"),
        (lambda: Wish(largest=0), "the largest class has 0 clips"),
        (lambda: Wish(imbalance=math.inf), "imbalance is inf"),
        (lambda: Wish(exponent=0), "exponent is 0"),
    ],
)
def test_numbers_without_sense_are_refused(make, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        make()


def test_ssv2_lt_comes_out_of_ssv2_class_by_class(
    shared_dir: Path, goldens_dir: Path, tmp_path: Path
) -> None:
    lists = shared_dir / "data" / "annotations" / "uniformer_sthv2"
    lines = (lists / "somesomev2_rgb_train_split.txt").read_text().split("\n")
    rows = [f"{line.split()[0]},{line.split()[2]}" for line in lines if line]
    (tmp_path / "all.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    (tmp_path / "labels.txt").write_text((lists / "category.txt").read_text())
    found = long_tail(read(tmp_path / "all.csv"), Wish(largest=2500))
    wanted = json.loads((goldens_dir / "lmr" / "epic_groups.json").read_text())
    assert found.before.sum() == 168_913
    assert found.after.tolist() == wanted["ssv2_lt_train_counts"]
    assert found.manifest.class_counts().tolist() == wanted["ssv2_lt_train_counts"]
    assert found.pareto == SSV2_LT
    assert (found.profile.num_clips, found.profile.imbalance) == (50_418, 500)


# --- which --------------------------------------------------------------------------------------


def test_training_clips_go_and_all_others_stay(tmp_path: Path) -> None:
    source = write_manifest_of(tmp_path / "in", [40, 30, 50, 20])
    found, _ = write_long_tail(source, tmp_path / "out" / "lt.csv", Wish(imbalance=10, largest=20))
    assert found.after.tolist() == [9, 4, 20, 2]
    written = read(tmp_path / "out" / "lt.csv", "train")
    assert written.class_counts().tolist() == [9, 4, 20, 2]
    assert {written.path(i).resolve() for i in range(len(written))} <= {
        (source.parent / text).resolve() for text in read(source, "train").texts()
    }
    val = read(tmp_path / "out" / "lt.csv", "val")
    assert [Path(t).name for t in val.texts()] == [
        Path(t).name for t in read(source, "val").texts()
    ]
    assert (tmp_path / "out" / "labels.txt").read_text() == "a\nb\nc\nd\n"


def test_the_account_says_parameters_seed_and_counts(tmp_path: Path) -> None:
    source = write_manifest_of(tmp_path, [40, 30, 50])
    found, account = write_long_tail(
        source, tmp_path / "lt.csv", Wish(imbalance=10, largest=50), seed=3
    )
    facts = json.loads(account.read_text())
    assert account.name == "lt.longtail.json"
    assert facts["pareto"] == {"largest": 50, "imbalance": 10, "exponent": 7}
    assert (facts["seed"], facts["rank_by"]) == (3, "count")
    assert facts["classes"][0] == {
        "name": "a",
        "before": 40,
        "wanted": int(found.wanted[0]),
        "after": int(found.after[0]),
    }
    assert facts["before"]["imbalance"] == pytest.approx(5 / 3)
    assert facts["after"]["imbalance"] == 10
    assert facts["splits"] == {"train": int(found.after.sum()), "val": 6}


@given(st.integers(0, 2**32), st.integers(4, 30))
def test_with_one_seed_a_smaller_tail_is_part_of_a_larger(seed: int, largest: int) -> None:
    manifest = made([30, 30, 30])
    small, large = (
        set(long_tail(manifest, Wish(largest=n, imbalance=4), seed=seed).manifest.texts())
        for n in (largest, 30)
    )
    assert small <= large


def made(train: list[int]) -> Manifest:
    labels = np.repeat(np.arange(len(train)), train)
    texts = pa.array([f"{i}.mp4" for i in range(len(labels))], pa.large_string())
    names = NAMES[: len(train)]
    columns = {"path": texts, "label": labels}
    return Manifest.from_columns(Path("a.csv"), Path(), columns, {"label": names})


def test_another_seed_draws_other_clips_of_as_many() -> None:
    first, second = (long_tail(made([30, 30, 30]), Wish(imbalance=4), seed=s) for s in (0, 1))
    assert set(first.manifest.texts()) != set(second.manifest.texts())
    assert first.after.tolist() == second.after.tolist()


def test_ranks_may_be_drawn_so_that_no_class_is_always_the_largest() -> None:
    wish = Wish(imbalance=4)
    found = [long_tail(made([30] * 5), wish, rank_by="random", seed=s).after for s in range(8)]
    assert all(sorted(after) == sorted(found[0]) for after in found)
    assert len({int(after.argmax()) for after in found}) > 1


def test_a_manifest_without_splits_is_training_all_over(tmp_path: Path) -> None:
    source = write_manifest_of(tmp_path, [10, 10], split=False)
    assert long_tail(read(source), Wish(imbalance=5)).after.tolist() == [10, 2]


def test_a_class_with_too_few_clips_is_named_and_what_would_fit(tmp_path: Path) -> None:
    source = write_manifest_of(tmp_path, [50, 30, 4])
    with pytest.raises(
        ManifestError, match=r"class 'c' has 4 training clips, its rank needs 10"
    ) as e:
        long_tail(read(source), Wish(largest=50, imbalance=5))
    assert e.value.hint == "of this shape the largest class can have 22 clips at most"


def test_a_class_without_clips_is_named(tmp_path: Path) -> None:
    source = write_manifest_of(tmp_path, [50, 30, 0], val=1)
    with pytest.raises(ManifestError, match="class 'c' has no training clips"):
        long_tail(read(source), Wish())


# --- clips of several classes -------------------------------------------------------------------


def of_sets(has: np.ndarray) -> Manifest:
    """Training clips of the sets of classes `has` [n k]."""
    manifest = made([len(has), *[0] * (has.shape[1] - 1)])
    manifest.labels["label"] = has
    return manifest


def drawn_sets(seed: int, num_clips: int = 400, num_classes: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    has = rng.random((num_clips, num_classes)) < np.linspace(0.5, 0.2, num_classes)
    has[:50] = np.eye(num_classes, dtype=bool)[np.arange(50) % num_classes]
    return has


@given(st.integers(0, 1000), st.integers(0, 5))
def test_no_class_gets_more_than_is_wanted_and_the_rarest_all(data: int, seed: int) -> None:
    has = drawn_sets(data)
    tail = long_tail(of_sets(has), Wish(largest=40, imbalance=20), seed=seed)
    assert tail.several
    kept = has[tail.rows]
    assert (kept.sum(axis=0) == tail.after).all()
    assert (tail.after <= tail.wanted).all()
    rarest = tail.wanted.argmin()
    assert tail.after[rarest] == tail.wanted[rarest]
    assert (~has.any(axis=1)).sum() == (~kept.any(axis=1)).sum()  # clips without a class stay
    for label in np.flatnonzero(tail.after < tail.wanted):  # nothing that fits is left out
        left = np.setdiff1d(np.flatnonzero(has[:, label]), tail.rows)
        full = tail.after >= tail.wanted
        assert all(full[has[row]].any() for row in left)


def test_with_one_class_a_clip_the_sets_are_those_of_classes() -> None:
    counts, wish = [60, 50, 40], Wish(largest=30, imbalance=6)
    one = long_tail(made(counts), wish, seed=3)
    several = made(counts)
    several.labels["label"] = np.eye(3, dtype=bool)[several.labels["label"]]
    sets = long_tail(several, wish, seed=3)
    np.testing.assert_array_equal(one.rows, sets.rows)
    np.testing.assert_array_equal(one.after, sets.after)


def test_the_seed_names_the_set() -> None:
    manifest, wish = of_sets(drawn_sets(0)), Wish(largest=40, imbalance=20)
    first, again, other = (long_tail(manifest, wish, seed=seed).rows for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or (first != other).any()
    facts = long_tail(manifest, wish, seed=1).facts()
    assert facts["seed"] == 1
    assert {"before", "wanted", "after"} < set(facts["classes"][0])


def test_a_class_that_never_stands_alone_may_be_left_without_clips() -> None:
    has = np.zeros((60, 4), dtype=bool)
    has[:20, 0] = has[20:40, 1] = has[40:, 3] = True
    has[20:, 2] = True  # beside the second and the fourth, which have it always
    with pytest.raises(ManifestError, match="1 class would have no training clip, the first 'd'"):
        long_tail(of_sets(has), Wish(largest=1, imbalance=1))


def test_a_head_that_is_not_there_is_refused() -> None:
    with pytest.raises(ManifestError, match="has no labels 'verb'. hint: it has label"):
        long_tail(made([2, 2]), Wish(), head="verb")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    source = write_manifest_of(tmp_path, [10, 10])
    with pytest.raises(ManifestError, match=r"all\.csv is there already"):
        write_long_tail(source, source, Wish(imbalance=2))
    with pytest.raises(ManifestError, match=r"all\.csv is the manifest itself"):
        write_long_tail(source, source, Wish(imbalance=2), overwrite=True)
    other = write_manifest_of(tmp_path / "other", [3, 3, 3]).parent
    with pytest.raises(ManifestError, match=r"labels\.txt holds other class names"):
        write_long_tail(source, other / "lt.csv", Wish(imbalance=2))


def test_a_file_of_features_keeps_the_vectors_of_its_clips(tmp_path: Path) -> None:
    rng, labels = np.random.default_rng(0), np.repeat([0, 1], [9, 6])
    features = [rng.normal(size=(1 + i % 3, 4)).astype(np.float32) for i in range(15)]
    rows = pa.table({"path": [f"{i}.mp4" for i in range(15)], "label": labels})
    schema = feature_schema(
        rows.schema,
        dim=4,
        dtype=np.float32,
        classes={"label": ("a", "b")},
        about={"model": "m"},
    )
    with (tmp_path / "all.arrow").open("wb") as file, feature_writer(file, schema) as writer:
        for i in (0, 8):
            part = slice(i, 8 if i == 0 else 15)
            writer.write(rows.slice(i, 8), features[part], [None] * len(features[part]))
    found, _ = write_long_tail(tmp_path / "all.arrow", tmp_path / "lt.arrow", Wish(imbalance=3))
    written = read(tmp_path / "lt.arrow")
    assert written.class_counts().tolist() == [9, 3]
    assert written.classes == {"label": ("a", "b")}
    for new, old in enumerate(found.rows):
        count = written.features.num_frames(new)
        assert (written.features.read(new, np.arange(count)) == features[old]).all()
    with pytest.raises(
        ManifestError, match=r"lt\.csv cannot hold features. hint: name it lt\.arrow"
    ):
        write_long_tail(tmp_path / "all.arrow", tmp_path / "lt.csv", Wish(imbalance=3))


def test_the_command_makes_one_and_says_what_it_is(tmp_path: Path) -> None:
    source = write_manifest_of(tmp_path, [88] * 8)
    words = [
        "data",
        "longtail",
        str(source),
        "--out",
        str(tmp_path / "lt.csv"),
        "--head-percent",
        "25",
        "--few-percent",
        "50",
        "--seed",
        "4",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "H 25.0 %  F 50.0 %" in done.output
    assert read(tmp_path / "lt.csv", "train").class_counts().max() <= 88


@pytest.mark.parametrize("command", ["data init F OUT", "data longtail F --out OUT", "demo"])
def test_a_seed_below_0_is_refused_where_it_is_given(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--seed", "-1"])
    assert done.exit_code == 2
    assert "--seed" in done.output
    assert "expected 0 or more" in done.output
