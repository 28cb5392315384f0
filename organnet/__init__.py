"""OrganNet2.5D: nine organs at risk in 3D head-and-neck CT (Chen et al., MICCAI 2021)."""

__version__ = "0.1.0"
