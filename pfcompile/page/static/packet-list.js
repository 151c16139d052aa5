// The packets of a capture: which of them match, how they go through the graph, and why.

import { button, make } from "./dom.js";
import { hexDump } from "./hex.js";
import { rove } from "./rove.js";

const AT_ONCE = 200; // rows that are put on the page before "More" is pressed

/** Show what an expression does with a capture: the list, and the heat of graph and programs. */
export function showOutcome(frame, list, outcome) {
  list.take(outcome);
  frame.flow = outcome.packets === 0 ? null : { blocks: outcome.blocks };
  frame.tree.heat(outcome.terms);
  heat(frame, null);
}

/** Show that there are no packets. */
export function showNothing(frame, list) {
  list.clear();
  frame.flow = null;
  frame.tree.heat([]);
  heat(frame, null);
}

/** Show what happens to one packet. */
export function showCourse(frame, list, course) {
  list.showCourse(course);
  heat(frame, course.labels.length ? course.labels : null);
}

function heat(frame, path) {
  const { flow } = frame;
  frame.graph.heat(flow, path);
  const counts = {};
  for (const line of frame.classic.lines)
    if (flow !== null && line.label !== null) counts[line.number] = flow.blocks[line.label]?.reached ?? 0;
  const most = Math.max(0, ...Object.values(counts));
  frame.classic.heat(flow === null ? null : counts, most);
}

/** The packets in a table, and what happens to the one that was chosen. */
export class PacketList {
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.about = make("span", { class: "about" });
    this.note = make("p", { class: "hint", hidden: true });
    this.kinds = make("fieldset", { class: "kinds" }, make("legend", {}, "Show"));
    for (const [value, text] of [["all", "all"], ["true", "matched"], ["false", "not matched"]]) {
      const radio = make("input", { type: "radio", name: "kind", value, checked: value === "all" });
      radio.addEventListener("change", () => this.show(AT_ONCE));
      this.kinds.append(make("label", {}, radio, text));
    }
    this.body = make("tbody");
    const head = ["No.", "Time", "Packet", "Length", "Match"].map((name) => make("th", { scope: "col" }, name));
    this.table = make("table", {}, make("caption", { class: "unseen" }, "Packets"), make("thead", {}, make("tr", {}, ...head)), this.body);
    this.more = button("More", () => this.show(this.shown + AT_ONCE), { class: "quiet more" });
    this.course = make("div", { class: "course", role: "status" });
    const scroll = make("div", { class: "scroll" }, this.table, this.more);
    this.found = make("div", { class: "found", hidden: true }, this.kinds, make("div", { class: "split" }, scroll, this.course));
    this.element = make("div", {}, this.note, this.found);
    this.rows = [];
    this.packets = [];
    rove(this.body, () => this.rows, { onReach: () => {}, onLeave: () => {}, onChoose: (row) => this.choose(row) });
  }

  problem(text) {
    this.note.hidden = text === null;
    this.note.textContent = text ?? "";
  }

  clear() {
    this.found.hidden = true;
    this.about.textContent = "";
    this.course.replaceChildren();
  }

  take(outcome) {
    this.packets = outcome.listed;
    this.problem(outcome.problem);
    this.found.hidden = outcome.packets === 0;
    const foreign = outcome.foreign ? `, ${outcome.foreign} of other link types` : "";
    this.about.textContent = outcome.packets === 0 ? "" : `${outcome.matched} of ${outcome.packets} match${foreign}`;
    this.course.replaceChildren(make("p", { class: "missing" }, "Choose a packet to see why it matches, or not."));
    this.show(AT_ONCE);
  }

  show(most) {
    this.shown = most;
    const kind = this.kinds.querySelector(":checked").value;
    const wanted = this.packets.filter((packet) => kind === "all" || String(packet.matches) === kind);
    this.listed = wanted.slice(0, most);
    // A date that all of them have says nothing.
    const days = new Set(this.packets.map((packet) => packet.time.split(" ")[0]));
    const shortened = (time) => (days.size === 1 ? time.replace(/^\S+ /, "") : time);
    this.rows = this.listed.map((packet) => packetRow(packet, shortened(packet.time)));
    if (this.rows.length) this.rows[0].tabIndex = 0;
    this.body.replaceChildren(...this.rows);
    this.more.hidden = wanted.length <= most;
  }

  choose(row) {
    for (const other of this.rows) other.classList.toggle("chosen", other === row);
    this.onChoose(this.listed[this.rows.indexOf(row)].number);
  }

  showCourse(course) {
    const verdict = { true: "matches", false: "does not match", null: "is not looked at" }[String(course.matches)];
    const problem = course.problem === null ? "" : `: ${course.problem}`;
    const terms = course.terms.map((term) =>
      make(
        "li",
        { class: term.outcome === "true" ? "true" : "false" },
        make("code", {}, term.text),
        make("span", { class: "outcome" }, term.outcome),
        make("ul", {}, ...term.tests.map((words) => make("li", {}, words))),
      ),
    );
    this.course.replaceChildren(
      make("h3", {}, `Packet ${course.number} ${verdict}${problem}`),
      terms.length ? make("ol", { class: "terms" }, ...terms) : "",
      hexDump(course.bytes, course.deciding, course.left_out) ?? "",
      course.deciding.length ? make("p", { class: "hint" }, "Marked: the bytes that decided.") : "",
      course.change ? make("p", { class: "hint" }, `To turn the verdict: ${course.change}.`) : "",
    );
  }
}

function packetRow(packet, time) {
  const match = { true: "yes", false: "no", null: "other type" }[String(packet.matches)];
  const cells = [packet.number, time, packet.summary, packet.length, match];
  const names = ["number", "time", "summary", "length", "match"];
  const kind = { true: "matched", false: "unmatched", null: "foreign" }[String(packet.matches)];
  const made = cells.map((cell, i) => make("td", { class: names[i] }, String(cell)));
  return make("tr", { tabindex: -1, class: kind }, ...made);
}
