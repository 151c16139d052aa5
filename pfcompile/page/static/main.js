// The page of `pfcompile serve`.

import { Latest, Refused, ask, takeToken } from "./api.js";
import { ComparePanel } from "./compare.js";
import { button, debounced, make } from "./dom.js";
import { Frame } from "./frame.js";
import { PacketsPanel } from "./packets.js";
import { readState, writeState } from "./state.js";

const PAUSE = 150; // milliseconds after a key until the server is asked
const LONGER_PAUSE = 350; // and then until it is asked what takes proofs

takeToken();
const state = { e: "", y: "EN10MB", ...readState() };
const latest = new Latest("analysis");
const latestMeaning = new Latest("meaning");

const copy = button("Copy link", copyLink, { class: "quiet" });
const frame = new Frame({
  tools: [copy],
  onInput: (text) => {
    state.e = text;
    state.pass = null;
    writeState(state);
    analyseSoon();
  },
  onStep: (at) => {
    state.pass = at;
    writeState(state);
  },
});
const linkType = make("select", { id: "link-type" });
const notice = make("p", { class: "notice", role: "alert", hidden: true });
frame.beside.append(
  make("label", { for: "expression" }, "Filter expression"),
  make("label", { class: "link-type" }, make("span", {}, "Link type"), linkType),
);
frame.root.prepend(notice);
linkType.addEventListener("change", () => {
  state.y = linkType.value;
  state.pass = null;
  writeState(state);
  analyse();
});

const packets = new PacketsPanel(frame, state, {
  onLinkType: (name) => {
    chooseLinkType(name);
    linkType.dispatchEvent(new Event("change"));
  },
  onProblem: complain,
});
const compare = new ComparePanel(frame, state, { onChange: () => writeState(state), onProblem: complain });
frame.lower.append(packets.element, compare.element);

const analyseSoon = debounced(analyse, PAUSE);

/** Ask for the expression's analysis, and show it. */
async function analyse() {
  try {
    const pass = state.pass === null || state.pass === undefined ? null : Number(state.pass);
    const question = { text: state.e, link_type: state.y, savefile: state.savefile ?? false };
    const answer = await latest.ask(question);
    if (answer === null) return;
    notice.hidden = true;
    frame.take(answer, Number.isInteger(pass) ? pass : null);
    packets.take(answer);
    compare.take(answer);
    if (answer.stages !== null) explainSoon(question);
  } catch (error) {
    complain(error);
  }
}

const explainSoon = debounced(async (question) => {
  if (question.text !== state.e || question.link_type !== state.y) return;
  try {
    const meaning = await latestMeaning.ask(question);
    if (meaning !== null) frame.explain(meaning);
  } catch (error) {
    complain(error);
  }
}, LONGER_PAUSE);

function complain(error) {
  if (!(error instanceof Refused)) throw error;
  notice.textContent = error.message;
  notice.hidden = false;
}

async function copyLink() {
  writeState(state);
  try {
    await navigator.clipboard.writeText(location.href);
    copy.textContent = "Copied";
  } catch {
    copy.textContent = "Copy the address above"; // the browser does not let pages copy
  }
  setTimeout(() => (copy.textContent = "Copy link"), 1500);
}

/** Choose a link type, which may have no name, or be nonsense that the server will call so. */
function chooseLinkType(name) {
  if (![...linkType.options].some((option) => option.value === name))
    linkType.append(make("option", { value: name }, name));
  linkType.value = name;
}

function showState() {
  frame.editor.text = state.e;
  chooseLinkType(state.y);
  compare.show(state.b ?? "");
  analyse();
}

window.addEventListener("hashchange", () => {
  takeToken();
  Object.assign(state, { e: "", y: "EN10MB", b: "", pass: null }, readState());
  start();
});

async function start() {
  showState();
  // On a phone that would bring the keyboard up.
  if (matchMedia("(pointer: fine)").matches) frame.editor.box.focus();
  try {
    const { link_types, limits, opened } = await ask("start");
    packets.largest = limits.capture;
    linkType.replaceChildren(
      ...link_types.map(({ name, description }) => make("option", { value: name }, `${name}: ${description}`)),
    );
    chooseLinkType(state.y);
    if (opened !== null && packets.capture === undefined) {
      const [capture, name] = opened;
      packets.show(name, () => ask("contents", { capture }));
    }
  } catch (error) {
    complain(error);
  }
}

start();
