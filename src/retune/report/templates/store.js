"use strict";

/** The changes, as read from the page's scripts. A row is known by its number. Generators yield between short steps. */
class Store {
  // what each column sorts by
  static keys = {
    change: (row) => row[4],
    query: (row) => row[1], // queries are numbered by their texts
    model: (row) => row[0],
    dataset: (row, store) => store.queries[row[1]][0],
    before: (row) => row[2] ?? -1,
    after: (row) => row[3] ?? -1,
  };

  queries = [];
  documents = [];
  rows = [];
  #lower = { queries: [], documents: [] };

  /** Reads all pieces and makes the lower-case index. */
  *read() {
    for (const piece of document.querySelectorAll("script[data-part]")) {
      for (const item of JSON.parse(piece.textContent)) this[piece.dataset.part].push(item);
      piece.remove();
      yield;
    }
    for (const [, id, text] of this.queries) {
      this.#lower.queries.push(`${id} ${text}`.toLowerCase());
      yield;
    }
    for (const text of this.documents) {
      this.#lower.documents.push(text.toLowerCase());
      yield;
    }
  }

  /** Numbers of all rows, sorted; equal ones keep their order. Sorts numbers alone, which typed arrays do fast. */
  sorted(column, isDescending) {
    const values = Float64Array.from(this.rows, (row) => Store.keys[column](row, this));
    const ranks = new Map([...Float64Array.from(new Set(values)).sort()].map((value, rank) => [value, rank]));
    const size = this.rows.length;
    const packed = values.map((value, number) => {
      const rank = ranks.get(value);
      return (isDescending ? ranks.size - rank : rank) * size + number;
    });
    return packed.sort().map((value) => value % size);
  }

  /** Which queries and which documents hold all words of a text; ends with a test for rows. */
  *find(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return () => true;
    const hits = {};
    for (const [part, texts] of Object.entries(this.#lower)) {
      hits[part] = new Uint8Array(texts.length);
      for (let number = 0; number < texts.length; number++) {
        hits[part][number] = words.every((word) => texts[number].includes(word));
        if (number % 128 === 0) yield;
      }
    }
    return ([, query, , , , wanted, first]) => hits.queries[query] || (first && hits.documents[first[0]]) ||
      wanted.some(([document]) => hits.documents[document]);
  }

  /** The numbers of the given order whose rows pass all tests. */
  *filter(order, tests) {
    const kept = [];
    for (let place = 0; place < order.length; place++) {
      if (tests.every((test) => test(this.rows[order[place]], this))) kept.push(order[place]);
      if (place % 128 === 0) yield;
    }
    return kept;
  }
}
