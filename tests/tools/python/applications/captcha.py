# requires: ddddocr==1.6.1
"""Reads single words, with both models, and finds where they stand on a page."""
import io

import ddddocr
from common import answer, page, word


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


answers = []
for old in (False, True):
    reader = ddddocr.DdddOcr(show_ad=False, old=old)
    answers.append([reader.classification(png(word(text))) for text in ("norma", "8X2K", "2026")])
from PIL import Image

finder = ddddocr.DdddOcr(det=True, ocr=False, show_ad=False)
answers.append(finder.detection(png(Image.fromarray(page()))))
answer(answers)
