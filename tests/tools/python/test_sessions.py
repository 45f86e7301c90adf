"""Runs: how inputs are given and refused, threads, cancellation, what is measured."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
import weakref

import numpy as np
from models_for_tests import digits, long_run, model, one_node, helper, tensor

import norma

LONG = 60  # seconds after which a run that nothing ends fails its test


def sum_of_two():
    return one_node("Add", [(1, ["N"]), (1, ["N"])], [(1, ["N"])])


class Inputs(unittest.TestCase):
    def test_by_name_and_by_place(self):
        session = norma.load(one_node("Sub", [(1, [2]), (1, [2])], [(1, [2])])).session()
        a, b = np.array([5, 6], np.float32), np.array([1, 2], np.float32)
        for given in ({"x0": a, "x1": b}, {"x1": b, "x0": a}, [a, b], (a, b)):
            self.assertEqual(session.run(given)[0].tolist(), [4, 4])
        self.assertEqual(session(a, b).tolist(), [4, 4])
        self.assertEqual(session(a, x1=b).tolist(), [4, 4])
        self.assertEqual(session(x0=a, x1=b).tolist(), [4, 4])
        self.assertRaises(norma.ArgumentError, session, a, x0=b)
        self.assertRaises(norma.ArgumentError, session, a, b, b, x1=b)

        import collections
        import types
        self.assertEqual(session.run(types.MappingProxyType({"x0": a, "x1": b}))[0].tolist(), [4, 4])
        self.assertEqual(session.run(collections.UserDict({"x0": a, "x1": b}))[0].tolist(), [4, 4])

    def test_what_is_refused(self):
        session = norma.load(sum_of_two()).session()
        x = np.zeros(3, np.float32)
        for given, kind, value in ((None, norma.InputError, "x0"), ({"x0": x}, norma.InputError, "x1"),
                                   ([x], norma.InputError, "x1"), ({"x0": x, "y": x}, norma.ArgumentError, ""),
                                   ({"x0": x, "x1": x, 3: x}, norma.ArgumentError, ""),
                                   ([x, x, x], norma.ArgumentError, ""), (x, TypeError, None), (3, TypeError, None),
                                   ({"x0": x, "x1": x.astype(float)}, norma.InputError, "x1"),
                                   ({"x0": x, "x1": x[None]}, norma.InputError, "x1"),
                                   ({"x0": x, "x1": x.reshape([1] * 20 + [3])}, norma.InputError, "x1"),
                                   ({"x0": x, "x1": x[:2]}, norma.Error, None)):
            with self.subTest(given), self.assertRaises(kind) as caught:
                session.run(given)
            if value is not None:
                self.assertEqual(caught.exception.value, value)
            self.assertEqual(session.run([x, x])[0].tolist(), [0, 0, 0])

    def test_an_input_is_not_remembered(self):
        session = norma.load(sum_of_two()).session()
        x = np.ones(3, np.float32)
        session.run([x, x])
        with self.assertRaises(norma.InputError):
            session.run({"x1": x})
        with self.assertRaises(norma.InputError):
            session.run([x])

    def test_shapes_may_change(self):
        session = norma.load(sum_of_two()).session(max_plans=2)
        for count in (3, 100000, 5, 20000, 3, 0, 100000, 1):
            x = np.arange(count, dtype=np.float32)
            np.testing.assert_array_equal(session.run([x, x])[0], x + x)

    def test_references_are_given_back(self):
        session = norma.load(sum_of_two()).session()
        for count in (10, 100000):
            x = np.zeros(count, np.float32)
            before = sys.getrefcount(x)
            for _ in range(3):
                outputs = session.run([x, x])
                with self.assertRaises(norma.InputError):
                    session.run([x, 3.5 + 1j])
            self.assertEqual(sys.getrefcount(x), before)
            self.assertTrue(x.flags.writeable)
            reference = weakref.ref(outputs[0])
            del outputs
            self.assertIsNone(reference())
        held = weakref.ref(session)
        del session
        gc.collect()
        self.assertIsNone(held())

    def test_outputs_by_name(self):
        made = one_node("TopK", [(1, ["N"]), (7, [1])], [(1, [None]), (7, [None])])
        session = norma.load(made).session()
        inputs = [np.array([1, 3, 2], np.float32), np.array([2])]
        self.assertEqual([x.tolist() for x in session.run(inputs)], [[3, 2], [1, 2]])
        self.assertEqual([x.tolist() for x in session.run(inputs, ["y1", "y0", "y1"])], [[1, 2], [3, 2], [1, 2]])
        self.assertEqual(session.run(inputs, []), [])
        with self.assertRaises(norma.ArgumentError) as caught:
            session.run(inputs, ["nothing"])
        self.assertEqual(caught.exception.value, "nothing")
        self.assertRaises(TypeError, session.run, inputs, 3)
        self.assertRaises(TypeError, session.run, inputs, "y0")
        self.assertRaises(TypeError, session.run, inputs, outputs=[3])

    def test_outputs_that_stand_for_one_another(self):
        """One value that is several outputs, an output that is an input, and one that is a constant."""
        nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Identity", ["y"], ["z"]),
                 helper.make_node("Identity", ["x"], ["same"]),
                 helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0])]
        made = model(nodes, [tensor("x", 1, ["N"])], [tensor(n, 1, [None]) for n in ("y", "z", "same", "c")])
        for optimization in ("none", "full"):
            session = norma.load(made, optimization=optimization).session()
            for count in (5, 50000, 50000):
                x = np.arange(count, dtype=np.float32) - 3
                y, z, same, c = session.run([x])
                np.testing.assert_array_equal(y, np.maximum(x, 0))
                np.testing.assert_array_equal(z, y)
                np.testing.assert_array_equal(same, x)
                self.assertEqual(c.tolist(), [1, 2])
                for other in (z, same, x, c):
                    self.assertFalse(np.shares_memory(y, other))
                y[:] = 7
                np.testing.assert_array_equal(z, np.maximum(x, 0))


class Locks(unittest.TestCase):
    """Arrays that are read in place cannot be written meanwhile; what is small, or holds indices, is copied."""

    def run_with_writer(self, session, inputs, write):
        caught, started = [], threading.Event()

        def work():
            started.wait()
            time.sleep(0.1)
            try:
                write()
            except ValueError as error:
                caught.append(error)
            session.cancel()

        thread = threading.Thread(target=work)
        thread.start()
        started.set()
        with self.assertRaises(norma.CancelledError):
            session.run(inputs, timeout=LONG)
        thread.join()
        return caught

    def test_large_arrays(self):
        made, inputs = long_run()
        session = norma.load(made, threads=1).session()
        base = np.eye(256, dtype=np.float32)
        view = base[:]
        for given, writer in ((base, base), (view, view), (view, base)):
            inputs["start"] = given
            self.assertEqual(len(self.run_with_writer(session, inputs, lambda: writer.__setitem__((0, 0), 5))), 1)
            self.assertTrue(base.flags.writeable and view.flags.writeable)
            self.assertEqual(base[0, 0], 1)
        frozen = np.eye(256, dtype=np.float32)
        frozen.flags.writeable = False
        inputs["start"] = frozen
        self.run_with_writer(session, inputs, lambda: None)
        self.assertFalse(frozen.flags.writeable)

    def test_copies(self):
        made, inputs = long_run()
        session = norma.load(made, threads=1).session(copy_inputs=True)
        self.assertEqual(self.run_with_writer(session, inputs, lambda: inputs["start"].__setitem__((0, 0), 5)), [])


class Cancellation(unittest.TestCase):
    def setUp(self):
        made, self.inputs = long_run()
        self.session = norma.load(made).session()

    def test_deadline(self):
        begin = time.monotonic()
        with self.assertRaises(norma.DeadlineError) as caught:
            self.session.run(self.inputs, timeout=0.2)
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertLess(time.monotonic() - begin, 10)

    def test_from_another_thread(self):
        timer = threading.Timer(0.2, self.session.cancel)
        timer.start()
        with self.assertRaises(norma.CancelledError):
            self.session.run(self.inputs, timeout=LONG)
        timer.join()

    def test_keyboard_interrupt(self):
        # where the tests run in the background, SIGINT is ignored
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        begin = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            self.session.run(self.inputs, timeout=LONG)
        self.assertLess(time.monotonic() - begin, 10)
        timer.join()
        x, = self.session.run({**self.inputs, "count": np.array(1)})
        self.assertEqual(x.shape, (256, 256))

    def test_signals_that_raise_nothing(self):
        seen = []
        before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
        timers = [threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)), threading.Timer(0.4, self.session.cancel)]
        for timer in timers:
            timer.start()
        with self.assertRaises(norma.CancelledError):
            self.session.run(self.inputs, timeout=LONG)
        signal.signal(signal.SIGUSR1, before)
        self.assertEqual(seen, [1])
        for timer in timers:
            timer.join()

    def test_busy(self):
        caught = []

        def work():
            time.sleep(0.1)
            for call in (lambda: self.session.run(self.inputs), self.session.profile, self.session.trim,
                         lambda: self.session.watch("end")):
                try:
                    call()
                except norma.ArgumentError as error:
                    caught.append(error)
            self.session.cancel()

        thread = threading.Thread(target=work)
        thread.start()
        with self.assertRaises(norma.CancelledError):
            self.session.run(self.inputs, timeout=LONG)
        thread.join()
        self.assertEqual(len(caught), 4)

    def test_the_gil_is_released(self):
        count = [0]

        def work():
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                count[0] += 1
            self.session.cancel()

        thread = threading.Thread(target=work)
        thread.start()
        with self.assertRaises(norma.CancelledError):
            self.session.run(self.inputs, timeout=LONG)
        thread.join()
        self.assertGreater(count[0], 1000)


class Measurements(unittest.TestCase):
    def test_profile(self):
        path, picture, _ = digits()
        session = norma.load(path).session()
        session.run([picture])
        self.assertEqual(session.profile(), [])
        for _ in range(3):
            session.run([picture], profile=True)
        session.run([picture], profile=False)
        rows = session.profile()
        self.assertEqual(set(rows[0]), {"node", "op_type", "kernel", "runs", "total_ns", "start_ns", "last_ns", "flops", "bytes"})
        self.assertEqual({row["runs"] for row in rows} - {0}, {3})  # views are not run
        self.assertTrue(any(row["flops"] > 0 for row in rows))
        self.assertGreater(session.arena_bytes, 0)
        session.reset_profile()
        self.assertEqual({row["runs"] for row in session.profile()}, {0})
        session.trim()
        session.run([picture])
        measured = norma.load(path).session(profile=True)
        measured.run([picture])
        self.assertEqual({row["runs"] for row in measured.profile()} - {0}, {1})

    def test_data_frame(self):
        try:
            import pandas
        except ImportError:
            self.skipTest("pandas is not installed")
        path, picture, _ = digits()
        session = norma.load(path).session(profile=True)
        session.run([picture])
        frame = pandas.DataFrame(session.profile())
        self.assertEqual(len(frame), len(session.profile()))
        self.assertGreater(frame["total_ns"].sum(), 0)

    def test_watch(self):
        nodes = [helper.make_node("Relu", ["x"], ["middle"]), helper.make_node("Neg", ["middle"], ["y"])]
        session = norma.load(model(nodes, [tensor("x", 1, [2])], [tensor("y", 1, [2])]), optimization="none").session()
        x = np.array([-1, 2], np.float32)
        with self.assertRaises(norma.ArgumentError):
            session.run([x], ["middle"])
        session.watch("middle")
        self.assertEqual([v.tolist() for v in session.run([x], ["middle", "y"])], [[0, 2], [0, -2]])
        session.unwatch("middle")
        self.assertRaises(norma.ArgumentError, session.watch, "nothing")
        self.assertRaises(norma.ArgumentError, session.unwatch, "middle")


class Forks(unittest.TestCase):
    def test_fork(self):
        path, picture, expected = digits()
        program = f"""
import os, sys, numpy as np, norma
picture = np.frombuffer({picture.tobytes()!r}, np.float32).reshape({picture.shape})
old = norma.load({str(path)!r}).session()
old.run([picture])
child = os.fork()
if child == 0:
    try:
        old.run([picture])
        os._exit(3)
    except norma.ThreadError:
        pass
    new = norma.load({str(path)!r}).session()
    good = np.array_equal(new.run([picture])[0].argmax(1), {expected.argmax(1).tolist()})
    del old, new
    os._exit(0 if good else 4)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
        done = subprocess.run([sys.executable, "-c", program], timeout=60)
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
