"""How fast this machine is, for a person or a page: figures to compare with, not to boast of.

A file measures one thing and gives it as a frozen dataclass: `data` reads clips, `model` runs a
network forwards, `training` as it learns, `stream` frame by frame, `end2end` from files to scores.
"""
