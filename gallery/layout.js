// Where each photo goes: rows that fill the width, in sections with headings. Pure, but for justified-layout itself,
// which is a classic script.

const HEADING = 52;
const NOTE = 28;

/**
 * Boxes for sections `[{ title, note, images }]` on `width` pixels: `{ height, boxes, headings }`, with
 * `{ index, top, left, width, height }` for each photo in the order of all sections, and `{ title, note, top }`.
 * `rest`: more photos follow, so that the last row is kept back until it is full.
 */
export function arrange(sections, width, { rowHeight, gap, rest = false }) {
  const justify = globalThis.require("justified-layout");
  const boxes = [];
  const headings = [];
  let top = 0;
  let index = 0;
  sections.forEach(({ title, note, images }, number) => {
    if (title) {
      if (number) top += 20;
      headings.push({ title, note, top });
      top += HEADING + (note ? NOTE : 0);
    }
    const last = number === sections.length - 1;
    const laidOut = justify(images.map(ratio), {
      containerWidth: width,
      containerPadding: 0,
      boxSpacing: gap,
      targetRowHeight: rowHeight,
      targetRowHeightTolerance: 0.25,
      // A last row that isn't full is no wider than it would be.
      widowLayoutStyle: "left",
      showWidows: !(rest && last) || images.length < 12,
    });
    laidOut.boxes.forEach((box, at) => {
      boxes.push({ index: index + at, top: top + box.top, left: box.left, width: box.width, height: box.height });
    });
    index += images.length;
    top += laidOut.boxes.length ? laidOut.containerHeight : 0;
  });
  return { height: top, boxes, headings };
}

/** Width by height; what is too long for a row is cut. */
export function ratio({ width, height, thumbnail_sizes: sizes }) {
  const [w, h] = width > 0 && height > 0 ? [width, height] : (sizes?.["320"] ?? [4, 3]);
  return Math.min(3, Math.max(0.5, w / h));
}

/** The boxes that overlap a part of the page, by binary search over their tops. */
export function within(boxes, from, to) {
  const tallest = boxes.reduce((most, box) => Math.max(most, box.height), 0);
  let low = 0;
  let high = boxes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (boxes[middle].top < from - tallest) low = middle + 1;
    else high = middle;
  }
  const found = [];
  for (let at = low; at < boxes.length && boxes[at].top <= to; at += 1) {
    if (boxes[at].top + boxes[at].height >= from) found.push(boxes[at]);
  }
  return found;
}

/** The box that an arrow key leads to from box `at`, or `at` itself. */
export function neighbour(boxes, at, key) {
  if (!boxes[at]) return at;
  if (key === "ArrowLeft") return Math.max(0, at - 1);
  if (key === "ArrowRight") return Math.min(boxes.length - 1, at + 1);
  const from = boxes[at];
  const middle = from.left + from.width / 2;
  const away = key === "ArrowDown" ? (box) => box.top > from.top : (box) => box.top < from.top;
  let row = null;
  let best = at;
  let least = Infinity;
  const order = key === "ArrowDown" ? range(at + 1, boxes.length, 1) : range(at - 1, -1, -1);
  for (const other of order) {
    const box = boxes[other];
    if (!away(box)) continue;
    row ??= box.top;
    if (box.top !== row) break;
    const distance = Math.abs(box.left + box.width / 2 - middle);
    if (distance < least) [least, best] = [distance, other];
  }
  return best;
}

function* range(from, to, step) {
  for (let at = from; at !== to; at += step) yield at;
}
