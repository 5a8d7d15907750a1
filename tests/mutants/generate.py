#!/usr/bin/env python3
"""Generates mutants: small changes all over the kernels, drawn by a seed, for `hipforge mutants --generated`.

  generate.py --root REPOSITORY --out FOLDER --commands compile_commands.json --reasons REASONS.toml [--seed N]
              [--share PERCENT] [--sources FILE...]

The output is that of plant.py, which plants them. Which places are drawn depends on the seed and on the text of a place
alone, so that a change elsewhere changes nothing; an id is a hash of file, line and operator. A mutant that does not
compile, or that a constant expression cannot hold, is discarded and counted; code that the preprocessor leaves out of
this platform's build has no places. REASONS.toml names survivors by id with the reason, under
[equivalent] those that do what the code does, under [survivors] any others."""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor

import plant

# Drawn of an op's places, whatever the share.
FEWEST, MOST = 14, 24
SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+", "&&": "||", "||": "&&",
         "*": "+", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "+=": "-=", "-=": "+=", "*=": "+="}
PRECEDENCE = {"*": 5, "/": 5, "%": 5, "+": 6, "-": 6, "<<": 7, ">>": 7, "<": 9, "<=": 9, ">": 9, ">=": 9, "==": 10,
              "!=": 10, "&": 11, "^": 12, "|": 13, "&&": 14, "||": 15, "?": 16, ":": 16, "=": 16, "+=": 16, "-=": 16,
              "*=": 16, "/=": 16, "|=": 16, "&=": 16, "^=": 16, "<<=": 16, ">>=": 16}
FUNCTIONS = {"std::min": "std::max", "std::max": "std::min", "fminf": "fmaxf", "fmaxf": "fminf"}
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|'
                   r'0x[0-9a-fA-F.]+(?:p[+-]?\d+)?[uUlLfF]*|\d[\d\']*\.?\d*(?:e[+-]?\d+)?[uUlLfF]*|'
                   r'[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*|<<=|>>=|->|\+\+|--|&&|\|\||[<>=!+\-*/%&|^]=|<<|>>|::|\S', re.S)
OPEN, CLOSE = "([{", ")]}"
# What stands in a constant expression or declares a type cannot be switched at run time.
UNSWITCHABLE = re.compile(r"^\s*(#|template\b|using\b|static_assert\b|(static |inline )*constexpr\b|struct\b|class\b|"
                          r"enum\b|namespace\b|case\b|HIPFORGE_\w*KERNEL)|^[A-Z_]+\(|__launch_bounds__|\bif constexpr\b")
# Lines that decide how fast something is done, not what: a grid that kernels stride over, a block's size.
SPEED = re.compile(r"\bplan\.(grid|block)\b|\bconst [\w:]+ (waves|blocks|shares|most|per_wave) =|std::clamp<std::int64_t>\(\(|"
                   r"\bmake_plan\(|\bwhole_waves\(|"
                   r"#pragma|kWantedThreads|one_at_a_time")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


class Place:
    def __init__(self, path, begin, end, replacement, operator):
        self.path, self.begin, self.end = path, begin, end
        self.replacement, self.operator = replacement, operator


class Token:
    def __init__(self, match):
        self.text, self.begin, self.end = match.group(), match.start(), match.end()


def tokens_of(text):
    return [token for token in map(Token, TOKEN.finditer(text)) if not token.text.startswith(("//", "/*"))]


def partners_of(tokens):
    """Each bracket's partner, by index."""
    partners, stack = {}, []
    for at, token in enumerate(tokens):
        if token.text in OPEN:
            stack.append(at)
        elif token.text in CLOSE and stack:
            other = stack.pop()
            partners[at], partners[other] = other, at
    return partners


def is_binary(text, token):
    """clang-format puts spaces around what has two operands, and around nothing else."""
    return token.text in PRECEDENCE and text[token.begin - 1] in " \n" and text[token.end] in " \n"


def operand_begin(text, tokens, partners, at, precedence):
    first = at
    while first > 0:
        token = tokens[first - 1]
        if token.text in CLOSE:
            if token.text == "}":
                break
            first = partners.get(first - 1, first - 1)
            continue
        if token.text in OPEN or token.text in (";", ",", "return", "else") or \
                (is_binary(text, token) and PRECEDENCE[token.text] > precedence):
            break
        first -= 1
    return tokens[first].begin


def operand_end(text, tokens, partners, at, precedence):
    last = at
    while last + 1 < len(tokens):
        token = tokens[last + 1]
        if token.text in "([":
            last = partners.get(last + 1, last + 1)
            continue
        if token.text in CLOSE or token.text in (";", ",", "{") or \
                (is_binary(text, token) and PRECEDENCE[token.text] >= precedence):
            break
        last += 1
    return tokens[last].end


def line_of(text, at):
    begin = text.rfind("\n", 0, at) + 1
    return text[begin:text.index("\n", at)]


def changed_number(number):
    """The literal's neighbour, in its own type."""
    if re.fullmatch(r"\d[\d']*[uUlL]*", number):
        return f"({number} + 1)"
    if number.startswith("0x") and "p" not in number:
        return f"({number} + 1)"
    if re.search(r"[.p]", number):
        return f"({number} * 1.25f + 0.125f)" if number.endswith("f") else f"({number} * 1.25 + 0.125)"
    return None


def declares_array(tokens, partners, at):
    """Whether the bracket at `at` says how long an array is: `float values[`, `(&values)[`."""
    if at < 2:
        return True
    if tokens[at - 1].text == ")":
        return tokens[partners.get(at - 1, 0) + 1].text == "&"
    before = tokens[at - 2].text
    return before in (">", "*", "&", "]") or bool(re.match(r"[A-Za-z_]", before) and before != "return")


def token_places(path, text, tokens, partners):
    for at, token in enumerate(tokens):
        before = tokens[at - 1].text if at > 0 else ""
        after = tokens[at + 1].text if at + 1 < len(tokens) else ""
        if token.text in SWAPS and is_binary(text, token):
            precedence = PRECEDENCE[token.text]
            begin = operand_begin(text, tokens, partners, at, precedence)
            end = operand_end(text, tokens, partners, at, precedence)
            swap = SWAPS[token.text]
            # A loop over packs that goes on at the very end finds nothing left: there it ends one element early.
            packs = token.text == "<" and "for (" in line_of(text, token.begin) and not text[end:].startswith("; ++")
            if packs:
                swap = "+ 1 <"
            mutated = text[begin:token.begin] + swap + text[token.end:end]
            yield Place(path, begin, end, mutated, f"{token.text} becomes {swap}")
        elif token.text in FUNCTIONS:
            call = at + 1 if after == "(" else None
            if after == "<":
                call = next((n for n in range(at + 1, min(at + 12, len(tokens))) if tokens[n].text == "("), None)
            if call in partners:
                end = tokens[partners[call]].end
                yield Place(path, token.begin, end, FUNCTIONS[token.text] + text[token.end:end],
                            f"{token.text} becomes {FUNCTIONS[token.text]}")
        elif token.text[0].isdigit() and before not in ("<", ",", *COMPARISONS) and after not in COMPARISONS:
            # Of the start of a sum most are overwritten, or rescaled by 0.
            if before == "=" and after == ";":
                continue
            number = changed_number(token.text)
            stride = before == "[" and at > 1 and tokens[at - 2].text.endswith("strides")
            if stride:
                other = "1" if token.text == "0" else "0"
                yield Place(path, token.begin, token.end, other, f"stride {token.text} becomes {other}")
            elif number:
                yield Place(path, token.begin, token.end, number, f"{token.text} becomes its neighbour")
        elif token.text == "[" and at in partners and partners[at] > at + 1 and re.match(r"[\w\])]", text[token.begin - 1]):
            inside = text[token.end:tokens[partners[at]].begin]
            if "\n" not in inside and inside not in ("&", "=") and not declares_array(tokens, partners, at):
                yield Place(path, token.end, tokens[partners[at]].begin, f"({inside}) + 1", "index + 1")
        elif re.fullmatch(r"\w+_stride", token.text) and before == "." and after != "=" and tokens[at - 2].text == "args":
            others = sorted(set(re.findall(r"args\.(\w+_stride)\b", text)) - {token.text})
            if others:
                yield Place(path, tokens[at - 2].begin, token.end, f"args.{others[0]}",
                            f"{token.text} becomes {others[0]}")


def statement_places(path, text):
    """Whole statements on a line of their own that can be left out."""
    for match in re.finditer(r"^[ ]+(?P<statement>[A-Za-z_*][^\n]*;)(?: *//[^\n]*)?$", text, re.M):
        statement = match.group("statement")
        before = text[:match.start()].rstrip()
        if before and before[-1] not in ";{})":
            continue  # the end of a longer statement
        barrier = re.match(r"(__syncthreads|wave_barrier)", statement)
        call = re.match(r"(HIPFORGE_TRY|atomicOr|check_range_fits)\(|[\w.:<>]+\([^=]*\);$|continue;$", statement)
        store = re.match(r"\*?[\w.\->\[\]*+ ()]+ [-+*|^]?= [^=]", statement) and not re.match(
            r"(const|auto|float|int|bool|std::|unsigned|typename|using|static|return|for|if|else|while)\b|[\w:<>, ]+[*&]? \w+ =",
            statement)
        if not (barrier or call or store) or statement.startswith(("return", "using", "friend", "for", "if", "while")):
            continue
        if statement.count("(") != statement.count(")"):
            continue
        name = "the barrier is dropped" if barrier else "the statement is left out"
        yield Place(path, match.start("statement"), match.end("statement"), "", name)


def places_in(path, text):
    tokens = tokens_of(text)
    partners = partners_of(tokens)
    lengths = [(token.begin, tokens[partners[at]].end) for at, token in enumerate(tokens)
               if token.text == "[" and at in partners and declares_array(tokens, partners, at)]
    for place in [*token_places(path, text, tokens, partners), *statement_places(path, text)]:
        if any(begin <= place.begin < end for begin, end in lengths):
            continue
        line = line_of(text, place.begin)
        if UNSWITCHABLE.search(line) or SPEED.search(line) or '"' in text[place.begin:place.end] or line.rstrip().endswith("\\"):
            continue
        yield place


def op_of(path, ops):
    """Whose suite is run for a file."""
    parts = pathlib.PurePath(path)
    for op in ops:
        if path in (f"kernels/{op}.h", f"kernels/{op}.hip") or path.startswith(f"kernels/{op}/"):
            return op
    if path.startswith("kernels/device/"):
        users = {"reduce": "softmax", "online_softmax": "flash_attention", "matrix_core": "linear", "rotation": "rope",
                 "order": "argmax", "scan": "sample", "index": "rope", "vector_io": "rms_norm", "dtype": "linear",
                 "wave": "softmax", "fast_math": "flash_attention", "async_copy": "weighted_matmul"}
        return users.get(parts.stem)
    if path.startswith("kernels/runtime/") and parts.suffix == ".cpp":
        return "runtime"
    return None


def digest(*parts):
    return hashlib.sha1("\0".join(parts).encode()).hexdigest()


def draw(root, ops, seed, share):
    """The drawn places of every op as {id: place}, at most one a line."""
    found = collections.defaultdict(list)
    texts = {}
    for source in sorted([*root.glob("kernels/**/*.hip"), *root.glob("kernels/**/*.h"), *root.glob("kernels/runtime/*.cpp")]):
        path = str(source.relative_to(root))
        op = op_of(path, ops)
        # What only sm_90 launches the cpu platform's suite does not run.
        if op is None or "wgmma" in source.stem or source.stem == "warpgroup_core":
            continue
        texts[path] = source.read_text()
        seen = collections.Counter()
        for place in places_in(path, texts[path]):
            key = (path, line_of(texts[path], place.begin).strip(), place.operator)
            seen[key] += 1
            place.line = texts[path].count("\n", 0, place.begin) + 1
            place.op = op
            place.id = f"{op}.g{digest(*key, str(seen[key]))[:9]}"
            found[op].append(place)
    drawn = {}
    for op, places in found.items():
        wanted = min(max(FEWEST, len(places) * share // 100), MOST)
        lines = set()
        for place in sorted(places, key=lambda place: digest(seed, place.id)):
            spanned = {(place.path, line) for line in range(
                place.line, place.line + 1 + texts[place.path].count("\n", place.begin, place.end))}
            if lines & spanned:
                continue
            lines |= spanned
            drawn[place.id] = place
            wanted -= 1
            if wanted == 0:
                break
    return drawn, texts


class Compiler:
    """The build's own commands for the sources, on the planted copies."""

    def __init__(self, commands, root, out):
        self.root, self.out, self.commands = root, out, {}
        for entry in json.loads(pathlib.Path(commands).read_text()):
            path = pathlib.Path(entry["file"])
            if path.is_relative_to(root) and "-o" in entry["command"]:
                self.commands.setdefault(str(path.relative_to(root)), (entry["command"], entry["directory"]))

    def run(self, source, mode):
        command, directory = self.commands[source]
        words = shlex.split(command)
        at = words.index("-o")
        words = [word for n, word in enumerate(words) if n not in (at, at + 1) and word not in ("-c", "-Werror")]
        words = [str(self.out / source) if word.endswith(source) and n > 0 else word for n, word in enumerate(words)]
        here = pathlib.Path(__file__).parent
        words[1 if "ccache" not in words[0] else 2:1 if "ccache" not in words[0] else 2] = [f"-I{self.out}", f"-I{here}"]
        if "ccache" in words[0]:
            words = words[1:]
        return subprocess.run([*words, "-w", *mode], cwd=directory, capture_output=True, text=True, errors="replace")


def plant_places(root, out, drawn, texts, sources):
    numbers = {id: number for number, id in enumerate(sorted(drawn), start=1)}
    edits = collections.defaultdict(list)
    for id, place in drawn.items():
        edits[place.path].append(plant.Edit(place.begin, place.end, numbers[id], id, place.replacement))
    files = {path: plant.planted(root / path, texts[path], edits[path]) for path in edits}
    for path in sources:
        files.setdefault(path, plant.planted(root / path, (root / path).read_text(), []))
    plant.write_tree(out, files)
    return numbers


def culprits(root, out, drawn, texts, sources, compiler, unit):
    """Those of `drawn` with which a source does not compile, found by halves."""
    def compiles(ids):
        plant_places(root, out, {id: drawn[id] for id in ids}, texts, sources)
        return compiler.run(unit, ["-fsyntax-only"]).returncode == 0

    def search(ids):
        if compiles(ids):
            return set()
        if len(ids) == 1:
            return set(ids)
        half = len(ids) // 2
        return search(ids[:half]) | search(ids[half:])

    if not compiles([]):
        raise plant.BadMutant(f"{unit} does not compile without a mutant")
    found = search(sorted(drawn))
    if not found:
        raise plant.BadMutant(f"{unit} does not compile with its mutants, but does with each half of them")
    return found


def keep_what_compiles(root, out, drawn, texts, sources, compiler):
    """Drops from `drawn` what this platform's build leaves out and what does not compile; returns the number of the
    latter."""
    numbers = plant_places(root, out, drawn, texts, sources)
    units = [source for source in sources if source in compiler.commands]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        present = set()
        for result in pool.map(lambda unit: compiler.run(unit, ["-E"]), units):
            present |= {int(n) for n in re.findall(r"hipforge_mutant\((\d+)\)", result.stdout)}
        for id in [id for id in drawn if numbers[id] not in present]:
            del drawn[id]
        discarded = 0
        dirty = units
        while dirty:
            plant_places(root, out, drawn, texts, sources)
            results = list(pool.map(lambda unit: compiler.run(unit, ["-fsyntax-only", "-fmax-errors=0"]), dirty))
            bad, failing = set(), []
            for unit, result in zip(dirty, results):
                if result.returncode == 0:
                    continue
                failing.append(unit)
                for path, line in re.findall(rf"^{re.escape(str(root))}/(\S+?):(\d+):", result.stderr, re.M):
                    for id, place in drawn.items():
                        last = place.line + texts[place.path].count("\n", place.begin, place.end)
                        if place.path == path and place.line <= int(line) <= last:
                            bad.add(id)
            if failing and not bad:
                # An error that shows where the mutant is not.
                bad = culprits(root, out, drawn, texts, sources, compiler, failing[0])
            for id in bad:
                del drawn[id]
            discarded += len(bad)
            dirty = failing
    return discarded


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--commands", required=True)
    parser.add_argument("--reasons", type=pathlib.Path, required=True)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--share", type=int, default=9, help="of the places of each op, in percent")
    parser.add_argument("--sources", nargs="*", default=[])
    arguments = parser.parse_args()
    root, out = arguments.root.resolve(), arguments.out.resolve()
    ops = sorted(re.findall(r"^add_op\((\w+)\)", (root / "CMakeLists.txt").read_text(), re.M), key=len, reverse=True)
    reasons = tomllib.loads(arguments.reasons.read_text()) if arguments.reasons.is_file() else {}
    drawn, texts = draw(root, ops, arguments.seed, arguments.share)
    try:
        discarded = keep_what_compiles(root, out, drawn, texts, arguments.sources,
                                       Compiler(arguments.commands, root, out))
        numbers = plant_places(root, out, drawn, texts, arguments.sources)
    except plant.BadMutant as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 2
    equivalent = reasons.get("equivalent", {})
    entries = []
    for id in sorted(drawn):
        place = drawn[id]
        text = texts[place.path]
        column = place.begin - text.rfind("\n", 0, place.begin)
        text = f"{' '.join(text[place.begin:place.end].split())} at column {column} of {line_of(text, place.begin).strip()}"
        entries.append({"number": numbers[id], "id": id, "op": place.op, "kind": "generated",
                        "what": f"{place.operator}: {text}", "where": [f"{place.path}:{place.line}"],
                        "reason": equivalent.get(id) or reasons.get("survivors", {}).get(id, ""),
                        "equivalent": id in equivalent})
    plant.write_if_changed(out / "mutants.json", json.dumps({"platform": "cpu", "discarded": discarded, "mutants": entries}, indent=1) + "\n")
    print(f"{len(entries)} mutants, {discarded} do not compile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
