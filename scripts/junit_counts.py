#!/usr/bin/env python3
"""What a JUnit file says, for test.sh.

  junit_counts.py FILE [STATUS]    "PASSED FAILED SKIPPED" on a line, then the names of what was skipped, one a line
  junit_counts.py --failures FILE  what failed, with its output

STATUS is what the run that wrote the file exited with: one that died or says that it failed, without a failure in the
file, counts as one that failed; so does a file that is missing or no JUnit. A test that ctest could not start, which
it calls skipped, failed. A disabled one, which another case starts in a process of its own, is none.
"""
import sys
import xml.etree.ElementTree

# What ctest writes where a test itself asked to be skipped; hipforge writes no message.
ASKED = ("", "SKIP_RETURN_CODE", "SKIP_REGULAR_EXPRESSION_MATCHED")


def verdict(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.get("status") == "disabled":
        return "disabled"
    skip = case.find("skipped")
    if skip is None:
        return "passed"
    return "skipped" if skip.get("message", "").partition("=")[0] in ASKED else "failed"


def read(path):
    """(name, verdict, output) of every case; None where there is no such file."""
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    if root.tag not in ("testsuite", "testsuites"):
        return None
    return [(case.get("name", ""), verdict(case), case_output(case)) for case in root.iter("testcase")]


def case_output(case):
    failure = case.find("failure")
    parts = [] if failure is None else [failure.get("message", ""), failure.text or ""]
    parts.append(case.findtext("system-out") or "")
    return "\n".join(part for part in parts if part.strip())


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--failures":
        for name, outcome, output in read(arguments[1]) or []:
            if outcome == "failed":
                print(f"{name}\n{output.rstrip()}")
        return 0
    if len(arguments) not in (1, 2) or arguments[0].startswith("-"):
        print("usage: junit_counts.py FILE [STATUS] | --failures FILE", file=sys.stderr)
        return 2
    cases = read(arguments[0])
    outcomes = [outcome for _, outcome, _ in cases or []]
    failed = outcomes.count("failed")
    if cases is None or (arguments[1:] not in ([], ["0"]) and failed == 0):
        failed += 1
    skipped = [name for name, outcome, _ in cases or [] if outcome == "skipped"]
    print(outcomes.count("passed"), failed, len(skipped))
    print("".join(f"{name}\n" for name in skipped), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
