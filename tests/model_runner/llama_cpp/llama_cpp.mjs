// What llama.cpp makes of a model file, as JSON on stdout:
//   node llama_cpp.mjs --modules DIR --model FILE --texts texts.json --prompts expected_logits.json [-n 32]
// DIR holds node_modules with node-llama-cpp, whose prebuilt library is the llama.cpp that speaks here.
//   {"version", "bos", "texts": [{"text", "ids", "ids_special"}], "prompts": [{"text", "ids", "greedy_ids", "log_probs"}]}
// ids begin with BOS where the file asks for it; ids_special takes the names of control tokens in the text as tokens;
// log_probs are those of the first token after the prompt, in order of id.
import fs from 'node:fs';
import path from 'node:path';
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';

const {values: options} = parseArgs({options: {
  modules: {type: 'string'}, model: {type: 'string'}, texts: {type: 'string'}, prompts: {type: 'string'},
  n: {type: 'string', short: 'n', default: '32'}}});
const require = createRequire(path.resolve(options.modules, 'package.json'));
const {getLlama} = await import(pathToFileURL(require.resolve('node-llama-cpp')));

// Never build, never download: the library of the npm package or none.
const llama = await getLlama({gpu: false, build: 'never', skipDownload: true, progressLogs: false, logLevel: 'error'});
const model = await llama.loadModel({modelPath: path.resolve(options.model)});
const bos = model.tokens.shouldPrependBosToken ? [model.tokens.bos] : [];
const encode = (text, special) => [...bos, ...model.tokenize(text, special)];
const read = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));

const texts = read(options.texts).map((text) => ({text, ids: encode(text, false), ids_special: encode(text, true)}));

// One thread: the sums then have one order, and a busy machine is not made to spin.
const context = await model.createContext({contextSize: 512, batchSize: 512, threads: 1, flashAttention: false});
const sequence = context.getSequence();
const prompts = [];
for (const {text} of read(options.prompts).prompts) {
  const ids = encode(text, false);
  const everything = {temperature: 1, topK: 0, topP: 1, minP: 0, yieldEogToken: true};
  const log_probs = [];
  await sequence.clearHistory();
  for await (const {probabilities} of sequence.evaluateWithMetadata(ids, {probabilities: true}, everything)) {
    for (const [id, probability] of probabilities) log_probs[id] = Math.log(probability);
    break;
  }
  const greedy_ids = [];
  await sequence.clearHistory();
  for await (const id of sequence.evaluate(ids, {temperature: 0, yieldEogToken: true})) {
    greedy_ids.push(id);
    if (greedy_ids.length >= Number(options.n)) break;
  }
  prompts.push({text, ids, greedy_ids, log_probs});
}
const {version} = read(path.join(options.modules, 'node_modules/node-llama-cpp/package.json'));
process.stdout.write(JSON.stringify({version, bos, texts, prompts}) + '\n');
await context.dispose();
await model.dispose();
await llama.dispose();
