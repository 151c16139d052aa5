// A report: the page about one expression, with all that is known of it in the file itself.

import { comparison } from "./comparison.js";
import { make } from "./dom.js";
import { Editor } from "./editor.js";
import { Frame } from "./frame.js";
import { PacketList, showCourse, showOutcome } from "./packet-list.js";
import { panel } from "./panels.js";

const data = JSON.parse(document.getElementById("data").textContent);
const frame = new Frame({ onInput: () => {}, onStep: () => {}, readOnly: true });
frame.beside.append(
  make("label", { for: "expression" }, "Filter expression"),
  make("span", { class: "link-type" }, `Link type ${data.analysis.link_type}`),
);
frame.editor.text = data.analysis.text;
frame.take(data.analysis);
frame.explain(data.meaning);

if (data.outcome !== null) {
  const list = new PacketList((number) => {
    const course = data.courses.find((each) => each.number === number);
    const left = { number, matches: null, labels: [], terms: [], bytes: "", left_out: 0, deciding: [], change: "", problem: "its way is not in this report" };
    showCourse(frame, list, course ?? left);
  });
  const { element, body } = panel("packets", "Packets", list.about);
  body.append(make("p", { class: "file" }, data.capture), list.element);
  frame.lower.append(element);
  showOutcome(frame, list, data.outcome);
}

if (data.comparison !== null) {
  const { element, body } = panel("compare", "Compare");
  const other = new Editor({ id: "other", label: "Another expression", onInput: () => {}, readOnly: true });
  other.text = data.other;
  body.append(
    make("label", { for: "other" }, "Another expression"),
    other.element,
    make("div", { class: "answer" }, ...comparison(data.comparison)),
  );
  frame.lower.append(element);
}
frame.root.append(make("p", { class: "hint" }, `Written by pfcompile ${data.version}.`));
