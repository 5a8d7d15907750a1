function copyButton(text) {
  const button = html("button", {type: "button"}, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}

function failureCard(failure, check) {
  return html("article", {class: "failure"},
    html("h3", {class: "id"}, failure.id),
    html("p", {}, `${check.device}, wave ${failure.wave}: ${failure.message}`),
    failure.repeat ? html("div", {class: "repro"}, html("pre", {tabindex: "0", "aria-label": "Command that repeats it"},
      failure.repeat), copyButton(failure.repeat)) : null);
}

function drawFailures(checks) {
  const body = bodyOf("failures");
  const cards = [];
  let cases = 0;
  for (const check of checks) {
    cases += check.rows.filter((row) => matches(row[0])).length;
    for (const failure of check.failures) {
      if (matches(failure.id)) cards.push(failureCard(failure, check));
    }
  }
  if (cards.length > 0) {
    body.replaceChildren(html("p", {class: "empty"}, `${cards.length} of ${cases.toLocaleString("en")} checks failed.`), ...cards);
  } else if (cases > 0) {
    body.replaceChildren(html("p", {class: "good-news"}, `None of ${cases.toLocaleString("en")} checks failed.`));
  } else {
    body.replaceChildren(html("p", {class: "empty"}, data.checks.length === 0
      ? "No check is part of this report: hipforge check --json check.json, then hipforge report --check check.json."
      : "No check matches the filters."));
  }
  return cases;
}
