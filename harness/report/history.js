const kPanel = {width: 260, height: 120, left: 34, right: 8, top: 8, bottom: 20};

// For each run the geometric mean of time against the first run that has the case, and over how many cases; null where
// they have none in common.
function relativeTimes(runs, op, dtype) {
  const first = new Map();
  return runs.map((run) => {
    let sum = 0;
    let count = 0;
    for (const row of run.cases) {
      if (row.error || !(row.us > 0) || !matches(row.id)) continue;
      const parts = partsOf(row.id);
      if (parts.op !== op || parts.dtype !== dtype) continue;
      if (!first.has(row.id)) first.set(row.id, row.us);
      sum += Math.log(row.us / first.get(row.id));
      count += 1;
    }
    return count === 0 ? null : {ratio: Math.exp(sum / count), count};
  });
}

function historyPanel(device, op, traces, readout) {
  const values = traces.flatMap((trace) => trace.times.filter(Boolean).map((at) => Math.log2(at.ratio)));
  const reach = Math.max(0.15, ...values.map(Math.abs)) * 1.15;
  const runs = device.runs;
  const X = (i) => kPanel.left + i / (runs.length - 1) * (kPanel.width - kPanel.left - kPanel.right - 10) + 5;
  const Y = (log) => kPanel.top + (reach - log) / (2 * reach) * (kPanel.height - kPanel.top - kPanel.bottom);
  const nodes = [];
  for (const log of [reach / 1.15, 0, -reach / 1.15]) {
    nodes.push(svg("line", {class: log === 0 ? "axis" : "grid", x1: kPanel.left, x2: kPanel.width - kPanel.right, y1: Y(log), y2: Y(log)}),
      svg("text", {x: kPanel.left - 5, y: Y(log) + 4, "text-anchor": "end"}, digits(2 ** log)));
  }
  const bottom = kPanel.height - 5;
  nodes.push(svg("text", {x: X(0), y: bottom, "text-anchor": "start"}, runs[0].commit.slice(0, 7)));
  nodes.push(svg("text", {x: X(runs.length - 1), y: bottom, "text-anchor": "end"}, runs[runs.length - 1].commit.slice(0, 7)));
  const marks = [];
  const words = [];
  for (const {dtype, times} of traces) {
    let path = "";
    times.forEach((at, i) => {
      if (at) path += `${path === "" ? "M" : "L"}${X(i)} ${Y(Math.log2(at.ratio))}`;
    });
    nodes.push(svg("path", {class: `trace ${dtypeClass(dtype)}`, d: path}));
    times.forEach((at, i) => {
      if (!at) return;
      const text = `${op} ${dtype} at ${runs[i].commit} (${runs[i].recorded || "no date"}): ${digits(at.ratio)} × the first, over ${at.count} cases${runs[i].stale ? "; made by other sources" : ""}`;
      marks.push(marker(dtype, X(i), Y(Math.log2(at.ratio)), 4, {class: runs[i].stale ? "point stale" : "point", role: "img", "aria-label": text}));
      words.push(text);
    });
  }
  const chart = svg("svg", {class: "chart", viewBox: `0 0 ${kPanel.width} ${kPanel.height}`, role: "group",
    "aria-label": `${op}: time over ${runs.length} commits`}, nodes, marks);
  roving(chart, marks, (i) => { readout.textContent = words[i]; }, alongLine);
  return html("div", {class: "panel"}, html("h3", {}, op), chart);
}

function deviceTitle(device) {
  const count = device.runs.length;
  return html("h3", {class: "device"}, device.name, html("span", {class: "badge"}, count === 1 ? "one commit" : `${count} commits`));
}

function drawHistory(devices) {
  const body = bodyOf("history");
  body.replaceChildren();
  for (const device of devices) {
    if (device.runs.length === 0) continue;
    if (device.runs.length === 1) {
      const [run] = device.runs;
      if (!run.cases.some((row) => matches(row.id))) continue;
      body.append(deviceTitle(device), html("p", {class: "empty"}, `One commit so far: ${run.commit}${run.recorded ? `, ${run.recorded}` : ""}. The next one begins the history.`));
      continue;
    }
    const ops = new Map();
    for (const run of device.runs) {
      for (const row of run.cases) {
        const {op, dtype} = partsOf(row.id);
        if (!ops.has(op)) ops.set(op, new Set());
        ops.get(op).add(dtype);
      }
    }
    const readout = html("p", {class: "readout", "aria-live": "polite"}, "Point at a mark, or use the arrow keys, for its commit.");
    const seen = new Set();
    const panels = [];
    for (const [op, dtypes] of ops) {
      const traces = [...dtypes].sort((a, b) => kDtypes.indexOf(a) - kDtypes.indexOf(b))
        .map((dtype) => ({dtype, times: relativeTimes(device.runs, op, dtype)}))
        .filter((trace) => trace.times.some(Boolean));
      traces.forEach((trace) => seen.add(trace.dtype));
      if (traces.length > 0) panels.push(historyPanel(device, op, traces, readout));
    }
    if (panels.length === 0) continue;
    const stale = device.runs.some((run) => run.stale);
    body.append(deviceTitle(device),
      dtypeLegend(seen, stale ? html("li", {}, html("span", {class: "swatch", style: "background: var(--stale)"}), "made by other sources than this tree's") : null),
      html("div", {class: "panels"}, panels), readout);
  }
  if (!body.hasChildNodes()) body.replaceChildren(html("p", {class: "empty"}, noBenches()));
}
