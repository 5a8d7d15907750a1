#!/usr/bin/env python3
"""What scripts/junit_counts.py makes of the files of ctest and hipforge, and of a run that died."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "junit_counts.py"

# As CMake 3.25's ctest writes them.
CTEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="(empty)" tests="7" failures="2" disabled="1" skipped="3" time="1">
  <testcase name="good" classname="good" time="0.04" status="run"><system-out>fine</system-out></testcase>
  <testcase name="bad" classname="bad" time="0.03" status="fail">
    <failure message=""/><system-out>a &lt; b
</system-out></testcase>
  <testcase name="code" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/><system-out/></testcase>
  <testcase name="words" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/></testcase>
  <testcase name="other" status="disabled"><system-out>Disabled</system-out></testcase>
  <testcase name="slow" status="fail"><failure message=""/><system-out></system-out></testcase>
  <testcase name="lost" status="notrun"><skipped message="Unable to find executable"/></testcase>
</testsuite>
"""
HIPFORGE = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites time="1.000">
  <testsuite name="rope" tests="2" failures="1" time="0.5">
    <testcase classname="hipforge.rope" name="rope/f32/c/1 wave 32" time="0.1"/>
    <testcase classname="hipforge.rope" name="rope/f32/c/2 wave 32" time="0.1">
      <failure message="y[0] is 1, wanted 2">hipforge check --case rope</failure>
    </testcase>
  </testsuite>
  <testsuite name="linear" tests="2" failures="0" time="0.5">
    <testcase classname="hipforge.linear" name="linear/f32 wave 32" time="0.1"/>
    <testcase classname="hipforge.linear" name="linear/f16 wave 32" time="0.1"><skipped/></testcase>
  </testsuite>
</testsuites>
"""


class JunitCounts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "junit.xml"

    def run_script(self, *arguments):
        done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def counts(self, text, *status):
        self.file.write_text(text)
        return self.run_script(self.file, *status)

    def test_ctest(self):
        self.assertEqual(self.counts(CTEST, "8"), "1 3 2\ncode\nwords\n")

    def test_hipforge(self):
        self.assertEqual(self.counts(HIPFORGE, "1"), "2 1 1\nlinear/f16 wave 32\n")

    def test_a_run_that_says_it_failed_failed(self):
        good = HIPFORGE.replace('<failure message="y[0] is 1, wanted 2">hipforge check --case rope</failure>', "")
        self.assertEqual(self.counts(good, "0"), "3 0 1\nlinear/f16 wave 32\n")
        self.assertEqual(self.counts(good), "3 0 1\nlinear/f16 wave 32\n")
        self.assertEqual(self.counts(good, "1"), "3 1 1\nlinear/f16 wave 32\n")

    def test_a_run_that_died_failed(self):
        self.assertEqual(self.run_script(self.file, "0"), "0 1 0\n")
        self.assertEqual(self.counts(CTEST[:300], "139"), "0 1 0\n")
        self.assertEqual(self.counts("<html/>", "0"), "0 1 0\n")

    def test_failures_come_with_their_output(self):
        self.file.write_text(CTEST)
        self.assertEqual(self.run_script("--failures", self.file), "bad\na < b\nslow\n\nlost\n\n")
        self.file.write_text(HIPFORGE)
        self.assertEqual(self.run_script("--failures", self.file),
                         "rope/f32/c/2 wave 32\ny[0] is 1, wanted 2\nhipforge check --case rope\n")

    def test_usage(self):
        done = subprocess.run([sys.executable, SCRIPT, "--what"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage: junit_counts.py FILE", done.stderr)


if __name__ == "__main__":
    unittest.main()
