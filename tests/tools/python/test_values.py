"""Values of every kind and type: what goes in comes out."""

import array
import subprocess
import sys
import unittest

import numpy as np
from models_for_tests import TensorProto, helper, identity, one_node

import norma

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None


def run(model, *inputs):
    return norma.load(model, threads=1).session().run(list(inputs))


class Arrays(unittest.TestCase):
    def test_every_type_of_numpy(self):
        for name in ("float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
                     "uint64", "bool", "complex64", "complex128"):
            given = np.array([0, 1, 1, 0, 1]).astype(name)
            y, = run(identity(helper.np_dtype_to_tensor_dtype(given.dtype)), given)
            self.assertEqual(y.dtype, given.dtype)
            np.testing.assert_array_equal(y, given)

    @unittest.skipUnless(ml_dtypes, "ml_dtypes is not installed")
    def test_every_type_of_ml_dtypes(self):
        for element, name in ((16, "bfloat16"), (17, "float8_e4m3fn"), (18, "float8_e4m3fnuz"), (19, "float8_e5m2"),
                              (20, "float8_e5m2fnuz"), (21, "uint4"), (22, "int4"), (23, "float4_e2m1fn"),
                              (24, "float8_e8m0fnu")):
            dtype = np.dtype(getattr(ml_dtypes, name))
            low = -8 if name == "int4" else 0
            given = np.arange(low, low + 8).astype(np.float32).astype(dtype)[:7]  # an odd number: half a byte is left
            if name == "float8_e8m0fnu":
                given = np.array([1, 2, 4, 0.5, 1, 8, 16], np.float32).astype(dtype)
            with self.subTest(name):
                y, = run(identity(element), given)
                self.assertEqual(y.dtype, dtype)
                np.testing.assert_array_equal(y.astype(np.float32), given.astype(np.float32))
                self.assertEqual(y.tobytes(), given.tobytes())

    @unittest.skipUnless(ml_dtypes, "ml_dtypes is not installed")
    def test_bfloat16_computes(self):
        x = np.linspace(-2, 2, 64, dtype=np.float32).astype(ml_dtypes.bfloat16)
        y, = run(one_node("Abs", [(16, ["N"])], [(16, ["N"])]), x)
        np.testing.assert_array_equal(y, np.abs(x))

    def test_bits_where_ml_dtypes_is_missing(self):
        program = """
import sys
sys.modules["ml_dtypes"] = None
import numpy as np, norma
for name, model, bits in (("bfloat16", {bfloat16!r}, np.array([0x3F80, 0xC000], np.uint16)),
                          ("float8e5m2", {float8!r}, np.array([0x3C, 0xC0, 1], np.uint8)),
                          ("int4", {int4!r}, np.array([-8, 7, -1], np.int8)), ("uint4", {uint4!r}, np.array([15, 0, 9], np.uint8))):
    y, = norma.load(model).session().run([bits])
    assert y.dtype == bits.dtype == norma.dtype_of(name) and y.tolist() == bits.tolist(), (name, y)
    try:
        norma.load(model).session().run([bits.astype(np.int64)])
        raise SystemExit("int64 is taken for " + name)
    except norma.InputError as error:
        assert error.value == "x0"
""".format(**{name: identity(number).SerializeToString() for name, number in
              (("bfloat16", 16), ("float8", 19), ("int4", 22), ("uint4", 21))})
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_packing(self):
        from norma import _norma

        for name, bits in (("int4", 4), ("uint4", 4), ("int2", 2), ("uint2", 2), ("float6e2m3", 6), ("float4e2m1", 4)):
            number = norma.ELEMENT_TYPES.index(name)
            values = np.random.default_rng(bits).integers(0, 1 << bits, 37).astype(np.uint8)
            packed = _norma.pack(values.tobytes(), number)
            self.assertEqual(len(packed), -(-37 * bits // 8))
            total = sum(int(v) << (bits * i) for i, v in enumerate(values))
            self.assertEqual(packed, total.to_bytes(len(packed), "little"))
            again = np.frombuffer(_norma.unpack(packed, number, 37), np.uint8)
            np.testing.assert_array_equal(again & ((1 << bits) - 1), values)
            if name[0] == "i":
                signed = np.frombuffer(again, np.int8)
                np.testing.assert_array_equal(signed, np.where(values >> (bits - 1), values.astype(int) - (1 << bits), values))
        self.assertRaises(ValueError, _norma.unpack, b"\0", norma.ELEMENT_TYPES.index("int4"), 3)
        self.assertRaises(ValueError, _norma.pack, b"\0", 1)

    def test_layouts_are_copied_where_they_must_be(self):
        base = np.arange(48, dtype=np.float32).reshape(6, 8)
        model = identity(TensorProto.FLOAT, ("N", "M"))
        session = norma.load(model, threads=1).session()
        raw = np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:]
        unaligned = raw.view(np.float32).reshape(6, 8)
        self.assertFalse(unaligned.flags.aligned)
        for given in (base, base.T, base[::2, ::-1], np.asfortranarray(base), base.astype(">f4"), unaligned,
                      np.broadcast_to(base[0], (3, 8)), base[:0]):
            np.testing.assert_array_equal(session.run([given])[0], given)

    def test_results_are_the_callers(self):
        session = norma.load(identity(TensorProto.FLOAT), threads=1).session()
        for count in (10, 100000):  # copied, computed in place
            x = np.arange(count, dtype=np.float32)
            first, = session.run([x])
            second, = session.run([x + 1])
            self.assertTrue(first.flags.writeable)
            self.assertFalse(np.shares_memory(first, second))
            self.assertFalse(np.shares_memory(first, x))
            np.testing.assert_array_equal(first, x)
            first[:] = 0
            np.testing.assert_array_equal(session.run([x])[0], x)
        kept = session.run([np.ones(100000, np.float32)])[0]
        del session
        np.testing.assert_array_equal(kept, 1)

    def test_scalars_and_lists(self):
        model = identity(TensorProto.FLOAT, ())
        for given in (2, 2.5, np.float32(2), np.array(2, np.float32)):
            y, = run(model, given)
            self.assertEqual((y.shape, float(y)), ((), float(given)))
        y, = run(identity(TensorProto.INT32, ("N", "M")), [[1, 2], [3, 4]])
        self.assertEqual((y.dtype, y.tolist()), (np.int32, [[1, 2], [3, 4]]))
        for element, given in ((TensorProto.INT32, [1.5]), (TensorProto.UINT8, [256]), (TensorProto.FLOAT, ["a"]),
                               (TensorProto.FLOAT, [[1], [2, 3]]), (TensorProto.STRING, [1])):
            with self.assertRaises(norma.InputError) as caught:
                run(identity(element), given)
            self.assertEqual(caught.exception.value, "x0")

    def test_other_arrays(self):
        model = identity(TensorProto.FLOAT)
        numbers = np.arange(5, dtype=np.float32)

        class Dlpack:
            def __dlpack__(self, **more):
                return numbers.__dlpack__(**more)

            def __dlpack_device__(self):
                return numbers.__dlpack_device__()

        class Interface:
            __array_interface__ = numbers.__array_interface__

        others = [memoryview(numbers), array.array("f", numbers), Interface()]
        if hasattr(np, "from_dlpack"):
            others.append(Dlpack())
        for given in others:
            np.testing.assert_array_equal(run(model, given)[0], numbers)
        y, = run(identity(TensorProto.UINT8), bytearray(b"abc"))
        self.assertEqual(y.tobytes(), b"abc")
        for given in (object(), None, {1: 2}, np.array([1], "datetime64[s]"), np.zeros(3, "f4,i4")):
            with self.assertRaises(norma.InputError):
                run(model, given)

    def test_strings(self):
        model = identity(TensorProto.STRING, ("N", "M"))
        words = [["eins", "zwei"], ["", "ünf🙂"]]
        for given in (words, np.array(words), np.array(words, object), np.array([[w.encode() for w in r] for r in words], object)):
            y, = run(model, given)
            self.assertEqual((y.dtype, y.tolist()), (np.object_, words))
        y, = run(identity(TensorProto.STRING), np.array([b"ab", b"c"]))
        self.assertEqual(y.tolist(), ["ab", "c"])
        odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
        self.assertEqual(run(identity(TensorProto.STRING), [odd])[0].tolist(), [odd])
        with self.assertRaises(norma.InputError):
            run(identity(TensorProto.STRING), np.array([1, "a"], object))
        with self.assertRaisesRegex(norma.InputError, "string"):
            run(identity(TensorProto.FLOAT), np.array(["a"]))


class Containers(unittest.TestCase):
    def test_sequences(self):
        kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
        model = one_node("Identity", [kind], [kind])
        arrays = [np.arange(i, dtype=np.float32) for i in range(3)]
        y, = run(model, arrays)
        self.assertIsInstance(y, list)
        self.assertEqual([x.tolist() for x in y], [x.tolist() for x in arrays])
        self.assertEqual(run(model, ()), [[]])
        info = norma.load(model).inputs[0]
        self.assertEqual((info.kind, info.element_type, info.type.item.kind), ("sequence", "float", "tensor"))
        with self.assertRaises(norma.InputError):
            run(model, 3)
        with self.assertRaises(norma.InputError):
            run(model, [np.zeros(2, np.int64)])

    def test_optionals(self):
        kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"]))
        model = one_node("Identity", [kind], [kind])
        self.assertEqual(run(model, None), [None])
        y, = run(model, np.ones(3, np.float32))
        np.testing.assert_array_equal(y, np.ones(3))
        has = one_node("OptionalHasElement", [kind], [(TensorProto.BOOL, [])])
        self.assertFalse(run(has, None)[0])
        self.assertTrue(run(has, np.ones(3, np.float32))[0])

    def test_maps(self):
        to_map = one_node("ZipMap", [(TensorProto.FLOAT, ["N", 2])],
                          [helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])))],
                          domain="ai.onnx.ml", classlabels_strings=["cat", "dog"])
        y, = run(to_map, np.array([[1, 2], [3, 4]], np.float32))
        self.assertEqual(y, [{"cat": 1.0, "dog": 2.0}, {"cat": 3.0, "dog": 4.0}])
        to_map = one_node("DictVectorizer", [helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))],
                          [(TensorProto.FLOAT, ["N"])], domain="ai.onnx.ml", int64_vocabulary=[10, 20, 30])
        y, = run(to_map, {30: 1.5, 10: 2})
        self.assertEqual(y.tolist(), [[2, 0, 1.5]])
        with self.assertRaises(norma.InputError):
            run(to_map, [1, 2])


if __name__ == "__main__":
    unittest.main()
