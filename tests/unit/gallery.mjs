// The gallery's pure modules, by Node's own test runner: tests/unit/test_gallery.py runs it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

import * as filters from "../../gallery/filters.js";
import * as format from "../../gallery/format.js";
import * as layout from "../../gallery/layout.js";

const ID = "0123456789abcdef".repeat(4);
const HOSTILE = `"><img src=x onerror=alert(1)>`;

test("an address says what is looked for, and is read again as it was written", () => {
  const all = {
    text: "dog | cat -fence",
    tags: ["hot dog", "beach"],
    colors: ["red", "blue"],
    camera: "EOS 5D",
    after: "2025-06",
    before: "2026",
    least: 45,
    sort: "newest",
    similar: ID,
  };
  assert.deepEqual(filters.fromAddress(filters.toAddress(all, ID)), all);
  assert.equal(filters.photoInAddress(filters.toAddress(all, ID)), ID);
  assert.equal(filters.toAddress(filters.NOTHING), "");
  assert.deepEqual(filters.fromAddress(""), filters.NOTHING);
});

test("what makes no sense in an address is left out", () => {
  const read = filters.fromAddress("?color=red,%22x&after=yesterday&least=300&sort=worst&similar=1&photo=../x");
  assert.deepEqual(read, { ...filters.NOTHING, colors: ["red"] });
  assert.equal(filters.photoInAddress("?photo=../x"), "");
});

test("filters become a query of the catalog's language", () => {
  const query = (some) => filters.toQuery({ ...filters.NOTHING, ...some });
  assert.equal(query({}), "");
  assert.equal(query({ text: " dog beach " }), "dog beach");
  assert.equal(query({ text: "dog", tags: ["hot dog"], colors: ["red", "blue"] }), 'dog "hot dog" color:red|blue');
  assert.equal(query({ camera: "EOS 5D", after: "2024", before: "2025" }), 'camera:"EOS 5D" after:2024 before:2025');
});

test("what is either is bracketed before anything else is asked besides", () => {
  const query = (text, tags) => filters.toQuery({ ...filters.NOTHING, text, tags });
  assert.equal(query("dog | cat", ["beach"]), '(dog | cat) "beach"');
  assert.equal(query("dog or cat", ["beach"]), '(dog or cat) "beach"');
  assert.equal(query("dog | cat", []), "dog | cat");
  assert.equal(query("door", ["beach"]), 'door "beach"');
});

test("a tag or a camera can't break out of its quotes", () => {
  const { tags, camera } = filters.fromAddress(`?${new URLSearchParams({ tag: `x" -dog`, camera: HOSTILE })}`);
  assert.equal(filters.toQuery({ ...filters.NOTHING, tags, camera }), `"x  -dog" camera:"><img src=x onerror=alert(1)>"`);
});

test("only photos that are found by words have a score, and an order by it", () => {
  const words = (some) => filters.hasWords({ ...filters.NOTHING, ...some });
  assert.equal(words({ text: "dog" }), true);
  assert.equal(words({ tags: ["dog"] }), true);
  assert.equal(words({ text: `color:red camera:"EOS 5D" -fence` }), false);
  assert.equal(words({ colors: ["red"] }), false);
  const asked = (some) => filters.toParameters({ ...filters.NOTHING, least: 50, ...some });
  assert.deepEqual(asked({ text: "dog" }), { q: "dog", min_score: "0.5" });
  assert.deepEqual(asked({ colors: ["red"] }), { q: "color:red" });
  assert.deepEqual(filters.toParameters(filters.NOTHING), {});
});

test("the word at the end is completed, and nothing else", () => {
  assert.deepEqual(filters.lastWord("dog pup"), { word: "pup", start: 4 });
  assert.deepEqual(filters.lastWord("dog -(pup"), { word: "pup", start: 6 });
  for (const text of ["", "dog ", "color:re", "dog>0.", "-"]) assert.equal(filters.lastWord(text), null, text);
  assert.equal(filters.lastWord("dog pup", 3), null);
  assert.equal(filters.complete("dog pup", 7, "puppy"), "dog puppy ");
  assert.equal(filters.complete("hot d", 5, "hot dog"), 'hot "hot dog" ');
  assert.equal(filters.complete('-"gol', 5, "golden retriever"), '-"golden retriever" ');
});

test("scores are never called certain unless they are", () => {
  assert.deepEqual([1, 0.999, 0.5, 0.004, 0].map(format.percent), ["100 %", "99 %", "50 %", "< 1 %", "0 %"]);
});

test("sizes have two digits that say something", () => {
  assert.deepEqual([1, 999, 1000, 9_949, 9_951, 64e6, 1.5e9].map(format.bytes), [
    "1 byte",
    "999 bytes",
    "1.0 kB",
    "9.9 kB",
    "10 kB",
    "64 MB",
    "1.5 GB",
  ]);
});

test("photos are under the day, the week or the month that they came", () => {
  const now = new Date(2026, 10, 26, 0, 30);
  const of = (...parts) => format.day(new Date(...parts).toISOString(), now);
  assert.equal(of(2026, 10, 26, 0, 10), "Today");
  assert.equal(of(2026, 10, 25, 23, 50), "Yesterday");
  assert.equal(of(2026, 10, 21), "Earlier this week");
  assert.match(of(2026, 9, 3), /2026/);
  assert.equal(format.day("when?", now), "Some time");
});

test("a year is called by its name", () => {
  assert.equal(format.span("2024", "2025"), "2024");
  assert.match(format.span("2024-03", ""), /^since .*2024/);
  assert.match(format.span("2024", "2026"), /2024 to 2026/);
});

test("a map is only ever asked for a place in numbers", () => {
  assert.equal(
    format.map({ lat: 48.2, lon: -16.4 }),
    "https://www.openstreetmap.org/?mlat=48.2&mlon=-16.4#map=14/48.20000/-16.40000",
  );
  assert.match(format.map({ lat: HOSTILE, lon: "javascript:" }), /^https:\/\/www\.openstreetmap\.org\/\?mlat=NaN&mlon=NaN/);
  assert.equal(format.place({ lat: -1.5, lon: 2 }), "1.5000° S, 2.0000° E");
});

vm.runInThisContext(readFileSync(new URL("../../gallery/vendor/justified-layout.js", import.meta.url), "utf8"));
const photos = Array.from({ length: 50 }, (_, number) => ({ width: 300 + (number % 3) * 150, height: 300 }));

test("rows fill the width, and sections follow one another", () => {
  const sections = [
    { title: "", images: photos.slice(0, 30) },
    { title: "Less certain", note: "…", images: photos.slice(30) },
  ];
  const { boxes, headings, height } = layout.arrange(sections, 1000, { rowHeight: 200, gap: 6 });
  assert.deepEqual(boxes.map(({ index }) => index), [...photos.keys()]);
  assert.equal(headings.length, 1);
  assert.ok(headings[0].top > boxes[29].top + boxes[29].height);
  assert.ok(boxes[30].top > headings[0].top);
  assert.ok(height >= boxes[49].top + boxes[49].height);
  for (const { left, width } of boxes) assert.ok(left >= 0 && left + width <= 1000.5);
  const tops = [...new Set(boxes.slice(0, 30).map(({ top }) => top))];
  for (const top of tops.slice(0, -1)) {
    const row = boxes.filter((box) => box.top === top);
    assert.ok(Math.abs(Math.max(...row.map(({ left, width }) => left + width)) - 1000) <= 1);
  }
});

test("a row that isn't full waits for the next page", () => {
  const arranged = (rest) => layout.arrange([{ title: "", images: photos }], 1000, { rowHeight: 200, gap: 6, rest }).boxes;
  assert.ok(arranged(true).length < arranged(false).length);
  assert.equal(arranged(false).length, 50);
});

test("what has no size, or a strange one, has a box all the same", () => {
  assert.equal(layout.ratio({}), 4 / 3);
  assert.equal(layout.ratio({ width: 10_000, height: 10 }), 3);
  assert.equal(layout.ratio({ width: 1, height: 64e6 }), 0.5);
  assert.equal(layout.ratio({ thumbnail_sizes: { 320: [320, 160] } }), 2);
});

test("only boxes in sight are found", () => {
  const { boxes } = layout.arrange([{ title: "", images: photos }], 1000, { rowHeight: 200, gap: 6 });
  for (const [from, to] of [[0, 100], [333, 700], [-500, -10], [1e6, 2e6], [0, 1e6]]) {
    assert.deepEqual(
      layout.within(boxes, from, to),
      boxes.filter((box) => box.top <= to && box.top + box.height >= from),
    );
  }
});

test("arrow keys lead to what is there on the screen", () => {
  const { boxes } = layout.arrange([{ title: "", images: photos }], 1000, { rowHeight: 200, gap: 6 });
  assert.equal(layout.neighbour(boxes, 0, "ArrowLeft"), 0);
  assert.equal(layout.neighbour(boxes, 0, "ArrowUp"), 0);
  assert.equal(layout.neighbour(boxes, 49, "ArrowRight"), 49);
  const below = layout.neighbour(boxes, 0, "ArrowDown");
  assert.ok(boxes[below].top > boxes[0].top);
  assert.equal(boxes[below].left, 0);
  assert.equal(layout.neighbour(boxes, below, "ArrowUp"), 0);
});
