from __future__ import annotations

import torch

from marey.longtail.joint import JointRows
from marey.longtail.memory_bank import MemoryBank


def test_joint_rows_are_those_of_one_process_after_another() -> None:
    """A process with unreadable clips brings fewer."""
    first, second = JointRows((3, 2), rank=0), JointRows((3, 2), rank=1)
    assert (first.own, second.own) == (slice(0, 3), slice(3, 5))
    assert second.ranks().tolist() == [0, 0, 0, 1, 1]


def test_alone_nothing_is_gathered() -> None:
    x = torch.randn(4, 2, requires_grad=True)
    rows = JointRows.around(x)
    assert rows == JointRows((4,), rank=0)
    assert rows.gather(x) is x


def test_a_process_may_ask_for_its_own_rows_alone_newest_last() -> None:
    bank = MemoryBank(2)
    for step in range(3):
        features = torch.arange(5.0)[:, None] + 10 * step
        bank.append(features, torch.full((5,), step), JointRows((3, 2)).ranks())
    features, classes = bank.rows(rank=1)
    assert features.flatten().tolist() == [13, 14, 23, 24]
    assert classes.tolist() == [1, 1, 2, 2]
    assert len(bank.rows()[0]) == 10


def test_a_full_bank_that_is_restored_stays_as_long() -> None:
    bank, other = MemoryBank(2), MemoryBank(2)
    for _ in range(2):
        bank.append(torch.zeros(1, 1), torch.zeros(1), torch.zeros(1))
    other.load_state_dict(bank.state_dict())
    other.append(torch.ones(1, 1), torch.zeros(1), torch.zeros(1))
    assert other.rows()[0].flatten().tolist() == [0, 1]


def test_features_in_the_bank_are_cut_off_from_their_graph() -> None:
    bank = MemoryBank(1)
    bank.append(torch.ones(1, 1, requires_grad=True), torch.zeros(1), torch.zeros(1))
    assert not bank.rows()[0].requires_grad
