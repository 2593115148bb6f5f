"use strict";

/** The changed queries, read from the page's scripts. Rows are known by their numbers. Generators yield after short steps. */
class Store {
  // the value that each column is sorted by
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

  /** Reads all pieces and builds the lower-case index. */
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

  /** Returns the sorted numbers of all rows; equal rows keep their order. It sorts a typed array of numbers, for speed. */
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

  /** Finds the queries and documents that contain all words of a text, and returns a test for rows. */
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

  /** Returns the numbers, in the given order, of the rows that pass all tests. */
  *filter(order, tests) {
    const kept = [];
    for (let place = 0; place < order.length; place++) {
      if (tests.every((test) => test(this.rows[order[place]], this))) kept.push(order[place]);
      if (place % 128 === 0) yield;
    }
    return kept;
  }
}
