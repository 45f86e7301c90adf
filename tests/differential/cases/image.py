"""Operators on images: sampling, boxes, patches."""

import math

import ml_dtypes
import numpy as np

from tests.differential.case import Case, chance, operator, pick, random_shape, random_tensor, types_of

NARROW = {"float16": "rtol=1e-2 atol=1e-2", "bfloat16": "rtol=3e-2 atol=6e-2"}


def flag(random, probability=0.5):
    return int(chance(random, probability))


# ------------------------------------------------------------------------------------------------------------ GridSample

def cubic_weights(x):
    a = -0.75
    near = lambda t: ((a + 2) * t - (a + 3)) * t * t + 1
    far = lambda t: ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return [far(x + 1), near(x), near(1 - x), far(2 - x)]


def reflect(x, low, high):
    span = high - low
    if span <= 0:
        return low
    distance = abs(x - low) % (2 * span)
    return low + (2 * span - distance if distance > span else distance)


def sample_axis(size, x, mode, padding, corners, onnx=True):
    """(index or None, weight) of the elements that count for one coordinate."""
    low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
    if mode == "nearest":
        x = np.rint(x)
    if not low <= x <= high:
        if padding == "border":
            x = min(max(x, 0.0), size - 1.0) if onnx or mode == "nearest" else x
        elif padding == "reflection":
            x = reflect(x, low, high)
    if mode == "nearest":
        taps = [(int(np.rint(x)), 1.0)]
    else:
        first = math.floor(x)
        fraction = x - first
        weights = [1 - fraction, fraction] if mode == "linear" else cubic_weights(fraction)
        start = first if mode == "linear" else first - 1
        taps = [(start + i, weight) for i, weight in enumerate(weights)]
    inside = []
    for index, weight in taps:
        if padding == "border":
            index = min(max(index, 0), size - 1)
        elif padding == "reflection":
            index = min(max(int(reflect(index, low, high)), 0), size - 1)
        inside.append((index if 0 <= index < size else None, weight))
    return inside


def grid_sample(mode, padding, corners, onnx=True):
    """Element by element: the oracles lack types, or round numbers of narrow types on the way."""
    def expected(x, grid):
        wide = x.astype(object) if x.dtype.kind in "UO" else x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
        places = grid.astype(np.float64 if grid.dtype == np.float64 else np.float32)
        y = np.zeros(x.shape[:2] + grid.shape[1:-1], dtype=wide.dtype)
        if y.dtype == object:
            y[...] = ""
        sizes = x.shape[2:]
        for at in np.ndindex(grid.shape[:-1]):
            taps = []
            for size, place in zip(sizes, places[at][::-1]):
                one = place.dtype.type(1)
                length = place.dtype.type(size)
                coordinate = (place + one) / 2 * (length - one) if corners else ((place + one) * length - one) / 2
                taps.append(sample_axis(size, float(coordinate), mode, padding, corners, onnx))
            for chosen in np.ndindex(*[len(axis) for axis in taps]):
                picked = [axis[i] for axis, i in zip(taps, chosen)]
                if any(index is None for index, _ in picked):
                    continue
                values = wide[(at[0], slice(None)) + tuple(index for index, _ in picked)]
                target = (at[0], slice(None)) + at[1:]
                y[target] = values if mode == "nearest" else y[target] + values * np.prod([weight for _, weight in picked])
        if x.dtype == np.bool_:
            return [y != 0]
        if x.dtype.kind in "iu":
            limits = np.iinfo(x.dtype)
            return [np.clip(np.trunc(y), limits.min, limits.max).astype(x.dtype)]
        return [y if x.dtype.kind in "UO" else y.astype(x.dtype)]
    return expected


def grid_sample_case(random, types, grid_types, modes, index, ranks, onnx=True):
    mode = modes[index % 3]
    corners = flag(random)
    padding = pick(random, ("zeros", "border", "reflection"))
    type_ = types[index % len(types)]
    if np.dtype(type_).kind in "US" or (np.dtype(type_).kind in "iub" and mode != modes[0]):
        mode = modes[0] if np.dtype(type_).kind in "USb" or chance(random, 0.7) else mode
    if np.dtype(type_).kind in "iu" and mode != modes[0]:
        type_ = np.float32  # truncation makes large errors of small ones
    rank = int(pick(random, ranks))
    x = random_tensor(random, type_, tuple(int(random.integers(1, 4)) for _ in range(2))
                      + tuple(int(random.integers(1, 7)) for _ in range(rank)))
    shape = (x.shape[0],) + tuple(int(random.integers(1, 5)) for _ in range(rank)) + (rank,)
    grid = random_tensor(random, pick(random, grid_types), shape, -1.6, 1.6)
    plain = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    # onnxruntime moves elements, not points, to the border; the definition: "use border values for out-of-bound grid
    # locations". Of its own operator of that name it is right.
    own = x.dtype != np.float32 or grid.dtype != np.float32 or (mode in ("cubic", "bicubic") and padding == "border" and onnx)
    return Case([x, grid], {"mode": mode, "padding_mode": padding, "align_corners": corners},
                expected=grid_sample(plain, padding, corners, onnx) if own else None)


@operator("GridSample", tolerance="rtol=1e-4 atol=1e-4", narrow=NARROW)
def grid_sample_of_onnx(random, version, index):
    modes = ("nearest", "bilinear", "bicubic") if version < 20 else ("nearest", "linear", "cubic")
    return grid_sample_case(random, types_of("GridSample", "T1", version), types_of("GridSample", "T2", version), modes,
                            index, (2,) if version < 20 else (1, 2, 3))


@operator("GridSample", domain="com.microsoft", tolerance="rtol=1e-4 atol=1e-4", narrow=NARROW, versions=(1,))
def grid_sample_of_microsoft(random, version, index):
    type_ = (np.float32, np.float64, np.float16)[index % 3]
    return grid_sample_case(random, (type_,), (type_,), ("nearest", "bilinear", "bicubic"), index // 3, (2,), False)


@operator("AffineGrid", tolerance="rtol=1e-4 atol=1e-5", narrow=NARROW)
def affine_grid(random, version, index):
    types = types_of("AffineGrid", "T1", version)
    type_ = types[index % len(types)]
    axes = int(random.integers(2, 4))
    corners = flag(random)
    samples = int(random.integers(1, 4))
    sizes = [int(random.integers(2, 6)) for _ in range(axes)]
    theta = random_tensor(random, type_, (samples, axes, axes + 1))
    size = np.array([samples, 3, *sizes], np.int64)

    def expected(theta, *_):
        lines = [np.linspace(-1, 1, n) if corners else (2 * np.arange(n) + 1) / n - 1 for n in sizes]
        points = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(sizes)], axis=-1)
        return [np.einsum("nij,...j->n...i", theta.astype(np.float64), points).astype(type_)]
    return Case([theta, size], {"align_corners": corners}, expected=expected, constants=(1,) if chance(random) else ())


# ----------------------------------------------------------------------------------------------------------------- boxes

@operator("RoiAlign", tolerance="rtol=1e-3 atol=1e-4", narrow=NARROW)
def roi_align(random, version, index):
    types = types_of("RoiAlign", "T1", version)
    type_ = types[index % len(types)]
    x = random_tensor(random, type_, tuple(int(random.integers(1, n)) for n in (4, 40, 12, 12)))
    count = int(random.integers(0, 6))
    corners = random.uniform(-3, 14, (count, 2, 2))
    boxes = (corners if chance(random, 0.1) else np.sort(corners, axis=1)).reshape(count, 4)
    rois = np.round(boxes * 8).astype(type_) / type_(8)  # exact in all types
    indices = random.integers(0, x.shape[0], count).astype(np.int64)
    attributes = {"output_height": int(random.integers(1, 6)), "output_width": int(random.integers(1, 6)),
                  "sampling_ratio": int(random.integers(0, 4)), "spatial_scale": pick(random, (1.0, 0.5, 2.0)),
                  "mode": "max" if chance(random, 0.3) else "avg"}
    if version >= 16 and chance(random):
        attributes["coordinate_transformation_mode"] = pick(random, ("half_pixel", "output_half_pixel"))
    return Case([x, rois.astype(type_), indices], attributes,
                expected=roi_align_definition(attributes, version) if type_ != np.float32 else None)


def roi_align_definition(attributes, version):
    """Point by point in single precision (double of double), which half precision is not good enough for."""
    def expected(x, rois, indices):
        real = np.float64 if x.dtype == np.float64 else np.float32
        half = attributes.get("coordinate_transformation_mode", "half_pixel" if version >= 16 else "") == "half_pixel"
        bins = (attributes["output_height"], attributes["output_width"])
        sizes = x.shape[2:]
        wide = x.astype(np.float64)
        y = np.zeros((len(rois), x.shape[1], *bins))
        for r, box in enumerate(rois.astype(real)):
            scaled = box * real(attributes["spatial_scale"]) - real(0.5 if half else 0)
            axes = []
            for d in range(2):
                start, end = scaled[1 - d], scaled[3 - d]
                length = end - start if half else max(end - start, real(1))
                step = length / real(bins[d])
                grid = attributes["sampling_ratio"] or int(np.ceil(step))
                axes.append([[start + real(b) * step + (real(i) + real(0.5)) * step / real(grid) for i in range(grid)]
                             for b in range(bins[d])])
            for i, j in np.ndindex(*bins):
                values = []
                for py in axes[0][i]:
                    for px in axes[1][j]:
                        values.append(products(wide[indices[r]], float(py), float(px), sizes))
                if attributes["mode"] == "max":
                    y[r, :, i, j] = np.max([v.max(axis=0) for v in values], axis=0) if values else 0
                else:
                    y[r, :, i, j] = np.sum([v.sum(axis=0) for v in values], axis=0) / len(values) if values else 0
        return [y.astype(x.dtype)]
    return expected


def products(planes, y, x, sizes):
    if not (-1 <= y <= sizes[0] and -1 <= x <= sizes[1]):
        return np.zeros((4, planes.shape[0]))
    taps = []
    for at, size in ((max(y, 0), sizes[0]), (max(x, 0), sizes[1])):
        low = min(int(at), size - 1)
        fraction = at - low if low < size - 1 else 0
        taps.append(((low, 1 - fraction), (min(low + 1, size - 1), fraction)))
    return np.array([planes[:, i, j] * (v * w) for i, v in taps[0] for j, w in taps[1]])


@operator("MaxRoiPool", tolerance="rtol=1e-5 atol=1e-6", narrow=NARROW)
def max_roi_pool(random, version, index):
    types = types_of("MaxRoiPool", "T", version)
    type_ = types[index % len(types)]
    x = random_tensor(random, type_, tuple(int(random.integers(1, n)) for n in (4, 5, 12, 12)))
    count = int(random.integers(1, 6))
    boxes = np.sort(random.integers(-2, 14, (count, 2, 2)), axis=1).reshape(count, 4)
    rois = np.concatenate([random.integers(0, x.shape[0], (count, 1)), boxes], axis=1).astype(type_)
    bins = [int(random.integers(1, 6)) for _ in range(2)]

    def expected(x, rois):
        y = np.zeros((count, x.shape[1], *bins), x.dtype)
        for r, roi in enumerate(rois.astype(np.float64)):
            plane = x[int(roi[0])]
            for at in np.ndindex(*bins):
                ranges = []
                for d in range(2):
                    first, last = int(roi[2 - d]), int(roi[4 - d])
                    width = np.float32(max(last - first + 1, 1)) / np.float32(bins[d])
                    ends = (int(np.floor(np.float32(at[d]) * width)), int(np.ceil(np.float32(at[d] + 1) * width)))
                    ranges.append([min(max(end + first, 0), x.shape[d + 2]) for end in ends])
                (top, bottom), (left, right) = ranges
                if top < bottom and left < right:
                    y[(r, slice(None)) + at] = plane[:, top:bottom, left:right].max(axis=(1, 2))
        return [y]
    return Case([x, rois], {"pooled_shape": bins, "spatial_scale": 1.0}, expected=expected)


@operator("NonMaxSuppression")
def non_max_suppression(random, version, index):
    samples, classes, count = (int(random.integers(1, n)) for n in (3, 4, 40))
    centers = flag(random)
    corners = random.uniform(0, 4, (samples, count, 4))
    boxes = corners if centers or chance(random, 0.3) else np.sort(
        corners.reshape(samples, count, 2, 2), axis=2).reshape(samples, count, 4)
    scores = random.permutation(samples * classes * count).reshape(samples, classes, count) / (samples * classes * count)
    inputs = [boxes.astype(np.float32), scores.astype(np.float32), np.array([int(random.integers(0, 20))], np.int64)]
    if chance(random, 0.8):
        inputs.append(np.array([random.uniform(0, 1)], np.float32))
        if chance(random):
            inputs.append(np.array([random.uniform(-0.5, 0.8)], np.float32))
    return Case(inputs, {"center_point_box": centers})


@operator("CropAndResize", domain="com.microsoft", tolerance="rtol=1e-4 atol=1e-5", versions=(1,))
def crop_and_resize(random, version, index):
    x = random_tensor(random, np.float32, tuple(int(random.integers(1, n)) for n in (4, 5, 12, 12)))
    count = int(random.integers(1, 6))
    rois = random.uniform(-0.2, 1.2, (count, 4)).astype(np.float32)
    size = np.array([int(random.integers(1, 6)) for _ in range(2)], np.int32)
    return Case([x, rois, random.integers(0, x.shape[0], count).astype(np.int32), size],
                {"mode": pick(random, ("bilinear", "nearest")), "extrapolation_value": 0.75},
                constants=(3,) if chance(random) else ())


# --------------------------------------------------------------------------------------------------------------- patches

@operator("CenterCropPad")
def center_crop_pad(random, version, index):
    types = types_of("CenterCropPad", "T", version)
    x = random_tensor(random, types[index % len(types)], random_shape(random, 1, 4))
    axes = [int(axis) for axis in random.permutation(x.ndim)[:random.integers(1, x.ndim + 1)]]
    named = chance(random)
    count = len(axes) if named else x.ndim
    sizes = np.array([int(random.integers(0, 9)) for _ in range(count)], pick(random, (np.int32, np.int64)))

    def expected(x, *_):
        for axis, size in zip(axes if named else range(x.ndim), sizes):
            less = x.shape[axis] - int(size)
            if less > 0:
                x = np.take(x, range(less // 2, less // 2 + int(size)), axis=axis)
            elif less < 0:
                filler = "" if x.dtype.kind in "UO" else np.zeros(1, x.dtype)[0]
                wide = np.full(x.shape[:axis] + (int(size),) + x.shape[axis + 1:], filler, x.dtype)
                wide[(slice(None),) * axis + (slice(-less // 2, -less // 2 + x.shape[axis]),)] = x
                x = wide
        return [x]
    attributes = {"axes": [axis - x.ndim if chance(random) else axis for axis in axes]} if named else {}
    return Case([x, sizes], attributes, expected=expected, constants=(1,) if chance(random) else ())


@operator("Col2Im", tolerance="rtol=1e-4 atol=1e-5", narrow={"float16": "rtol=1e-2 atol=2e-2",
                                                          "bfloat16": "rtol=3e-2 atol=2e-1"})
def col2im(random, version, index):
    types = [type_ for type_ in types_of("Col2Im", "T", version) if np.dtype(type_).kind not in "US"]
    type_ = np.dtype(types[index % len(types)])
    axes = int(random.integers(1, 4))
    image = [int(random.integers(1, 7)) for _ in range(axes)]
    strides = [int(random.integers(1, 3)) for _ in range(axes)]
    dilations = [int(random.integers(1, 3)) for _ in range(axes)]
    pads = [int(random.integers(0, 3)) for _ in range(2 * axes)]
    block = [int(random.integers(1, max(2, min(3, (image[d] + pads[d] + pads[d + axes] - 1) // dilations[d] + 1) + 1)))
             for d in range(axes)]
    places = [(image[d] + pads[d] + pads[d + axes] - dilations[d] * (block[d] - 1) - 1) // strides[d] + 1
              for d in range(axes)]
    samples, channels = int(random.integers(1, 3)), int(random.integers(1, 4))
    x = random_tensor(random, type_, (samples, channels * math.prod(block), math.prod(places)))

    def expected(x, *_):
        wide = np.float32 if type_ in (np.float16, ml_dtypes.bfloat16) else type_
        y = np.zeros((samples, channels, *image), wide)
        patches = x.astype(wide).reshape(samples, channels, *block, *places)
        for tap in np.ndindex(*block):
            for place in np.ndindex(*places):
                at = [place[d] * strides[d] + tap[d] * dilations[d] - pads[d] for d in range(axes)]
                if all(0 <= a < n for a, n in zip(at, image)):
                    y[(slice(None), slice(None), *at)] += patches[(slice(None), slice(None), *tap, *place)]
        return [y.astype(type_)]
    return Case([x, np.array(image, np.int64), np.array(block, np.int64)],
                {"strides": strides, "dilations": dilations, "pads": pads}, expected=expected,
                constants=(1, 2) if chance(random) else ())


@operator("MaxUnpool")
def max_unpool(random, version, index):
    types = types_of("MaxUnpool", "T1", version)
    axes = int(random.integers(1, 4))
    kernel = [int(random.integers(1, 4)) for _ in range(axes)]
    strides = [int(random.integers(1, 4)) for _ in range(axes)]
    shape = tuple(int(random.integers(1, 4)) for _ in range(2 + axes))
    inner = shape[:2] + tuple((n - 1) * stride + k for n, stride, k in zip(shape[2:], strides, kernel))
    if math.prod(inner) < math.prod(shape):
        kernel, strides = [3] * axes, [3] * axes
        inner = shape[:2] + tuple(3 * n for n in shape[2:])
    x = random_tensor(random, types[index % len(types)], shape)
    places = random.permutation(math.prod(inner))[:x.size].reshape(shape).astype(np.int64)
    inputs = [x, places]
    whole = inner
    if chance(random):
        whole = inner[:2] + tuple(n + int(random.integers(0, 3)) for n in inner[2:])
        inputs.append(np.array(whole, np.int64))

    def expected(x, places, *_):
        y = np.zeros(math.prod(inner), x.dtype)
        y[places.ravel()] = x.ravel()
        result = np.zeros(whole, x.dtype)
        result[tuple(slice(0, n) for n in inner)] = y.reshape(inner)
        return [result]
    return Case(inputs, {"kernel_shape": kernel, "strides": strides}, expected=expected)


@operator("DeformConv", tolerance="rtol=1e-3 atol=1e-3", narrow={"float16": "rtol=2e-2 atol=5e-2",
                                                              "bfloat16": "rtol=5e-2 atol=5e-1"})
def deform_conv(random, version, index):
    types = types_of("DeformConv", "T", version)
    type_ = np.dtype(types[index % len(types)])
    axes = 2 if chance(random, 0.7) else pick(random, (1, 3))
    group, offset_group = int(random.integers(1, 3)), int(random.integers(1, 4))
    channels = group * offset_group * int(random.integers(1, 3))
    outputs = group * int(random.integers(1, 4))
    sizes = [int(random.integers(2, 7)) for _ in range(axes)]
    kernel = [int(random.integers(1, 3)) for _ in range(axes)]
    strides = [int(random.integers(1, 3)) for _ in range(axes)]
    dilations = [int(random.integers(1, 3)) for _ in range(axes)]
    pads = [int(random.integers(1, 3)) for _ in range(2 * axes)]
    places = [(sizes[d] + pads[d] + pads[d + axes] - dilations[d] * (kernel[d] - 1) - 1) // strides[d] + 1
              for d in range(axes)]
    samples, taps = int(random.integers(1, 3)), math.prod(kernel)
    x = random_tensor(random, type_, (samples, channels, *sizes), -1, 1)
    w = random_tensor(random, type_, (outputs, channels // group, *kernel), -1, 1)
    offset = random_tensor(random, type_, (samples, offset_group * taps * axes, *places), -2, 2)
    bias = random_tensor(random, type_, (outputs,)) if chance(random) else None
    mask = random_tensor(random, type_, (samples, offset_group * taps, *places), 0, 1) if chance(random) else None

    def expected(x, w, offset, bias=None, mask=None):
        x, w, offset = (a.astype(np.float64) for a in (x, w, offset))
        y = np.zeros((samples, outputs, *places))
        if bias is not None:
            y += bias.astype(np.float64).reshape(1, -1, *[1] * axes)
        for n, at in ((n, at) for n in range(samples) for at in np.ndindex(*places)):
            for k, tap in enumerate(np.ndindex(*kernel)):
                for g in range(offset_group):
                    point = [at[d] * strides[d] - pads[d] + tap[d] * dilations[d]
                             + offset[(n, (g * taps + k) * axes + d) + at] for d in range(axes)]
                    parts = [sample_axis(sizes[d], point[d], "linear", "zeros", True) for d in range(axes)]
                    factor = 1.0 if mask is None else float(mask[(n, g * taps + k) + at])
                    shared = channels // offset_group
                    for c in range(g * shared, (g + 1) * shared):
                        value = 0.0
                        for chosen in np.ndindex(*[2] * axes):
                            picked = [axis[i] for axis, i in zip(parts, chosen)]
                            if all(i is not None for i, _ in picked):
                                value += x[(n, c) + tuple(i for i, _ in picked)] * np.prod([v for _, v in picked])
                        own = channels // group
                        first = c // own * (outputs // group)
                        last = first + outputs // group
                        y[(n, slice(first, last)) + at] += w[(slice(first, last), c % own) + tap] * value * factor
        return [y.astype(type_)]
    inputs = [x, w, offset, bias, mask]
    while inputs[-1] is None:
        inputs.pop()
    return Case(inputs, {"group": group, "offset_group": offset_group, "strides": strides, "dilations": dilations,
                         "pads": pads, "kernel_shape": kernel}, expected=expected, constants=(1,) if chance(random) else ())
