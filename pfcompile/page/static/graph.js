// A graph as SVG, from places that the server has worked out.

import { make, makeSvg } from "./dom.js";

const MARGIN = 28; // pixels, for the counts beside the boxes

/**
 * Return the drawing: its element, its nodes and their elements in one order.
 *
 * `flow` has how many packets came to each block and took each way out of it, `path` the labels of
 * the blocks on one packet's way; either may be null.
 */
export function drawGraph(drawing, flow, path) {
  const most = flow === null ? 0 : Math.max(1, ...Object.values(flow.blocks).map((f) => f.reached));
  const onPath = (edge) => path !== null && path.some((l, i) => l === edge.source && path[i + 1] === edge.target);
  const [width, height] = [drawing.width + 2 * MARGIN, drawing.height + MARGIN];
  const elements = drawing.nodes.map((node) => drawNode(node, flow, most, path));
  const svg = makeSvg(
    "svg",
    {
      class: "graph",
      role: "group",
      "aria-label": "Decision graph",
      viewBox: `${-MARGIN} ${-MARGIN / 2} ${width} ${height}`,
      width,
      height,
    },
    ...drawing.edges.map((edge) => drawEdge(edge, flow, most, onPath(edge))),
    ...elements,
  );
  if (elements.length) elements[0].setAttribute("tabindex", 0);
  return { element: svg, nodes: drawing.nodes, elements };
}

function drawNode(node, flow, most, path) {
  const { x, y, width, height } = node;
  const counts = flow?.blocks[node.label];
  const reached = counts === undefined ? "" : `, ${counts.reached.toLocaleString("en")} packets`;
  const middle = { x: x + width / 2, y: y + height / 2 };
  const group = makeSvg(
    "g",
    {
      class: `node ${node.kind}${path?.includes(node.label) ? " on-path" : ""}${counts ? " heated" : ""}`,
      role: "button",
      tabindex: -1,
      "aria-label": `b${node.label}: ${node.text} ${node.detail}${reached}`,
    },
    makeSvg("rect", { x, y, width, height, rx: node.kind === "branch" ? 5 : height / 2 }),
    makeSvg("text", { x: middle.x, y: middle.y - (node.detail ? 8 : 0), class: "test" }, node.text),
    node.detail ? makeSvg("text", { x: middle.x, y: middle.y + 10, class: "detail" }, node.detail) : null,
  );
  if (counts !== undefined) {
    group.style.setProperty("--heat", Math.sqrt(counts.reached / most));
    group.append(makeSvg("text", { x: x + width + 4, y: y + 6, class: "flow" }, counts.reached.toLocaleString("en")));
  }
  return group;
}

function drawEdge(edge, flow, most, isOnPath) {
  const counts = flow?.blocks[edge.source];
  const taken = counts === undefined ? undefined : edge.kind === "no" ? counts.no : counts.yes;
  const [start, ...rest] = edge.points;
  const line = makeSvg("path", { d: `M${start}C${rest.join(" ")}` });
  if (taken !== undefined) line.style.setProperty("stroke-width", 1 + 3 * Math.sqrt(taken / most));
  const tip = edge.points.at(-1);
  const [before, after] = [edge.points.at(-2), edge.points[1]];
  const angle = Math.atan2(tip[1] - before[1], tip[0] - before[0]);
  const wing = (turn) => [tip[0] - 8 * Math.cos(angle + turn), tip[1] - 8 * Math.sin(angle + turn)];
  const arrow = makeSvg("path", { class: "tip", d: `M${tip}L${wing(0.4)}L${wing(-0.4)}Z` });
  const names = ["edge", edge.kind, isOnPath ? "on-path" : "", taken === 0 ? "cold" : ""];
  const group = makeSvg("g", { class: names.filter(Boolean).join(" ") }, line, arrow);
  if (edge.kind !== "on") {
    // Beside where the way begins, on the side that it turns to.
    const side = after[0] < start[0] - 1 || (after[0] < start[0] + 1 && edge.kind === "yes") ? -1 : 1;
    const at = { x: start[0] + side * 7, y: start[1] + 13, class: "way" };
    group.append(makeSvg("text", { ...at, "text-anchor": side < 0 ? "end" : "start" }, edge.kind));
  }
  return group;
}
