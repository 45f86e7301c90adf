# requires: rapidocr-onnxruntime==1.4.4
"""Reads the words of a picture: three models that find lines, turn them, and read them."""
from common import answer, page
from rapidocr_onnxruntime import RapidOCR

result, _ = RapidOCR()(page())
answer([[text, box, score] for box, text, score in result])
