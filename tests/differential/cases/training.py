"""Optimizers of ai.onnx.preview.training."""

import numpy as np

from tests.differential.case import Case, chance, operator, pick, random_shape, random_tensor

DOMAIN = "ai.onnx.preview.training"


def step(random, histories):
    """Rate, count, and for one to three tensors X, G and histories, the last one of squares."""
    tensors = int(random.integers(1, 4))
    types = [pick(random, [np.float32, np.float64]) for _ in range(tensors)]
    shapes = [random_shape(random) for _ in range(tensors)]
    inputs = [np.asarray(random.uniform(0, 0.5), pick(random, [np.float32, np.float64])),
              np.asarray(random.integers(-1, 20), np.int64)]
    for part in range(2 + histories):
        low = 0 if part == 1 + histories else -4
        inputs += [random_tensor(random, type_, shape, low) for type_, shape in zip(types, shapes)]
    return inputs, tensors * (1 + histories)


def some(random, **ranges):
    return {name: float(random.uniform(*bounds)) for name, bounds in ranges.items() if chance(random)}


@operator("Adam", DOMAIN)
def adam(random, version, index):
    inputs, outputs = step(random, 2)
    return Case(inputs, {"epsilon": 1e-3, **some(random, alpha=(0.5, 1), beta=(0.5, 1), norm_coefficient=(0, 0.1),
                                                 norm_coefficient_post=(0, 0.1))}, outputs)


@operator("Adagrad", DOMAIN)
def adagrad(random, version, index):
    inputs, outputs = step(random, 1)
    return Case(inputs, {"epsilon": 1e-3, **some(random, decay_factor=(0, 0.2), norm_coefficient=(0, 0.1))}, outputs)


@operator("Momentum", DOMAIN)
def momentum(random, version, index):
    inputs, outputs = step(random, 1)
    return Case(inputs, {"mode": ["standard", "nesterov"][index % 2], "alpha": float(random.uniform(0, 1)),
                         "beta": float(random.uniform(0, 1)), "norm_coefficient": float(random.uniform(0, 0.2))}, outputs)
