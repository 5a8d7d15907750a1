#!/usr/bin/env python3
"""Plants mutants: copies of the sources in which defects stand beside the code, each behind its number.

  plant.py --root REPOSITORY --out FOLDER --list LIST.toml... [--platform NAME] [--sources FILE...]

A list's [[mutant]] has an id `op.name`, `what` is wrong, the `kind` of defect, a `chronicle` row where it has one, and
the site: `file`, the text to `find` there, exactly once (from `after`, itself found once, where it is given), and what
to `replace` it with. [[mutant.site]] tables stand for several sites. A key with the name of a platform says why the
mutant cannot show there. Text that ends with ; or } is a statement, any other an expression; a replacement with MUTANT
in it is taken as it is, MUTANT being the condition. Sites may lie within each other.

FOLDER gets each touched file under its own path, to be found before the original, and mutants.json. Numbers are by
position, from 1; `hipforge_mutant(n)` says whether n is the one that HIPFORGE_MUTANT names.

Exit codes: 0 good, 2 an entry does not fit the sources: one line each names them."""

import argparse
import json
import pathlib
import re
import sys
import tomllib

KINDS = ["arithmetic", "barrier", "bounds", "copy", "index", "launch", "lifetime", "mask", "precision", "range check",
         "stride", "uninitialised"]


class BadMutant(Exception):
    pass


def find_once(text, wanted, begin=0):
    """The offset of the only occurrence; with `begin` > 0 the first one from there on."""
    at = text.find(wanted, begin)
    shown = wanted.replace("\n", "\\n")
    if at < 0:
        raise BadMutant(f"'{shown}' is not there")
    if begin == 0 and text.find(wanted, at + 1) >= 0:
        raise BadMutant(f"'{shown}' stands there {text.count(wanted)} times, needs once (or an `after`)")
    return at


def locate(text, site):
    begin = 0
    if "after" in site:
        begin = find_once(text, site["after"]) + len(site["after"])
    at = find_once(text, site["find"], begin)
    # A comment that closes the text is there to tell its place.
    return at, at + len(re.sub(r"\s*//[^\n]*$", "", site["find"]))


class Edit:
    def __init__(self, begin, end, number, name, replacement):
        self.begin, self.end, self.number, self.name, self.replacement = begin, end, number, name, replacement


def switched(number, original, replacement, source):
    """The code that is `replacement` where mutant `number` is on, and else `original`."""
    condition = f"hipforge_mutant({number})"
    if "MUTANT" in replacement:
        return replacement.replace("MUTANT", condition)
    # A replacement of more lines than the source would move what follows it.
    replacement = " ".join(line.strip() for line in replacement.strip().splitlines())
    if re.search(r"[;}]$", source.strip()):
        return f"if ({condition}) {{ {replacement} }} else {{ {original} }}"
    return f"({condition} ? ({replacement}) : ({original}))"


def render(text, edits, begin, end):
    """text[begin:end] with the edits, each of which lies within another or apart from it."""
    out = []
    at = begin
    edits = sorted(edits, key=lambda edit: (edit.begin, -edit.end))
    while edits:
        outer = edits[0]
        inside = [edit for edit in edits[1:] if edit.begin < outer.end]
        for edit in inside:
            if edit.end > outer.end:
                raise BadMutant(f"mutants {outer.name} and {edit.name} overlap, and neither lies within the other")
        edits = edits[1 + len(inside):]
        source = text[outer.begin:outer.end]
        original = render(text, inside, outer.begin, outer.end)
        out += [text[at:outer.begin], switched(outer.number, original, outer.replacement, source)]
        at = outer.end
    out.append(text[at:end])
    return "".join(out)


def planted(path, text, edits):
    """The whole of a source file with its mutants; lines keep their numbers."""
    body = render(text, edits, 0, len(text))
    return f'#include "hipforge_mutant.h"\n#line 1 "{path}"\n{body}'


def read_lists(paths):
    mutants = []
    for path in paths:
        with open(path, "rb") as file:
            for mutant in tomllib.load(file).get("mutant", []):
                mutant["list"] = path
                mutants.append(mutant)
    return mutants


def check_entry(mutant, seen):
    for key in ("id", "what", "kind"):
        if not mutant.get(key):
            raise BadMutant(f"has no {key}")
    if mutant["id"] in seen:
        raise BadMutant("stands twice")
    if not re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", mutant["id"]):
        raise BadMutant("the id is not op.name in lower case")
    if mutant["kind"] not in KINDS:
        raise BadMutant(f"kind '{mutant['kind']}' is not known, choose from {', '.join(KINDS)}")


def plant(root, lists, platform="cpu"):
    """Returns {path: text} of the touched files and the manifest's entries."""
    sources, edits, manifest, seen, problems = {}, {}, [], set(), []
    for number, mutant in enumerate(read_lists(lists), start=1):
        try:
            check_entry(mutant, seen)
            seen.add(mutant["id"])
            sites = mutant.get("site", [mutant])
            lines = []
            for site in sites:
                path = site["file"]
                if path not in sources:
                    source = root / path
                    if not source.is_file():
                        raise BadMutant(f"there is no {path}")
                    sources[path] = source.read_text()
                begin, end = locate(sources[path], site)
                if site["replace"].strip() == site["find"].strip():
                    raise BadMutant("replaces text with itself")
                edits.setdefault(path, []).append(Edit(begin, end, number, mutant["id"], site["replace"]))
                lines.append(f"{path}:{sources[path].count(chr(10), 0, begin) + 1}")
            manifest.append({"number": number, "id": mutant["id"], "op": mutant["id"].split(".")[0],
                             "kind": mutant["kind"], "chronicle": mutant.get("chronicle", ""),
                             "what": mutant["what"], "where": lines, "left_out": mutant.get(platform, "")})
        except BadMutant as error:
            problems.append(f"{mutant['list']}: mutant {mutant.get('id', '?')}: {error}")
        except KeyError as error:
            problems.append(f"{mutant['list']}: mutant {mutant.get('id', '?')}: has no {error}")
    if problems:
        raise BadMutant("\n".join(problems))
    return {path: planted(root / path, text, edits[path]) for path, text in sources.items()}, manifest


def write_if_changed(path, text):
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_tree(out, files):
    """Makes `out` hold the files; one that a mutant has left would still stand before the original. A new header stands
    before one that objects were compiled with and depend on: then every file is written, so that all are compiled."""
    new = any(not (out / path).is_file() for path in files)
    for path in out.rglob("*"):
        if path.is_file() and str(path.relative_to(out)) not in files and path.name != "mutants.json":
            path.unlink()
    for path, text in files.items():
        if new:
            (out / path).unlink(missing_ok=True)
        write_if_changed(out / path, text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--sources", nargs="*", default=[], help="files to copy even where no mutant touches them")
    parser.add_argument("--list", action="append", required=True, help="a LIST.toml; again for each")
    parser.add_argument("--platform", default="cpu")
    arguments = parser.parse_args()
    try:
        files, manifest = plant(arguments.root, arguments.list, arguments.platform)
    except (BadMutant, tomllib.TOMLDecodeError) as error:
        for line in str(error).splitlines():
            print(f"plant.py: {line}", file=sys.stderr)
        return 2
    for path in arguments.sources:
        files.setdefault(path, planted(arguments.root / path, (arguments.root / path).read_text(), []))
    write_tree(arguments.out, files)
    write_if_changed(arguments.out / "mutants.json", json.dumps({"platform": arguments.platform, "mutants": manifest}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
