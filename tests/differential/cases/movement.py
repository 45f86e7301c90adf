"""Operators that move elements by shapes: joining, cutting, reshaping, padding, repeating."""

import functools

import numpy as np

from tests.differential.case import (Case, axis_of, chance, is_float, legacy, operator, random_axis, random_broadcast,
                                     random_shape, random_tensor, some_constants, type_at)

covered = functools.partial(operator, late=True)


@covered("Concat")
def concat(random, version, index):
    type_ = type_at("Concat", "T", version, index)
    shape = list(random_shape(random, 2 if version == 1 else 1, 4))
    axis = axis_of(random, version, len(shape))
    inputs = []
    for _ in range(random.integers(1, 6)):
        shape[axis] = int(random.integers(0 if chance(random, 0.2) else 1, 5))
        inputs.append(random_tensor(random, type_, tuple(shape)))
    constants = some_constants(random, range(len(inputs)))
    attributes = {"axis": axis}
    if version == 1 and chance(random):  # by default axis 1
        if axis == 1:
            attributes = {}
    return Case(inputs, attributes, constants=constants[1:], alike=(4, Case(inputs, {"axis": axis})) if version == 1 else None)


@covered("Split")
def split(random, version, index):
    type_ = type_at("Split", "T", version, index)
    rank = int(random.integers(1, 5))
    axis = axis_of(random, version, rank)
    count = int(random.integers(1, 5))
    equal = chance(random)
    parts = [int(random.integers(1, 4))] * count if equal else [int(random.integers(0 if version > 1 and chance(random, 0.2) else 1, 5))
                                                               for _ in range(count)]
    shape = [int(random.integers(1, 5)) for _ in range(rank)]
    shape[axis] = sum(parts)
    x = random_tensor(random, type_, tuple(shape))
    attributes = {} if axis == 0 and version != 1 and chance(random) else {"axis": axis}
    told = not equal or chance(random)
    if version == 1:
        if told and chance(random):
            return Case([x, np.array(parts, type_)], attributes, outputs=count, constants=(1,),
                        alike=(2, Case([x], {**attributes, "split": parts}, outputs=count)))
        given = {"split": parts} if told else {}
        return Case([x], {**attributes, **given}, outputs=count, alike=(2, Case([x], {**attributes, **given}, outputs=count)))
    if version < 13:
        return Case([x], {**attributes, **({"split": parts} if told else {})}, outputs=count)
    if version >= 18 and not told:  # the last part may be smaller
        attributes["num_outputs"] = count
        least = (count - 1) * (parts[0] - 1) + count if parts[0] > 1 else count
        shape[axis] = max(least, shape[axis] - int(random.integers(0, parts[0])))
        if -(-shape[axis] // count) * (count - 1) >= shape[axis] and count > 1:
            shape[axis] = sum(parts)
        x = random_tensor(random, type_, tuple(shape))
        return Case([x], attributes, outputs=count)
    inputs = [x, np.array(parts, np.int64)] if told else [x]
    return Case(inputs, attributes, outputs=count, constants=(1,) if told and chance(random) else ())


def slice_bound(random):
    return int(random.integers(-8, 9)) if chance(random, 0.85) else int(random.choice([-2 ** 31 + 1, 2 ** 31 - 1]))


def slices(x, starts, ends, axes=None, steps=None):
    """By the words of version 13. onnxruntime takes the largest integer as an end for the first element of a backward slice;
    the reference follows NumPy, by which a start before the first element selects nothing backwards."""
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(*(map(int, values) for values in (starts, ends, axes, steps))):
        size = x.shape[axis]
        start, end = (value + size if value < 0 else value for value in (start, end))
        start = min(max(start, 0), size if step > 0 else size - 1)
        end = min(max(end, 0 if step > 0 else -1), size if step > 0 else size - 1)
        x = np.take(x, list(range(start, end, step)) if size else [], axis=axis)
    return [x]


@covered("Slice")
def slice_(random, version, index):
    x = random_tensor(random, type_at("Slice", "T", version, index), random_shape(random, 1, 4))
    axes = [int(axis) for axis in random.permutation(x.ndim)[:random.integers(1, x.ndim + 1)]]
    implied = chance(random, 0.3)
    if implied:
        axes = list(range(len(axes)))
    starts, ends = ([slice_bound(random) for _ in axes] for _ in range(2))
    if version == 1:
        return Case([x], {"starts": starts, "ends": ends, **({} if implied else {"axes": axes})})
    steps = [int(random.choice([-3, -2, -1, 1, 1, 2, 3])) for _ in axes]
    if version >= 11:
        axes = [axis - x.ndim if chance(random, 0.3) else axis for axis in axes]
    type_ = (np.int32, np.int64)[index // 2 % 2]
    plain = chance(random, 0.3)
    inputs = [x, np.array(starts, type_), np.array(ends, type_), None if implied else np.array(axes, type_),
              None if plain else np.array(steps, type_)]
    while inputs[-1] is None:
        inputs.pop()
    given = [i for i in range(1, len(inputs)) if inputs[i] is not None]
    return Case(inputs, constants=tuple(given) if chance(random) else some_constants(random, given), expected=slices)


@covered("Transpose")
def transpose(random, version, index):
    x = random_tensor(random, type_at("Transpose", "T", version, index), random_shape(random, 0, 5))
    return Case([x], {"perm": [int(axis) for axis in random.permutation(x.ndim)]} if x.ndim and chance(random, 0.8) else {})


def factors(random, size):
    """Sizes whose product is `size`."""
    made = []
    while size > 1 and len(made) < 5:
        divisors = [d for d in range(2, size + 1) if size % d == 0]
        divisor = int(random.choice(divisors))
        made.append(divisor)
        size //= divisor
    made += [size] if size > 1 else []
    for _ in range(random.integers(0, 2)):
        made.insert(int(random.integers(len(made) + 1)), 1)
    return made


@covered("Reshape")
def reshape(random, version, index):
    x = random_tensor(random, type_at("Reshape", "T", version, index), random_shape(random, 0, 4))
    attributes = {}
    if x.size:
        target = factors(random, x.size)
        kept = [i for i in range(min(len(target), x.ndim)) if target[i] == x.shape[i]]
        if target and chance(random, 0.4):
            target[int(random.integers(len(target)))] = -1
        for i in kept:
            if target[i] != -1 and chance(random):
                target[i] = 0
    elif version >= 14:
        attributes["allowzero"] = 1
        target = [int(size) for size in random.permutation(list(x.shape) + [3])]
    else:
        target = [0] * x.ndim
    if version == 1:
        target = target or [1]
        return Case([x], {"shape": target, **legacy(random, "Reshape", 1)}, alike=(5, Case([x, np.array(target, np.int64)])))
    return Case([x, np.array(target, np.int64)], attributes, constants=(1,) if chance(random) else ())


@covered("Flatten")
def flatten(random, version, index):
    x = random_tensor(random, type_at("Flatten", "T", version, index), random_shape(random, 1, 5))
    axis = int(random.integers(-x.ndim if version >= 11 else 0, x.ndim + 1))
    own = None
    if x.size == 0:  # of which onnxruntime makes other shapes
        def own(x):
            first = axis % x.ndim if axis < x.ndim else x.ndim
            return [x.reshape(int(np.prod(x.shape[:first])), int(np.prod(x.shape[first:])))]
    return Case([x], {} if axis == 1 and chance(random) else {"axis": axis}, expected=own)


@covered("Squeeze")
def squeeze(random, version, index):
    shape = [1 if chance(random) else size for size in random_shape(random, 1, 5)]
    x = random_tensor(random, type_at("Squeeze", "T", version, index), tuple(shape))
    ones = [i for i, size in enumerate(shape) if size == 1 and chance(random, 0.7)]
    axes = [i - x.ndim if version >= 11 and chance(random, 0.3) else i for i in random.permutation(ones).tolist()]
    axes = [int(axis) for axis in axes]
    if not axes:
        return Case([x])
    if version < 13:  # by version 13 where an oracle lacks the type
        known = (13, Case([x, np.array(axes, np.int64)])) if x.dtype.kind == "c" else None
        return Case([x], {"axes": sorted(axes) if version == 1 else axes}, alike=known)
    return Case([x, np.array(axes, np.int64)], constants=(1,) if chance(random) else ())


@covered("Unsqueeze")
def unsqueeze(random, version, index):
    x = random_tensor(random, type_at("Unsqueeze", "T", version, index), random_shape(random, 0, 3))
    count = int(random.integers(1, 4))
    axes = [int(axis) for axis in random.permutation(x.ndim + count)[:count]]
    if version < 11:
        return Case([x], {"axes": sorted(axes)})
    axes = [axis - x.ndim - count if chance(random, 0.3) else axis for axis in axes]
    if version < 13:
        return Case([x], {"axes": axes}, alike=(13, Case([x, np.array(axes, np.int64)])) if x.dtype.kind == "c" else None)
    return Case([x, np.array(axes, np.int64)], constants=(1,) if chance(random) else ())


@covered("Expand")
def expand(random, version, index):
    """Both ways: the shape may have sizes of 1 where the input has more."""
    shape = random_shape(random)
    x = random_tensor(random, type_at("Expand", "T", version, index), random_broadcast(random, shape))
    return Case([x, np.array(random_broadcast(random, shape), np.int64)], constants=(1,) if chance(random) else ())


@covered("Tile")
def tile(random, version, index):
    x = random_tensor(random, type_at("Tile", "T", version, index), random_shape(random, 1, 4))
    if version == 1:
        axis, tiles = int(random.integers(x.ndim)), int(random.integers(1, 4))
        repeats = [tiles if i == axis else 1 for i in range(x.ndim)]
        return Case([x, np.array(tiles, x.dtype), np.array(axis, x.dtype)], constants=some_constants(random, (1, 2)),
                    alike=(6, Case([x, np.array(repeats, np.int64)])))
    repeats = [int(random.integers(0 if chance(random, 0.1) else 1, 4)) for _ in range(x.ndim)]
    return Case([x, np.array(repeats, np.int64)], constants=(1,) if chance(random) else ())


def padded(mode):
    """Of types and pads that no oracle takes: NumPy's pad after negative pads have cut."""
    def compute(x, pads, value=None, axes=None):
        axes = list(range(x.ndim)) if axes is None else [int(axis) % x.ndim for axis in axes]
        wide = [(0, 0)] * x.ndim
        for i, axis in enumerate(axes):
            wide[axis] = (int(pads[i]), int(pads[i + len(axes)]))
        cut = x[tuple(slice(max(-first, 0), size - max(-last, 0)) for (first, last), size in zip(wide, x.shape))]
        zero = "" if x.dtype == object else np.zeros((), x.dtype)[()]
        grown = [(max(first, 0), max(last, 0)) for first, last in wide]
        places = np.pad(np.arange(1, cut.size + 1).reshape(cut.shape), grown, mode)  # 0: not of the input
        flat = np.concatenate([np.asarray([zero if value is None else value[()]], x.dtype), cut.ravel()])
        return [flat[places]]
    return compute


@covered("Pad")
def pad(random, version, index):
    """Negative pads cut; mirrors need fewer pads than the size; axes since 18, wrapping since 19."""
    x = random_tensor(random, type_at("Pad", "T", version, index), random_shape(random, 1, 4, empty=0))
    mode = ("constant", "reflect", "edge", "wrap")[random.integers(4 if version >= 19 else 3)]
    axes = sorted(int(axis) for axis in random.permutation(x.ndim)[:random.integers(1, x.ndim + 1)])
    whole = version < 18 or chance(random)
    if whole:
        axes = list(range(x.ndim))
    most = {i: 3 if mode == "constant" else x.shape[i] - 1 if mode == "reflect" else x.shape[i] for i in axes}
    least = {i: -(x.shape[i] // 3) if mode == "constant" and version > 1 else 0 for i in axes}
    pads = [int(random.integers(least[i], most[i] + 1)) for i in axes * 2]
    given = {} if mode == "constant" and chance(random) else {"mode": mode}
    value = np.asarray(random_tensor(random, x.dtype, ()), x.dtype)
    if version < 11:
        if mode == "constant" and chance(random):
            given["value"] = float(np.asarray(value, np.float64))
        old = {"paddings" if version == 1 else "pads": pads, **given}
        own = padded(mode)
        value = np.asarray(given.get("value", 0), x.dtype)
        return Case([x], old, expected=lambda x: own(x, pads, value))
    inputs = [x, np.array(pads, np.int64), value if mode == "constant" and chance(random) else None,
              None if whole else np.array([i - x.ndim if chance(random, 0.3) else i for i in axes],
                                          (np.int32, np.int64)[random.integers(2)])]
    while inputs[-1] is None:
        inputs.pop()
    own = padded(mode) if min(pads) < 0 or x.dtype == object else None
    return Case(inputs, given, expected=own,
                constants=some_constants(random, [i for i in range(1, len(inputs)) if inputs[i] is not None]))


def blocks(random):
    return int(random.integers(1, 4)), [int(random.integers(1, 4)) for _ in range(4)]


@covered("DepthToSpace")
def depth_to_space(random, version, index):
    block, (n, c, h, w) = blocks(random)
    x = random_tensor(random, type_at("DepthToSpace", "T", version, index), (n, c * block * block, h, w))
    mode = ("DCR", "CRD")[random.integers(2)]
    return Case([x], {"blocksize": block, **({"mode": mode} if version >= 11 and chance(random, 0.8) else {})})


@covered("SpaceToDepth")
def space_to_depth(random, version, index):
    block, (n, c, h, w) = blocks(random)
    x = random_tensor(random, type_at("SpaceToDepth", "T", version, index), (n, c, h * block, w * block))
    mode = ("DCR", "CRD")[random.integers(2)]
    attributes = {"mode": mode} if version >= 28 and chance(random, 0.8) else {}

    def own(x):
        cut = x.reshape(n, c, h, block, w, block)
        order = (0, 1, 3, 5, 2, 4) if attributes.get("mode") == "CRD" else (0, 3, 5, 1, 2, 4)
        return [cut.transpose(order).reshape(n, c * block * block, h, w)]
    return Case([x], {"blocksize": block, **attributes}, expected=own if version >= 28 else None)


@covered("Trilu")
def trilu(random, version, index):
    x = random_tensor(random, type_at("Trilu", "T", version, index), random_shape(random, 2, 4))
    attributes = {"upper": int(random.integers(2))} if chance(random, 0.7) else {}
    if x.dtype == object:  # zeros of texts are empty, as in Pad's definition; the reference writes "0"
        def own(x, k=np.array(0)):
            kept = (np.triu if attributes.get("upper", 1) else np.tril)(np.ones(x.shape[-2:], np.int8), int(k))
            return [np.where(kept == 1, x, "").astype(object)]
    else:
        own = None
    if chance(random, 0.3):
        return Case([x], attributes, expected=own)
    return Case([x, np.array(random.integers(-7, 8), np.int64)], attributes, constants=(1,) if chance(random) else (), expected=own)


def cumulative(name, random, version, index):
    x = random_tensor(random, type_at(name, "T", version, index), random_shape(random, 1, 4), -2, 2)
    axis = np.array(random_axis(random, x.ndim), (np.int32, np.int64)[random.integers(2)])
    attributes = {key: int(random.integers(2)) for key in ("exclusive", "reverse") if chance(random, 0.7)}

    def own(x, axis):
        axis = int(axis) % x.ndim
        wide = x.astype(np.float64 if is_float(x.dtype) else x.dtype)
        flip = (lambda y: np.flip(y, axis)) if attributes.get("reverse") else (lambda y: y)
        wide = flip(wide)
        whole = (np.cumsum if name == "CumSum" else np.cumprod)(wide, axis=axis, dtype=wide.dtype)
        if attributes.get("exclusive") and x.shape[axis]:
            first = np.full_like(np.take(whole, [0], axis=axis), 0 if name == "CumSum" else 1)
            whole = np.concatenate([first, np.take(whole, range(x.shape[axis] - 1), axis=axis)], axis=axis)
        return [flip(whole).astype(x.dtype)]
    half = is_float(x.dtype) and x.dtype.itemsize == 2  # which the reference adds up in the half type
    return Case([x, axis], attributes, constants=(1,) if chance(random) else (), expected=own if half else None)


for name in ("CumSum", "CumProd"):
    covered(name)(functools.partial(cumulative, name))
