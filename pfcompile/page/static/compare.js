// A second expression, which the server compares with the first.

import { Latest } from "./api.js";
import { comparison } from "./comparison.js";
import { debounced, make } from "./dom.js";
import { Editor, remarkList } from "./editor.js";
import { panel } from "./panels.js";

const PAUSE_TO_COMPARE = 400;

export class ComparePanel {
  constructor(frame, state, { onChange, onProblem }) {
    this.state = state;
    this.onProblem = onProblem;
    this.latest = new Latest("comparison");
    const { element, body } = panel("compare", "Compare");
    this.element = element;
    this.remarks = make("div", { id: "other-remarks", role: "status" });
    this.answer = make("div", { class: "answer", role: "status" });
    this.soon = debounced(() => this.compare(), PAUSE_TO_COMPARE);
    this.editor = new Editor({
      id: "other",
      label: "Another expression, to compare with the first",
      describedBy: "other-remarks",
      onInput: (text) => {
        state.b = text;
        onChange();
        this.soon();
      },
    });
    body.append(
      make("label", { for: "other" }, "Another expression"),
      this.editor.element,
      this.remarks,
      this.answer,
    );
  }

  show(text) {
    this.editor.text = text;
  }

  /** Compare anew, since the first expression is another one. */
  take(analysis) {
    this.first = analysis;
    this.soon();
  }

  async compare() {
    if (this.editor.text.trim() === "" || this.first === undefined || this.first.stages === null) {
      this.editor.mark([]);
      this.remarks.replaceChildren();
      this.answer.setAttribute("aria-busy", "false");
      this.answer.replaceChildren();
      return;
    }
    this.answer.setAttribute("aria-busy", "true");
    try {
      const { first } = this;
      const { text: a, link_type } = first;
      const b = this.editor.text;
      const savefile = this.state.savefile ?? false;
      const found = await this.latest.ask({ a, b, link_type, savefile });
      // Meanwhile there may be another expression, or none.
      const isCurrent = b === this.editor.text && first === this.first;
      if (found !== null && isCurrent) this.showAnswer(found);
    } catch (error) {
      this.answer.setAttribute("aria-busy", "false");
      this.answer.replaceChildren();
      this.onProblem(error);
    }
  }

  showAnswer(found) {
    this.editor.mark(found.remarks);
    this.remarks.replaceChildren(
      ...(found.remarks.length ? [remarkList(found.remarks, { onChoose: (place) => this.editor.select(place) })] : []),
    );
    this.answer.setAttribute("aria-busy", "false");
    this.answer.replaceChildren(...comparison(found));
  }
}
