# requires: magika==1.0.3
# tolerance: 1e-3
"""Tells what kind of contents files have.

The model takes variances as differences of two sums, 0.02 of 0.6: for the short text, rounding in float32 is 2e-4 at the end.
"""
import pathlib

from common import answer
from magika import Magika

magika = Magika()
root = pathlib.Path(__file__).resolve().parents[4]
paths = [root / name for name in ("README.md", "CMakeLists.txt", "engine/norma.h", "tools/test.sh", "LICENSE",
                                  "tools/compare_engines.py", "models/digits_mlp/model.onnx")]
answer([[result.output.label, result.score] for result in map(magika.identify_path, paths)] +
       [[result.output.label, result.score] for result in (magika.identify_bytes(b'{"a": [1, 2, {"b": null}]}' * 9),)])
