// The upper edges of the classes that a share falls into.
const kClasses = [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 1];
const classOf = (share) => `h${kClasses.findIndex((edge) => share <= edge)}`;

// Cells by op, dtype and shape: the worst of the rows [id, wave, share, passed] that fall together.
function cellsOf(checks) {
  const ops = new Map();
  for (const check of checks) {
    for (const [id, wave, share, passed] of check.rows) {
      if (!matches(id)) continue;
      const {op, dtype, shape} = partsOf(id);
      if (!ops.has(op)) ops.set(op, {shapes: [], known: new Set(), cells: new Map(), dtypes: new Set(), count: 0, worst: 0});
      const group = ops.get(op);
      group.dtypes.add(dtype);
      group.count += 1;
      if (!group.known.has(shape)) {
        group.known.add(shape);
        group.shapes.push(shape);
      }
      const key = `${dtype} ${shape}`;
      let cell = group.cells.get(key);
      if (!cell) group.cells.set(key, cell = {dtype, shape, count: 0, failed: 0, share: 0, id, wave, device: check.device});
      cell.count += 1;
      if (passed && share !== null) group.worst = Math.max(group.worst, share);
      const worse = passed ? cell.failed === 0 && share !== null && share > cell.share : true;
      if (!passed) cell.failed += 1;
      if (worse) Object.assign(cell, {share: share === null ? Infinity : share, id, wave, device: check.device});
    }
  }
  return ops;
}

function cellWords(cell) {
  if (cell.failed > 0) return `${cell.failed} of ${cell.count} cases failed`;
  if (cell.share === 0) return `${cell.count} cases, exact`;
  return `${shareText(cell.share)} of the bound, ${cell.count} cases`;
}

function heatGrid(op, group, readout) {
  const dtypes = [...group.dtypes].sort((a, b) => kDtypes.indexOf(a) - kDtypes.indexOf(b));
  const nodes = [];
  const cells = [];
  const rows = dtypes.map((dtype) => {
    const row = html("div", {role: "row", style: "display: contents"}, html("span", {class: "label", role: "rowheader"}, dtype));
    for (const shape of group.shapes) {
      const cell = group.cells.get(`${dtype} ${shape}`);
      if (!cell) {
        row.append(html("span", {class: "cell none", role: "gridcell", "aria-hidden": "true"}));
        continue;
      }
      const kind = cell.failed > 0 ? "wrong" : cell.share === 0 ? "exact" : classOf(cell.share);
      const node = html("span", {class: `cell ${kind}`, role: "gridcell", "aria-label": `${dtype}, shape ${shape}: ${cellWords(cell)}`},
        cell.failed > 0 ? "×" : null);
      row.append(node);
      nodes.push(node);
      cells.push(cell);
    }
    return row;
  });
  const grid = html("div", {class: "cells", role: "grid", "aria-label": `${op}: error shares by dtype and shape`,
    style: `grid-template-columns: auto repeat(${group.shapes.length}, 18px)`}, rows);
  const column = (i) => group.shapes.indexOf(cells[i].shape);
  roving(grid, nodes, (i) => readout.replaceChildren(html("b", {}, `${op} ${cells[i].dtype}, shape ${cells[i].shape}`),
    `: ${cellWords(cells[i])}. Worst: `, html("span", {class: "id"}, cells[i].id), ` (wave ${cells[i].wave}, ${cells[i].device})`),
    (at, key) => {
      if (key === "ArrowRight" || key === "ArrowLeft") return alongLine(at, key);
      if (key !== "ArrowUp" && key !== "ArrowDown") return null;
      const direction = key === "ArrowDown" ? 1 : -1;
      for (let to = at + direction; to >= 0 && to < cells.length; to += direction) {
        if (cells[to].dtype !== cells[at].dtype && column(to) === column(at)) return to;
      }
      return null;
    });
  const worst = group.worst > 0 ? `worst share ${shareText(group.worst)}` : "exact";
  return html("div", {class: "heat"}, html("h3", {}, op, html("small", {}, `${group.count.toLocaleString("en")} checks, ${group.shapes.length} shapes, ${worst}`)),
    html("div", {class: "scroll"}, grid));
}

function heatLegend() {
  const edge = (i) => (i === 0 ? "up to 0.02" : `to ${kClasses[i]}`);
  return html("ul", {class: "legend"}, html("li", {}, html("span", {class: "swatch exact"}), "exact"),
    kClasses.map((_, i) => html("li", {}, html("span", {class: `swatch h${i}`}), edge(i))),
    html("li", {}, html("span", {class: "swatch wrong"}), "failed"));
}

function drawErrors(checks) {
  const body = bodyOf("errors");
  const ops = cellsOf(checks);
  if (ops.size === 0) {
    body.replaceChildren(html("p", {class: "empty"}, data.checks.length === 0 ? "No check is part of this report." : "No check matches the filters."));
    return;
  }
  const readout = html("p", {class: "readout pinned", "aria-live": "polite"}, "Point at a cell, or use the arrow keys, for what is in it.");
  body.replaceChildren(heatLegend(), html("div", {class: "heats"}, [...ops].map(([op, group]) => heatGrid(op, group, readout))), readout);
}
