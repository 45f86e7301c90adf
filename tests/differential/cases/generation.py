"""Operators that make tensors of attributes and shapes, and those that only hand on."""

import functools
import struct
import zlib

import numpy as np
from onnx import helper

from tests.differential.case import (Case, chance, element_type, is_float, operator, pick, random_shape, random_tensor,
                                     some_constants, tensor_proto, type_at, type_of, types_of)

covered = functools.partial(operator, late=True, tolerance="rtol=1e-5 atol=1e-6")


def typed(x):
    return [helper.make_tensor_type_proto(element_type(x), None)]


@covered("Constant")
def constant(random, version, index):
    """A graph whose outputs are constants needs an input too."""
    kinds = ["value"] * 3 + (["sparse_value"] if version >= 11 else [])
    kinds += ["value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"] if version >= 12 else []
    kind = pick(random, kinds)
    count = int(random.integers(1, 5))
    if kind == "value":
        y = random_tensor(random, type_at("Constant", "T", version, index), random_shape(random))
        attributes = {"value": tensor_proto(y)}
    elif kind == "sparse_value":
        y = np.zeros(random_shape(random, 1, 3, empty=0), (np.float32, np.int64)[random.integers(2)])
        places = np.sort(random.permutation(y.size)[:random.integers(1, y.size + 1)]).astype(np.int64)
        y.reshape(-1)[places] = random_tensor(random, y.dtype, places.shape, 1, 4)
        listed = np.stack(np.unravel_index(places, y.shape), axis=-1).astype(np.int64) if chance(random) else places
        attributes = {"sparse_value": helper.make_sparse_tensor(tensor_proto(y.reshape(-1)[places], "v"),
                                                                tensor_proto(listed, "i"), y.shape)}
    elif kind.startswith("value_string"):
        words = random_tensor(random, np.str_, (count,))
        y = words if kind.endswith("s") else np.asarray(words[0], dtype=object)
        attributes = {kind: [str(word) for word in words] if kind.endswith("s") else str(words[0])}
    else:
        numbers = random_tensor(random, np.float32 if "float" in kind else np.int64, (count,))
        y = numbers if kind.endswith("s") else np.asarray(numbers[0])
        attributes = {kind: numbers.tolist() if kind.endswith("s") else numbers[0].item()}
    return Case([], attributes, output_types=typed(y), expected=lambda: [y])


@covered("ConstantOfShape")
def constant_of_shape(random, version, index):
    shape = random_shape(random)
    value = random_tensor(random, type_at("ConstantOfShape", "T2", version, index), (1,))
    given = chance(random, 0.85)
    y = np.full(shape, value[0], value.dtype) if given else np.zeros(shape, np.float32)
    return Case([np.array(shape, np.int64)], {"value": tensor_proto(value)} if given else {},
                constants=(0,) if chance(random) else (), expected=lambda _: [y], output_types=typed(y))


@covered("EyeLike")
def eye_like(random, version, index):
    x = random_tensor(random, type_at("EyeLike", "T1", version, index), random_shape(random, 2, 2))
    types = types_of("EyeLike", "T2", version)
    to = np.dtype(types[index * 5 % len(types)]) if chance(random, 0.6) else x.dtype
    k = int(random.integers(-5, 6))
    attributes = {**({"k": k} if k or chance(random) else {}), **({"dtype": element_type(np.empty(0, to))} if to != x.dtype else {})}
    return Case([x], attributes, expected=lambda x: [np.eye(*x.shape, k).astype(to)], output_types=typed(np.empty(0, to)))


@covered("Range")
def range_(random, version, index):
    type_ = type_at("Range", "T", version, index)
    start, delta = (np.asarray(random_tensor(random, type_, (), -5, 5)) for _ in range(2))
    delta = np.asarray(1, type_) if delta == 0 else delta
    limit = np.asarray(random_tensor(random, type_, (), -20, 20))
    if is_float(type_):  # halves, so that every way of counting gives as many
        start, limit, delta = (np.asarray(np.round(x.astype(np.float64) * 2) / 2).astype(type_) for x in (start, limit, delta))
        delta = np.asarray(0.5, type_) if delta == 0 else delta
    return Case([start, limit, delta], {"stash_type": 1} if version >= 27 and chance(random) else {},
                constants=some_constants(random, (0, 1, 2))[1:],
                expected=lambda a, b, c: [np.arange(float(a), float(b), float(c)).astype(type_)])


@covered("Shape")
def shape(random, version, index):
    x = random_tensor(random, type_at("Shape", "T", version, index), random_shape(random))
    attributes = {key: int(random.integers(-6, 7)) for key in ("start", "end") if version >= 15 and chance(random)}
    return Case([x], attributes)


@covered("Size")
def size(random, version, index):
    return Case([random_tensor(random, type_at("Size", "T", version, index), random_shape(random))])


@covered("Identity")
def identity(random, version, index):
    type_ = type_at("Identity", "T" if version < 14 else "V", version, index)
    if version >= 14 and chance(random, 0.25) and type_ in (np.float32, np.int64, np.float64):
        items = [random_tensor(random, type_, random_shape(random)) for _ in range(random.integers(1, 4))]
        return Case([items], expected=lambda items: [items], output_types=[type_of(items)])
    return Case([random_tensor(random, type_, random_shape(random))])


# ---------------------------------------------------------------------------------------------- sequences and optionals

@covered("SequenceEmpty")
def sequence_empty(random, version, index):
    """Filled by a second node, or counted."""
    types = [type_ for type_ in types_of("SequenceInsert", "T", 11)] or [np.float32]
    x = random_tensor(random, types[index % len(types)], random_shape(random))
    given = {} if x.dtype == np.float32 and chance(random) else {"dtype": element_type(x)}
    count = chance(random, 0.3)
    nodes = [helper.make_node("SequenceEmpty", [], ["s"], **given)]
    nodes += [] if count else [helper.make_node("SequenceInsert", ["s", "x0"], ["t"])]
    nodes += [helper.make_node("SequenceLength", ["s"], ["y0"]) if count else
              helper.make_node("SequenceAt", ["t", "x1"], ["y0"])]
    where = np.array(0, np.int64)
    y = np.array(0, np.int64) if count else x
    graph = helper.make_graph(nodes, "case", [helper.make_value_info("x0", type_of(x)), helper.make_value_info("x1", type_of(where))],
                              [helper.make_value_info("y0", typed(y)[0])])
    return Case([x, where], graph=graph, expected=lambda *_: [y])


@covered("Optional", versions=(15, 28))
def optional(random, version, index):
    """Unwrapped, or asked whether it holds something; of tensors and of sequences."""
    types = [type_ for type_ in types_of("Optional", "V", version)]
    x = random_tensor(random, types[index % len(types)], random_shape(random))
    if chance(random, 0.3) and x.dtype in (np.float32, np.int64):
        x = [x, x]
    form = int(random.integers(3))
    wrap = helper.make_node("Optional", ["x0"], ["o"]) if form < 2 else helper.make_node("Optional", [], ["o"], type=type_of(x))
    ask = helper.make_node("OptionalGetElement" if form == 0 else "OptionalHasElement", ["o"], ["y0"])
    y = x if form == 0 else np.array(form == 1)
    graph = helper.make_graph([wrap, ask], "case", [helper.make_value_info("x0", type_of(x))],
                              [helper.make_value_info("y0", type_of(x) if form == 0 else typed(y)[0])])
    return Case([x], graph=graph, expected=lambda _: [y])


# ---------------------------------------------------------------------------------------------------------------- images

def png(pixels):
    """Eight bits, colour or grey, each row with another filter left at none."""
    height, width, planes = pixels.shape

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if planes == 3 else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bmp(pixels):
    height, width, _ = pixels.shape
    rows = b"".join(row[:, ::-1].tobytes() + b"\0" * (-3 * width % 4) for row in pixels[::-1])
    return struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54) + struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + rows


def pnm(pixels):
    height, width, planes = pixels.shape
    return f"P{6 if planes == 3 else 5}\n{width} {height}\n255\n".encode() + pixels.tobytes()


@covered("ImageDecoder")
def image_decoder(random, version, index):
    """Formats without loss. What grey colours become is not defined: grey is asked of grey images only."""
    write = (png, bmp, pnm)[index % 3]
    grey = write is not bmp and chance(random, 0.3)
    height, width = (int(random.integers(1, 9)) for _ in range(2))
    pixels = random.integers(0, 256, size=(height, width, 1 if grey else 3)).astype(np.uint8)
    form = "Grayscale" if grey else pick(random, ("RGB", "BGR"))
    y = pixels[:, :, ::-1] if form == "BGR" else pixels
    stream = np.frombuffer(write(pixels), np.uint8)
    return Case([stream], {} if form == "RGB" and chance(random) else {"pixel_format": form}, expected=lambda _: [y])
