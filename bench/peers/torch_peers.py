#!/usr/bin/env python3
"""Times what a user would pick instead, through PyTorch, at the shapes of hipforge_bench's large cases.

    hipforge_bench --benchmark_list_tests | python3 bench/peers/torch_peers.py --json peers.json [--filter REGEX]

Reads case ids (op/dtype/large/shape/what) from stdin and times for each what PyTorch offers: cuBLAS through
linear and matmul, scaled_dot_product_attention with its flash, cuDNN and memory-efficient backends, eager and
compiled elementwise code. The method is hipforge_bench's: normal data, events on the device, several sets of
buffers in rotation so that none is in the cache, the median of many samples; half a second for arithmetic.

Exit codes: 0 done, 2 usage, 3 no PyTorch or no GPU. A peer that cannot run a case is listed with its reason.
"""

import argparse
import json
import re
import sys

WARM_UP_MS = {"memory": 30.0, "matrix": 100.0}
MEASURE_MS = {"memory": 200.0, "matrix": 1000.0}
QUEUED_SAMPLES = 16
MOST_COPIES = 16
FLASH_LIBRARIES = ("flash_attn", "flashinfer")


def fail(code, message):
    print(f"torch_peers.py: {message}", file=sys.stderr)
    sys.exit(code)


def percentile(samples, share):
    ordered = sorted(samples)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


class Timer:
    """Samples of one pass over all copies, queued ahead, between two events each."""

    def __init__(self, torch):
        self.torch = torch
        self.events = [
            (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
            for _ in range(QUEUED_SAMPLES)
        ]

    def queue(self, launches, count):
        for start, stop in self.events[:count]:
            start.record()
            for launch in launches:
                launch()
            stop.record()
        self.events[count - 1][1].synchronize()
        return [start.elapsed_time(stop) for start, stop in self.events[:count]]

    def time(self, launches, kind):
        """Milliseconds per launch, one number a sample."""
        self.queue(launches, 1)  # compiles
        spent, runs = 0.0, 0
        while runs == 0 or (spent < WARM_UP_MS[kind] and runs < 400):
            spent += sum(self.queue(launches, 1))
            runs += 1
        left = min(max(int(MEASURE_MS[kind] / max(spent / runs, 1e-4)), 11), 400)
        samples = []
        while left > 0:
            count = min(left, QUEUED_SAMPLES)
            samples += [total / len(launches) for total in self.queue(launches, count)]
            left -= count
        return samples


def norm_peers(norm):
    """Of a norm of rows: norm(functional, x, hidden, weight)."""

    def peers(torch, shape, what, make):
        import torch.nn.functional as functional

        rows, hidden = shape
        weight = make(hidden)
        if what == "plain":
            def step(x):
                return norm(functional, x, hidden, weight)
            operands = lambda: (make(rows, hidden),)
        else:
            def step(x, residual):
                total = x + residual
                return norm(functional, total, hidden, weight), total
            operands = lambda: (make(rows, hidden), make(rows, hidden))
        return "memory", operands, {"torch eager": step, "torch.compile": torch.compile(step)}

    return peers


def rms_norm(functional, x, hidden, weight):
    return functional.rms_norm(x, (hidden,), weight, 1e-5)


def layer_norm(functional, x, hidden, weight):
    return functional.layer_norm(x, (hidden,), weight, None, 1e-5)


def softmax_peers(torch, shape, what, make):
    def step(x):
        return torch.softmax(x, dim=-1)

    return "memory", lambda: (make(*shape) * 3,), {"torch eager": step, "torch.compile": torch.compile(step)}


def glu_peers(torch, shape, what, make):
    import torch.nn.functional as functional

    rows, cols = shape
    if what == "plain":
        def step(gate, up):
            return functional.silu(gate) * up
        operands = lambda: (make(rows, cols), make(rows, cols))
    else:
        def step(both):
            return functional.silu(both[:, :cols]) * both[:, cols:]
        operands = lambda: (make(rows, 2 * cols),)
    return "memory", operands, {"torch eager": step, "torch.compile": torch.compile(step)}


def rope_peers(torch, shape, what, make):
    _, seq, _, head_dim = shape
    inverse = 10000.0 ** (-torch.arange(0, head_dim, 2, device="cuda", dtype=torch.float32) / head_dim)
    angles = torch.arange(seq, device="cuda", dtype=torch.float32)[:, None] * inverse[None, :]
    cosine, sine = angles.cos()[None, :, None, :], angles.sin()[None, :, None, :]

    def half_split(x):
        a, b = x.float().chunk(2, dim=-1)
        return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1).to(x.dtype)

    def interleaved(x):
        pairs = x.float().unflatten(-1, (head_dim // 2, 2))
        a, b = pairs[..., 0], pairs[..., 1]
        return torch.stack((a * cosine - b * sine, b * cosine + a * sine), dim=-1).flatten(-2).to(x.dtype)

    step = half_split if what == "half_split" else interleaved
    return "memory", lambda: (make(*shape),), {"torch.compile": torch.compile(step)}


def linear_peers(torch, shape, what, make):
    import torch.nn.functional as functional

    rows, in_features, out_features = shape
    kind = "memory" if rows < 32 else "matrix"
    return kind, lambda: (make(rows, in_features), make(out_features, in_features)), {
        "cuBLAS (F.linear)": functional.linear}


def weighted_matmul_peers(torch, shape, what, make):
    batch, heads, q_len, kv_len, head_dim = shape

    def operands():
        weights = torch.rand(batch, heads, q_len, kv_len, device="cuda", dtype=make.dtype) * (2 / kv_len)
        return weights, make(batch, kv_len, heads, head_dim).transpose(1, 2)

    return "memory", operands, {"cuBLAS (torch.matmul)": torch.matmul}


def flash_attention_peers(torch, shape, what, make):
    import torch.nn.functional as functional
    from torch.nn.attention import SDPBackend, sdpa_kernel

    batch, q_len, kv_len, q_heads, kv_heads, head_dim = shape
    causal = what == "causal"

    def operands():
        q = make(batch, q_len, q_heads, head_dim)
        k = make(batch, kv_len, kv_heads, head_dim)
        return q, k, make(batch, kv_len, kv_heads, head_dim)

    def sdpa(backend):
        def step(q, k, v):
            with sdpa_kernel(backend):
                return functional.scaled_dot_product_attention(
                    q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=causal,
                    enable_gqa=q_heads != kv_heads)
        return step

    peers = {
        "SDPA flash (FlashAttention-2)": sdpa(SDPBackend.FLASH_ATTENTION),
        "SDPA cuDNN": sdpa(SDPBackend.CUDNN_ATTENTION),
        "SDPA memory-efficient": sdpa(SDPBackend.EFFICIENT_ATTENTION),
    }
    try:
        from flash_attn import flash_attn_func
        peers["flash_attn"] = lambda q, k, v: flash_attn_func(q, k, v, causal=causal)
    except ImportError:
        pass
    return "memory" if q_len <= 8 else "matrix", operands, peers


PEERS = {
    "rms_norm": norm_peers(rms_norm),
    "layer_norm": norm_peers(layer_norm),
    "softmax": softmax_peers,
    "glu": glu_peers,
    "rope": rope_peers,
    "linear": linear_peers,
    "weighted_matmul": weighted_matmul_peers,
    "flash_attention": flash_attention_peers,
}


def bytes_of(value):
    if hasattr(value, "element_size"):
        return value.numel() * value.element_size()
    if isinstance(value, (tuple, list)):
        return sum(bytes_of(item) for item in value)
    return 0


def time_case(torch, timer, case):
    op, dtype_name, _, shape_text, what = case.split("/")
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype_name]
    shape = [int(size) for size in shape_text.split("x")]

    def make(*sizes):
        return torch.randn(*sizes, device="cuda", dtype=dtype)

    make.dtype = dtype
    torch.manual_seed(1)
    kind, operands, peers = PEERS[op](torch, shape, what, make)
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    sets = [operands()]
    footprint = bytes_of(sets[0])
    copies = min(max(-(-4 * cache // footprint), 2), MOST_COPIES)
    sets += [operands() for _ in range(copies - 1)]
    rows = []
    for name, step in peers.items():
        row = {"id": case, "peer": name}
        try:
            with torch.no_grad():
                samples = timer.time([lambda o=o: step(*o) for o in sets], kind)
            row.update(median_us=percentile(samples, 0.5) * 1e3, low_us=percentile(samples, 0.1) * 1e3,
                       high_us=percentile(samples, 0.9) * 1e3, samples=len(samples), copies=copies)
        except Exception as error:  # a peer that lacks the case is a line of the table
            row["skipped"] = (str(error) or type(error).__name__).splitlines()[0][:160]
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write every figure here")
    parser.add_argument("--filter", default="", help="only case ids that match")
    options = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        fail(3, f"PyTorch is missing: {error}")
    if not torch.cuda.is_available():
        fail(3, "PyTorch finds no GPU")
    torch._dynamo.config.cache_size_limit = 1024
    # Google Benchmark appends what it does to a name; a case id has five parts.
    cases = ["/".join(line.strip().split("/")[:5]) for line in sys.stdin if "/large/" in line]
    cases = [case for case in cases if re.search(options.filter, case) and case.split("/")[0] in PEERS]
    if not cases:
        fail(2, "no case id of a known op on stdin")
    timer = Timer(torch)
    rows = []
    for case in cases:
        torch.cuda.empty_cache()
        torch._dynamo.reset()
        for row in time_case(torch, timer, case):
            rows.append(row)
            figure = f"{row['median_us']:11.2f} us" if "median_us" in row else f"skipped: {row['skipped']}"
            print(f"{row['id']:<62} {row['peer']:<30} {figure}", flush=True)
    libraries = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    for name in FLASH_LIBRARIES:
        try:
            libraries[name] = __import__(name).__version__
        except Exception:
            libraries[name] = None
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"device": torch.cuda.get_device_name(0), "libraries": libraries, "cases": rows}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
