// What is shown: one device or all, one op, one dtype, and a text that the case's id holds. Kept in the address, so that
// a filtered view can be sent to somebody.
const kAll = "";
const filters = {device: kAll, op: kAll, dtype: kAll, text: ""};

function matches(id) {
  const {op, dtype} = partsOf(id);
  return (filters.op === kAll || filters.op === op) && (filters.dtype === kAll || filters.dtype === dtype) &&
    filters.text.toLowerCase().split(/\s+/).every((word) => id.toLowerCase().includes(word));
}

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(filters)) filters[name] = asked.get(name) || "";
}

function writeAddress() {
  const asked = new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== ""));
  const text = asked.toString();
  history.replaceState(null, "", text === "" ? location.pathname + location.search : `#${text}`);
}

function setUpFilters(choices, changed) {
  const form = byId("filters");
  const show = () => {
    for (const name of Object.keys(filters)) form.elements[name].value = filters[name];
  };
  for (const [name, values] of Object.entries(choices)) {
    form.elements[name].append(html("option", {value: kAll}, "all"),
      ...values.map(([value, label]) => html("option", {value}, label)));
  }
  readAddress();
  // A choice that is not there any more shows everything.
  for (const [name, values] of Object.entries(choices)) {
    if (!values.some(([value]) => value === filters[name])) filters[name] = kAll;
  }
  show();
  const take = () => {
    for (const name of Object.keys(filters)) filters[name] = form.elements[name].value.trim();
    writeAddress();
    changed();
  };
  form.addEventListener("input", take);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    for (const name of Object.keys(filters)) filters[name] = "";
    show();
    take();
  }));
  window.addEventListener("hashchange", () => {
    readAddress();
    show();
    changed();
  });
}
