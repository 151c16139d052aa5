// What belongs together: a part of the expression, rows of the tree, blocks, instructions.

/** Nothing is lit. */
const NOTHING = { places: [], asked: [], labels: new Set(), classic: new Set(), extended: new Set() };

const within = (inner, outer) => inner[0] >= outer[0] && inner[1] <= outer[1];
const same = (a, b) => a[0] === b[0] && a[1] === b[1];

/** Return whether any of `places` is in a part that asked for what is lit. */
export function isAsked(places, lit) {
  return places.some((place) => lit.asked.some((other) => within(place, other)));
}

/** Return whether any of `places` is lit by `lit`. */
export function isLit(places, lit) {
  return places.some((place) => lit.places.some((other) => same(place, other)));
}

/**
 * Tells all panels what to light: what the pointer or the keyboard is at, or else what was pinned.
 *
 * A panel is a function that gets what is lit: places in the expression, the places that asked for
 * it, labels of blocks of the last graph, positions of classic and slots of extended instructions.
 */
export class Links {
  constructor() {
    this.panels = [];
    this.stages = null;
    this.pinned = null;
  }

  /** Show another expression's stages; what was pinned is not there any more. */
  take(stages) {
    this.stages = stages;
    this.pinned = null;
    this.show(NOTHING);
  }

  show(lit) {
    for (const panel of this.panels) panel(lit);
  }

  reach(lit) {
    this.show(lit);
  }

  leave() {
    this.show(this.pinned ?? NOTHING);
  }

  /** Keep something lit until it is chosen again, or Escape. */
  choose(lit) {
    const again = this.pinned !== null && JSON.stringify(key(this.pinned)) === JSON.stringify(key(lit));
    this.pinned = again ? null : lit;
    this.leave();
  }

  clear() {
    this.pinned = null;
    this.leave();
  }

  /** Return what belongs to a part of the expression. */
  ofPlace(place) {
    const asked = (line) => line.places.some((other) => within(other, place));
    const lines = this.stages.classic.filter(asked);
    if (lines.length) return this.gathered([place], lines);
    // One of a list, which is looked for all at once: what asked is the list.
    const around = this.stages.classic.filter((line) =>
      line.places.some((other) => within(place, other)),
    );
    const lists = around.flatMap((line) => line.places).filter((other) => within(place, other));
    const [smallest] = lists.sort((a, b) => a[1] - a[0] - (b[1] - b[0]));
    const found = this.gathered([place], around.filter((line) => isLit(line.places, { places: [smallest] })));
    return { ...found, asked: smallest === undefined ? [] : [smallest] };
  }

  /** Return what belongs to a classic instruction. */
  ofClassic(line) {
    return this.gathered(line.places, [line]);
  }

  /** Return what belongs to an extended instruction. */
  ofExtended(line) {
    if (line.source === null) return { ...NOTHING, extended: new Set([line.number]) };
    return this.gathered(line.places, [this.stages.classic[line.source]]);
  }

  /** Return what belongs to a block; of a graph that is not the last one, who asked for it. */
  ofBlock(node, isLast) {
    const lines = this.stages.classic.filter((line) =>
      isLast ? line.label === node.written_as : isLit(line.places, { places: node.places }),
    );
    const found = this.gathered(node.places, lines);
    return isLast ? found : { ...found, labels: new Set() };
  }

  gathered(places, lines) {
    const classic = new Set(lines.map((line) => line.number));
    return {
      places,
      asked: places,
      labels: new Set(lines.map((line) => line.label)),
      classic,
      extended: new Set(
        this.stages.extended.filter((line) => classic.has(line.source)).map((line) => line.number),
      ),
    };
  }
}

function key(lit) {
  return [lit.places, [...lit.labels], [...lit.classic], [...lit.extended]];
}
