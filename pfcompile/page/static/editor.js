// A box for an expression, with its mistakes underlined while it is written.

import { make } from "./dom.js";

/**
 * A text area over a mirror that has the same text in the same places, and shows the underlines.
 *
 * `onInput(text)` is called for every change.
 */
export class Editor {
  constructor({ id, label, describedBy, onInput, readOnly = false }) {
    this.mirror = make("div", { class: "mirror", "aria-hidden": "true" });
    this.box = make("textarea", {
      id,
      rows: 1,
      spellcheck: "false",
      autocomplete: "off",
      autocapitalize: "off",
      "aria-label": label,
      "aria-describedby": describedBy,
      readonly: readOnly,
    });
    this.element = make("div", { class: "editor" }, this.mirror, this.box);
    this.remarks = [];
    this.lit = [];
    this.box.addEventListener("input", () => {
      // What is underlined moves only when the answer comes: until then it may be elsewhere.
      this.remarks = [];
      this.lit = [];
      this.draw();
      onInput(this.box.value);
    });
    this.draw();
  }

  get text() {
    return this.box.value;
  }

  set text(text) {
    if (this.box.value === text) return;
    this.box.value = text;
    this.remarks = [];
    this.lit = [];
    this.draw();
  }

  /** Underline what remarks are about. */
  mark(remarks) {
    this.remarks = remarks.filter((remark) => remark.place !== null);
    const wrong = remarks.some((remark) => remark.kind === "error");
    this.box.setAttribute("aria-invalid", String(wrong));
    this.draw();
  }

  /** Light parts of the text. */
  light(places) {
    this.lit = places;
    this.draw();
  }

  /** Select a part of the text, and go there. */
  select(place) {
    this.box.focus();
    this.box.setSelectionRange(place[0], place[1]);
  }

  /** Return the offset of the character at a point of the screen, or null. */
  offsetAt(x, y) {
    for (const element of document.elementsFromPoint(x, y)) {
      if (element.parentElement === this.mirror && element.dataset.start !== undefined)
        return Number(element.dataset.start);
    }
    return null;
  }

  draw() {
    const text = this.box.value;
    const edges = new Set([0, text.length]);
    for (const [start, end] of [...this.lit, ...this.remarks.map((remark) => remark.place)]) {
      edges.add(Math.min(start, text.length));
      edges.add(Math.min(end, text.length));
    }
    // Words are apart so that a pointer's place is known to the word.
    for (const word of text.matchAll(/[^\s()!&|]+/g)) {
      edges.add(word.index);
      edges.add(word.index + word[0].length);
    }
    const sorted = [...edges].sort((a, b) => a - b);
    const parts = sorted.slice(0, -1).map((start, i) => this.part(text, start, sorted[i + 1]));
    // What is missing at the end is underlined there; an empty last line has its height.
    const missing = this.remarks.some((remark) => remark.place[0] >= text.length && text !== "");
    parts.push(make("span", { class: missing ? "error" : null }, missing ? "\u00a0" : "\u200b"));
    this.mirror.replaceChildren(...parts);
  }

  part(text, start, end) {
    const covers = ([from, to]) => from <= start && end <= to;
    const kinds = this.remarks.filter((remark) => covers(remark.place)).map((r) => r.kind);
    const classes = ["error", "warning", "note"].filter((kind) => kinds.includes(kind)).slice(0, 1);
    if (this.lit.some(covers)) classes.push("lit");
    return make("span", { class: classes.join(" ") || null, "data-start": start }, text.slice(start, end));
  }
}

/**
 * Return the list of what there is to say about an expression.
 *
 * `onChoose(place)` is called for one that is pressed, `follow(row, place)` for each when it is made.
 */
export function remarkList(remarks, { onChoose, follow }) {
  return make(
    "ul",
    { class: "remarks" },
    ...remarks.map((remark) => {
      const kind = { error: "Error", warning: "Warning", note: "Note" }[remark.kind];
      const body = make(
        "button",
        { type: "button", class: "remark" },
        make("span", { class: "kind" }, remark.code === null ? kind : `${kind} ${remark.code}`),
        make("span", { class: "message" }, remark.message),
        remark.hint === null ? null : make("span", { class: "hint" }, remark.hint),
        ...remark.related.map((words) => make("span", { class: "hint" }, words)),
      );
      body.addEventListener("click", () => remark.place !== null && onChoose(remark.place));
      follow?.(body, remark.place);
      return make("li", { class: remark.kind }, body);
    }),
  );
}
