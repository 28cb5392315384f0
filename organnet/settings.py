"""Every named setting of a run: what the paper states, and what we chose where it is silent.

`[paper]` marks a value that the paper prints or that a re-implementer quotes from it; everything
else is our choice, with the reason beside it and in docs/choices.md.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from organnet.errors import OrganNetError, choose

PROFILES = ("smoke", "demo", "hours", "tune", "gpu", "paper")


@dataclass(frozen=True)
class ModelSettings:
    """The network of Fig. 1 and Fig. 2 and its ablations."""

    width: int = 16  # [paper] channels of the first block; every other row is a multiple of it
    hdc_rates: tuple[int, ...] = (1, 2, 5)  # Wang et al., WACV 2018: no common factor
    se_reduction: int = 1  # gives 8.2 M parameters, as the one re-implementation that printed it
    residual_se: bool = True  # [paper] Fig. 2
    flat_blocks: bool = True  # [paper] 1x3x3 convolutions at full resolution
    downsamplings: int = 2  # [paper]; 4 is the classic U-Net
    norm: str = "batch"  # [paper] in ResSE; we take the same everywhere


@dataclass(frozen=True)
class LossSettings:
    """L = focal_weight * L_focal + dice_weight * L_avgdice; dice_weight is the paper's lambda."""

    gamma: float = 2.0  # [paper]
    focal_weight: float = 1.0  # [paper]
    dice_weight: float = 1.0  # lambda is unstated; two re-implementations take 1


@dataclass(frozen=True)
class PatchSettings:
    """What the network sees: grid, window, patch, and how patches are drawn and varied."""

    spacing_mm: tuple[float, float, float] = (
        2.5,
        1.0,
        1.0,
    )  # PDDCA's median slices; about its pixel
    size: tuple[int, int, int] = (48, 256, 256)  # [paper]
    hu_window: tuple[float, float] = (-200.0, 400.0)  # fat to cancellous bone, mapped to [-1, 1]
    organ_share: float = 0.9  # this share of patches is centred on a voxel of a random drawn organ
    flip_share: float = 0.5  # left-right flips, organs swapped with them
    rotation_degrees: float = 10.0
    scale_share: float = 0.15  # spacing varies by this share either way
    shift_mm: float = 12.0  # so that an organ is not always in a patch's centre
    elastic_mm: float = 4.0  # largest displacement of a coarse random field
    elastic_knots_mm: float = 40.0  # its knots lie this far apart
    brightness_hu: float = 30.0  # scanners and OpenKBP's 24 HU offset
    contrast_share: float = 0.15
    noise_hu: float = 20.0  # standard deviation, drawn from 0 to this
    coarse_share: float = 0.5  # this share of patches shows a scan of another resolution:
    coarse_mm: tuple[float, float, float] = (5.0, 5.0, 5.0)  # up to these voxels, or sharpened


@dataclass(frozen=True)
class TrainingSettings:
    """The optimiser and its clock. One epoch is `steps` optimiser steps of `batch` patches."""

    epochs: int = 150  # unstated; three times the paper's learning-rate period
    steps: int = 250
    batch: int = 2  # [paper]
    learning_rate: float = 1e-3  # [paper] Adam
    drop_every: int = 50  # [paper] epochs after which the rate is divided by ten
    lowest_rate: float = 1e-5  # [paper]
    precision: str = "float32"  # float32, bfloat16, or auto: what is fast
    workers: int = 0
    validate_every: int = 10  # epochs
    train_on: tuple[str, ...] = ("training", "validation")  # 25 + 8 + 5 PDDCA cases
    seed: int = 0
    start: str = ""  # SHA-256 of the weights it starts from; none: initialised from the seed


@dataclass(frozen=True)
class InferenceSettings:
    """Sliding windows over the head; `deep_overlap` is what --deep takes."""

    overlap: float = 0.5
    deep_overlap: float = 0.75
    mirror: bool = False  # each window is seen mirrored as well, as it always is with --deep


@dataclass(frozen=True)
class Settings:
    """All that decides a run besides the data themselves."""

    dataset: str
    profile: str
    variant: str = "organnet"
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, tuples as lists."""
        return _plain(dataclasses.asdict(self))

    @staticmethod
    def from_dict(content: dict[str, Any]) -> "Settings":
        """The inverse of to_dict.

        A setting that is missing, since it is newer, has today's default: what was done without it.
        Raises OrganNetError for a missing part or an unknown setting.
        """
        parts = {
            f.name: f.default_factory for f in dataclasses.fields(Settings) if f.name in _PARTS
        }
        try:
            if unknown := content.keys() - {f.name for f in dataclasses.fields(Settings)}:
                raise TypeError(f"unknown {', '.join(sorted(unknown))}")
            return Settings(
                **{key: content[key] for key in ("dataset", "profile", "variant")},
                **{key: type(make())(**_tuples(content[key])) for key, make in parts.items()},
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise OrganNetError(
                f"these settings are not of this version of organnet ({error}): train again"
            ) from error


_PARTS = ("model", "loss", "patches", "training", "inference")

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "organnet": {},
    "no-hdc": {"model": {"hdc_rates": (1, 1, 1)}},  # same parameters, no dilation
    "no-resse": {"model": {"residual_se": False}},
    "all-3d": {"model": {"flat_blocks": False}},
    "unet": {"model": {"downsamplings": 4, "hdc_rates": (1, 1)}},
    "focal-only": {"loss": {"dice_weight": 0.0}},
    "dice-only": {"loss": {"focal_weight": 0.0}},
}
"""What each ablation changes; `organnet` is the paper's network.

A new row is a new variant. `organnet training --all` trains every one, which may then change the
model and the loss alone; its title in figures stands in `figures.ablation`.
"""

_DEMO: dict[str, dict[str, Any]] = {
    "model": {"width": 8},
    "patches": {"spacing_mm": (2.5, 2.5, 2.5), "size": (32, 48, 48)},
    "training": {
        "epochs": 15,
        "steps": 100,
        "learning_rate": 2e-3,
        "drop_every": 11,
        "precision": "auto",
        "validate_every": 5,
        "train_on": ("training",),
    },
    "inference": {"deep_overlap": 0.625},  # 0.75 takes twice the windows, 17 s a case
}
_HOURS: dict[str, dict[str, Any]] = {
    "model": {"width": 8},
    # On 2.5 x 3 x 3 mm and 48 x 64 x 64 the optic nerves stay unlearnt (results/README.md).
    "patches": {"spacing_mm": (2.5, 2.5, 2.5), "size": (32, 48, 48), "organ_share": 0.8},
    "training": {
        "epochs": 40,
        "steps": 100,
        "learning_rate": 2e-3,
        "drop_every": 28,
        "precision": "auto",
        "validate_every": 20,
        "train_on": ("training",),
    },
}
_GPU: dict[str, dict[str, Any]] = {
    # In-plane a whole head: 240 x 200 mm, where the paper's patch has 256 x 256
    "patches": {"spacing_mm": (2.5, 2.5, 2.5), "size": (48, 96, 80), "organ_share": 0.8},
    "training": {
        "epochs": 20,
        "steps": 473,
        "batch": 8,
        "learning_rate": 2e-3,
        "drop_every": 9,
        "precision": "auto",
        "validate_every": 20,
        "train_on": ("training",),
    },
    "inference": {"overlap": 0.25, "mirror": True},
}
_TUNE: dict[str, dict[str, Any]] = {
    **_GPU,
    "training": {
        **_GPU["training"],
        "epochs": 8,
        "steps": 45,
        "batch": 2,
        "learning_rate": 1e-3,
        "drop_every": 5,
        "validate_every": 8,
    },
}
_SMOKE: dict[str, dict[str, Any]] = {
    "model": {"width": 4},
    "patches": {"spacing_mm": (5.0, 5.0, 5.0), "size": (16, 32, 32)},
    "training": {
        "epochs": 3,
        "steps": 20,
        "learning_rate": 3e-3,  # sixty steps must show something
        "drop_every": 2,
        "validate_every": 1,
        "train_on": ("training",),
    },
    "inference": {"overlap": 0.25, "deep_overlap": 0.5},
}
_PROFILE_CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": _SMOKE,
    "demo": _DEMO,
    "hours": _HOURS,
    "tune": _TUNE,
    "gpu": _GPU,
    "paper": {},
}
_DATASET_CHANGES: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("openkbp", "demo"): {"training": {"steps": 60}},
    # OpenKBP's pixels are about 3.9 mm: a finer grid would invent detail.
    ("openkbp", "paper"): {"patches": {"spacing_mm": (2.5, 3.0, 3.0), "size": (48, 96, 96)}},
}


def make_settings(dataset: str, profile: str, variant: str = "organnet", seed: int = 0) -> Settings:
    """Settings of a profile on a data set, changed as the variant says.

    Raises OrganNetError for an unknown profile or variant and lists the valid ones.
    """
    choose("profile", profile, PROFILES)
    choose("variant", variant, tuple(VARIANTS))
    settings = Settings(dataset=dataset, profile=profile, variant=variant)
    for changes in (
        _PROFILE_CHANGES[profile],
        _DATASET_CHANGES.get((dataset, profile), {}),
        VARIANTS[variant],
        {"training": {"seed": seed}},
    ):
        settings = _changed(settings, changes)
    return settings


def as_read_today(content: Any) -> Any:
    """What `to_dict` of an earlier version said, as this one reads it: see `Settings.from_dict`.

    As it is, where this version cannot read it, so that it can still be said what differs.
    """
    try:
        return Settings.from_dict(content).to_dict()
    except OrganNetError:
        return content


def differences(kept: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """What two settings' `to_dict` differ in, such as "training.epochs 8 for 15" where 15 is asked.

    A setting that one of them lacks, since it is of another version, is "none" there.
    """
    mine, theirs = _flat(kept), _flat(asked)
    pairs = {key: (mine.get(key, "none"), theirs.get(key, "none")) for key in mine | theirs}
    return [f"{key} {a} for {b}" for key, (a, b) in pairs.items() if a != b]


def _changed(settings: Settings, changes: dict[str, dict[str, Any]]) -> Settings:
    parts = {
        part: dataclasses.replace(getattr(settings, part), **values)
        for part, values in changes.items()
    }
    return dataclasses.replace(settings, **parts)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    """A part's settings beside those of the run, as part.setting."""
    flat = {}
    for key, value in content.items():
        inner = value if isinstance(value, dict) else {}
        flat |= {f"{key}.{name}": value for name, value in inner.items()} or {key: value}
    return flat


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
