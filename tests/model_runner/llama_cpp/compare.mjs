// Three answers side by side: llama.cpp (llama_cpp.mjs), PyTorch (expected_logits.json) and our model_runner.
//   node compare.mjs --modules DIR --model FILE --expected expected_logits.json [--runner model_runner]
// The same ids for every text of texts.json, the same 32 greedy tokens for every prompt, and llama.cpp's log-probabilities
// near PyTorch's. Exit codes: 0 all alike, 1 a difference, 3 could not run.
import fs from 'node:fs';
import path from 'node:path';
import {spawnSync} from 'node:child_process';
import {parseArgs} from 'node:util';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const {values: options} = parseArgs({options: {
  modules: {type: 'string'}, model: {type: 'string'}, expected: {type: 'string'}, runner: {type: 'string'}}});
const texts = path.join(here, 'texts.json');

const stop = (line) => {
  console.error(`llama_cpp: ${line}`);
  process.exit(3);
};
const run = (command, argv) => {
  const done = spawnSync(command, argv, {encoding: 'utf8', maxBuffer: 1 << 28});
  if (done.error || done.status !== 0) {
    const lines = done.stderr?.trim().split('\n') ?? [];
    const why = done.error?.message ?? lines.find((line) => /error/i.test(line)) ?? lines.pop();
    stop(`${path.basename(command)} ${path.basename(argv[0])} ended with ${done.status ?? done.signal}: ${why}`);
  }
  try {
    return JSON.parse(done.stdout);
  } catch {
    stop(`${path.basename(command)} ${path.basename(argv[0])} printed no JSON: ${done.stdout.slice(0, 80)}`);
  }
};

let differences = 0, checks = 0;
const same = (what, text, left_name, left, right_name, right) => {
  ++checks;
  let at = 0;
  while (at < left.length && left[at] === right[at]) ++at;
  if (at === left.length && at === right.length) return;
  ++differences;
  const near = (ids) => `${at > 3 ? '… ' : ''}${ids.slice(Math.max(0, at - 3), at + 5).join(' ')}`;
  console.error(`${what} differ at token ${at} for ${JSON.stringify(text.slice(0, 60))}\n  ${left_name}: ${near(left)}\n  ${right_name}: ${near(right)}`);
};

const expected = JSON.parse(fs.readFileSync(options.expected, 'utf8'));
const theirs = run(process.execPath, [path.join(here, 'llama_cpp.mjs'), '--modules', options.modules, '--model',
  options.model, '--texts', texts, '--prompts', options.expected]);

// llama.cpp rounds activations to f16 before each product with an f16 matrix and keeps keys and values in f16, so its
// logits carry errors near 2e-3 that are not ours. A wrong rotation or head order is off by whole units.
const tolerance = 0.02, likely = Math.log(1e-4);
let worst = 0;
expected.prompts.forEach((prompt, index) => {
  const answer = theirs.prompts[index];
  same('prompt ids', prompt.text, 'PyTorch', prompt.ids, 'llama.cpp', answer.ids);
  same('greedy tokens', prompt.text, 'PyTorch', prompt.greedy_ids, 'llama.cpp', answer.greedy_ids);
  const top = Math.max(...prompt.last_logits);
  const total = top + Math.log(prompt.last_logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
  prompt.last_logits.forEach((logit, id) => {
    if (logit - total > likely) worst = Math.max(worst, Math.abs(logit - total - answer.log_probs[id]));
  });
});
++checks;
if (!(worst <= tolerance)) {
  ++differences;
  console.error(`log-probabilities of llama.cpp and PyTorch differ by ${worst}, allowed ${tolerance}`);
}

if (options.runner) {
  for (const {text, ids, ids_special} of theirs.texts) {
    for (const [flags, answer] of [[[], ids], [['--special'], ids_special]]) {
      const ours = run(options.runner, ['tokenize', '--model', options.model, '--text', text, '--json', ...flags]);
      same(`ids${flags.map((flag) => ` with ${flag}`)}`, text, 'llama.cpp', answer, 'model_runner', ours.ids);
    }
  }
  theirs.prompts.forEach(({text, ids, greedy_ids}) => {
    const ours = run(options.runner, ['generate', '--model', options.model, '--prompt', text, '-n',
      String(greedy_ids.length), '--temp', '0', '--json']);
    same('prompt ids', text, 'llama.cpp', ids, 'model_runner', ours.prompt_ids);
    same('greedy tokens', text, 'llama.cpp', greedy_ids, 'model_runner', ours.ids);
  });
}
console.log(`llama_cpp: node-llama-cpp ${theirs.version}, ${checks} comparisons, ${differences} differences, ` +
  `log-probabilities within ${worst.toFixed(4)} of PyTorch's`);
process.exit(differences ? 1 : 0);
