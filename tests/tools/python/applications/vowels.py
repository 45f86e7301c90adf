# requires: piper-tts==1.8.0
"""Adds vowels to Arabic and Hebrew words, before a voice speaks them."""
from common import answer
from piper.hebrew import NakdimonDiacritizer
from piper.tashkeel import TashkeelDiacritizer

arabic, hebrew = TashkeelDiacritizer(), NakdimonDiacritizer()
answer([arabic(text) for text in ("مرحبا بالعالم", "كيف حالك اليوم", "ذهب الولد إلى المدرسة")] +
       [hebrew(text) for text in ("שלום עולם", "ספר טוב על השולחן", "מה שלומך היום")])
