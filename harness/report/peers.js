function peerBar(row, ours, widest) {
  const ratio = row.us / ours;
  return html("div", {class: ratio >= 1 ? "bar" : "bar slower"}, html("span", {}, row.peer),
    html("span", {class: "track", "aria-hidden": "true"}, html("span", {class: "fill", style: `width: ${Math.min(100, 100 * ratio / widest)}%`}),
      html("span", {class: "one", style: `left: ${100 / widest}%`})),
    html("span", {class: "figure"}, `${time(row.us)}, `, html("span", {class: ratio >= 1 ? "ahead" : "behind"}, `${digits(ratio)} × ours`)));
}

function peerBars(peers, ours) {
  const timed = peers.filter((row) => !row.skipped).sort((a, b) => a.us - b.us);
  const widest = Math.min(8, Math.max(1.25, ...timed.map((row) => 1.05 * row.us / ours)));
  const cannot = peers.filter((row) => row.skipped);
  return html("div", {class: "bars"}, timed.map((row) => peerBar(row, ours, widest)),
    cannot.length > 0 ? html("details", {class: "cannot"}, html("summary", {class: "cannot"}, `${cannot.map((row) => row.peer).join(", ")}: cannot run it`),
      cannot.map((row) => html("p", {class: "cannot"}, `${row.peer}: ${row.skipped}`))) : null);
}

function drawPeers(devices) {
  const body = bodyOf("peers");
  body.replaceChildren();
  let known = false;
  for (const device of devices) {
    const run = device.runs[device.runs.length - 1];
    if (!device.peers || !run) continue;
    known = true;
    const ours = new Map(run.cases.filter((row) => !row.error).map((row) => [row.id, row]));
    const groups = new Map();
    for (const row of device.peers.rows) {
      if (!matches(row.id) || !ours.has(row.id)) continue;
      if (!groups.has(row.id)) groups.set(row.id, []);
      groups.get(row.id).push(row);
    }
    if (groups.size === 0) continue;
    const rows = [...groups].map(([id, peers]) => {
      const us = ours.get(id).us;
      const fastest = Math.min(...peers.filter((row) => !row.skipped).map((row) => row.us));
      const {op, dtype, shape, what} = partsOf(id);
      return {lead: fastest / us, node: html("tr", {},
        html("td", {}, html("b", {}, op), ` ${dtype} ${shape}`, html("br"), html("span", {class: "muted"}, what.replaceAll("_", " "))),
        html("td", {class: "number", "data-name": "ours"}, time(us)),
        html("td", {class: "wide-cell"}, peerBars(peers, us)))};
    });
    const behind = rows.filter((row) => row.lead < 1).length;
    body.append(html("h3", {class: "device"}, device.name, html("span", {class: "badge"}, `commit ${run.commit}`)),
      html("p", {class: "about"}, `${Object.entries(device.peers.libraries).map(([name, version]) => `${name} ${version}`).join(", ")}. `,
        behind === 0 ? `No peer is ahead in any of these ${rows.length}.` : `A peer is ahead in ${behind} of ${rows.length}.`),
      staleReason(device.peers.stale) || staleReason(run.stale) || "",
      html("div", {class: `scroll${device.peers.stale || run.stale ? " is-stale" : ""}`}, html("table", {class: "stack"},
        html("thead", {}, html("tr", {}, html("th", {scope: "col"}, "case"), html("th", {scope: "col", class: "number"}, "ours"), html("th", {scope: "col"}, "peers"))),
        html("tbody", {}, rows.map((row) => row.node)))));
  }
  if (!body.hasChildNodes()) {
    body.replaceChildren(html("p", {class: "empty"}, known ? "No case with a peer matches the filters."
      : "No peer is recorded on these devices: bench/record.sh times them where PyTorch and a GPU are."));
  }
}
