# requires: openwakeword==0.4.0
"""Listens for wake words: features, embeddings, six models and a detector of speech, 80 ms at a time."""
import numpy as np
import openwakeword
import openwakeword.model
from common import answer, speech

listener = openwakeword.model.Model()
sound = (speech(4) * 20000).astype(np.int16)
answers = []
for start in range(0, len(sound) - 1279, 1280):
    answers.append({name: float(score) for name, score in listener.predict(sound[start:start + 1280]).items()})
detector = openwakeword.VAD()
answers.append([float(detector.predict(sound[start:start + 4800])) for start in range(0, 48000, 4800)])
answer(answers)
