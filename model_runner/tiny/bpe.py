#!/usr/bin/env python3
"""Byte-level BPE with GPT-2's pre-tokenizer: trainer, encoder, decoder. Standard library only.

    python3 bpe.py train --corpus build/tiny/corpus.jsonl --out build/tiny/tokenizer.json
    python3 bpe.py encode --tokenizer FILE --text TEXT     (FILE: the json above, or a GGUF file)

Ids: 0 <|begin_of_text|>, 1 <|end_of_text|>, 2 to 257 the bytes 0x00 to 0xff, then one id per merge in order of rank.
Tokens are spelled in GPT-2's alphabet, where every byte is a printable character (space is "Ġ", newline "Ċ").
"""
import argparse
import collections
import heapq
import json
import re
import sys
import unicodedata
from pathlib import Path

BOS, EOS = 0, 1
SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>"]


def byte_alphabet():
    """GPT-2's bytes_to_unicode: printable Latin-1 stands for itself, the rest moves up to U+0100 and beyond."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters, extra = [], 0
    for byte in range(256):
        if byte in plain:
            letters.append(chr(byte))
        else:
            letters.append(chr(0x100 + extra))
            extra += 1
    return letters


ALPHABET = byte_alphabet()
BYTE_OF = {letter: byte for byte, letter in enumerate(ALPHABET)}


def gpt2_pattern():
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

    Python's re has no \p{L}, so the classes are spelled out as ranges of code points.
    """
    def ranges(wanted):
        text, start = [], None
        for code in range(sys.maxunicode + 2):
            inside = code <= sys.maxunicode and wanted(code)
            if inside and start is None:
                start = code
            elif not inside and start is not None:
                text.append(f"\\U{start:08x}-\\U{code - 1:08x}")
                start = None
        return "".join(text)

    letter = ranges(lambda code: unicodedata.category(chr(code))[0] == "L")
    number = ranges(lambda code: unicodedata.category(chr(code))[0] == "N")
    # Unicode's White_Space; Python's \s also takes U+001C to U+001F, which GPT-2's does not.
    space = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
    return re.compile(f"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+| ?[^{space}{letter}{number}]+"
                      f"|[{space}]+(?![^{space}])|[{space}]+")


def train(texts, vocab_size):
    """Merges the most frequent pair until the vocabulary is full; ties go to the pair of lowest ids."""
    pattern, counts = gpt2_pattern(), collections.Counter()
    for text in texts:
        counts.update(pattern.findall(text))
    words = [([byte + len(SPECIALS) for byte in word.encode()], count) for word, count in counts.items()]

    pair_count, pair_words = collections.Counter(), collections.defaultdict(set)
    for index, (ids, count) in enumerate(words):
        for pair in zip(ids, ids[1:]):
            pair_count[pair] += count
            pair_words[pair].add(index)
    heap = [(-count, pair) for pair, count in pair_count.items()]
    heapq.heapify(heap)

    merges = []
    while len(SPECIALS) + 256 + len(merges) < vocab_size:
        count, pair = heapq.heappop(heap)
        if -count != pair_count[pair]:  # stale: the pair was counted anew since it was pushed
            if pair_count[pair] > 0:
                heapq.heappush(heap, (-pair_count[pair], pair))
            continue
        new = len(SPECIALS) + 256 + len(merges)
        merges.append(pair)
        changed = set()
        for index in pair_words.pop(pair):
            ids, count = words[index]
            merged, at = [], 0
            while at < len(ids):
                if ids[at:at + 2] == [*pair]:
                    merged.append(new)
                    at += 2
                else:
                    merged.append(ids[at])
                    at += 1
            for old in zip(ids, ids[1:]):
                pair_count[old] -= count
                changed.add(old)
            for fresh in zip(merged, merged[1:]):
                pair_count[fresh] += count
                pair_words[fresh].add(index)
                changed.add(fresh)
            words[index] = (merged, count)
        for each in changed:
            if pair_count[each] > 0:
                heapq.heappush(heap, (-pair_count[each], each))
    return merges


class Tokenizer:
    def __init__(self, merges):
        """merges: pairs of ids, the pair at index r making the id len(SPECIALS) + 256 + r."""
        self.merges = [tuple(pair) for pair in merges]
        self.rank = {pair: rank for rank, pair in enumerate(self.merges)}
        self.bytes_of = [b"", b""] + [bytes([byte]) for byte in range(256)]
        for left, right in self.merges:
            self.bytes_of.append(self.bytes_of[left] + self.bytes_of[right])
        # Two ways to the same bytes would give one spelling two ids; a file of spellings could not say which is meant.
        assert len(set(self.bytes_of)) == len(self.bytes_of) - 1, "a token is spelled twice"
        self.pattern, self.cache = gpt2_pattern(), {}

    @property
    def vocab_size(self):
        return len(self.bytes_of)

    def spelled(self, token):
        return SPECIALS[token] if token < len(SPECIALS) else "".join(ALPHABET[b] for b in self.bytes_of[token])

    def encode_word(self, word):
        ids = self.cache.get(word)
        if ids is None:
            ids = [byte + len(SPECIALS) for byte in word.encode()]
            while len(ids) > 1:
                rank, at = min((self.rank.get(pair, len(self.rank)), i) for i, pair in enumerate(zip(ids, ids[1:])))
                if rank == len(self.rank):
                    break
                ids[at:at + 2] = [len(SPECIALS) + 256 + rank]
            self.cache[word] = ids
        return ids

    def encode(self, text, parse_special=False):
        """Ids without BOS. parse_special: the spelling of a special token in the text becomes that token."""
        if parse_special:
            parts = re.split("(" + "|".join(map(re.escape, SPECIALS)) + ")", text)
        else:
            parts = [text]
        ids = []
        for part in parts:
            if parse_special and part in SPECIALS:
                ids.append(SPECIALS.index(part))
            else:
                for word in self.pattern.findall(part):
                    ids.extend(self.encode_word(word))
        return ids

    def decode(self, ids):
        return b"".join(self.bytes_of[token] for token in ids).decode("utf-8", "replace")

    def save(self, path):
        Path(path).write_text(json.dumps({"merges": self.merges}))

    @staticmethod
    def load(path):
        if str(path).endswith(".gguf"):
            import gguf
            meta, _ = gguf.read(path, with_tensors=False)
            id_of = {token: index for index, token in enumerate(meta["tokenizer.ggml.tokens"])}
            merges = [tuple(id_of[half] for half in merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
            tokenizer = Tokenizer(merges)
            assert [tokenizer.spelled(t) for t in range(tokenizer.vocab_size)] == meta["tokenizer.ggml.tokens"]
            return tokenizer
        return Tokenizer(json.loads(Path(path).read_text())["merges"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("train")
    command.add_argument("--corpus", type=Path, required=True)
    command.add_argument("--vocab-size", type=int, default=4096)
    command.add_argument("--out", type=Path, required=True)
    command = commands.add_parser("encode")
    command.add_argument("--tokenizer", type=Path, required=True)
    command.add_argument("--text", required=True)
    command.add_argument("--special", action="store_true", help="recognise special tokens in the text")
    arguments = parser.parse_args()

    if arguments.command == "train":
        with open(arguments.corpus, encoding="utf-8") as lines:
            documents = [json.loads(line) for line in lines]
        merges = train([d["text"] for d in documents if d["split"] == "train"], arguments.vocab_size)
        tokenizer = Tokenizer(merges)
        tokenizer.save(arguments.out)
        for split in ("train", "dev", "heldout"):
            texts = [d["text"] for d in documents if d["split"] == split]
            size, tokens = sum(len(t.encode()) for t in texts), sum(len(tokenizer.encode(t)) for t in texts)
            print(f"{split}: {size} bytes, {tokens} tokens, {size / tokens:.3f} bytes a token")
    else:
        print(json.dumps(Tokenizer.load(arguments.tokenizer).encode(arguments.text, arguments.special)))


if __name__ == "__main__":
    main()
