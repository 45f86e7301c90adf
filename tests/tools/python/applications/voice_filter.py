# requires: open-voicefilter-lite==0.2.0
# tolerance: 1e-2
"""Keeps one speaker's voice and takes others away: two models with weights and states of 8 bits."""
import numpy as np
from common import answer, speech
from voicefilter_lite import StreamingVoiceFilter

engine = StreamingVoiceFilter()
engine.set_enrollment(speech(4).astype(np.float32))
step = engine.hp.hop if hasattr(engine.hp, "hop") else engine.hp.model.audio.hop_length
sound = speech(2, 180).astype(np.float32)
pieces = [engine.step(sound[start:start + step]) for start in range(0, len(sound) - step + 1, step)]
answer(np.concatenate(pieces)[::37].tolist())
