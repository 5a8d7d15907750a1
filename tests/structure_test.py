#!/usr/bin/env python3
"""The structure of the sources: no circle between modules, no folder of the harness that is a heap, and every test's
file beside its module.

  structure_test.py [ROOT]

A module is a header with the source beside it (x.h, x.cpp, x.hip). Exit codes: 0 good, 1 not.
"""
import pathlib
import re
import sys

ROOMS = ("kernels", "reference", "harness", "bench", "model_runner", "tests")
MIRRORED = ("kernels", "reference", "harness", "bench", "model_runner")  # rooms whose tests/ has the same folders
MOST_FILES = 20  # of a folder of the harness that has no folders of its own


def modules(root):
    """Module -> the modules that its files include, both without their extension."""
    found = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix not in (".h", ".cpp", ".hip"):
                continue
            module = str(path.relative_to(root).with_suffix(""))
            included = re.findall(r'^\s*#\s*include\s*[<"]([^">]+)[>"]', path.read_text(), re.M)
            found.setdefault(module, set()).update(re.sub(r"\.(h|cpp|hip)$", "", name) for name in included)
    return {name: {other for other in included if other in found and other != name} for name, included in found.items()}


def circles(graph):
    """The strongly connected components of more than one module (Tarjan)."""
    index, low, stack, on_stack, result = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = []
            while True:
                part.append(stack.pop())
                on_stack.discard(part[-1])
                if part[-1] == node:
                    break
            if len(part) > 1:
                result.append(sorted(part))

    sys.setrecursionlimit(10000)
    for node in sorted(graph):
        if node not in index:
            visit(node)
    return result


def heaps(root):
    for folder in [root / "harness", *sorted(path for path in (root / "harness").rglob("*") if path.is_dir())]:
        children = list(folder.iterdir())
        files = sum(child.is_file() for child in children)
        if files > MOST_FILES and not any(child.is_dir() for child in children):
            yield f"{folder.relative_to(root)} holds {files} files and no folder, at most {MOST_FILES} may"


def strays(root):
    """tests/<room>/.../x_test.cpp is about the module <room>/.../x."""
    for room in MIRRORED:
        for test in sorted((root / "tests" / room).rglob("*_test.cpp")):
            module = test.relative_to(root / "tests").with_name(test.name.removesuffix("_test.cpp"))
            if not any((root / module).with_suffix(suffix).exists() for suffix in (".h", ".cpp", ".hip")):
                yield f"{test.relative_to(root)} is the test of no module: there is no {module}.h, .cpp or .hip"


def late_headers(root):
    """x.cpp includes x.h before all else, so that the header is seen to compile alone; and twice, were it included."""
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix == ".h" and not re.search(r"^#(pragma once|ifndef \w+\n#define )", path.read_text(), re.M):
                yield f"{path.relative_to(root)} has no include guard"
            if path.suffix not in (".cpp", ".hip") or not path.with_suffix(".h").exists():
                continue
            first = re.search(r'^\s*#\s*include\s*[<"]([^">]+)[>"]', path.read_text(), re.M)
            if not first or pathlib.PurePath(first.group(1)).name != path.with_suffix(".h").name:
                yield f"{path.relative_to(root)} does not include {path.stem}.h first"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    graph = modules(root)
    faults = [f"circle of {len(part)} modules: {' '.join(part)}" for part in circles(graph)]
    faults += heaps(root)
    faults += strays(root)
    faults += late_headers(root)
    for fault in faults:
        print(fault)
    print(f"{len(graph)} modules, {len(faults)} faults")
    return 1 if faults or not graph else 0


if __name__ == "__main__":
    sys.exit(main())
