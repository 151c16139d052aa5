// A capture that is handed over to the server, which says what the expression does with it.

import { Latest, ask } from "./api.js";
import { counted, make } from "./dom.js";
import { PacketList, showCourse, showNothing, showOutcome } from "./packet-list.js";
import { panel } from "./panels.js";

export class PacketsPanel {
  constructor(frame, state, { onLinkType, onProblem }) {
    this.frame = frame;
    this.state = state;
    this.onLinkType = onLinkType;
    this.onProblem = onProblem;
    this.largest = Infinity; // bytes; the server says how many
    this.latest = new Latest("packets");
    this.latestWhy = new Latest("why");
    this.list = new PacketList((number) => this.why(number));
    const { element, body } = panel("packets", "Packets", this.list.about);
    this.element = element;
    this.input = make("input", { type: "file", id: "capture" });
    this.input.addEventListener("change", () => this.open(this.input.files[0]));
    this.name = make("span", { class: "file" }, "or drop one here; it stays on this machine");
    body.append(
      make("div", { class: "pick" }, make("label", { for: "capture", class: "file-label" }, "Open a capture"), this.input, this.name),
      this.list.element,
    );
    element.addEventListener("dragover", (event) => {
      event.preventDefault();
      element.classList.add("target");
    });
    element.addEventListener("dragleave", () => element.classList.remove("target"));
    element.addEventListener("drop", (event) => {
      event.preventDefault();
      element.classList.remove("target");
      this.open(event.dataTransfer.files[0]);
    });
  }

  /** Hand a capture over to the server, and show what the expression does with it. */
  async open(file) {
    if (file === undefined || file === null) return;
    if (file.size > this.largest) {
      this.name.textContent = `${file.name} is too large: at most ${this.largest >> 20} MiB`;
      return;
    }
    await this.show(file.name, () => ask("captures", file));
    this.input.value = ""; // so that the same file can be opened again
  }

  /** Show a capture of a name; `contentsOf` has the server say what is in it. */
  async show(name, contentsOf) {
    this.name.textContent = `${name} ...`;
    try {
      const contents = await contentsOf();
      const kinds = contents.link_types.join(", ");
      this.name.textContent = `${name}: ${counted(contents.packets, "packet")}${kinds ? `, ${kinds}` : ""}`;
      this.list.problem(contents.problem);
      this.capture = contents.packets === 0 ? null : contents.capture;
      this.state.savefile = this.capture !== null;
      if (this.capture === null) showNothing(this.frame, this.list);
      const { y: chosen } = this.state;
      const fits = this.capture === null || contents.link_types.includes(chosen);
      this.onLinkType(fits ? chosen : contents.link_types[0]);
    } catch (error) {
      this.name.textContent = name;
      this.onProblem(error);
    }
  }

  /** Show what another expression does with the capture. */
  async take(analysis) {
    if (!this.capture || analysis.stages === null) return;
    try {
      const question = { capture: this.capture, text: analysis.text, link_type: analysis.link_type, savefile: true };
      const outcome = await this.latest.ask(question);
      if (outcome === null || this.capture !== question.capture) return;
      this.question = question;
      showOutcome(this.frame, this.list, outcome);
    } catch (error) {
      this.onProblem(error);
    }
  }

  async why(number) {
    const { question } = this;
    try {
      const course = await this.latestWhy.ask({ ...question, number });
      // Meanwhile another expression may be on the page.
      const isCurrent = question === this.question && question.text === this.frame.text;
      if (course !== null && isCurrent) showCourse(this.frame, this.list, course);
    } catch (error) {
      this.onProblem(error);
    }
  }
}
