"""Losses of classification."""

import numpy as np

from tests.differential.case import Case, chance, operator, random_tensor, types_of


def shapes(random):
    inner = tuple(int(random.integers(1, 5)) for _ in range(random.integers(0, 4)))
    n, c = int(random.integers(1, 6)), int(random.integers(1, 7))
    return (n, c) + inner, (n,) + inner


def losses(log_probabilities, labels, weights, reduction, ignored):
    """The definition in double; the oracles differ where ignore_index is -1 or all labels are ignored."""
    wide = np.moveaxis(log_probabilities.astype(np.float64), 1, -1)
    kept = np.ones(labels.shape, bool) if ignored is None else labels != ignored
    picked = np.take_along_axis(wide, np.where(kept, labels, 0)[..., None].astype(np.int64), -1)[..., 0]
    factors = np.where(kept, 1.0 if weights is None else weights.astype(np.float64)[np.where(kept, labels, 0)], 0.0)
    loss = np.where(kept, -picked * factors, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.sum() / factors.sum()


def loss(name):
    softmax = name == "SoftmaxCrossEntropyLoss"

    def make(random, version, index):
        types = types_of(name, "T", version)
        type_ = types[index % len(types)]
        shape, label_shape = shapes(random)
        scores = random_tensor(random, type_, shape, -3, 3 if softmax else 0)
        labels = random.integers(0, shape[1], label_shape).astype(np.int32 if chance(random) else np.int64)
        weights = random_tensor(random, type_, (shape[1],), 0.2, 2) if chance(random) else None
        reduction = ("none", "sum", "mean")[index % 3]
        attributes = {"reduction": reduction} if reduction != "mean" or chance(random) else {}
        ignored = None
        if chance(random):
            ignored = int(random.choice([-1, 0, -100, 50]))
            attributes["ignore_index"] = ignored
            labels = np.where(random.random(label_shape) < 0.3, ignored, labels).astype(labels.dtype)
        outputs = 1 + int(softmax and chance(random))

        def expected(scores, labels, weights=None):
            y = scores.astype(np.float64)
            if softmax:
                y = y - y.max(axis=1, keepdims=True)
                y = y - np.log(np.exp(y).sum(axis=1, keepdims=True))
            result = losses(y, labels, weights, reduction, ignored)
            return [np.asarray(result).astype(type_), y.astype(type_)][:outputs]
        return Case([scores, labels] + ([weights] if weights is not None else []), attributes, outputs, expected=expected)
    return make


for name in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"):
    operator(name, tolerance="rtol=1e-5 atol=1e-6")(loss(name))
