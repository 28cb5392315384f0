"""The figures the phantom is built on: where the organs of real patients are, and what they read.

Positions are (x, y, z) in mm from the centroid of the brain stem: x to the patient's left, y to the
back, z to the head. They were measured on the 16 PDDCA label maps 0522c0001 0002 0003 0009 0013
0014 0017 0057 0070 0077 0079 0081 0125 0132 0147 0149 (version 1.4.1; voxels of all slices, no
alignment but the shift to the brain stem), so their SDs hold pose as well as build. HU were read on
the CT of 0522c0014. docs/phantom.md has the table with its account.
"""

from dataclasses import dataclass

from organnet.phantom.shapes import Point


@dataclass(frozen=True)
class Figures:
    """What 16 drawings of one organ measure.

    Attributes:
        volume_ml: mean and SD of the volume.
        volume_range_ml: smallest and largest of the 16.
        extent_mm: mean full extent along x, y, z.
        centroid_mm: mean centroid from the brain stem's.
        centroid_sd_mm: its SD along x, y, z.
    """

    volume_ml: tuple[float, float]
    volume_range_ml: tuple[float, float]
    extent_mm: Point
    centroid_mm: Point
    centroid_sd_mm: Point


MEASURED = {
    "BrainStem": Figures((28.2, 5.0), (19.1, 35.7), (41, 34, 63), (0, 0, 0), (0, 0, 0)),
    "Chiasm": Figures((0.57, 0.10), (0.32, 0.74), (18, 18, 4), (0, -25, 26), (1.6, 4.3, 2.2)),
    "Mandible": Figures(
        (53.6, 12.3), (34.7, 76.7), (121, 101, 79), (-1, -72, -51), (1.7, 8.4, 6.4)
    ),
    "OpticNerve_L": Figures(
        (0.74, 0.14), (0.51, 1.01), (24, 36, 9), (21, -52, 27), (2.4, 3.1, 4.5)
    ),
    "OpticNerve_R": Figures(
        (0.68, 0.15), (0.44, 0.96), (25, 36, 9), (-21, -52, 27), (1.9, 2.8, 4.4)
    ),
    "Parotid_L": Figures((25.3, 10.8), (10.9, 52.0), (41, 45, 54), (58, -27, -42), (5.0, 5.0, 6.7)),
    "Parotid_R": Figures(
        (26.6, 11.4), (11.8, 56.4), (39, 46, 55), (-59, -27, -41), (5.1, 6.7, 5.7)
    ),
    "Submandibular_L": Figures(
        (6.4, 2.2), (3.4, 10.4), (23, 28, 37), (32, -52, -81), (4.4, 10.4, 9.4)
    ),
    "Submandibular_R": Figures(
        (6.8, 1.6), (3.9, 9.3), (22, 28, 40), (-32, -51, -79), (4.2, 10.2, 8.9)
    ),
}
"""Submandibular_L over 15 cases, Submandibular_R over 13 (the others were not drawn)."""

# Width in x and depth in y of the brain stem, mean of the 16 by level: a cord-like medulla, the
# pons' bulge, and the midbrain. Rows as Loft wants them. Both ends are flat, since the drawing
# protocol ends on a slice.
BRAIN_STEM_LEVELS = (
    (-39.0, 0.5, 7.2, 6.5, 6.1, 2.0, 2.0),
    (-28.0, 0.2, 8.0, 7.0, 7.0, 2.0, 2.0),
    (-20.6, 0.1, 9.4, 8.3, 7.8, 2.0, 2.0),
    (-12.7, 0.0, 12.2, 10.0, 9.4, 2.1, 2.0),
    (-5.6, -0.5, 16.6, 11.8, 10.9, 2.2, 2.0),
    (1.9, -1.0, 18.1, 13.7, 12.6, 2.2, 2.0),
    (9.1, -1.0, 16.4, 14.6, 14.2, 2.2, 2.1),
    (14.5, 0.5, 15.8, 14.2, 14.6, 2.0, 2.2),
    (20.5, 1.5, 16.9, 13.5, 14.6, 2.0, 2.2),
)

# Centre line of the left optic nerve from the globe to the chiasm, mean of the 16 in steps of 4 mm
# in y, and the radius of a circle of the drawn cross-section.
OPTIC_NERVE = (
    (27.0, -67.0, 29.0),
    (24.9, -59.9, 28.0),
    (23.3, -55.6, 27.0),
    (21.1, -51.2, 26.5),
    (18.8, -47.1, 25.4),
    (15.2, -42.4, 24.7),
    (11.8, -38.2, 24.8),
    (7.6, -33.0, 25.4),
)
OPTIC_NERVE_RADII = (2.7, 2.7, 2.6, 2.4, 2.0, 1.9, 1.95, 1.9)

# One arm of the chiasm's flat X (front left, middle, back left); the rest is its mirror image.
CHIASM_ARM = ((7.0, -31.5, 25.8), (2.0, -25.5, 26.1), (7.0, -18.8, 26.4))

# Centre line of the left half of the mandible's body from the chin to the angle, mean of the 16.
MANDIBLE_BODY = (
    (0.0, -108.5, -66.0),
    (11.0, -104.5, -65.0),
    (21.0, -93.0, -63.5),
    (28.5, -82.0, -62.0),
    (33.5, -72.0, -60.5),
    (38.5, -62.0, -58.5),
    (43.0, -51.0, -56.0),
)
MANDIBLE_CONDYLE = (50.5, -23.5, -11.5)
MANDIBLE_CORONOID = (45.0, -55.0, -16.0)

# Skin, without nose and ears. Above z = -10 it is the outline of 0522c0014; below, the face is
# widened by some 6 mm, since her parotids lie 6 mm nearer to the midline than the mean of the 16.
# Rows as Loft wants them: z, centre y, half-width, reach to the front, reach to the back, powers.
SKIN_LEVELS = (
    (-245.0, 5.0, 212.0, 96.0, 92.0, 2.8, 2.8),
    (-215.0, 5.0, 205.0, 84.0, 88.0, 2.5, 2.6),
    (-195.0, 5.0, 186.0, 72.0, 82.0, 2.1, 2.3),
    (-180.0, 5.0, 140.0, 64.0, 76.0, 1.7, 2.0),
    (-166.0, 5.0, 92.0, 66.0, 70.0, 1.7, 1.8),
    (-150.0, 5.0, 75.0, 69.0, 64.0, 2.0, 2.0),
    (-130.0, 5.0, 67.0, 71.0, 58.0, 2.1, 2.3),
    (-115.0, 5.0, 63.0, 74.0, 54.0, 2.0, 2.6),
    (-105.0, 5.0, 63.0, 82.0, 50.0, 1.8, 2.8),
    (-97.0, 5.0, 62.5, 99.0, 47.0, 1.6, 2.8),
    (-87.0, 5.0, 65.0, 117.0, 45.0, 1.5, 2.8),
    (-77.0, 5.0, 68.0, 122.0, 44.0, 1.5, 2.8),
    (-67.0, 5.0, 72.0, 124.0, 45.0, 1.55, 2.8),
    (-57.0, 5.0, 74.5, 123.0, 49.0, 1.65, 2.6),
    (-47.0, 5.0, 76.5, 125.0, 57.0, 1.75, 2.4),
    (-37.0, 5.0, 78.0, 121.0, 67.0, 1.95, 2.3),
    (-25.0, 5.0, 79.0, 116.0, 77.0, 2.2, 2.2),
    (-10.0, 5.0, 79.5, 109.0, 84.0, 2.35, 2.1),
    (5.0, 3.0, 80.0, 104.0, 88.0, 2.35, 2.1),
    (20.0, 0.0, 80.0, 105.0, 93.0, 2.3, 2.1),
    (33.0, -3.0, 80.0, 106.0, 96.0, 2.25, 2.1),
    (53.0, -5.0, 78.0, 100.0, 96.0, 2.2, 2.1),
    (73.0, -3.0, 72.5, 90.0, 90.0, 2.2, 2.1),
    (83.0, -2.0, 67.5, 84.0, 85.0, 2.1, 2.1),
    (93.0, 0.0, 59.0, 77.0, 72.0, 2.1, 2.1),
    (103.0, 2.0, 46.0, 67.0, 58.0, 2.0, 2.0),
    (110.0, 4.0, 33.0, 54.0, 44.0, 2.0, 2.0),
    (116.0, 5.0, 17.0, 32.0, 25.0, 2.0, 2.0),
    (118.5, 5.0, 3.0, 6.0, 5.0, 2.0, 2.0),
)

# z of the middle of C1 (ring), C2 ... C7, T1, T2, T3.
VERTEBRAE = (-38.0, -54.0, -71.0, -87.0, -102.0, -117.0, -133.0, -151.0, -171.0, -192.0, -214.0)
SPINE = (
    (-245.0, 40.0),
    (-190.0, 15.0),
    (-160.0, 2.0),
    (-125.0, -8.0),
    (-95.0, -12.0),
    (-60.0, -12.0),
    (-30.0, -13.0),
)
"""(z, y) of the middle of the vertebral bodies, z ascending."""
