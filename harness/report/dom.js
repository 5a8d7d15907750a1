// Elements are made here and nowhere else, and text only ever becomes a text node: what a result file says is never
// markup.
const kSvg = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}
const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(kSvg, tag), attributes, children);
const byId = (id) => document.getElementById(id);
const bodyOf = (section) => byId(section).querySelector(".body");

// Three significant digits, with no more than that pretended.
function digits(value, count = 3) {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return value.toExponential(count - 1);
  return Number(value.toPrecision(count)).toLocaleString("en", {maximumSignificantDigits: count});
}
// Never up to the bound: 0.99996 is not 1.
const shareText = (share) => digits(Math.floor(share * 1e4) / 1e4, 4);
const percent = (share) => `${digits(100 * share)} %`;
function time(us) {
  if (us >= 1e6) return `${digits(us * 1e-6)} s`;
  if (us >= 1e3) return `${digits(us * 1e-3)} ms`;
  return `${digits(us)} µs`;
}
function rate(tflops) {
  if (tflops >= 1) return `${digits(tflops)} TFLOP/s`;
  if (tflops >= 1e-3) return `${digits(tflops * 1e3)} GFLOP/s`;
  return `${digits(tflops * 1e6)} MFLOP/s`;
}
const kDtypes = ["f32", "f16", "bf16"];
const dtypeClass = (dtype) => (kDtypes.includes(dtype) ? dtype : "other");

// op/dtype/layout/shape/what
function partsOf(id) {
  const [op = "", dtype = "", layout = "", shape = "", ...what] = id.split("/");
  return {op, dtype, layout, shape, what: what.join("/")};
}

// A marker that differs by dtype in form as well as in colour.
function marker(dtype, x, y, size, attributes = {}) {
  const classes = `${attributes.class || "point"} ${dtypeClass(dtype)}`;
  const rest = {...attributes, class: classes};
  if (dtype === "f16") return svg("rect", {x: x - size * 0.9, y: y - size * 0.9, width: size * 1.8, height: size * 1.8, ...rest});
  if (dtype === "bf16") {
    const d = `M${x} ${y - size * 1.2}L${x + size * 1.15} ${y + size * 0.9}L${x - size * 1.15} ${y + size * 0.9}Z`;
    return svg("path", {d, ...rest});
  }
  return svg("circle", {cx: x, cy: y, r: size, ...rest});
}

function dtypeLegend(dtypes, ...more) {
  const items = kDtypes.filter((dtype) => dtypes.has(dtype)).map((dtype) =>
    html("li", {}, svg("svg", {viewBox: "0 0 14 14", "aria-hidden": "true"}, marker(dtype, 7, 7, 5, {class: "key"})), dtype));
  return html("ul", {class: "legend"}, items, more);
}

// Arrow keys, Home and End move among `nodes`; one of them is in the tab order. `step` gives the index to go to.
function roving(container, nodes, show, step) {
  if (nodes.length === 0) return;
  let current = 0;
  nodes.forEach((node, i) => {
    node.setAttribute("tabindex", i === 0 ? "0" : "-1");
    node.addEventListener("focus", () => {
      nodes[current].setAttribute("tabindex", "-1");
      current = i;
      node.setAttribute("tabindex", "0");
      show(i);
    });
    node.addEventListener("mouseenter", () => show(i));
    node.addEventListener("click", () => node.focus());
  });
  container.addEventListener("keydown", (event) => {
    const to = event.key === "Home" ? 0 : event.key === "End" ? nodes.length - 1 : step(current, event.key);
    if (to === null || to < 0 || to >= nodes.length) return;
    event.preventDefault();
    nodes[to].focus();
  });
}
const alongLine = (at, key) =>
  key === "ArrowRight" || key === "ArrowDown" ? at + 1 : key === "ArrowLeft" || key === "ArrowUp" ? at - 1 : null;

function staleReason(text) {
  return text ? html("p", {class: "stale-reason"}, `Stale: ${text}`) : null;
}
