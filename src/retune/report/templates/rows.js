"use strict";

/** The body of a table; only the rows in view are in the document. One row at a time can be open, with details below it. */
class Rows {
  static HEIGHT = 40; // of a closed row, in pixels
  static BEYOND = 10; // rows kept above and below the rows in view

  #viewport;
  #body;
  #make; // makes the element of a row, with a button inside, from the row's number
  #detail; // makes the element that is shown below an open row
  #numbers = [];
  #above = Rows.#row("space");
  #below = Rows.#row("space");
  #open = { number: -1, place: -1, height: 0, element: null };
  #active = 0; // place of the row that has the keyboard focus

  constructor(viewport, make, detail) {
    this.#viewport = viewport;
    this.#body = viewport.querySelector("tbody");
    this.#make = make;
    this.#detail = detail;
    viewport.style.setProperty("--row-height", `${Rows.HEIGHT}px`);
    for (const space of [this.#above, this.#below]) space.setAttribute("aria-hidden", "true");
    this.#listen();
  }

  static #row(className) {
    const row = document.createElement("tr");
    row.className = className;
    return row;
  }

  /** Shows other rows, or the same rows in another order; an open row stays open if it is among them. */
  show(numbers) {
    this.#numbers = numbers;
    this.#open.place = numbers.indexOf(this.#open.number);
    if (this.#open.place < 0) this.#open.number = -1;
    this.#active = Math.max(0, this.#open.place);
    this.#body.replaceChildren();
    this.#viewport.querySelector("table").setAttribute("aria-rowcount", numbers.length + 1);
    this.#viewport.scrollTop = 0;
    this.#render();
    this.#viewport.scrollTop = this.#active * Rows.HEIGHT;
    this.#render();
  }

  /** Returns the place of the first row in view. */
  #top() {
    const past = this.#viewport.scrollTop - (this.#open.place + 1) * Rows.HEIGHT;
    const inside = this.#open.place < 0 ? 0 : Math.max(0, Math.min(this.#open.height, past));
    return Math.floor((this.#viewport.scrollTop - inside) / Rows.HEIGHT);
  }

  /** Updates the document. Rows that stay are not touched, so they keep the focus. */
  #render() {
    const count = Math.ceil(this.#viewport.clientHeight / Rows.HEIGHT);
    const from = Math.max(0, Math.min(this.#top() - Rows.BEYOND, this.#numbers.length - 1));
    const to = Math.min(this.#numbers.length, this.#top() + count + Rows.BEYOND);
    const kept = new Map([...this.#body.querySelectorAll(".row")].map((row) => [Number(row.dataset.number), row]));
    const wanted = [this.#above];
    for (let place = from; place < to; place++) {
      wanted.push(kept.get(this.#numbers[place]) ?? this.#makeRow(place));
      if (place === this.#open.place) wanted.push(this.#open.element);
    }
    wanted.push(this.#below);
    const { place, height } = this.#open;
    this.#above.style.height = `${from * Rows.HEIGHT + (place >= 0 && place < from ? height : 0)}px`;
    this.#below.style.height = `${(this.#numbers.length - to) * Rows.HEIGHT + (place >= to ? height : 0)}px`;
    this.#put(wanted);
    if (place >= from && place < to) {
      this.#open.element.firstChild.firstChild.style.width = `${this.#viewport.clientWidth}px`;
      this.#open.height = this.#open.element.offsetHeight;
    }
  }

  #put(wanted) {
    const staying = new Set(wanted);
    for (const row of [...this.#body.children]) {
      if (staying.has(row)) continue;
      if (row.contains(document.activeElement)) this.#viewport.focus({ preventScroll: true });
      row.remove();
    }
    wanted.forEach((row, index) => {
      if (this.#body.children[index] !== row) this.#body.insertBefore(row, this.#body.children[index] ?? null);
    });
  }

  #makeRow(place) {
    const row = this.#make(this.#numbers[place]);
    row.classList.add("row");
    row.dataset.number = this.#numbers[place];
    row.setAttribute("aria-rowindex", place + 2); // the first row is the header
    this.#mark(row);
    return row;
  }

  /** Marks the open row as expanded, and makes the active row the one that Tab leads to. */
  #mark(row) {
    const number = Number(row.dataset.number);
    const button = row.querySelector("button");
    button.setAttribute("aria-expanded", number === this.#open.number);
    button.tabIndex = number === this.#numbers[this.#active] ? 0 : -1;
  }

  #toggle(place) {
    const { place: before, height } = this.#open;
    if (place === before) {
      this.#open = { number: -1, place: -1, height: 0, element: null };
    } else {
      const number = this.#numbers[place];
      const element = Rows.#row("opened");
      element.append(this.#detail(number));
      this.#open = { number, place, height: 0, element };
      if (before >= 0 && before < place) this.#viewport.scrollTop -= height; // so that the row stays where it was on the screen
    }
    this.#render();
    this.#goTo(place);
  }

  /** Moves the focus to a row. Scrolls no more than needed to show it and, if there is room, its details. */
  #goTo(place) {
    this.#active = Math.max(0, Math.min(place, this.#numbers.length - 1));
    const { place: open, height } = this.#open;
    const top = this.#active * Rows.HEIGHT + (open >= 0 && open < this.#active ? height : 0);
    const bottom = top + Rows.HEIGHT + (open === this.#active ? height : 0);
    const room = this.#viewport.clientHeight - this.#viewport.querySelector("thead").offsetHeight;
    this.#viewport.scrollTop = Math.min(top, Math.max(this.#viewport.scrollTop, bottom - room));
    this.#render();
    for (const row of this.#body.querySelectorAll(".row")) {
      this.#mark(row);
      if (Number(row.dataset.number) === this.#numbers[this.#active]) {
        row.querySelector("button").focus({ preventScroll: true });
      }
    }
  }

  #listen() {
    let drawing = 0;
    const redraw = () => {
      cancelAnimationFrame(drawing);
      drawing = requestAnimationFrame(() => this.#render());
    };
    this.#viewport.addEventListener("scroll", redraw, { passive: true });
    window.addEventListener("resize", redraw);
    this.#body.addEventListener("click", ({ target }) => {
      const row = target.closest(".row");
      if (row) this.#toggle(this.#numbers.indexOf(Number(row.dataset.number)));
    });
    this.#viewport.addEventListener("keydown", (event) => this.#press(event));
  }

  #press(event) {
    const { length } = this.#numbers;
    const page = Math.floor(this.#viewport.clientHeight / Rows.HEIGHT) - 2;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -length, End: length };
    const isOutside = event.target === this.#viewport;
    if (!(event.key in moves) || !length || !(isOutside || event.target.closest(".row"))) return;
    event.preventDefault();
    this.#goTo(isOutside ? this.#top() : this.#active + moves[event.key]);
  }
}
