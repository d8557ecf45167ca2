"""Shares of one piece of work, for commands that do not know of each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """Share `index` (from 0) of `count`: the parts k with k % count == index."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"shard is {self.index}/{self.count}, expected i/n with i from 0 to n - 1"
            )

    @property
    def is_whole(self) -> bool:
        """Whether there are no other shares."""
        return self.count == 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that ``i/n`` names.

        >>> Shard.parse("3/8")
        Shard(index=3, count=8)
        """
        index, slash, count = text.partition("/")
        if not (slash and index.strip().isdecimal() and count.strip().isdecimal()):
            raise ValueError(f"shard is '{text}', expected i/n with i from 0 to n - 1")
        return cls(int(index), int(count))


WHOLE = Shard()
"""All of the work."""
