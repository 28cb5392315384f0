"""What differs between cases: build, pose, tissue, what is drawn. All of it from one generator."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from organnet.phantom.shapes import Point, rotation


@dataclass(frozen=True)
class Tissue:
    """What a solid is filled with.

    Attributes:
        hu: mean HU.
        grain: SD in HU of a texture of about 3 mm (lobules, trabeculae).
        patches: SD in HU of a texture of about 12 mm.
    """

    hu: float
    grain: float = 0.0
    patches: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Map between the scanner's mm and the canonical anatomy's: turn, size, neck, soft waves.

    Attributes:
        turn: degrees about x, y, z.
        scale: size of the person along x, y, z.
        shift: scanner mm of the canonical origin, the centre of the brain stem.
        bend: mm the neck leans to (x, y) per mm below the skull base.
        waves: rows of (wave vector x y z in rad/mm, phase, amplitude x y z in mm).
    """

    turn: Point
    scale: Point
    shift: Point
    bend: tuple[float, float]
    waves: Float[np.ndarray, "waves 7"]

    NECK_TOP = -55.0  # canonical z around which the bend sets in
    NECK_SOFT = 25.0  # over how many mm

    @cached_property
    def _rotation(self) -> Float[np.ndarray, "3 3"]:
        return rotation(self.turn)

    def to_anatomy(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Canonical mm of points given in scanner mm; both (x, y, z)."""
        points = (points - np.array(self.shift)) @ self._rotation / np.array(self.scale)
        down = self.NECK_TOP - points[:, 2]
        down = 0.5 * (down + np.hypot(down, self.NECK_SOFT))
        points[:, :2] -= down[:, None] * np.array(self.bend)
        phases = points @ self.waves[:, :3].T + self.waves[:, 3]
        return points + np.sin(phases) @ self.waves[:, 4:]

    def to_scanner(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """The inverse of `to_anatomy`, to some 0.1 mm, by fixed-point steps."""
        straight = np.array(self.scale)
        guess = points * straight @ self._rotation.T + np.array(self.shift)
        for _ in range(3):
            missed = points - self.to_anatomy(guess)
            guess = guess + missed * straight @ self._rotation.T
        return guess


@dataclass(frozen=True)
class Person:
    """One made-up patient.

    Attributes:
        pose: how the canonical anatomy lies in the scanner.
        fat_mm: subcutaneous fat on top of the canonical skin.
        jaw_shift: mm the jaw and all that hangs on it sits off its canonical place.
        jaw_turn: degrees of opening.
        size: factor on the half-axes of parotids, submandibulars, globe, etc., by name.
        place: mm off the canonical place, by name.
        tissue: what fills each part, by name.
        teeth: how many of the 16 teeth of a jaw are there, from 0 to 16.
        metal: teeth with metal, as (jaw, place 0-15).
        traits: yes/no properties by name (contrast medium, mask ...).
    """

    pose: Pose
    fat_mm: float
    jaw_shift: Point
    jaw_turn: float
    size: dict[str, float]
    place: dict[str, Point]
    tissue: dict[str, Tissue]
    teeth: int
    metal: tuple[tuple[int, int], ...]
    traits: frozenset[str]


PAIRED = ("Parotid", "Submandibular", "OpticNerve")


def draw_person(rng: np.random.Generator, pose: Pose) -> Person:
    """Draw a person. Left and right organs share most of their difference from the mean."""
    size = {"BrainStem": _factor(rng, 0.05), "Chiasm": _factor(rng, 0.05)}
    spread = {"Parotid": 0.10, "Submandibular": 0.07, "OpticNerve": 0.05}
    for name in PAIRED:
        both = _factor(rng, spread[name])
        for side in "LR":
            size[f"{name}_{side}"] = both * _factor(rng, spread[name] / 3)
    size["Mandible"] = _factor(rng, 0.09)
    size["ventricle"] = _factor(rng, 0.2)
    size["globe"] = _factor(rng, 0.03)
    place = {name: _offset(rng, 0.8) for name in size}
    for side in "LR":
        place[f"Parotid_{side}"] = _offset(rng, 2.0)
        place[f"Submandibular_{side}"] = _offset(rng, 2.5)
    metal_there = rng.random() < 0.25
    teeth = int(rng.choice([16, 16, 14, 12, 8, 0], p=[0.3, 0.2, 0.2, 0.12, 0.1, 0.08]))
    metal = tuple((int(rng.integers(2)), int(rng.integers(16))) for _ in range(rng.integers(2, 6)))
    return Person(
        pose=pose,
        fat_mm=float(np.clip(rng.normal(1.0, 3.0), -1.5, 9.0)),
        jaw_shift=(0.0, float(rng.normal(0, 2.5)), float(rng.normal(0, 2.0))),
        jaw_turn=float(np.clip(rng.normal(2, 3), -2, 9)),
        size=size,
        place=place,
        tissue=_tissues(rng),
        teeth=teeth,
        metal=metal if metal_there else (),
        traits=frozenset(
            name
            for name, chance in (
                ("contrast", 0.5), ("mask", 0.6), ("open mouth", 0.4), ("headrest", 0.8),
                ("calcified", 0.5), ("sinusitis", 0.2),
            )
            if rng.random() < chance
        ),
    )  # fmt: skip


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw how the person lies: a few degrees, a few percent, a few mm."""
    size = rng.normal(1.0, 0.04)
    scale = np.clip(size * rng.normal(1.0, [0.025, 0.025, 0.03]), 0.88, 1.13)
    length = rng.uniform(85, 190, (8, 1))
    direction = rng.normal(size=(8, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    waves = np.hstack(
        [
            2 * np.pi * direction / length,
            rng.uniform(0, 2 * np.pi, (8, 1)),
            rng.normal(0, [0.5, 0.7, 0.7], (8, 3)) * length / 130,
        ]
    )
    return Pose(
        turn=tuple(rng.normal(0, [4.2, 0.9, 2.2]).tolist()),
        scale=tuple(scale.tolist()),
        shift=tuple(rng.normal(0, [6.0, 6.0, 0.0]).tolist()),
        bend=(float(rng.normal(0, 0.012)), float(np.clip(rng.normal(0.02, 0.10), -0.2, 0.25))),
        waves=waves,
    )


def _tissues(rng: np.random.Generator) -> dict[str, Tissue]:
    """HU of everything; the means' spread is that between patients and scanners."""
    muscle = rng.normal(56, 5)
    brain = rng.normal(34, 3)
    blood = rng.uniform(110, 190)
    gland = rng.uniform(-25, 50)
    return {
        "air": Tissue(-1000),
        "skin": Tissue(rng.normal(15, 15), 10),
        "fat": Tissue(rng.normal(-102, 6), 8, 5),
        "muscle": Tissue(muscle, 6, 4),
        "areolar": Tissue(rng.normal(-50, 20), 35, 45),
        "septum": Tissue(-15, 40, 50),
        "tongue": Tissue(muscle - 6, 16, 8),
        "lymphoid": Tissue(muscle - 4, 6),
        "vessel": Tissue(rng.normal(44, 4), 2),
        "blood": Tissue(blood, 4),
        "cartilage": Tissue(rng.uniform(80, 160), 40, 40),
        "thyroid": Tissue(rng.uniform(75, 140), 8),
        "cortex": Tissue(rng.normal(1250, 90), 90),
        "marrow": Tissue(rng.normal(330, 90), 110, 60),
        "diploe": Tissue(rng.normal(680, 90), 110, 60),
        "jaw": Tissue(rng.normal(300, 90), 150, 80),
        "dentine": Tissue(1700, 120),
        "enamel": Tissue(2600, 100),
        "disc": Tissue(85, 8),
        "cord": Tissue(brain - 2, 2),
        "fluid": Tissue(rng.normal(9, 2), 1.5),
        "grey": Tissue(brain + 4, 2, 1.5),
        "white": Tissue(brain - 3, 1.5, 1.5),
        "stem": Tissue(brain - 1, 2, 1.5),
        "nerve": Tissue(rng.normal(24, 4), 3),
        "chiasm": Tissue(rng.normal(27, 3), 2),
        "vitreous": Tissue(rng.normal(12, 3), 1),
        "sclera": Tissue(rng.normal(55, 5)),
        "lens": Tissue(rng.normal(95, 10)),
        "mucosa": Tissue(rng.normal(35, 6), 8),
        "parotid": Tissue(gland, 20, 9),
        "submandibular": Tissue(min(muscle + 4, rng.normal(46, 9)), 9, 4),
        "cells": Tissue(-350, 550),
        "lung": Tissue(-840, 50, 20),
    }


def _factor(rng: np.random.Generator, spread: float) -> float:
    return float(np.exp(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread)))


def _offset(rng: np.random.Generator, spread: float) -> Point:
    return tuple(np.clip(rng.normal(0, spread, 3), -2 * spread, 2 * spread).tolist())
