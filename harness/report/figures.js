const kFigureColumns = [["case"], ["time", "number"], ["10 to 90 %", "number"], ["GB/s", "number"], ["TFLOP/s", "number"],
  ["of its ceiling", "number"], ["floor", ""]];

function figureRow(row) {
  if (row.error) {
    return html("tr", {}, html("td", {}, html("span", {class: "id"}, row.id)),
      html("td", {colspan: kFigureColumns.length - 1, class: "behind"}, `no figure: ${row.error}`));
  }
  const cells = [time(row.us), `${digits(row.low)} to ${digits(row.high)}`, digits(row.gbps), digits(row.tflops),
    row.ceiling ? `${percent(row.share)} of ${row.ceiling}` : ""];
  return html("tr", {}, html("td", {}, html("span", {class: "id"}, row.id)), cells.map((text) => html("td", {class: "number"}, text)),
    html("td", {class: row.floor && !row.meets_floor ? "behind" : ""}, row.floor ? `${row.floor} ${row.meets_floor ? "met" : "missed"}` : ""));
}

function drawFigures(devices) {
  const body = bodyOf("figures");
  body.replaceChildren();
  for (const device of devices) {
    const run = device.runs[device.runs.length - 1];
    if (!run) continue;
    const rows = run.cases.filter((row) => matches(row.id));
    if (rows.length === 0) continue;
    const facts = [run.compiler, run.driver && `driver ${run.driver}`, run.clocks && `clocks ${run.clocks}`, run.recorded].filter(Boolean).join(" · ");
    const details = html("details", {class: run.stale ? "is-stale" : null}, html("summary", {}, `${device.name}: ${rows.length} benchmarks at ${run.commit}`));
    // Hundreds of rows are made when somebody asks for them.
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      details.append(html("p", {class: "about"}, facts), html("div", {class: "scroll"}, html("table", {},
        html("thead", {}, html("tr", {}, kFigureColumns.map(([name, kind]) => html("th", {scope: "col", class: kind}, name)))),
        html("tbody", {}, rows.map(figureRow)))));
    });
    body.append(staleReason(run.stale) || "", details);
  }
  if (!body.hasChildNodes()) body.replaceChildren(html("p", {class: "empty"}, noBenches()));
}
