"""The page tools/python/README.md: its code runs from top to bottom in the root of the project, and what it says is true."""

import contextlib
import io
import os
import re
import unittest

from models_for_tests import ROOT


class Page(unittest.TestCase):
    def test_code(self):
        page = (ROOT / "tools" / "python" / "README.md").read_text()
        pieces = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
        self.assertGreater(len(pieces), 4)
        before, printed, names = os.getcwd(), io.StringIO(), {}
        os.chdir(ROOT)
        try:
            with contextlib.redirect_stdout(printed):
                for piece in pieces:
                    exec(compile(piece, "README.md", "exec"), names)
        finally:
            os.chdir(before)
        lines = printed.getvalue().splitlines()
        self.assertRegex(lines[0], r"one: 0\.\d+")
        self.assertGreater(float(lines[0].split()[1]), 0.5)
        self.assertEqual(lines[1:4], ["[('picture', 'float', ('N', 1, 8, 8))]", "1", "(1, 10)"])
        self.assertEqual(lines[4], "picture - input 'picture' has element type double, expected float")
        self.assertEqual(lines[5], "FormatError")
        self.assertEqual(lines[-2:], ["tensor(float) (1, 10)", "(1, 10) False"])


if __name__ == "__main__":
    unittest.main()
