"""Five little scenes in which only time tells one action from its reverse.

Each scene changes one thing steadily: where a shape is along a rail or a shaft, how near it is,
where a hand points on a dial, how wide a mouth stands open. Everything else (shape, colours,
texture, background, speed, noise, shake, flicker) is drawn at random.

Pictures are signed distances (negative inside) turned into soft masks, for all frames at once. The
coordinates run from -1 to 1 over the frame, y points down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Pixels: TypeAlias = npt.NDArray[np.uint8]
Rng: TypeAlias = np.random.Generator
Draw: TypeAlias = Callable[[Floats, Floats, Floats, Rng], tuple[Floats, Floats]]
"""(x, y, phase, rng) -> masks of the stage and of the actor on it, each [t h w] in [0, 1]."""

SHAKE = 1
"""Pixels by which the camera is off, at most, in each direction."""


def draw_scene(name: str, rng: Rng, *, num_frames: int, size: int) -> Pixels:
    """Frames [t h w 3] of the scene `name` of `SCENES` while it moves, rises, nears, turns, opens.

    Noise, shake and flicker are drawn for each frame on its own, so they look the same backwards.
    """
    shake = rng.integers(-SHAKE, SHAKE + 1, (num_frames, 2))
    x, y = _grid(size, shake)
    stage, actor = SCENES[name](x, y, _phase(rng, num_frames), rng)
    back, floor, body, mark = _colours(rng)
    picture = _windows(_background(rng, size + 2 * SHAKE, back), size, shake)
    picture = _over(picture, 0.75 * stage, floor)
    picture = _over(picture, actor, body)
    picture = _over(picture, actor * _texture(x, y, rng), mark)
    return _camera(picture, rng)


def move(x: Floats, y: Floats, phase: Floats, rng: Rng) -> tuple[Floats, Floats]:
    """A rail from left to right, and a shape that goes to the right along it."""
    radius, height = rng.uniform(0.2, 0.34), rng.uniform(-0.5, 0.5)
    rail = _inside(np.abs(y - height) - rng.uniform(0.08, 0.14))
    shape = _shape(x - _between(phase, 0.8, rng), y - height, radius, rng)
    return rail, shape


def rise(x: Floats, y: Floats, phase: Floats, rng: Rng) -> tuple[Floats, Floats]:
    """A shaft from top to bottom, and a shape that goes up in it."""
    return move(-y, x, phase, rng)


def near(x: Floats, y: Floats, phase: Floats, rng: Rng) -> tuple[Floats, Floats]:
    """A tunnel of rings, and a shape that comes nearer in its middle."""
    x, y = x - rng.uniform(-0.25, 0.25), y - rng.uniform(-0.25, 0.25)
    far, close = rng.uniform(0.12, 0.25), rng.uniform(0.5, 0.75)
    rings = _inside(0.07 - np.abs((np.hypot(x, y) / 0.3) % 1 - 0.5))
    return rings, _shape(x, y, far * (close / far) ** phase, rng)


def turn(x: Floats, y: Floats, phase: Floats, rng: Rng) -> tuple[Floats, Floats]:
    """A round dial, and a hand that turns clockwise on it by 100 to 260 degrees."""
    x, y = x - rng.uniform(-0.2, 0.2), y - rng.uniform(-0.2, 0.2)
    length = rng.uniform(0.5, 0.75)
    dial = _inside(np.hypot(x, y) - length - 0.12)
    angle = rng.uniform(0, 2 * np.pi) + phase * np.radians(rng.uniform(100, 260))
    along, across = _rotate(x, y, angle)
    hands = (
        np.hypot(along - along.clip(0, length), across) - 0.11,  # a rod from the middle outwards
        np.maximum(np.hypot(along, across) - length, np.abs(across) - 0.55 * along),  # a wedge
        np.hypot(along - 0.65 * length, across) - 0.24,  # a satellite
    )
    return dial, _inside(hands[rng.integers(len(hands))])


def open_up(x: Floats, y: Floats, phase: Floats, rng: Rng) -> tuple[Floats, Floats]:
    """A square frame, and in it a mouth, doors or shears that open."""
    x, y = x - rng.uniform(-0.15, 0.15), y - rng.uniform(-0.15, 0.15)
    side = rng.uniform(0.65, 0.8)
    frame = _inside(np.abs(np.maximum(np.abs(x), np.abs(y)) - side) - 0.06)
    u, v = _rotate(x, y, rng.uniform(-0.6, 0.6))
    shut, wide = rng.uniform(0.0, 0.15), rng.uniform(0.8, 1.1)
    gap = shut + (wide - shut) * phase
    gape = np.abs(np.arctan2(v, u)) - gap  # the angle from the edge of the gap, in radians
    rod_u, rod_v = _rotate(u + 0.4, np.abs(v), 0.8 * gap)
    openings = (
        np.maximum(np.hypot(u, v) - 0.85 * side, -gape * 0.5),  # a disc without a sector
        np.maximum(np.abs(np.abs(v) - 0.5 * gap - 0.2) - 0.2, np.abs(u) - 0.6 * side),  # doors
        np.hypot(rod_u - rod_u.clip(0, 1.0), rod_v) - 0.1,  # two blades
    )
    return frame, _inside(openings[rng.integers(len(openings))])


SCENES: dict[str, Draw] = {"move": move, "rise": rise, "near": near, "turn": turn, "open": open_up}
"""What can be drawn, by name."""


def _phase(rng: Rng, num_frames: int) -> Floats:
    """How far the action has come in each frame [t 1 1], rising from 0 to 1, faster or slower."""
    even = np.linspace(0, 1, num_frames, dtype=np.float32)
    eased = even**2 * (3 - 2 * even)
    return (even + rng.uniform(0, 0.6) * (eased - even))[:, None, None].astype(np.float32)


def _between(phase: Floats, bound: float, rng: Rng) -> Floats:
    """Places from a random start to a random end, within `bound` and at least as far apart."""
    way = rng.uniform(bound, 2 * bound)
    start = rng.uniform(-bound, bound - way)
    return (start + way * phase).astype(np.float32)


def _grid(size: int, shake: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """x [t 1 w] and y [t h 1] of the pixels as each frame sees them."""
    line = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    off = (shake * (2 / size)).astype(np.float32)
    return line[None, None, :] + off[:, None, None, 1], line[None, :, None] + off[:, None, None, 0]


def _windows(picture: Floats, size: int, shake: npt.NDArray[np.int64]) -> Floats:
    """The part of a still picture that each frame sees [t h w 3]."""
    return np.stack([picture[a : a + size, b : b + size] for a, b in (shake + SHAKE).tolist()])


def _colours(rng: Rng) -> Floats:
    """Background, stage, actor and its marks [4 3]: any hue, the actor lighter than the rest.

    Were it as often darker, a small network would need many times the clips to see it move.
    """
    light = np.array([rng.uniform(0.1, 0.45), rng.uniform(0.1, 0.45), 0.85, 0.7])[:, None]
    colours: Floats = np.clip(light + rng.uniform(-0.2, 0.2, (4, 3)), 0, 1).astype(np.float32)
    return colours


def _background(rng: Rng, size: int, colour: Floats) -> Floats:
    """A still picture [h w 3] about `colour`: a gradient, stripes, or a cloudy texture."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * line[None, :] + np.sin(angle) * line[:, None]
    kind = rng.integers(3)
    if kind == 0:
        pattern = across
    elif kind == 1:
        pattern = np.sign(np.sin(across * rng.uniform(4, 14)))
    else:
        coarse = rng.uniform(-1, 1, (9, 9))
        to = np.linspace(0, 8, size)
        rows = np.stack([np.interp(to, np.arange(9), row) for row in coarse])
        pattern = np.stack([np.interp(to, np.arange(9), col) for col in rows.T], axis=1)
    tint = rng.uniform(0.04, 0.14, 3) * rng.choice([-1, 1])
    picture: Floats = (colour + pattern[:, :, None] * tint).astype(np.float32)
    return picture


def _texture(x: Floats, y: Floats, rng: Rng) -> Floats:
    """What covers the actor [t h w] in [0, 1]: nothing, stripes, or a checkerboard."""
    kind, pitch = rng.integers(3), rng.uniform(6, 14)
    if kind == 0:
        return np.zeros(1, dtype=np.float32)
    u, v = _rotate(x, y, rng.uniform(0, 2 * np.pi))
    waves = np.sin(u * pitch) if kind == 1 else np.sin(u * pitch) * np.sin(v * pitch)
    return (0.6 * _inside(waves * 0.1)).astype(np.float32)


def _shape(x: Floats, y: Floats, radius: Floats | float, rng: Rng) -> Floats:
    """Mask of a disc, a ring, a cross, or a polygon of three to six corners."""
    u, v = _rotate(x, y, rng.uniform(0, 2 * np.pi))
    kind = rng.integers(7)
    if kind == 0:
        return _inside(np.hypot(u, v) - radius)
    if kind == 1:
        return _inside(np.abs(np.hypot(u, v) - 0.75 * radius) - 0.28 * radius)
    if kind == 2:
        u, v = np.abs(u), np.abs(v)
        return _inside(np.maximum(np.maximum(u, v) - radius, np.minimum(u, v) - 0.38 * radius))
    sector = np.pi / kind  # half the angle between two corners
    theta = (np.arctan2(v, u) + sector) % (2 * sector) - sector
    return _inside(np.hypot(u, v) * np.cos(theta) - 0.85 * radius)


def _rotate(x: Floats, y: Floats, angle: Floats | float) -> tuple[Floats, Floats]:
    """Coordinates along and across a direction that is `angle` clockwise of x."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y, cos * y - sin * x


def _inside(distance: Floats) -> Floats:
    """1 inside, 0 outside, with an edge a few hundredths wide."""
    mask: Floats = np.clip(0.5 - distance * 20, 0, 1)
    return mask


def _over(picture: Floats, mask: Floats, colour: Floats) -> Floats:
    return picture + mask[..., None] * (colour - picture)


def _camera(picture: Floats, rng: Rng) -> Pixels:
    """Flicker and noise, frame by frame, and rounding to bytes."""
    flicker = rng.normal(1, 0.04, (len(picture), 1, 1, 1)).astype(np.float32)
    noise = rng.standard_normal(picture.shape[:3], dtype=np.float32) * rng.uniform(0.0, 0.05)
    return ((picture * flicker + noise[..., None]).clip(0, 1) * 255).astype(np.uint8)
