// A headless Chromium, spoken to over a pipe in the DevTools protocol: nothing to install but the browser.
import {spawn, spawnSync} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";

/// The first Chromium on the PATH that runs; null where none does. A snap's launcher without its snap does not.
export function findBrowser() {
  for (const name of ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]) {
    if (spawnSync(name, ["--version"]).status === 0) return name;
  }
  return null;
}

export class Browser {
  constructor(command) {
    this.profile = mkdtempSync(join(tmpdir(), "hipforge-browser-"));
    this.process = spawn(command, ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
      "--disable-dev-shm-usage", "--disable-extensions", `--user-data-dir=${this.profile}`, "about:blank"],
      {stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"]});
    this.calls = new Map();
    this.listeners = [];
    this.last = 0;
    let pending = "";
    this.process.stdio[4].setEncoding("utf8").on("data", (text) => {
      const messages = (pending + text).split("\0");
      pending = messages.pop();
      for (const message of messages) this.receive(JSON.parse(message));
    });
    this.process.on("exit", () => {
      for (const {reject} of this.calls.values()) reject(new Error("the browser ended"));
      this.calls.clear();
    });
  }

  receive(message) {
    if (message.id === undefined) {
      for (const listener of this.listeners) listener(message);
      return;
    }
    const call = this.calls.get(message.id);
    this.calls.delete(message.id);
    if (message.error) call.reject(new Error(`${call.method}: ${message.error.message}`));
    else call.resolve(message.result);
  }

  send(method, params = {}, sessionId = undefined) {
    return new Promise((resolve, reject) => {
      const id = ++this.last;
      this.calls.set(id, {method, resolve, reject});
      this.process.stdio[3].write(`${JSON.stringify({id, method, params, sessionId})}\0`);
    });
  }

  async open() {
    const {targetId} = await this.send("Target.createTarget", {url: "about:blank"});
    const {sessionId} = await this.send("Target.attachToTarget", {targetId, flatten: true});
    const page = new Page(this, sessionId);
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.send(`${domain}.enable`);
    return page;
  }

  close() {
    this.process.kill("SIGKILL");
    return new Promise((resolve) => {
      const finish = () => {
        rmSync(this.profile, {recursive: true, force: true, maxRetries: 5, retryDelay: 200});
        resolve();
      };
      if (this.process.exitCode !== null || this.process.signalCode !== null) finish();
      else this.process.once("exit", finish);
    });
  }
}

class Page {
  constructor(browser, sessionId) {
    this.browser = browser;
    this.sessionId = sessionId;
    this.complaints = [];  // errors and warnings on the console, and what was thrown
    this.requests = [];    // addresses that were asked for
    browser.listeners.push(({method, params, sessionId: from}) => {
      if (from !== sessionId) return;
      if (method === "Runtime.exceptionThrown") this.complaints.push(params.exceptionDetails.exception?.description || params.exceptionDetails.text);
      if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) this.complaints.push(JSON.stringify(params.args));
      if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) this.complaints.push(params.entry.text);
      if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    });
  }

  send(method, params = {}) {
    return this.browser.send(method, params, this.sessionId);
  }

  /// width × height in CSS pixels; scheme "light" or "dark".
  async look(width, height, scheme) {
    await this.send("Emulation.setDeviceMetricsOverride", {width, height, deviceScaleFactor: 1, mobile: width < 600});
    await this.send("Emulation.setEmulatedMedia", {features: [{name: "prefers-color-scheme", value: scheme}]});
  }

  async go(url) {
    await this.send("Page.navigate", {url: "about:blank"});
    await this.send("Page.navigate", {url});
    await this.until("document.documentElement.dataset.drawn === 'true'");
  }

  async value(expression) {
    const {result, exceptionDetails} = await this.send("Runtime.evaluate", {expression, returnByValue: true, awaitPromise: true});
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description || exceptionDetails.text}`);
    return result.value;
  }

  async until(expression, seconds = 60) {
    for (const end = Date.now() + 1000 * seconds; Date.now() < end;) {
      if (await this.value(expression).catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`after ${seconds} s it does not hold that ${expression}; complaints: ${this.complaints.join("; ") || "none"}`);
  }

  async key(key) {
    for (const type of ["keyDown", "keyUp"]) await this.send("Input.dispatchKeyEvent", {type, key, code: key});
  }

  async picture() {
    const {data} = await this.send("Page.captureScreenshot", {format: "png", captureBeyondViewport: true});
    return Buffer.from(data, "base64");
  }
}
