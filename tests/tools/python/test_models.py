"""Models: where they come from, what they say of themselves, and what is wrong with them."""

import io
import pathlib
import pickle
import tempfile
import threading
import unittest

import numpy as np
from models_for_tests import digits, helper, identity, model, numpy_helper, one_node, onnx, tensor

import norma


class Sources(unittest.TestCase):
    def test_every_source(self):
        path, picture, expected = digits()
        contents = path.read_bytes()
        for source in (path, str(path), contents, bytearray(contents), memoryview(contents), io.BytesIO(contents),
                       onnx.load(str(path))):
            with self.subTest(type(source).__name__):
                np.testing.assert_allclose(norma.load(source).run([picture])[0], expected, atol=1e-5)
        self.assertRaises(TypeError, norma.load, 3)
        np.testing.assert_allclose(norma.Model(path).run({"picture": picture})[0], expected, atol=1e-5)
        np.testing.assert_allclose(norma.Session(path)(picture), expected, atol=1e-5)

    def test_external_data(self):
        weights = np.arange(2000, dtype=np.float32)
        made = model([helper.make_node("Add", ["x", "w"], ["y"])], [tensor("x", 1, [2000])], [tensor("y", 1, [2000])],
                     [numpy_helper.from_array(weights, "w")])
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.onnx"
            onnx.save(made, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
            contents = path.read_bytes()
            ones = np.ones(2000, np.float32)
            places = []

            def read(location, offset, length):
                places.append((location, offset, length))
                return (pathlib.Path(folder) / location.decode()).read_bytes()[offset:offset + length]

            for loaded in (norma.load(path), norma.load(contents, external_data=folder),
                           norma.load(contents, external_data=read)):
                np.testing.assert_array_equal(loaded.run([ones])[0], weights + 1)
            self.assertTrue(places)
            self.assertRaises(norma.ArgumentError, norma.load, path, external_data=folder)
            for reader in (None, lambda *place: b"short"):
                with self.assertRaises(norma.Error):
                    norma.load(contents, external_data=reader)
            outside = contents.replace(b"weights.bin", b"../w/ts.bin")
            with self.assertRaises(norma.Error):
                norma.load(outside, external_data=folder)


class Descriptions(unittest.TestCase):
    def test_inputs_and_outputs(self):
        loaded = norma.load(digits()[0])
        self.assertEqual([(x.name, x.kind, x.element_type, x.shape, x.dtype, x.is_optional) for x in loaded.inputs],
                         [("picture", "tensor", "float", ("N", 1, 8, 8), np.float32, False)])
        self.assertEqual([x.name for x in loaded.outputs], ["probabilities"])
        self.assertIn("picture", repr(loaded))
        kind = helper.make_optional_type_proto(helper.make_sequence_type_proto(helper.make_tensor_type_proto(7, [None, 2])))
        info = norma.load(one_node("Identity", [kind], [kind])).inputs[0]
        self.assertEqual((info.kind, info.type.item.kind, info.element_type), ("optional", "sequence", "int64"))

    def test_what_the_file_says(self):
        made = identity(1)
        made.producer_name, made.domain, made.model_version, made.doc_string = "Töpfer", "org.test", 7, "says\nthis"
        helper.set_model_props(made, {"key": "value"})
        loaded = norma.load(made)
        self.assertEqual({k: loaded.info[k] for k in ("producer_name", "domain", "version", "description", "graph_name")},
                         {"producer_name": "Töpfer", "domain": "org.test", "version": 7, "description": "says\nthis",
                          "graph_name": "test"})
        self.assertEqual((loaded.metadata, loaded.info["opsets"]["ai.onnx"]), ({"key": "value"}, 21))

    def test_things_that_cannot_be_made(self):
        from norma import _norma

        for kind in (_norma.Model, _norma.Session, _norma.Runtime):
            self.assertRaises(TypeError, kind)
            self.assertRaises(TypeError, object.__new__, kind)
        self.assertRaises(TypeError, _norma.create_model, int)
        loaded = norma.load(identity(1))
        self.assertRaises(TypeError, pickle.dumps, loaded)
        self.assertRaises(TypeError, pickle.dumps, loaded.session())


class Options(unittest.TestCase):
    def test_levels_give_the_same(self):
        path, picture, expected = digits()
        for options in ({"optimization": "none"}, {"optimization": "basic"}, {"optimization": "full"}, {"exact": True},
                        {"denormals": "keep"}, {"keep_constants": True}, {"map_file": True}, {"threads": 1},
                        {"threads": 3}, {"disabled_passes": ["fuse_activation"]}):
            with self.subTest(options):
                np.testing.assert_allclose(norma.load(path, **options).run([picture])[0], expected, atol=1e-5)

    def test_options_that_cannot_be(self):
        path = digits()[0]
        for options in ({"optimization": "most"}, {"denormals": 3}, {"disabled_passes": ["no_such_pass"]},
                        {"overridable": ["nothing"]}, {"input_shapes": {"nothing": [1]}},
                        {"input_shapes": {"picture": [1, 2, 8, 8]}}, {"threads": 1, "runtime": norma.default_runtime()}):
            with self.subTest(options), self.assertRaises(norma.ArgumentError):
                norma.load(path, **options)
        self.assertRaises(TypeError, norma.load, path, disabled_passes="fuse_activation")
        self.assertRaises(ValueError, norma.load, path, input_shapes={"picture": [1] * 17})
        self.assertRaises(norma.ArgumentError, norma.Runtime, threads=-1)
        self.assertRaises(norma.ArgumentError, norma.Runtime, kernels="z80")

    def test_shapes_that_are_fixed(self):
        loaded = norma.load(digits()[0], input_shapes={"picture": [2, None, -1, 8]})
        self.assertEqual(loaded.inputs[0].shape, (2, 1, 8, 8))
        with self.assertRaises(norma.InputError):
            loaded.run([np.zeros((1, 1, 8, 8), np.float32)])

    def test_initializers_that_are_inputs(self):
        made = model([helper.make_node("Add", ["x", "w"], ["y"])], [tensor("x", 1, [2]), tensor("w", 1, [2])],
                     [tensor("y", 1, [2])], [numpy_helper.from_array(np.array([1, 2], np.float32), "w")])
        x = np.array([10, 20], np.float32)
        self.assertEqual([v.name for v in norma.load(made).inputs], ["x"])
        loaded = norma.load(made, overridable=["w"])
        self.assertEqual([(v.name, v.is_optional) for v in loaded.inputs], [("x", False), ("w", True)])
        session = loaded.session()
        for feed, expected in (({"x": x}, [11, 22]), ({"x": x, "w": x}, [20, 40]), ({"x": x}, [11, 22])):
            self.assertEqual(session.run(feed)[0].tolist(), expected)
        self.assertEqual(session.run([x, x])[0].tolist(), [20, 40])
        self.assertEqual(session.run([x])[0].tolist(), [11, 22])

    def test_runtime(self):
        lines = []
        runtime = norma.Runtime(threads=2, log=lambda level, line: lines.append((level, line)))
        path, picture, _ = digits()
        session = norma.load(path, runtime=runtime).session()
        session.run([picture])
        self.assertEqual((runtime.threads, runtime.kernels), (2, norma.default_runtime().kernels))
        self.assertGreater(runtime.memory_used, 0)
        self.assertGreaterEqual(runtime.memory_peak, runtime.memory_used)
        self.assertTrue(lines)
        self.assertTrue(all(isinstance(level, int) and isinstance(line, str) for level, line in lines))
        self.assertIs(session.model.runtime, runtime)
        with self.assertRaises(norma.BudgetError):
            norma.Runtime(max_memory=10000)
        with self.assertRaises(norma.BudgetError):
            norma.load(path, runtime=norma.Runtime(max_memory=40000))


class Errors(unittest.TestCase):
    def test_bytes_that_are_no_model(self):
        for contents in (b"", b"\xff" * 100, digits()[0].read_bytes()[:-100]):
            with self.assertRaises((norma.FormatError, norma.InvalidModelError)):
                norma.load(contents)
        with self.assertRaises(norma.FileError) as caught:
            norma.load("/no/such/model.onnx")
        self.assertIsInstance(caught.exception, OSError)
        self.assertEqual(caught.exception.status, "NORMA_ERROR_FILE")

    def test_what_is_unsupported(self):
        made = model([helper.make_node("Frobnicate", ["x"], ["t"], name="first"),
                      helper.make_node("Quux", ["t"], ["y"], name="second", domain="ai.onnx.ml")],
                     [tensor("x", 1, [1])], [tensor("y", 1, [1])])
        with self.assertRaises(norma.UnsupportedError) as caught:
            norma.load(made)
        error = caught.exception
        self.assertIsInstance(error, NotImplementedError)
        self.assertEqual([(x["node"], x["op_type"]) for x in error.items], [("first", "Frobnicate"), ("second", "Quux")])
        self.assertTrue(all(x["reason"] and x["opset"] for x in error.items))
        self.assertEqual((error.node, error.op_type, error.domain, error.opset), ("first", "Frobnicate", "ai.onnx", 21))
        self.assertIn("Frobnicate", str(error))
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), again.node, str(again)), (type(error), "first", str(error)))

    def test_every_status_has_its_class(self):
        from norma import _norma, errors

        for name, _ in _norma.statuses()[1:]:
            self.assertEqual(errors._CLASSES[name].status, name)

    def test_an_operator_that_fails(self):
        made = one_node("Gather", [(1, [3]), (7, ["N"])], [(1, ["N"])])
        session = norma.load(made).session()
        with self.assertRaises(norma.RunError) as caught:
            session.run([np.zeros(3, np.float32), np.array([5])])
        self.assertEqual((caught.exception.node, caught.exception.op_type), ("the_node", "Gather"))
        self.assertEqual(session.run([np.ones(3, np.float32), np.array([2])])[0].tolist(), [1])


class Threads(unittest.TestCase):
    def test_one_model_many_sessions(self):
        path, picture, expected = digits()
        loaded = norma.load(path)
        wrong = []

        def work(seed):
            session = loaded.session()
            for i in range(50):
                part = picture[(seed + i) % len(picture):]
                if not np.allclose(session.run([part])[0], expected[len(expected) - len(part):], atol=1e-5):
                    wrong.append(seed)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
