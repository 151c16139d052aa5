// The frame of the page: its head, the expression, what there is to say about it, its stages.

import { button, counted, make } from "./dom.js";
import { Editor, remarkList } from "./editor.js";
import { Links } from "./links.js";
import { GraphPanel, ListingPanel, TreePanel } from "./panels.js";

const SHORTCUTS = [
  ["/", "go to the expression"],
  ["Tab", "go to the next list, button or box"],
  ["↑ ↓ Home End", "go along a list: tree, blocks, instructions, packets"],
  ["Enter", "keep lit what belongs to a row; again, or Esc, lets go"],
  ["[ ]", "the graph before, and after, a pass"],
  ["t", "light, dark, or as the system has it"],
  ["?", "this list"],
];

/** What both the page of the server and a report show. */
export class Frame {
  constructor({ onInput, onStep, readOnly = false, tools = [] }) {
    this.links = new Links();
    this.editor = new Editor({
      id: "expression",
      label: "Filter expression",
      describedBy: "remarks",
      onInput,
      readOnly,
    });
    this.remarks = make("div", { id: "remarks", role: "status" });
    this.meaning = make("div", { id: "meaning" });
    this.tree = new TreePanel(this.links);
    this.graph = new GraphPanel(this.links, onStep);
    this.classic = new ListingPanel("classic", "Classic BPF", this.links, {
      belonging: (line) => this.links.ofClassic(line),
      lines: (stages) => stages.classic,
      litNumbers: (lit) => lit.classic,
    });
    this.extended = new ListingPanel("extended", "eBPF", this.links, {
      belonging: (line) => this.links.ofExtended(line),
      lines: (stages) => stages.extended,
      litNumbers: (lit) => lit.extended,
    });
    this.links.panels.push((lit) => this.editor.light(this.editor.text === this.text ? lit.places : []));
    this.followPointer();
    this.beside = make("div", { class: "beside" });
    this.lower = make("div", { class: "lower" });
    this.shown = make("p", { class: "notice", hidden: true });
    this.keys = shortcutDialog();
    this.root = make("main", {},
      make("section", { class: "ask", "aria-label": "Expression" }, this.beside, this.editor.element, this.remarks, this.meaning),
      this.shown,
      make("section", { class: "stages", "aria-label": "Stages" }, this.tree.element, this.graph.element, this.classic.element, this.extended.element),
      this.lower,
    );
    const head = make("header", {},
      make("h1", {}, "pfcompile"),
      ...tools,
      themeButton(),
      button("Keys", () => this.keys.showModal(), { class: "quiet", "aria-keyshortcuts": "?" }),
    );
    document.body.append(head, this.root, this.keys);
    document.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** Show an analysis. */
  take(analysis, pass = null) {
    const { stages } = analysis;
    // What was said of the same expression stays until there is something newer to say.
    if (stages === null || analysis.text !== this.saidOf) this.say({ ...analysis, parts: [], usual: [], left_out: null });
    if (stages === null) {
      // The stages stay those of the last expression that had some, and say so.
      this.shown.hidden = this.text === undefined;
      const shown = this.text?.trim() ? make("code", {}, this.text) : "the blank expression";
      this.shown.replaceChildren("The stages below are still those of ", shown, ".");
      this.editor.light([]);
      return;
    }
    this.text = analysis.text;
    this.shown.hidden = true;
    this.links.take(stages);
    this.tree.take(stages.tree);
    this.graph.take(stages, pass);
    this.classic.take(stages, instructions(stages.classic.length), null);
    const about = stages.target === null ? "" : `${stages.target}, ${instructions(stages.extended.length)}`;
    this.extended.take(stages, about, stages.no_extended);
  }

  /** Show what an expression means, and what may surprise about it. */
  explain(meaning) {
    if (meaning.text === this.text) this.say(meaning);
  }

  /** Say what is wrong or may surprise, and what is looked for. */
  say({ text, remarks, parts, usual, left_out }) {
    this.saidOf = text;
    const loud = remarks.filter((remark) => remark.kind !== "note");
    const notes = remarks.filter((remark) => remark.kind === "note");
    const list = (some) => remarkList(some, this.reaching((place) => this.editor.select(place)));
    this.editor.mark(loud);
    this.remarks.replaceChildren(
      ...(loud.length ? [list(loud)] : []),
      ...(left_out === null ? [] : [make("p", { class: "hint" }, `Not all warnings were looked for: ${left_out}`)]),
      ...(notes.length ? [folded(`${counted(notes.length, "note")} on limits`, list(notes))] : []),
      ...(usual.length ? [folded(`${usual.filter((each) => each.matches).length} of ${counted(usual.length, "usual packet")} match`, usualList(usual))] : []),
    );
    const rows = parts.map((part) => {
      const row = make("li", {}, make("code", {}, part.understood), make("span", {}, part.words));
      this.reaching().follow(row, part.place);
      return row;
    });
    this.meaning.replaceChildren(
      ...(rows.length ? [make("ul", { tabindex: 0, "aria-label": "In words" }, ...rows)] : []),
    );
  }

  /** Return what rows about a part of the expression do: light it, and perhaps go to it. */
  reaching(onChoose = null) {
    return {
      onChoose,
      follow: (row, place) => {
        const isCurrent = () => place !== null && this.links.stages !== null && this.editor.text === this.text;
        row.addEventListener("pointerenter", () => isCurrent() && this.links.reach(this.links.ofPlace(place)));
        row.addEventListener("pointerleave", () => isCurrent() && this.links.leave());
      },
    };
  }

  /** Light what belongs to the word of the expression that the pointer or the caret is at. */
  followPointer() {
    const { box } = this.editor;
    const belonging = (offset) => {
      const place = this.tree.innermost(offset);
      return place === null ? null : this.links.ofPlace(place);
    };
    const isCurrent = () => this.links.stages !== null && this.editor.text === this.text;
    box.addEventListener("pointermove", (event) => {
      if (!isCurrent()) return;
      const offset = this.editor.offsetAt(event.clientX, event.clientY);
      const lit = offset === null ? null : belonging(offset);
      if (lit === null) this.links.leave();
      else this.links.reach(lit);
    });
    box.addEventListener("pointerleave", () => isCurrent() && this.links.leave());
    box.addEventListener("keyup", (event) => {
      if (!isCurrent() || !/^(Arrow|Home|End)/.test(event.key)) return;
      const lit = belonging(box.selectionStart);
      if (lit !== null) this.links.reach(lit);
    });
    box.addEventListener("blur", () => isCurrent() && this.links.leave());
  }

  onKey(event) {
    if (event.key === "Escape" && !this.keys.open) this.links.clear();
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.matches("textarea, input:not([type=range], [type=radio], [type=checkbox]), select")) return;
    const actions = {
      "/": () => this.editor.box.focus(),
      "?": () => this.keys.showModal(),
      "[": () => this.graph.step(this.graph.at - 1),
      "]": () => this.graph.step(this.graph.at + 1),
      t: nextTheme,
    };
    const action = actions[event.key];
    if (action === undefined || this.keys.open) return;
    event.preventDefault();
    action();
  }
}

function folded(title, content) {
  return make("details", { class: "notes" }, make("summary", {}, title), content);
}

function usualList(usual) {
  const row = (each) => make("li", {}, make("span", { class: each.matches ? "yes" : "no" }, each.matches ? "matches" : "no"), each.name);
  return make("ul", { class: "usual" }, ...usual.map(row));
}

const instructions = (count) => `${count} instruction${count === 1 ? "" : "s"}`;

const THEMES = { auto: "system", light: "light", dark: "dark" };

function themeButton() {
  const name = make("span", { class: "theme" }, THEMES[document.documentElement.dataset.theme] ?? THEMES.auto);
  const made = button("Theme: ", nextTheme, { class: "quiet", "aria-keyshortcuts": "t" });
  made.append(name);
  return made;
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const root = document.documentElement;
  const next = names[(names.indexOf(root.dataset.theme) + 1) % names.length];
  root.dataset.theme = next;
  document.querySelector(".theme").textContent = THEMES[next];
  try {
    localStorage.setItem("pfcompile.theme", next);
  } catch {
    // Then it holds as long as the page does.
  }
}

function shortcutDialog() {
  const rows = SHORTCUTS.map(([keys, does]) =>
    make("div", {}, make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))), make("dd", {}, does)),
  );
  const dialog = make("dialog", { "aria-labelledby": "keys" }, make("h2", { id: "keys" }, "Keys"), make("dl", {}, ...rows));
  dialog.append(button("Close", () => dialog.close()));
  return dialog;
}
