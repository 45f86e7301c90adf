"""norma.onnxruntime: each test is run with onnxruntime itself too, where that is installed."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings

import numpy as np
from models_for_tests import digits, helper, identity, long_run, one_node

import norma.onnxruntime

try:
    import onnxruntime
except ImportError:
    onnxruntime = None


class Interface:
    """What both have to do; `ort` is one of them."""

    def session(self, source, **options):
        settings = self.ort.SessionOptions()
        settings.log_severity_level = 4
        settings.intra_op_num_threads = options.pop("threads", 1)
        for name, value in options.items():
            setattr(settings, name, value)
        if hasattr(source, "SerializeToString"):
            source = source.SerializeToString()
        return self.ort.InferenceSession(source, settings, providers=["CPUExecutionProvider"])

    @property
    def state(self):
        return self.ort.capi.onnxruntime_pybind11_state

    def test_run(self):
        path, picture, expected = digits()
        for source in (str(path), path, path.read_bytes()):
            session = self.session(source)
            for names in (None, [], ["probabilities"]):
                np.testing.assert_allclose(session.run(names, {"picture": picture})[0], expected, atol=1e-5)
        levels = self.ort.GraphOptimizationLevel
        for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_BASIC, levels.ORT_ENABLE_EXTENDED, levels.ORT_ENABLE_ALL):
            session = self.session(str(path), graph_optimization_level=level)
            np.testing.assert_allclose(session.run(None, {"picture": picture})[0], expected, atol=1e-5)

    def test_descriptions(self):
        optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [2]))
        sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(7, None))
        cases = [(identity(kind, shape), text, shown) for kind, shape, text, shown in (
            (1, ("N", None, 3), "tensor(float)", ["N", None, 3]), (11, (), "tensor(double)", []),
            (10, (2,), "tensor(float16)", [2]), (8, (2,), "tensor(string)", [2]), (9, (1,), "tensor(bool)", [1]),
            (2, (1,), "tensor(uint8)", [1]), (7, (1,), "tensor(int64)", [1]), (16, (1,), "tensor(bfloat16)", [1]))]
        cases += [(one_node("Identity", [sequence], [sequence]), "seq(tensor(int64))", []),
                  (one_node("Identity", [optional], [optional]), "optional(tensor(float))", [2])]
        for made, text, shape in cases:
            session = self.session(made)
            for given in session.get_inputs() + session.get_outputs():
                self.assertEqual((given.type, given.shape), (text, shape))
            self.assertEqual([x.name for x in session.get_inputs()], ["x0"])
        made = one_node("ZipMap", [(1, ["N", 2])], [helper.make_sequence_type_proto(helper.make_map_type_proto(
            7, helper.make_tensor_type_proto(1, [])))], domain="ai.onnx.ml", classlabels_int64s=[4, 5])
        session = self.session(made)
        self.assertEqual(session.get_outputs()[0].type, "seq(map(int64,tensor(float)))")
        self.assertEqual(session.run(None, {"x0": np.array([[1, 2]], np.float32)}), [[{4: 1.0, 5: 2.0}]])

    def test_metadata(self):
        made = identity(1)
        made.producer_name, made.domain, made.model_version, made.doc_string = "maker", "org.test", 7, "text"
        helper.set_model_props(made, {"key": "value", "names": "a,b"})
        found = self.session(made).get_modelmeta()
        self.assertEqual((found.producer_name, found.domain, found.version, found.description, found.graph_name),
                         ("maker", "org.test", 7, "text", "test"))
        self.assertEqual(found.custom_metadata_map, {"key": "value", "names": "a,b"})

    def test_values(self):
        for kind, given in ((8, np.array(["a", "ü"], object)), (8, np.array(["a", "ü"])), (9, np.array([True, False])),
                            (10, np.ones(3, np.float16)), (6, np.arange(3, dtype=np.int32))):
            y, = self.session(identity(kind)).run(None, {"x0": given})
            self.assertEqual((y.tolist(), y.dtype.kind), (given.tolist(), "O" if kind == 8 else given.dtype.kind))
        sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
        y, = self.session(one_node("Identity", [sequence], [sequence])).run(None, {"x0": [np.ones(2, np.float32)]})
        self.assertEqual([x.tolist() for x in y], [[1, 1]])
        y, = self.session(one_node("ReduceSum", [(1, ["N"])], [(1, [])], keepdims=0)).run(None, {"x0": np.ones(2, np.float32)})
        self.assertEqual((float(y), np.shape(y)), (2.0, ()))

    def test_errors(self):
        session, x = self.session(identity(1, (2, "N"))), np.zeros((2, 3), np.float32)
        with self.assertRaisesRegex(ValueError, r"Required inputs \(\['x0'\]\) are missing from input feed \(\['x'\]\)"):
            session.run(None, {"x": x})
        with self.assertRaisesRegex(self.state.InvalidArgument, r"Actual: \(tensor\(double\)\) , expected: \(tensor\(float\)\)"):
            session.run(None, {"x0": x.astype(float)})
        for feed in ({"x0": x[:1]}, {"x0": x[0]}):
            self.assertRaises(self.state.InvalidArgument, session.run, None, feed)
        self.assertRaises(self.state.InvalidArgument, session.run, ["nothing"], {"x0": x})
        self.assertRaises(self.state.NoSuchFile, self.ort.InferenceSession, "/no/such/file.onnx")
        self.assertRaises(self.state.InvalidProtobuf, self.session, b"\xff" * 30)
        self.assertRaises(TypeError, self.ort.InferenceSession, 3)
        self.assertRaises(Exception, self.session, one_node("Frobnicate", [(1, [1])], [(1, [1])]))
        self.assertEqual(session.run(None, {"x0": x})[0].shape, (2, 3))

    def test_an_operator_that_fails(self):
        session = self.session(one_node("Reshape", [(1, ["N"]), (7, ["M"])], [(1, None)]))
        with self.assertRaises(Exception) as caught:
            session.run(None, {"x0": np.zeros(3, np.float32), "x1": np.array([2, 2])})
        self.assertIn(type(caught.exception), (self.state.RuntimeException, self.state.Fail, self.state.InvalidArgument))

    def test_io_binding(self):
        session = self.session(identity(1, ("N",)))
        x = np.arange(5, dtype=np.float32)
        binding = session.io_binding()
        binding.bind_cpu_input("x0", x)
        binding.bind_output("y0")
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], x)
        np.testing.assert_array_equal(binding.get_outputs()[0].numpy(), x)
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        target = np.zeros(5, np.float32)
        binding.bind_input("x0", "cpu", 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output("y0", "cpu", 0, np.float32, target.shape, target.ctypes.data)
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(target, x)
        value = self.ort.OrtValue.ortvalue_from_numpy(x + 1)
        result = self.ort.OrtValue.ortvalue_from_shape_and_type([5], np.float32)
        binding = session.io_binding()
        binding.bind_ortvalue_input("x0", value)
        binding.bind_ortvalue_output("y0", result)
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(result.numpy(), x + 1)

    def test_ort_values(self):
        x = np.arange(6, dtype=np.float32).reshape(2, 3)
        value = self.ort.OrtValue.ortvalue_from_numpy(x)
        self.assertEqual((list(value.shape()), value.data_type(), value.element_type(), value.device_name()),
                         ([2, 3], "tensor(float)", 1, "cpu"))
        self.assertTrue(value.is_tensor() and value.has_value())
        self.assertFalse(value.is_tensor_sequence() or value.is_sparse_tensor())
        self.assertNotEqual(value.data_ptr(), 0)
        y, = self.session(identity(1, (2, 3))).run_with_ort_values(["y0"], {"x0": value})
        np.testing.assert_array_equal(y.numpy(), x)
        wanted = x + 1  # the value may share x
        value.update_inplace(wanted)
        np.testing.assert_array_equal(value.numpy(), wanted)

    def test_run_options(self):
        made, inputs = long_run()
        session, options = self.session(made), self.ort.RunOptions()
        timer = threading.Timer(0.2, setattr, (options, "terminate", True))
        timer.start()
        with self.assertRaises(Exception) as caught:
            session.run(None, inputs, options)
        self.assertIn("terminate", str(caught.exception))
        timer.join()
        self.assertEqual(session.run(None, {**inputs, "count": np.array(1)}, self.ort.RunOptions())[0].shape, (256, 256))

    def test_dimensions_that_are_fixed(self):
        settings = self.ort.SessionOptions()
        settings.add_free_dimension_override_by_name("N", 2)
        session = self.ort.InferenceSession(str(digits()[0]), settings)
        self.assertEqual(session.get_inputs()[0].shape, [2, 1, 8, 8])

    def test_session_options(self):
        settings = self.ort.SessionOptions()
        settings.add_session_config_entry("session.set_denormal_as_zero", "1")
        self.assertEqual(settings.get_session_config_entry("session.set_denormal_as_zero"), "1")
        settings.execution_mode = self.ort.ExecutionMode.ORT_SEQUENTIAL
        settings.inter_op_num_threads = 1
        settings.enable_mem_pattern = settings.enable_cpu_mem_arena = False
        session = self.ort.InferenceSession(str(digits()[0]), sess_options=settings)
        self.assertEqual(session.get_providers(), ["CPUExecutionProvider"])
        self.assertEqual(session.get_session_options().inter_op_num_threads, 1)

    def test_profile(self):
        path, picture, _ = digits()
        with tempfile.TemporaryDirectory() as folder:
            session = self.session(str(path), enable_profiling=True, profile_file_prefix=f"{folder}/profile")
            session.run(None, {"picture": picture})
            events = json.loads(pathlib.Path(session.end_profiling()).read_text())
        self.assertTrue(any(event.get("cat") == "Node" and event["dur"] >= 0 for event in events))

    def test_several_threads(self):
        path, picture, expected = digits()
        session, wrong = self.session(str(path)), []

        def work():
            for _ in range(50):
                if not np.allclose(session.run(None, {"picture": picture})[0], expected, atol=1e-5):
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_run_async(self):
        path, picture, expected = digits()
        session, done, found = self.session(str(path), threads=2), threading.Event(), []

        def callback(results, user_data, error):
            found.append((results, user_data, error))
            done.set()

        session.run_async(["probabilities"], {"picture": picture}, callback, "mine")
        self.assertTrue(done.wait(20))
        self.assertEqual(found[0][1:], ("mine", ""))
        np.testing.assert_allclose(found[0][0][0], expected, atol=1e-5)

    def test_module(self):
        self.assertIn("CPUExecutionProvider", self.ort.get_available_providers())
        self.assertEqual(self.ort.get_device(), "CPU")
        self.ort.set_default_logger_severity(3)
        self.ort.disable_telemetry_events()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            session = self.ort.InferenceSession(str(digits()[0]), providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
        self.assertTrue(any("CUDAExecutionProvider" in str(warning.message) for warning in caught))
        self.assertEqual(session.get_providers(), ["CPUExecutionProvider"])


class Norma(Interface, unittest.TestCase):
    ort = norma.onnxruntime


@unittest.skipUnless(onnxruntime, "onnxruntime is not installed")
class OnnxRuntime(Interface, unittest.TestCase):
    ort = onnxruntime


class InItsPlace(unittest.TestCase):
    def run_program(self, *arguments):
        done = subprocess.run([sys.executable, "-m", "norma.as_onnxruntime", *arguments], capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stdout, done.stderr

    def test_program(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "program.py"
            (pathlib.Path(folder) / "beside.py").write_text("value = 3\n")
            program.write_text(
                "import sys, beside, onnxruntime as ort\n"
                "from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument\n"
                "from onnxruntime.capi import _pybind_state\n"
                "import onnxruntime.capi.onnxruntime_inference_collection as c\n"
                "assert c.InferenceSession is ort.InferenceSession and _pybind_state.SessionOptions is ort.SessionOptions\n"
                "assert InvalidArgument is ort.capi.onnxruntime_pybind11_state.InvalidArgument\n"
                "session = ort.InferenceSession(sys.argv[1])\n"
                "print(__name__, sys.argv[2:], beside.value, session.get_inputs()[0].name)\n"
                "sys.exit(5)\n")
            code, out, error = self.run_program(str(program), str(digits()[0]), "-x", "y")
            self.assertEqual((code, out), (5, "__main__ ['-x', 'y'] 3 picture\n"), error)
            package = pathlib.Path(norma.__file__).absolute().parents[1]
            done = subprocess.run([sys.executable, "-m", "norma.as_onnxruntime", "-m", "program", str(digits()[0])],
                                  capture_output=True, text=True, cwd=folder, timeout=60,
                                  env={**os.environ, "PYTHONPATH": str(package)})
            self.assertEqual((done.returncode, done.stdout), (5, "__main__ [] 3 picture\n"), done.stderr)

    def test_without_arguments(self):
        self.assertEqual(self.run_program()[0], 2)
        code, out, _ = self.run_program("--help")
        self.assertEqual(code, 0)
        self.assertIn("norma.as_onnxruntime", out)


if __name__ == "__main__":
    unittest.main()
