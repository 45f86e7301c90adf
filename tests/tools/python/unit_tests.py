"""Runs the tests of the Python package; ends with the line "N passed, N failed, N skipped".

    PYTHONPATH=build/python python tests/tools/python/unit_tests.py
"""

import pathlib
import sys
import unittest


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    folder = pathlib.Path(__file__).resolve().parent
    suite = unittest.defaultTestLoader.discover(str(folder))
    result = unittest.TextTestRunner(sys.stdout, resultclass=Result, verbosity=0).run(suite)
    for test, why in result.skipped:
        print(f"skipped: {test.id()}: {why}")
    failed = len({test.id() for test, _ in result.failures + result.errors}) + len(result.unexpectedSuccesses)
    print(f"{result.passed} passed, {failed} failed, {len(result.skipped)} skipped")
    return 1 if failed or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main())
