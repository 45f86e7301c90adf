"""What the programs of this folder have in common: inputs that are the same each time, and how they answer."""

import json
import sys

import numpy as np


def answer(contents):
    """The program's answer, with the name of what was imported as onnxruntime."""
    def plain(x):
        if isinstance(x, np.ndarray) or isinstance(x, np.generic):
            return x.tolist()
        raise TypeError(type(x))

    import onnxruntime

    print("\nANSWER " + json.dumps({"engine": onnxruntime.__name__, "answer": contents}, default=plain))
    sys.stdout.flush()


def _font(size):
    from PIL import ImageFont

    return ImageFont.load_default(size)


def page():
    """A page with lines of text, as an array of height x width x 3."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (640, 360), "white")
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(("Norma runs ONNX models", "One library and one header", "Invoice 2026-11-28", "Total: 1234.56 EUR")):
        draw.text((40, 30 + 80 * row), text, "black", font=_font(36))
    return np.array(image)


def word(text):
    """A small picture of one word."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (40 + 26 * len(text), 64), "white")
    ImageDraw.Draw(image).text((16, 8), text, "navy", font=_font(40))
    return image


def speech(seconds, pitch=120, rate=16000):
    """Something like a voice: harmonics of a pitch that moves, in syllables, with some noise. From -1 to 1."""
    generator = np.random.default_rng(pitch)
    time = np.arange(seconds * rate) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time))) / rate
    voice = sum(np.sin(k * phase) / k * np.exp(-((k * pitch - 700) / 900) ** 2) for k in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, 1)
    sound = voice * syllables + 0.01 * generator.standard_normal(len(time))
    return (0.5 * sound / np.abs(sound).max()).astype(np.float64)
