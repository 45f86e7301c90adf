"""Resize and Upsample."""

import functools
import types

import numpy as np

from tests.differential import oracles
from tests.differential.case import Case, chance, is_float, operator, pick, random_tensor, some_constants, type_at

covered = functools.partial(operator, late=True, tolerance="rtol=1e-4 atol=2e-5",
                            narrow={"float16": "rtol=4e-3 atol=8e-3", "bfloat16": "rtol=2e-2 atol=4e-2"})
# Ratios that float holds, so that places between two elements round alike everywhere.
SCALES = (0.5, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0)


def nearest_only(type_):
    """Interpolation of what is no float is defined by no rounding; those types take the nearest element."""
    return not is_float(type_)


def picture(random, type_, mode):
    """Linear and cubic modes of the oracles know N x C x H x W with the last two resized, linear three sizes as well."""
    rank = 4 if mode != "nearest" else int(random.choice([1, 2, 3, 4, 4]))
    return random_tensor(random, type_, tuple(int(random.integers(1, 3)) for _ in range(max(0, rank - 2))) +
                         tuple(int(random.integers(2, 7)) for _ in range(min(rank, 2))))


def scales_of(random, x, least=0.0):
    """The first dimensions of four stay, and no size becomes 0."""
    return np.array([1.0 if x.ndim == 4 and i < 2 else pick(random, [s for s in SCALES if s >= least and s * size >= 1])
                     for i, size in enumerate(x.shape)], np.float32)


def own_nearest(scales):
    """Version 10 and Upsample: the element at floor(place / scale)."""
    def compute(x, *_):
        for axis, scale in enumerate(scales):
            count = int(np.floor(x.shape[axis] * float(scale)))
            places = np.minimum(np.floor(np.arange(count) / float(scale)).astype(int), x.shape[axis] - 1)
            x = np.take(x, places, axis=axis)
        return [x]
    return compute


def own_linear(scales):
    """place / scale, between two neighbours; beyond the last element it is the last one."""
    def compute(x, *_):
        y = x.astype(np.float64)
        for axis, scale in enumerate(scales):
            size = x.shape[axis]
            at = np.minimum(np.arange(int(np.floor(size * float(scale)))) / float(scale), size - 1)
            low = np.floor(at).astype(int)
            part = (at - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
            y = np.take(y, low, axis=axis) * (1 - part) + np.take(y, np.minimum(low + 1, size - 1), axis=axis) * part
        return [y.astype(x.dtype)]
    return compute


@covered("Upsample", versions=(1, 7, 9))
def upsample(random, version, index):
    type_ = type_at("Upsample", "T", version, index)
    linear = not nearest_only(type_) and chance(random)
    x = picture(random, type_, "linear" if linear or version == 1 else "nearest")
    scales = scales_of(random, x, 1)
    mode = ("bilinear" if version == 1 else "linear") if linear else "nearest"
    attributes = {"mode": mode} if linear or chance(random) else {}
    own = (own_linear if linear else own_nearest)(scales)
    if version == 1:
        return Case([x], {**attributes, "height_scale": float(scales[2]), "width_scale": float(scales[3])}, expected=own)
    if version == 7:
        return Case([x], {**attributes, "scales": scales.tolist()}, expected=own)
    return Case([x, scales], attributes, constants=some_constants(random, (1,)), expected=own)


def resize_10(random, version, index):
    type_ = type_at("Resize", "T", version, index)
    linear = not nearest_only(type_) and chance(random)
    x = picture(random, type_, "linear" if linear else "nearest")
    scales = scales_of(random, x)
    return Case([x, scales], {"mode": "linear"} if linear else {}, constants=some_constants(random, (1,)),
                expected=(own_linear if linear else own_nearest)(scales))


def by_places(version, case, oracle):
    """Nearest elements of any type: an oracle resizes their numbers, -1 where there is none."""
    def compute(x, *_):
        numbers = np.arange(x.size, dtype=np.float32).reshape(x.shape)
        attributes = {**case.attributes, "extrapolation_value": -1.0}
        asked = Case([numbers] + case.inputs[1:], attributes, constants=case.constants)
        found = oracle(asked, asked.model(types.SimpleNamespace(name="Resize", domain=""), version))[0]
        beyond = np.asarray(case.attributes.get("extrapolation_value", 0)).astype(x.dtype)
        return [np.where(found < 0, beyond, x.ravel()[found.astype(np.int64)]).astype(x.dtype)]
    return compute


@covered("Resize")
def resize(random, version, index):
    """All modes of places, of rounding and of interpolation, by scales or sizes; from 18 on axes, antialias and the policies."""
    if version == 10:
        return resize_10(random, version, index)
    type_ = type_at("Resize", "T1", version, index)
    mode = "nearest" if nearest_only(type_) else pick(random, ("nearest", "linear", "cubic"))
    x = picture(random, type_, mode)
    places = pick(random, ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"] +
                  (["tf_half_pixel_for_nn"] if version == 11 and mode == "nearest" else []) +
                  (["half_pixel_symmetric"] if version >= 19 else []))
    attributes = {"mode": mode} if mode != "nearest" or chance(random) else {}
    if places != "half_pixel" or chance(random):
        attributes["coordinate_transformation_mode"] = places
    if mode == "nearest" and chance(random):
        attributes["nearest_mode"] = pick(random, ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"))
    if mode == "cubic":
        attributes.update({"cubic_coeff_a": -0.5} if chance(random) else {})
        attributes.update({"exclude_outside": 1} if chance(random, 0.3) and places != "tf_crop_and_resize" else {})
    crop = places == "tf_crop_and_resize"
    if crop:
        attributes["extrapolation_value"] = float(random.integers(-3, 4))
    elif version >= 18 and mode != "nearest" and chance(random, 0.3):
        attributes["antialias"] = 1
    axes = list(range(x.ndim))
    if version >= 18 and chance(random, 0.3):
        axes = list(range(x.ndim))[-2:]
        attributes["axes"] = axes
    scales = scales_of(random, x, 1 if crop else 0)[axes]
    starts = [0.0 if x.shape[axis] < 2 or x.ndim == 4 and axis < 2 else float(pick(random, (0, 0.25))) for axis in axes]
    ends = [1.0 if x.shape[axis] < 2 or x.ndim == 4 and axis < 2 else float(pick(random, (1, 0.75))) for axis in axes]
    roi = np.array(starts + ends, np.float32) if crop else nothing_before_13(version)
    spans = np.array(ends) - np.array(starts) if crop else np.ones(len(axes))
    lengths = np.array([x.shape[axis] * span * scale for axis, span, scale in zip(axes, spans, scales)])
    sizes = np.floor(lengths).astype(np.int64)
    whole = bool((sizes == lengths).all())
    by_sizes = chance(random) or crop and not whole
    if crop:  # onnxruntime does not look at the region where the size stays
        sizes += (sizes == [x.shape[axis] for axis in axes]) & (spans < 1)
        by_sizes = by_sizes or bool((sizes != lengths).any())
    if by_sizes and version >= 18 and chance(random, 0.4) and len(axes) == 2 and x.ndim == 4:
        attributes["keep_aspect_ratio_policy"] = pick(random, ("stretch", "not_larger", "not_smaller"))
    with_sizes = [x, roi, nothing_before_13(version), sizes]
    inputs = with_sizes if by_sizes else [x, roi, scales]
    fixed = tuple(i for i in range(1, len(inputs)) if inputs[i] is not None and (inputs[i].size == 0 or chance(random)))
    case = Case(inputs, attributes, constants=fixed)
    # onnxruntime leaves out that "output_dimension = floor(input_dimension * (roi_end - roi_start) * scale)".
    known = Case(with_sizes if crop else inputs, attributes, constants=(1, 2)[:2 if version < 13 and crop else 0] or fixed)
    if crop and version >= 13:
        known.constants = ()
    # The official vectors and the reference take "length_resized" for the length before it is cut to a whole number.
    judge = "reference" if places == "align_corners" and not by_sizes and not whole else "onnxruntime"
    if mode == "nearest":
        case.expected = by_places(version, known, oracles.ORACLES[judge])
    elif judge == "reference":
        case.judge = judge
    elif crop or type_ != np.float32:
        case.alike = (version, Case([x.astype(np.float32)] + known.inputs[1:], attributes, constants=known.constants))
    return case


def nothing_before_13(version):
    """Absent inputs were empty ones."""
    return np.array([], np.float32) if version < 13 else None
