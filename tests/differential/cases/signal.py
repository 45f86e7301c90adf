"""Fourier transforms, windows and mel filters."""

import numpy as np
from onnx import helper

from tests.differential.case import Case, chance, operator, pick, random_tensor, types_of

NARROW_SUMS = {"float16": "rtol=5e-3 atol=1e-2", "bfloat16": "rtol=2e-2 atol=1e-1"}


def parts(x):
    return np.stack([x.real, x.imag], axis=-1)


def transform(axis, length, inverse, onesided, type_):
    """numpy.fft, in double: the oracles know no bfloat16, and one of them rounds half precision on the way."""
    def expected(x, *_):
        wide = x.astype(np.float64)
        signal = wide[..., 0] + 1j * wide[..., 1] if x.shape[-1] == 2 else wide[..., 0]
        n = length or (2 * (x.shape[axis] - 1) if inverse and onesided else x.shape[axis])
        if inverse and onesided:
            return [np.fft.irfft(signal, n, axis)[..., None].astype(type_)]
        if inverse:
            return [parts(np.fft.ifft(signal, n, axis)).astype(type_)]
        return [parts(np.fft.rfft(signal, n, axis) if onesided else np.fft.fft(signal, n, axis) + 0j).astype(type_)]
    return expected


@operator("DFT", tolerance="rtol=1e-4 atol=1e-5", narrow=NARROW_SUMS)
def dft(random, version, index):
    types = types_of("DFT", "T1", version)
    type_ = types[index % len(types)]
    inverse, onesided = index // 4 % 2, index // 8 % 2
    rank = int(random.integers(2, 5))
    shape = [int(random.integers(1, 5)) for _ in range(rank)]
    axis = int(random.integers(0, rank - 1))
    shape[axis] = int(random.integers(2, 40)) if chance(random, 0.9) else int(random.integers(40, 3000))
    shape[-1] = 1 + (inverse if onesided else int(random.integers(2)))
    length = int(random.integers(1, 50)) if chance(random) else 0
    x = random_tensor(random, type_, tuple(shape), -1, 1)
    attributes = {"inverse": inverse, "onesided": onesided}
    lengths = np.array(length, pick(random, (np.int32, np.int64))) if length else None
    expected = transform(axis, length, inverse, onesided, type_)
    constants = (1,) if length and chance(random) else ()
    if version < 20:
        return Case([x, lengths] if length else [x], {**attributes, "axis": axis - rank if chance(random) else axis},
                    expected=expected, constants=constants)
    axes = np.array(axis - rank if chance(random) else axis, np.int64)
    return Case([x, lengths, axes], attributes, expected=expected, constants=constants + ((2,) if chance(random) else ()))


@operator("STFT", tolerance="rtol=1e-4 atol=1e-5", narrow=NARROW_SUMS)
def stft(random, version, index):
    types = types_of("STFT", "T1", version)
    type_ = types[index % len(types)]
    length, step = int(random.integers(20, 300)), int(random.integers(1, 30))
    frame = int(random.integers(1, 20))
    complex_ = chance(random, 0.3)
    onesided = 0 if complex_ else int(random.integers(2))
    x = random_tensor(random, type_, (int(random.integers(1, 4)), length, 2 if complex_ else 1), -1, 1)
    window = random_tensor(random, type_, (frame,), 0, 1) if chance(random, 0.7) else None
    given = np.array(frame, np.int64) if window is None or chance(random) else None
    integer = pick(random, (np.int32, np.int64))

    def expected(x, step, window=None, *_):
        wide = x.astype(np.float64)
        signal = wide[..., 0] + 1j * wide[..., 1] if complex_ else wide[..., 0]
        starts = range(0, length - frame + 1, int(step))
        frames = np.stack([signal[:, s:s + frame] for s in starts], axis=1)
        if window is not None:
            frames = frames * window.astype(np.float64)
        return [parts((np.fft.rfft if onesided else np.fft.fft)(frames) + 0j).astype(type_)]
    return Case([x, np.array(step, integer), window] + ([given.astype(integer)] if given is not None else []),
                {"onesided": onesided}, expected=expected, constants=(1,) if chance(random) else ())


def window_function(name):
    def make(random, version, index):
        types = types_of(name, "T2", version)
        type_ = np.dtype(types[index % len(types)])
        size, periodic = int(random.integers(2, 60)), int(random.integers(2))

        def expected(size):
            size = int(size)
            angle = 2 * np.pi * np.arange(size) / (size - 1 + periodic)
            if name == "HannWindow":
                y = np.sin(angle / 2) ** 2
            elif name == "HammingWindow":
                y = 25 / 46 - 21 / 46 * np.cos(angle)
            else:
                y = 0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle)
            return [np.floor(y + 1e-9).astype(type_) if type_.kind in "iu" else y.astype(type_)]  # a peak is 1
        return Case([np.array(size, pick(random, (np.int32, np.int64)))],
                    {"periodic": periodic, "output_datatype": helper.np_dtype_to_tensor_dtype(type_)}, expected=expected)
    return make


for name in ("HannWindow", "HammingWindow", "BlackmanWindow"):
    operator(name, tolerance="rtol=1e-5 atol=1e-6", narrow={"bfloat16": "rtol=1e-2 atol=4e-3"})(window_function(name))


@operator("MelWeightMatrix", tolerance="rtol=1e-5 atol=1e-6")
def mel_weight_matrix(random, version, index):
    integer = pick(random, (np.int32, np.int64))
    rate = int(random.integers(1000, 48000))
    low = float(random.uniform(0, rate / 8))
    edge = pick(random, (np.float32, np.float64))
    return Case([np.array(random.integers(1, 40), integer), np.array(random.integers(8, 500), integer), np.array(rate, integer),
                 np.array(low, edge), np.array(random.uniform(low, rate / 2), edge)])
