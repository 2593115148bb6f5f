"use strict";
// The table of changed queries: sorts, filters and searches without blocking the page.
(() => {
  const SLICE_MS = 30; // work for at most this long before the browser gets its turn
  const TYPING_MS = 120; // a search begins after a pause of this length
  const COLUMNS = 6;

  const viewport = document.getElementById("viewport");
  const [words, model, dataset, direction, count] = ["words", "model", "dataset", "direction", "count"].map((id) =>
    document.getElementById(id));
  const names = (select) => [...select.options].slice(1).map((option) => option.textContent);
  const models = names(model);
  const datasets = names(dataset);

  const store = new Store();
  const table = new Rows(viewport, makeRow, makeDetail);
  let order = null; // the sorted row numbers; null until everything is read
  let currentJob = 0;

  /** Runs a generator in short slices and returns its result; undefined if a later job has begun. */
  async function runInSlices(steps, job) {
    let start = performance.now();
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      if (performance.now() - start < SLICE_MS) continue;
      await new Promise((resolve) => setTimeout(resolve));
      if (job !== currentJob) return undefined;
      start = performance.now();
    }
  }

  /** Searches and filters, and shows the rows that are left. */
  async function update() {
    if (!order) return;
    const job = ++currentJob;
    viewport.setAttribute("aria-busy", "true");
    const isFound = await runInSlices(store.find(words.value), job);
    const chosen = [[model, "model"], [dataset, "dataset"]].filter(([select]) => select.value !== "").map(
      ([select, column]) => (row) => Store.keys[column](row, store) === Number(select.value));
    const sign = Number(direction.value);
    const tests = [...chosen, ...(sign ? [(row) => Math.sign(row[4]) === sign] : []), isFound];
    const numbers = isFound && (await runInSlices(store.filter(order, tests), job));
    if (!numbers) return;
    table.show(numbers);
    count.textContent = `${numbers.length.toLocaleString("en")} of ${order.length.toLocaleString("en")}`;
    viewport.setAttribute("aria-busy", "false");
  }

  function element(tag, className, ...inside) {
    const made = document.createElement(tag);
    made.className = className;
    made.dir = "auto"; // left to right or right to left, depending on the text
    made.append(...inside);
    return made;
  }

  const plain = (value) => (value === null ? "–" : value.toFixed(4));
  const signed = (value) => `${value < 0 ? "▼ −" : value > 0 ? "▲ +" : ""}${Math.abs(value).toFixed(4)}`;

  function makeRow(number) {
    const [modelNumber, queryNumber, before, after, change] = store.rows[number];
    const [datasetNumber, , text] = store.queries[queryNumber];
    const button = element("button", "", text);
    button.type = "button";
    return element("tr", "",
      element("td", `number ${change < 0 ? "lost" : "gained"}`, signed(change)),
      element("td", "query", button),
      element("td", "", models[modelNumber]), element("td", "", datasets[datasetNumber]),
      element("td", "number", plain(before)), element("td", "number", plain(after)));
  }

  function makeDetail(number) {
    const [modelNumber, queryNumber, , , , wanted, first, relevant] = store.rows[number];
    const [datasetNumber, id, text] = store.queries[queryNumber];
    const rank = (value) => (value === null ? "not found" : `rank ${value}`);
    const detail = element("div", "detail",
      element("p", "text", text),
      element("p", "origin", `query ${id} of ${datasets[datasetNumber]}, answered by ${models[modelNumber]}`),
      element("h4", "", (relevant === 1 ? "Wanted" : `Wanted: ${relevant} documents`) +
        (relevant > wanted.length ? `, the first ${wanted.length} of which are shown` : "")),
      ...wanted.map(([document, before, after]) =>
        element("p", "text", element("b", "", `${rank(before)} → ${rank(after)}`), store.documents[document])));
    if (first) {
      detail.append(element("h4", "", `Found first: ${first[1] ? "relevant" : "not judged relevant"}`),
        element("p", "text", store.documents[first[0]]));
    }
    const cell = element("td", "", detail);
    cell.colSpan = COLUMNS;
    return cell;
  }

  /** Sorts by the column of a header: ascending at first, descending when it is pressed again. */
  function sortBy(header) {
    if (!order) return;
    const isDescending = header.getAttribute("aria-sort") === "ascending";
    for (const other of viewport.querySelectorAll("th")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    order = store.sorted(header.firstElementChild.dataset.column, isDescending);
    update();
  }

  let typing = 0;
  words.addEventListener("input", () => {
    clearTimeout(typing);
    viewport.setAttribute("aria-busy", "true");
    typing = setTimeout(update, TYPING_MS);
  });
  for (const select of [model, dataset, direction]) select.addEventListener("change", update);
  for (const header of viewport.querySelectorAll("th")) {
    header.firstElementChild.addEventListener("click", () => sortBy(header));
  }

  (async () => {
    await runInSlices(store.read(), currentJob);
    order = store.sorted("change", false);
    await update();
  })();
})();
