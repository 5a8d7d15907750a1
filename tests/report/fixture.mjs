// Results and checks as hipforge's tools write them, of devices that do not exist: what the page must show, and what a
// hostile file would like it to run. Deterministic.
import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";

export const kAttack = '</script><script>window.attacked = 1</script><img src=x onerror="window.attacked = 1">';

// A small linear congruential generator: the same figures each time.
function draws(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const kCases = [
  // op, shape, what, bytes, FLOPs, TFLOP/s or 0 for what moves bytes, ceiling
  ["rms_norm", "16384x4096", "plain", 268e6, 268e6, 0, "copy"],
  ["softmax", "32768x2048", "plain", 268e6, 335e6, 0, "copy"],
  ["glu", "8192x8192", "plain", 402e6, 335e6, 0, "copy"],
  ["rope", "4x4096x32x128", "half_split", 268e6, 400e6, 0, "copy"],
  ["embedding", "8192x32000x4096", "plain", 134e6, 0, 0, "copy"],
  ["kv_append", "b64.16of4096.8x128", "plain", 67e6, 0, 0, "copy"],
  ["weighted_matmul", "1x32x128x8192x128", "plain", 134e6, 8.6e9, 0, "read"],
  ["flash_attention", "1x8192x8192x32x8x128", "causal", 170e6, 550e9, 520, "matrix"],
  ["flash_attention", "64x1x8192x32x8x128", "decode", 2.1e9, 8.6e9, 0, "read"],
  ["linear", "8192x8192x8192", "any_order", 403e6, 1.1e12, 690, "matrix"],
  ["linear", "1x4096x14336", "any_order", 117e6, 117e6, 0, "read"],
];

function benches(random, slower) {
  const rows = [];
  for (const [op, shape, what, bytes, flops, tflops, ceiling] of kCases) {
    for (const [dtype, size] of [["f32", 2], ["f16", 1], ["bf16", 1]]) {
      const matrix = ceiling === "matrix" && dtype !== "f32";
      const moved = bytes * size;
      const factor = (op === "softmax" ? slower : 1) * (0.97 + 0.06 * random());
      const us = (tflops > 0 ? flops / ((dtype === "f32" ? 30 : tflops) * 1e6) : moved / 2.7e6) * factor;
      const row = {id: `${op}/${dtype}/large/${shape}/${what}`, op, dtype, shape, bytes: moved, flops, median_us: us,
        low_us: us * 0.99, high_us: us * 1.02, gbps: moved / us * 1e-3, tflops: flops / us * 1e-6};
      if (ceiling !== "matrix" || matrix) {
        row.ceiling = ceiling;
        row.ceiling_rate = matrix ? 720 : 2900;
        row.share = matrix ? row.tflops / 720 : row.gbps / 2900;
        row.floor_share = 0.85;
        row.reaches_floor = row.share >= 0.85;
      }
      rows.push(row);
    }
  }
  rows.push({id: "argmax/f32/large/8x128256/values", op: "argmax", dtype: "f32", shape: "8x128256", error: `wrong before timing: ${kAttack}`});
  return rows;
}

function wrap(sources, commit, result) {
  return JSON.stringify({sources, commit, compiler: "c++ 1.2, nvcc 3.4", processor: "p", clocks: "1, 1980 MHz", result}, null, 1);
}

function checks(random) {
  const results = [];
  const shapes = ["1x1", "3x7", "5x64", "2x257", "7x1024", "2x2056", "3x4099", "1x32768", "64x64", "70x72", "128x130", "33x513"];
  for (const op of ["rms_norm", "softmax", "weighted_matmul", "causal_mask", "rope", "kv_append", "flash_attention", "linear"]) {
    for (const dtype of ["f32", "f16", "bf16"]) {
      for (const shape of shapes) {
        if (random() < 0.08) continue;
        for (const layout of ["contiguous", "strided"]) {
          for (const wave of [32, 64]) {
            const exact = op === "causal_mask" || op === "kv_append";
            results.push({id: `${op}/${dtype}/${layout}/${shape}/plain`, op, dtype, layout, wave, passed: true,
              worst_share: exact ? 0 : random() ** 2});
          }
        }
      }
    }
  }
  const failing = results.find((row) => row.id === "softmax/f16/strided/7x1024/plain");
  Object.assign(failing, {passed: false, worst_share: 14.2, message: `y[3, 17]: 0.25, oracle 0.5, bound 1e-3 ${kAttack}`,
    repeat: "hipforge check --filter '^softmax/f16/strided/7x1024/plain$' --seed 1 --wave 32"});
  results.push({id: `softmax/${kAttack}`, wave: 32, passed: false, worst_share: null, message: "the id is markup", repeat: ""});
  return {platform: "nvidia", device: "Device One", results};
}

/// Writes results/ and check.json under `folder`. `sources` is the hash that counts as this tree's.
export function writeFixture(folder, sources) {
  const random = draws(7);
  const device = join(folder, "results", "one");
  const cpu = join(folder, "results", "cpu");
  for (const path of [device, cpu]) mkdirSync(path, {recursive: true});
  const run = (name, day, slower) => ({platform: "nvidia", device: name, compiler: "g++", driver: "13.0", runtime: "13.0",
    recorded: `2026-01-0${day}T00:00:00Z`, cases: benches(random, slower)});
  const commits = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"];
  commits.forEach((commit, i) => writeFileSync(join(device, `${commit}.json`),
    wrap(i === commits.length - 1 ? sources : `old${i}`, commit.padEnd(40, "0"), run("Device One", i + 1, 1.6 - 0.2 * i))));
  const bandwidths = [["copy", 2900], ["read", 3200], ["write", 2700]].map(([traffic, gbps]) => ({traffic, gbps, bytes: 1 << 28}));
  writeFileSync(join(device, "devices.json"), wrap(sources, "d", {devices: [{platform: "nvidia", name: "Device One", architecture: "sm_1",
    bandwidths, matrix_rates: [{dtype: "f16", tflops: 715}, {dtype: "bf16", tflops: 722}]}]}));
  const peers = [];
  for (const row of benches(draws(9), 1)) {
    if (row.dtype !== "bf16") continue;
    peers.push({id: row.id, peer: "torch eager", median_us: row.median_us * (row.op === "linear" ? 0.97 : 2.4)},
      {id: row.id, peer: "torch.compile", median_us: row.median_us * 1.15}, {id: row.id, peer: "flash_attn", skipped: `not for this ${kAttack}`});
  }
  writeFileSync(join(device, "peers.json"), wrap("old", "c", {device: "Device One", libraries: {torch: "2.11", cudnn: 9, flash_attn: null}, cases: peers}));
  const onCpu = {...run("a processor", 5, 1), platform: "cpu"};
  onCpu.cases = onCpu.cases.filter((row) => !row.error).map(({ceiling, ceiling_rate, share, floor_share, reaches_floor, ...row}) =>
    ({...row, median_us: row.median_us * 900, gbps: row.gbps / 900, tflops: row.tflops / 900}));
  writeFileSync(join(cpu, "eeeeeeeeeeee.json"), wrap("old", "e".repeat(40), onCpu));
  writeFileSync(join(cpu, "broken.json"), "{");
  writeFileSync(join(folder, "check.json"), JSON.stringify(checks(random)));
}
