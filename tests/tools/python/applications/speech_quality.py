# requires: speechmos==0.0.1.1 librosa==0.11.0
"""Judges the quality of speech: four models of two kinds."""
import numpy as np
from common import answer, speech
from speechmos import dnsmos, plcmos

np.random.seed(1)  # plcmos draws its listeners
sound = speech(10)
answer([{name: float(score) for name, score in dnsmos.run(sound, 16000, model_type=kind).items() if name.endswith("mos")}
        for kind in ("dnsmos", "dnsmos_personalized")] + [float(plcmos.run(sound, 16000)["plcmos"])])
