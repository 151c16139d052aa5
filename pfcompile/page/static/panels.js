// The panels of an expression's stages: its tree, the graph, and the two programs.

import { button, counted, make } from "./dom.js";
import { drawGraph } from "./graph.js";
import { isAsked, isLit } from "./links.js";
import { rove } from "./rove.js";

const MANY = 400; // rows that share their columns' widths; of more that takes seconds
const SMALLEST = 0.75; // of its natural size, that a drawing is shown in

/** Return a panel that can be closed: an element, and where its contents go. */
export function panel(id, title, ...beside) {
  const body = make("div", { class: "body" });
  const element = make(
    "details",
    { id, class: "panel", open: true },
    make("summary", {}, make("h2", {}, title), ...beside),
    body,
  );
  return { element, body };
}

/** The tree: rows, each indented below the one that it belongs to. */
export class TreePanel {
  constructor(links) {
    this.links = links;
    const { element, body } = panel("tree", "Tree");
    this.element = element;
    this.list = make("ul", { class: "rows", role: "listbox", "aria-label": "Tree" });
    body.append(this.list);
    this.rows = [];
    this.places = [];
    rove(this.list, () => this.rows, {
      onReach: (row) => links.reach(links.ofPlace(this.placeOf(row))),
      onLeave: () => links.leave(),
      onChoose: (row) => links.choose(links.ofPlace(this.placeOf(row))),
    });
    links.panels.push((lit) => {
      for (const row of this.rows) mark(row, isLit([this.placeOf(row)], lit));
    });
  }

  /** Show for how many packets each term was true, of those that came to it. */
  heat(terms) {
    this.rows.forEach((row, i) => {
      row.querySelector(".count")?.remove();
      const term = terms.find((each) => isLit([each.place], { places: [this.places[i]] }));
      if (term !== undefined) row.append(make("span", { class: "count" }, `${term.true} of ${term.reached}`));
    });
  }

  placeOf(row) {
    return this.places[this.rows.indexOf(row)];
  }

  /** Return the place of the smallest part that a character of the expression is in, or null. */
  innermost(offset) {
    const around = this.places.filter(([start, end]) => start <= offset && offset < end);
    return around.sort((a, b) => a[1] - a[0] - (b[1] - b[0]))[0] ?? null;
  }

  take(tree) {
    this.rows = [];
    this.places = [];
    const waiting = tree === null ? [] : [[tree, 0]];
    while (waiting.length) {
      const [node, depth] = waiting.pop();
      const row = option(node.text, node.below.length ? "junction" : "primitive");
      row.style.setProperty("--depth", depth);
      row.setAttribute("aria-label", `${node.text}, level ${depth + 1}`);
      this.rows.push(row);
      this.places.push(node.place);
      waiting.push(...node.below.map((child) => [child, depth + 1]).reverse());
    }
    fill(this.list, this.rows, "Every packet matches a blank expression.");
  }
}

/** A program: an instruction a row. */
export class ListingPanel {
  constructor(id, title, links, { belonging, lines, litNumbers }) {
    this.note = make("span", { class: "about" });
    const { element, body } = panel(id, title, this.note);
    this.element = element;
    this.list = make("ul", { class: "rows code", role: "listbox", "aria-label": title });
    body.append(this.list);
    this.lines = [];
    this.rows = [];
    const linesOf = lines;
    const lineOf = (row) => this.lines[this.rows.indexOf(row)];
    rove(this.list, () => this.rows, {
      onReach: (row) => links.reach(belonging(lineOf(row))),
      onLeave: () => links.leave(),
      onChoose: (row) => links.choose(belonging(lineOf(row))),
    });
    links.panels.push((lit) => {
      const numbers = litNumbers(lit);
      this.rows.forEach((row, i) => mark(row, numbers.has(this.lines[i].number)));
    });
    this.linesOf = linesOf;
  }

  take(stages, note, missing) {
    this.lines = this.linesOf(stages);
    this.rows = this.lines.map((line) => option(columns(line.text), "line"));
    this.note.textContent = note;
    this.list.classList.toggle("long", this.rows.length > MANY);
    fill(this.list, this.rows, missing);
  }

  /** Show how often each instruction ran, from 0 to `most` times; null takes that away. */
  heat(counts, most) {
    this.rows.forEach((row, i) => {
      const count = counts === null ? undefined : counts[this.lines[i].number];
      row.querySelector(".count")?.remove();
      row.classList.toggle("heated", count !== undefined);
      if (count === undefined) return;
      row.style.setProperty("--heat", most === 0 ? 0 : Math.sqrt(count / most));
      row.prepend(make("span", { class: "count" }, count.toLocaleString("en")));
    });
  }
}

/** The graph after each pass, with a slider to go from one to the next. */
export class GraphPanel {
  constructor(links, onStep) {
    this.links = links;
    this.onStep = onStep;
    this.about = make("span", { class: "about" });
    const { element, body } = panel("graph", "Graph", this.about);
    this.element = element;
    this.slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "Pass" });
    this.name = make("output", { class: "pass" });
    this.slider.addEventListener("input", () => this.step(Number(this.slider.value)));
    const back = button("‹", () => this.step(this.at - 1), { "aria-label": "Previous pass" });
    const on = button("›", () => this.step(this.at + 1), { "aria-label": "Next pass" });
    this.bar = make("div", { class: "passes" }, back, this.slider, on, this.name);
    this.canvas = make("div", { class: "canvas" });
    body.append(this.bar, this.canvas);
    this.passes = [];
    this.at = 0;
    this.flow = null;
    this.path = null;
    links.panels.push((lit) => this.light(lit));
  }

  get isLast() {
    return this.at === this.passes.length - 1;
  }

  take(stages, at) {
    this.passes = stages.passes;
    this.drawings = stages.drawings;
    this.problem = stages.no_drawings;
    this.flow = null;
    this.path = null;
    this.bar.hidden = this.passes.length === 0;
    this.slider.max = Math.max(0, this.passes.length - 1);
    this.step(at ?? this.passes.length - 1);
  }

  /** Show the graph after a pass. */
  step(at) {
    this.at = Math.max(0, Math.min(at, this.passes.length - 1));
    this.slider.value = this.at;
    const pass = this.passes[this.at];
    if (pass === undefined) {
      this.about.textContent = "";
      this.drawn = null;
      this.canvas.replaceChildren(make("p", { class: "missing" }, "There is nothing to test."));
      return;
    }
    const place = `${this.at + 1} of ${this.passes.length}: ${pass.name}`;
    this.slider.setAttribute("aria-valuetext", place);
    this.name.textContent = pass.changes ? place : `${place} (changes nothing)`;
    this.about.textContent = `${counted(pass.blocks, "block")}, ${pass.milliseconds.toFixed(1)} ms`;
    this.draw();
    this.onStep(this.isLast ? null : this.at);
  }

  draw() {
    const pass = this.passes[this.at];
    if (pass === undefined) return;
    this.drawn =
      pass.drawing === null
        ? null
        : drawGraph(this.drawings[pass.drawing], this.isLast ? this.flow : null, this.isLast ? this.path : null);
    if (this.drawn === null) {
      const words = this.problem ?? `The graph has ${counted(pass.blocks, "block")}, too many to draw.`;
      this.canvas.replaceChildren(make("p", { class: "missing" }, words));
      return;
    }
    const hadFocus = this.canvas.contains(document.activeElement);
    this.canvas.replaceChildren(this.drawn.element);
    if (hadFocus) this.drawn.elements[0]?.focus();
    this.fit(this.drawn);
    const { nodes, elements } = this.drawn;
    const belonging = (row) => this.links.ofBlock(nodes[elements.indexOf(row)], this.isLast);
    rove(this.drawn.element, () => elements, {
      onReach: (row) => this.reach(row, belonging(row)),
      onLeave: () => this.links.leave(),
      onChoose: (row) => this.links.choose(belonging(row)),
    });
    this.links.leave();
  }

  /** Make a drawing as small as its panel asks for, but not too small to read; show its entry. */
  fit({ element: svg, nodes }) {
    const width = Number(svg.getAttribute("width"));
    const room = this.canvas.clientWidth - 20;
    const scale = room > 0 ? Math.min(1, Math.max(SMALLEST, room / width)) : 1;
    svg.setAttribute("width", width * scale);
    svg.setAttribute("height", Number(svg.getAttribute("height")) * scale);
    const entry = nodes[0];
    const middle = ((entry.x + entry.width / 2) / width) * this.canvas.scrollWidth;
    this.canvas.scrollLeft = middle - this.canvas.clientWidth / 2;
  }

  reach(row, lit) {
    this.links.reach(lit);
    row.classList.add("lit");
  }

  light(lit) {
    if (!this.drawn) return;
    const { nodes, elements } = this.drawn;
    nodes.forEach((node, i) => {
      const on = this.isLast ? lit.labels.has(node.written_as) : isAsked(node.places, lit);
      elements[i].classList.toggle("lit", on);
    });
  }

  /** Draw how many packets take each way, and one packet's; null takes that away. */
  heat(flow, path) {
    this.flow = flow;
    this.path = path;
    this.draw();
  }
}

function option(text, kind) {
  const texts = (Array.isArray(text) ? text : [text]).map((each) => make("span", { class: "text" }, each));
  return make("li", { role: "option", class: kind, tabindex: -1, "aria-selected": "false" }, ...texts);
}

/** Return a line of a listing in parts: position, what it does, with what, where it goes on. */
function columns(text) {
  const parts = /^\s*(\(?\d+[):])\s+(\S+)\s*(.*?)\s*(?:(jt \d+)\s+(jf \d+))?$/.exec(text);
  return parts === null ? text : parts.slice(1).map((part) => part ?? "");
}

function mark(row, on) {
  if (row.classList.contains("lit") === on) return;
  row.classList.toggle("lit", on);
  row.setAttribute("aria-selected", String(on));
}

function fill(list, rows, missing) {
  if (rows.length) rows[0].tabIndex = 0;
  list.hidden = rows.length === 0;
  list.replaceChildren(...rows);
  list.parentElement.querySelector(".missing")?.remove();
  if (!rows.length && missing) list.after(make("p", { class: "missing" }, missing));
}
