# requires: text2tashkeel==0.1.0
"""Adds vowels to Arabic words, with each model that is in the wheel."""
from common import answer
from text2tashkeel import Diacritizer, available_models

TEXTS = ("بسم الله الرحمن الرحيم", "ذهب الولد إلى المدرسة", "اللغة العربية جميلة")
answers = {}
for name in ("rawi-ensemble", "rawi-v2-int8", "rawi-v3-int8", "rawi-int8", "bilstm-int8"):
    if name in available_models():
        answers[name] = [Diacritizer(name).diacritize(text) for text in TEXTS]
answer(answers)
