"""Every picture of the repository; each function returns a matplotlib Figure of printed size.

The figures belong to no window and no pyplot state. A notebook shows them after
`%matplotlib inline`; `save` writes them as PNG.
"""

from organnet.figures.ablation import ablation
from organnet.figures.architecture import architecture
from organnet.figures.confusion import left_right_confusion
from organnet.figures.curves import learning_curves
from organnet.figures.errors import error_surfaces
from organnet.figures.gallery import phantom_gallery
from organnet.figures.patches import patch_gallery
from organnet.figures.planes import (
    best_median_worst,
    case_planes,
    every_organ,
    ranked_cases,
)
from organnet.figures.scene import case_scene
from organnet.figures.scores import organ_scores
from organnet.figures.style import save
from organnet.figures.uncertainty import entropy_and_error
from organnet.figures.volumes import measure_volumes, organ_volumes, volume_against_dsc

__all__ = [
    "ablation",
    "architecture",
    "best_median_worst",
    "case_planes",
    "case_scene",
    "entropy_and_error",
    "error_surfaces",
    "every_organ",
    "learning_curves",
    "left_right_confusion",
    "measure_volumes",
    "organ_scores",
    "organ_volumes",
    "patch_gallery",
    "phantom_gallery",
    "ranked_cases",
    "save",
    "volume_against_dsc",
]
