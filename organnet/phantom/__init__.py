"""The embedded data set: a synthetic head-and-neck CT with the nine organs, from (seed, index)."""

from organnet.phantom.case import SIZES, PhantomSize, make_case
from organnet.phantom.dataset import write_phantom

__all__ = ["SIZES", "PhantomSize", "make_case", "write_phantom"]
