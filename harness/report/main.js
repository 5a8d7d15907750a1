const data = JSON.parse(byId("data").textContent);
// A GPU's figures before those of the instrument.
data.devices.sort((a, b) => (a.platform === "cpu") - (b.platform === "cpu"));

function tile(value, text, kind = "") {
  return html("div", {class: `tile ${kind}`}, html("b", {}, value), html("span", {}, text));
}

function drawTiles() {
  const checks = data.checks.flatMap((check) => check.rows);
  const failed = data.checks.reduce((sum, check) => sum + check.failures.length, 0);
  const shares = checks.filter((row) => row[3] && row[2] !== null).map((row) => row[2]);
  const latest = data.devices.map((device) => device.runs[device.runs.length - 1]).filter(Boolean);
  const floors = latest.flatMap((run) => run.cases).filter((row) => row.floor);
  const met = floors.filter((row) => row.meets_floor).length;
  const tiles = [];
  if (checks.length > 0) {
    tiles.push(tile(checks.length.toLocaleString("en"), "checks against the oracle"),
      tile(failed.toLocaleString("en"), "failed", failed > 0 ? "bad" : "good"),
      tile(shareText(shares.reduce((most, share) => Math.max(most, share), 0)), "worst share of a bound that passed"));
  }
  if (latest.length > 0) tiles.push(tile(latest.reduce((sum, run) => sum + run.cases.length, 0).toLocaleString("en"), `benchmarks on ${latest.length} ${latest.length === 1 ? "device" : "devices"}`));
  if (floors.length > 0) tiles.push(tile(`${met} of ${floors.length}`, "floors met", met === floors.length ? "good" : "bad"));
  byId("tiles").replaceChildren(...tiles);
}

function draw() {
  const shown = (folder, name) => filters.device === kAll || filters.device === folder || filters.device === name;
  const devices = data.devices.filter((device) => shown(device.folder, device.name));
  const checks = data.checks.filter((check) => shown(check.folder, check.device));
  const checked = drawFailures(checks);
  const benches = drawRoofline(devices);
  drawPeers(devices);
  drawErrors(checks);
  drawHistory(devices);
  drawFigures(devices);
  byId("count").textContent = `${checked.toLocaleString("en")} checks and ${benches.toLocaleString("en")} benchmarks shown`;
}

function sorted(values, first = []) {
  const rank = (value) => (first.includes(value) ? first.indexOf(value) : first.length);
  return [...values].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)).map((value) => [value, value]);
}

function start() {
  const ids = [...data.checks.flatMap((check) => check.rows.map((row) => row[0])),
    ...data.devices.flatMap((device) => device.runs.flatMap((run) => run.cases.map((row) => row.id)))].map(partsOf);
  const devices = new Map(data.devices.map((device) => [device.folder, device.name]));
  for (const check of data.checks) {
    if (!devices.has(check.folder)) devices.set(check.folder, check.device);
  }
  byId("made").textContent = `Made ${data.made} by hipforge ${data.version}${data.sources ? `, sources ${data.sources}` : ""}`;
  if (data.notes.length > 0) {
    byId("notes").hidden = false;
    byId("notes").replaceChildren(...data.notes.map((note) => html("li", {}, note)));
  }
  drawTiles();
  setUpFilters({device: [...devices], op: sorted(new Set(ids.map((id) => id.op))), dtype: sorted(new Set(ids.map((id) => id.dtype)), kDtypes)}, draw);
  draw();
  document.documentElement.dataset.drawn = "true";
}
start();
