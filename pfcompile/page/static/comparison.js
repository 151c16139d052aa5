// How two expressions are related, and packets that tell them apart.

import { make } from "./dom.js";
import { hexDump } from "./hex.js";

/** Return what there is to say about two expressions. */
export function comparison(found) {
  if (found.relation === null) return [];
  return [
    make("p", { class: "relation" }, make("strong", {}, found.relation), `: ${found.meaning}.`),
    ...found.notes.map((note) => make("p", { class: "hint" }, note)),
    ...found.witnesses.map((witness) =>
      make(
        "figure",
        { class: "witness" },
        make("figcaption", {}, witness.takers),
        make("p", { class: "summary" }, witness.summary),
        hexDump(witness.bytes, [], witness.left_out),
      ),
    ),
  ];
}
