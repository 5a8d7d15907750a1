// Log-log axes in an SVG of its own coordinates; the browser scales it.
const kPlot = {width: 900, height: 480, left: 68, right: 16, top: 16, bottom: 46};

function decades(low, high) {
  const ticks = [];
  for (let power = Math.ceil(low); power <= Math.floor(high); ++power) ticks.push(power);
  return ticks;
}
const kSuperscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";
function power(exponent) {
  if (exponent >= 0 && exponent <= 3) return String(10 ** exponent);
  if (exponent >= -2 && exponent < 0) return String(Number((10 ** exponent).toPrecision(1)));
  return `10${exponent < 0 ? "⁻" : ""}${[...String(Math.abs(exponent))].map((digit) => kSuperscripts[digit]).join("")}`;
}

// The scale of one device's plot: what its points and roofs need, in powers of ten.
function scaleOf(points, ceilings) {
  const withFlops = points.filter((point) => point.flops > 0);
  const xs = withFlops.map((point) => Math.log10(point.flops / point.bytes));
  if (ceilings) {
    const best = Math.max(0, ...Object.values(ceilings.matrix));
    if (best > 0) xs.push(Math.log10(best * 1e3 / ceilings.copy) + 0.7);
  }
  const x0 = Math.floor(Math.min(-1, ...xs));
  const x1 = Math.max(1, ...xs) + 0.3;
  const ys = points.map((point) => Math.log10(heightOf(point, x0)));
  if (ceilings) ys.push(Math.log10(Math.max(ceilings.copy * 1e-3 * 10 ** x0, ...Object.values(ceilings.matrix))) + 0.1);
  return {x0, x1, y0: Math.floor(Math.min(...ys)), y1: Math.max(...ys) + 0.25};
}

// TFLOP/s; what computes nothing stands at the left edge, as high as its bytes a second are there.
const heightOf = (point, x0) => (point.flops > 0 ? point.tflops : point.gbps * 1e-3 * 10 ** x0);

function pointText(point) {
  const lines = [html("b", {class: "id"}, point.id), html("br"), `${time(point.us)} (${time(point.low)} to ${time(point.high)}), `,
    `${digits(point.gbps)} GB/s, ${rate(point.tflops)}`];
  if (point.ceiling) lines.push(`; ${percent(point.share)} of the measured ${point.ceiling} ceiling`);
  if (point.floor) lines.push(`; floor ${point.floor}: ${point.meets_floor ? "met" : "MISSED"}`);
  return lines;
}

function roofs(ceilings, scale, X, Y, clipId) {
  const nodes = [];
  const matrix = Object.values(ceilings.matrix);
  const flat = matrix.length > 0 ? Math.max(...matrix) : null;
  const bandwidths = [["read", ceilings.read], ["copy", ceilings.copy], ["write", ceilings.write]].filter(([, gbps]) => gbps);
  for (const [name, gbps] of bandwidths) {
    const ridge = flat ? Math.log10(flat * 1e3 / gbps) : scale.x1;
    const to = Math.min(ridge, scale.x1);
    nodes.push(svg("path", {class: name === "copy" ? "roof" : "roof second", "clip-path": `url(#${clipId})`,
      d: `M${X(scale.x0)} ${Y(Math.log10(gbps * 1e-3) + scale.x0)}L${X(to)} ${Y(Math.log10(gbps * 1e-3) + to)}`}));
  }
  if (bandwidths.length > 0) {
    const [name, gbps] = bandwidths.find(([which]) => which === "copy") || bandwidths[0];
    const at = scale.x0 + 0.42 * ((flat ? Math.log10(flat * 1e3 / gbps) : scale.x1) - scale.x0);
    const angle = -Math.atan2(Y(0) - Y(1), X(1) - X(0)) * 180 / Math.PI;
    nodes.push(svg("text", {x: X(at), y: Y(Math.log10(gbps * 1e-3) + at) - 14, "text-anchor": "middle", class: "name",
      transform: `rotate(${angle} ${X(at)} ${Y(Math.log10(gbps * 1e-3) + at)})`}, `${name} ${digits(gbps)} GB/s`));
  }
  for (const [dtype, tflops] of Object.entries(ceilings.matrix)) {
    const from = Math.max(Math.log10(tflops * 1e3 / ceilings.copy), scale.x0);
    nodes.push(svg("path", {class: "roof", d: `M${X(from)} ${Y(Math.log10(tflops))}H${X(scale.x1)}`}));
  }
  if (flat) {
    const label = Object.entries(ceilings.matrix).map(([dtype, tflops]) => `${dtype} ${digits(tflops)}`).join(", ");
    nodes.push(svg("text", {x: X(scale.x1) - 4, y: Y(Math.log10(flat)) - 8, "text-anchor": "end", class: "name"},
      `matrix ${label} TFLOP/s`));
  }
  return nodes;
}

// An op's name beside its highest point, moved down where another name is.
function opNames(placed) {
  const best = new Map();
  for (const at of placed) {
    const known = best.get(at.op);
    if (!known || at.y < known.y) best.set(at.op, at);
  }
  const taken = [];
  return [...best.values()].sort((a, b) => a.y - b.y).map((at) => {
    const width = 8 * at.op.length;
    const left = at.x + 10 + width > kPlot.width - kPlot.right;
    const x = left ? at.x - 10 : at.x + 10;
    const span = left ? [x - width, x] : [x, x + width];
    let y = at.y + 4;
    while (taken.some((other) => Math.abs(other.y - y) < 15 && other.span[0] < span[1] && span[0] < other.span[1])) y += 7;
    taken.push({y, span});
    return svg("text", {x, y, class: "name", "text-anchor": left ? "end" : "start", "paint-order": "stroke",
      stroke: "var(--card)", "stroke-width": 3, "pointer-events": "none"}, at.op);
  });
}

function roofline(device, points, stale, index) {
  const scale = scaleOf(points, device.ceilings);
  const X = (log) => kPlot.left + (log - scale.x0) / (scale.x1 - scale.x0) * (kPlot.width - kPlot.left - kPlot.right);
  const Y = (log) => kPlot.height - kPlot.bottom - (log - scale.y0) / (scale.y1 - scale.y0) * (kPlot.height - kPlot.top - kPlot.bottom);
  const bottom = kPlot.height - kPlot.bottom;
  const clipId = `plot-${index}`;
  const nodes = [svg("clipPath", {id: clipId}, svg("rect", {x: kPlot.left, y: kPlot.top, width: kPlot.width - kPlot.left - kPlot.right,
    height: bottom - kPlot.top}))];
  for (const tick of decades(scale.x0, scale.x1)) {
    nodes.push(svg("line", {class: "grid", x1: X(tick), x2: X(tick), y1: kPlot.top, y2: bottom}),
      svg("text", {x: X(tick), y: bottom + 18, "text-anchor": "middle"}, power(tick)));
  }
  for (const tick of decades(scale.y0, scale.y1)) {
    nodes.push(svg("line", {class: "grid", x1: kPlot.left, x2: kPlot.width - kPlot.right, y1: Y(tick), y2: Y(tick)}),
      svg("text", {x: kPlot.left - 8, y: Y(tick) + 4, "text-anchor": "end"}, power(tick)));
  }
  nodes.push(svg("text", {x: (kPlot.left + kPlot.width) / 2, y: kPlot.height - 6, "text-anchor": "middle"},
    "arithmetic intensity, FLOP per byte"));
  nodes.push(svg("text", {x: 14, y: kPlot.height / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${kPlot.height / 2})`}, "TFLOP/s"));
  if (points.some((point) => !(point.flops > 0))) {
    nodes.push(svg("rect", {class: "bandless", x: kPlot.left - 9, y: kPlot.top, width: 18, height: bottom - kPlot.top}));
  }
  if (device.ceilings) nodes.push(...roofs(device.ceilings, scale, X, Y, clipId));
  const placed = points.map((point) => {
    const {op, dtype} = partsOf(point.id);
    return {op, dtype, point, x: point.flops > 0 ? X(Math.log10(point.flops / point.bytes)) : kPlot.left, y: Y(Math.log10(heightOf(point, scale.x0)))};
  }).sort((a, b) => a.x - b.x || b.y - a.y);
  const marks = placed.map((at) => marker(at.dtype, at.x, at.y, 5, {class: stale ? "point stale" : "point", role: "img",
    "aria-label": `${at.point.id}: ${time(at.point.us)}, ${rate(at.point.tflops)}, ${digits(at.point.gbps)} GB/s`}));
  nodes.push(...marks, ...opNames(placed));
  const readout = html("p", {class: "readout", "aria-live": "polite"}, "Point at a mark, or use the arrow keys, for its figures.");
  const chart = svg("svg", {class: "chart", viewBox: `0 0 ${kPlot.width} ${kPlot.height}`, role: "group",
    "aria-label": `Roofline of ${device.name} with ${points.length} benchmarks`}, nodes);
  roving(chart, marks, (i) => readout.replaceChildren(...pointText(placed[i].point)), alongLine);
  return [html("div", {class: "scroll"}, html("div", {class: "plot"}, chart)), readout];
}

function drawRoofline(devices) {
  const body = bodyOf("roofline");
  body.replaceChildren();
  let count = 0;
  devices.forEach((device, index) => {
    const run = device.runs[device.runs.length - 1];
    if (!run) return;
    const points = run.cases.filter((row) => !row.error && row.us > 0 && row.bytes > 0 && matches(row.id));
    count += points.length;
    if (points.length === 0) return;
    const none = points.some((point) => !(point.flops > 0));
    body.append(html("h3", {class: "device"}, device.name, html("span", {class: "badge"}, `commit ${run.commit}`)),
      html("p", {class: "about"}, device.ceilings ? device.ceilings.how : "No ceilings were measured on this device: the cpu platform is an instrument for correctness, and its times say nothing of a GPU."),
      staleReason(run.stale) || "",
      dtypeLegend(new Set(points.map((point) => partsOf(point.id).dtype)),
        none ? html("li", {}, "on the left edge: no arithmetic, placed by bytes a second") : null),
      ...roofline(device, points, Boolean(run.stale), index));
  });
  if (count === 0) body.replaceChildren(html("p", {class: "empty"}, noBenches()));
  return count;
}

function noBenches() {
  return data.devices.some((device) => device.runs.length > 0) ? "No benchmark matches the filters."
    : "No benchmark is recorded: bench/record.sh writes one to results/.";
}
