// The page of `hipforge report` in a real browser: it draws, filters, answers the keyboard, fits a phone, follows the
// colour scheme, keeps markup in its data as text, asks no network and has nothing to say on the console.
//   node report_test.mjs HIPFORGE SOURCE_DIR [--pictures DIR]
// Exit codes: 0 all hold, 1 one does not, 3 no browser here.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {pathToFileURL} from "node:url";
import {Browser, findBrowser} from "./browser.mjs";
import {kAttack, writeFixture} from "./fixture.mjs";

const [hipforge, source, option, pictures] = process.argv.slice(2);
const command = findBrowser();
if (command === null) {
  console.log("skipped: no Chromium that runs (Debian's package chromium has one)");
  process.exit(3);
}
const work = mkdtempSync(join(tmpdir(), "hipforge-report-"));
const sources = execFileSync("bash", ["-c", ". scripts/setup.sh && source_hash"], {cwd: source, encoding: "utf8"}).trim();
writeFixture(work, sources);
execFileSync(hipforge, ["report", "-o", join(work, "report.html"), "--results", join(work, "results"), "--check", join(work, "check.json"),
  "--tree", source], {stdio: ["ignore", "ignore", "ignore"]});
const url = pathToFileURL(join(work, "report.html")).href;

const browser = new Browser(command);
const page = await browser.open();
const count = (selector) => page.value(`document.querySelectorAll(${JSON.stringify(selector)}).length`);
const text = (selector) => page.value(`document.querySelector(${JSON.stringify(selector)}).innerText`);
const choose = (name, value) => page.value(`(() => { const field = document.forms.filters.elements[${JSON.stringify(name)}];
  field.value = ${JSON.stringify(value)}; field.dispatchEvent(new Event("input", {bubbles: true})); })()`);

const tests = {
  async "every section is drawn"() {
    assert.equal(await count("#failures .failure"), 2);
    assert.match(await text("#failures .repro pre"), /^hipforge check --filter/);
    // 33 benches with a figure on one device, as many on the other.
    assert.equal(await count("#roofline .point"), 66);
    assert.equal(await count("#roofline .roof"), 5);
    for (const op of ["rms_norm", "linear", "embedding", "kv_append"]) assert.match(await text("#roofline"), new RegExp(op));
    assert.match(await text("#peers"), /torch 2\.11/);
    assert.match(await text("#peers"), /A peer is ahead in \d+ of 11/);
    assert.equal(await count("#errors .heat"), 8);  // the id that holds markup counts under softmax
    assert.ok(await count("#errors .cell:not(.none)") > 200);
    assert.equal(await count("#errors .cell.wrong"), 2);
    assert.equal(await count("#history .panel"), 9);
    assert.match(await text("#tiles"), /floors met/);
  },
  async "what other sources made is grey and says so"() {
    assert.match(await text("#peers .stale-reason"), new RegExp(`made by sources old, this tree's are ${sources}`));
    assert.equal(await count("#peers .is-stale"), 1);
    assert.equal(await count("#roofline .point.stale"), 33);  // the cpu's
    assert.equal(await page.value("getComputedStyle(document.querySelector('#roofline .point.stale')).fill"),
      await page.value("(() => { const probe = document.createElement('i'); probe.style.color = 'var(--stale)'; document.body.append(probe); const c = getComputedStyle(probe).color; probe.remove(); return c; })()"));
    assert.match(await text("#notes"), /broken\.json is no result: left out/);
  },
  async "markup in the data stays text"() {
    assert.equal(await page.value("typeof window.attacked"), "undefined");
    assert.equal(await count("img"), 0);
    assert.ok((await text("#failures")).includes(kAttack));
    assert.equal(await count("script"), 2);
  },
  async "filters leave what matches, and the address keeps them"() {
    await choose("op", "softmax");
    assert.equal(await count("#roofline .point"), 6);
    assert.equal(await count("#history .panel"), 1);
    await choose("dtype", "bf16");
    assert.equal(await count("#roofline .point"), 2);
    assert.equal(await count("#failures .failure"), 0);
    await choose("device", "one");
    assert.equal(await count("#roofline .point"), 1);
    assert.equal(await page.value("location.hash"), "#device=one&op=softmax&dtype=bf16");
    await choose("text", "no such case");
    assert.match(await text("#roofline"), /No benchmark matches the filters/);
    assert.match(await text("#errors"), /No check matches the filters/);
    assert.equal(await text("#count"), "0 checks and 0 benchmarks shown");
    await page.value("document.querySelector('#filters button').click()");
    await page.until("document.querySelectorAll('#roofline .point').length === 66");
    await page.go(`${url}#op=rope&text=4096`);
    assert.equal(await count("#roofline .point"), 6);
    assert.equal(await page.value("document.forms.filters.elements.op.value"), "rope");
    await page.go(url);
  },
  async "the keyboard reaches every cell and mark"() {
    assert.equal(await count("#errors .cells [tabindex='0']"), 8);
    await page.value("document.querySelector('#errors .cells [tabindex=\"0\"]').focus()");
    await page.key("ArrowRight");
    await page.key("ArrowDown");
    const label = await page.value("document.activeElement.getAttribute('aria-label')");
    assert.match(label, /^f16, shape /);
    assert.match(await text("#errors .readout"), /rms_norm f16, shape/);
    await page.value("document.querySelector('#roofline .point[tabindex=\"0\"]').focus()");
    await page.key("End");
    assert.match(await text("#roofline .readout"), /TFLOP\/s/);
  },
  async "everything that is chosen or pointed at has a name"() {
    const nameless = await page.value(`[...document.querySelectorAll("select, input, button, [role=img], [role=grid], [role=gridcell]:not([aria-hidden])")]
      .filter((node) => !(node.getAttribute("aria-label") || node.labels?.[0]?.innerText || node.innerText)).length`);
    assert.equal(nameless, 0);
  },
  async "text stands out from its ground in both schemes"() {
    for (const scheme of ["light", "dark"]) {
      await page.look(1200, 900, scheme);
      for (const [front, back] of [["--text", "--card"], ["--muted", "--card"], ["--muted", "--ground"], ["--bad", "--card"], ["--good", "--card"], ["--warn", "--warn-ground"], ["--accent", "--card"]]) {
        const ratio = await page.value(`(() => {
          const channels = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1).match(/../g)
            .map((pair) => parseInt(pair, 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
          const light = (name) => { const [r, g, b] = channels(name); return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };
          const pair = [light("${front}"), light("${back}")];
          return Math.max(...pair) / Math.min(...pair);
        })()`);
        assert.ok(ratio >= 4.5, `${front} on ${back} in ${scheme}: ${ratio}`);
      }
    }
    assert.equal(await page.value("getComputedStyle(document.body).backgroundColor"), "rgb(17, 19, 22)");
  },
  async "a phone shows it without scrolling sideways"() {
    for (const width of [360, 414, 768]) {
      await page.look(width, 800, "light");
      await page.go(url);
      assert.ok(await page.value("document.documentElement.scrollWidth") <= width, `wider than ${width}`);
    }
  },
  async "nothing is asked of a network, nothing said on the console"() {
    assert.deepEqual(page.requests.filter((asked) => !asked.startsWith("file:") && !asked.startsWith("data:")&& asked !== "about:blank"), []);
    assert.deepEqual([...new Set(page.requests.filter((asked) => asked.startsWith("file:")).map((asked) => asked.split("#")[0]))], [url]);
    assert.deepEqual(page.complaints, []);
  },
};

async function takePictures() {
  mkdirSync(pictures, {recursive: true});
  for (const [name, width, scheme] of [["wide-light", 1200, "light"], ["wide-dark", 1200, "dark"], ["phone-light", 390, "light"], ["phone-dark", 390, "dark"]]) {
    await page.look(width, 900, scheme);
    await page.go(url);
    writeFileSync(join(pictures, `${name}.png`), await page.picture());
  }
}

let failed = 0;
try {
  await page.look(1200, 900, "light");
  await page.go(url);
  for (const [name, run] of Object.entries(tests)) {
    try {
      await run();
      console.log(`ok   ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${error.message}`);
    }
  }
  if (option === "--pictures") await takePictures();
} finally {
  await browser.close();
  rmSync(work, {recursive: true, force: true});
}
process.exit(failed === 0 ? 0 : 1);
