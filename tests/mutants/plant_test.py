#!/usr/bin/env python3
"""Tests of plant.py and generate.py."""

import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import textwrap
import unittest
from unittest import mock

import generate
import plant

SOURCE = """\
int add(int a, int b) {
  int sum = a + b;
  sum += 1;  // one more
  return sum;
}
"""


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.addCleanup(self.folder.cleanup)
        self.write("add.cpp", SOURCE)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def plant(self, text, *more):
        """Runs plant.py on one list; its exit code and what it said."""
        path = self.write("list.toml", text)
        arguments = ["plant.py", "--root", str(self.root), "--out", str(self.root / "out"), f"--list={path}", *more]
        said = io.StringIO()
        with mock.patch.object(sys, "argv", arguments), contextlib.redirect_stderr(said):
            return plant.main(), said.getvalue()

    def planted(self):
        return (self.root / "out/add.cpp").read_text()


def entry(**changes):
    fields = {"id": "op.name", "kind": "arithmetic", "what": "wrong", "file": "add.cpp", "find": "a + b",
              "replace": "a - b", **changes}
    return "[[mutant]]\n" + "".join(f"{key} = '{value}'\n" for key, value in fields.items() if value is not None)


class Plant(Folder):
    def test_a_file_that_is_new_has_all_written_anew(self):
        self.write("other.h", SOURCE)
        self.plant(entry())
        path = self.root / "out/add.cpp"
        os.utime(path, (1, 1))
        self.plant(entry())
        self.assertEqual(path.stat().st_mtime, 1)
        self.plant(entry() + entry(id="op.other", file="other.h"))
        self.assertGreater(path.stat().st_mtime, 1)

    def test_a_platform_where_a_mutant_cannot_show_gets_the_reason(self):
        for platform, reason in (("nvidia", "no such path"), ("cpu", "")):
            self.assertEqual(self.plant(entry(nvidia="no such path"), f"--platform={platform}")[0], 0)
            manifest = json.loads((self.root / "out/mutants.json").read_text())
            self.assertEqual((manifest["platform"], manifest["mutants"][0]["left_out"]), (platform, reason))

    def test_an_expression_becomes_a_choice(self):
        self.assertEqual(self.plant(entry()), (0, ""))
        self.assertIn("int sum = (hipforge_mutant(1) ? (a - b) : (a + b));", self.planted())
        manifest = json.loads((self.root / "out/mutants.json").read_text())["mutants"]
        self.assertEqual([(m["number"], m["id"], m["op"], m["where"]) for m in manifest],
                         [(1, "op.name", "op", ["add.cpp:2"])])

    def test_a_statement_may_be_left_out_and_lines_keep_their_numbers(self):
        self.assertEqual(self.plant(entry(find="sum += 1;  // one more", replace=""))[0], 0)
        self.assertIn("  if (hipforge_mutant(1)) {  } else { sum += 1; }  // one more\n  return", self.planted())
        self.assertEqual(self.planted().count("\n"), SOURCE.count("\n") + 2)

    def test_sites_may_lie_within_each_other_and_in_one_place(self):
        text = entry() + entry(id="op.same", replace="a * b") + entry(id="op.inner", find="b;", replace="c;", after="a +")
        self.assertEqual(self.plant(text.replace("find = 'b;'", "find = 'b'").replace("replace = 'c;'", "replace = 'c'")),
                         (0, ""))
        self.assertIn("(hipforge_mutant(1) ? (a - b) : ((hipforge_mutant(2) ? (a * b) : (a + (hipforge_mutant(3) ? (c) : (b))))))",
                      self.planted())

    def test_an_anchor_that_is_not_there_is_an_error_that_names_the_mutant(self):
        code, said = self.plant(entry(find="a / b"))
        self.assertEqual(code, 2)
        self.assertIn("mutant op.name: 'a / b' is not there", said)
        self.assertEqual(said.count("\n"), 1)

    def test_an_anchor_that_stands_twice_is_an_error_with_the_number(self):
        code, said = self.plant(entry(find="sum"))
        self.assertEqual(code, 2)
        self.assertIn("mutant op.name: 'sum' stands there 3 times", said)
        self.assertEqual(self.plant(entry(find="sum", after="return "))[0], 0)

    def test_entries_that_say_nothing_are_errors(self):
        for changes, needs in [({"what": None}, "has no what"), ({"kind": "odd"}, "kind 'odd' is not known"),
                               ({"file": "none.cpp"}, "there is no none.cpp"), ({"replace": "a + b"}, "with itself"),
                               ({"id": "Name"}, "op.name in lower case"), ({"find": None}, "has no 'find'")]:
            code, said = self.plant(entry(**changes))
            self.assertEqual(code, 2, changes)
            self.assertIn(needs, said)
        self.assertIn("stands twice", self.plant(entry() + entry(replace="a * b"))[1])

    def test_sites_that_cross_are_an_error(self):
        code, said = self.plant(entry(find="sum = a", replace="sum = b") + entry(id="op.other"))
        self.assertEqual(code, 2)
        self.assertIn("op.name and op.other overlap", said)

    def test_a_file_that_no_mutant_touches_any_more_is_gone(self):
        self.write("out/kernels/old.h", "")
        self.assertEqual(self.plant(entry())[0], 0)
        self.assertFalse((self.root / "out/kernels/old.h").exists())


class Generate(Folder):
    def mutations(self, text):
        """(operator, what stands there, what replaces it) of every place."""
        return [(place.operator, text[place.begin:place.end], place.replacement)
                for place in generate.places_in("kernels/x.hip", text)]

    def test_operands_reach_as_far_as_their_operator_binds(self):
        found = self.mutations("  y = a * b + c[i] < d && f(g, h);\n")
        self.assertIn(("< becomes <=", "a * b + c[i] < d", "a * b + c[i] <= d"), found)
        self.assertIn(("+ becomes -", "a * b + c[i]", "a * b - c[i]"), found)
        self.assertIn(("* becomes +", "a * b", "a + b"), found)
        self.assertIn(("&& becomes ||", "a * b + c[i] < d && f(g, h)", "a * b + c[i] < d || f(g, h)"), found)
        self.assertIn(("index + 1", "i", "(i) + 1"), found)

    def test_templates_pointers_and_constants_are_left_alone(self):
        self.assertEqual(self.mutations("  const T* x = y;\n"), [])
        self.assertEqual(self.mutations("  constexpr int kSize = 4 + 4;\n"), [])
        self.assertEqual(self.mutations("template <int kA, class T>\n"), [])
        self.assertEqual(self.mutations("  float values[kPack];\n"), [])
        self.assertEqual(self.mutations("  auto y = f<T, kB>(&x, -z);\n"), [])

    def test_barriers_stores_and_checks_can_be_left_out(self):
        text = "{\n  __syncthreads();\n  x[i] = y;\n  HIPFORGE_TRY(check(a));\n  const int z = 3;\n  return z;\n}\n"
        left_out = [(operator, source) for operator, source, replacement in self.mutations(text) if replacement == ""]
        self.assertEqual(left_out, [("the barrier is dropped", "__syncthreads();"),
                                    ("the statement is left out", "x[i] = y;"),
                                    ("the statement is left out", "HIPFORGE_TRY(check(a));")])

    def test_what_does_not_compile_is_discarded_and_counted_and_never_a_mutant(self):
        self.write("kernels/x.hip", "int f(int a) {\n  int b = a + 2;\n  return b * a;\n}\n")

        class Stub:
            commands = {"kernels/x.hip": None}

            def run(stub, source, mode):
                text = (self.root / "out" / source).read_text().splitlines()
                if mode == ["-E"]:
                    return mock.Mock(stdout="\n".join(text))
                bad = [n for n, line in enumerate(text[2:], start=1) if "hipforge_mutant" in line and n == 2]
                return mock.Mock(returncode=1 if bad else 0,
                                 stderr="".join(f"{self.root}/kernels/x.hip:{n}:7: error: no\n" for n in bad))

        drawn, texts = generate.draw(self.root, ["x"], "1", 100)
        self.assertEqual({place.line for place in drawn.values()}, {2, 3})
        (self.root / "out").mkdir()
        discarded = generate.keep_what_compiles(self.root, self.root / "out", drawn, texts, ["kernels/x.hip"], Stub())
        self.assertEqual(discarded, 1)
        self.assertEqual({place.line for place in drawn.values()}, {3})

    def test_ids_do_not_depend_on_what_stands_elsewhere(self):
        line = "  return b * a;\n"
        self.write("kernels/x.hip", "int f(int a) {\n" + line + "}\n")
        before, _ = generate.draw(self.root, ["x"], "1", 100)
        self.write("kernels/x.hip", "// moved\n\nint f(int a) {\n" + line + "}\n")
        after, _ = generate.draw(self.root, ["x"], "1", 100)
        self.assertEqual(set(before), set(after))


if __name__ == "__main__":
    unittest.main()
