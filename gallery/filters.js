// What is looked for: as the address of the page has it, and as a query of the catalog's language. Pure.

export const NOTHING = Object.freeze({
  text: "",
  tags: [],
  colors: [],
  camera: "",
  after: "",
  before: "",
  least: 0,
  sort: "best",
  similar: "",
});

const TIME = /^\d{4}(-\d\d){0,2}$/;
const ID = /^[0-9a-f]{64}$/;

/** The filters in the query part of an address; what makes no sense is left out. */
export function fromAddress(search) {
  const parameters = new URLSearchParams(search);
  const time = (name) => (TIME.test(parameters.get(name) ?? "") ? parameters.get(name) : "");
  const least = Number(parameters.get("least"));
  return {
    text: parameters.get("q") ?? "",
    tags: parameters.getAll("tag").map(plain).filter(Boolean),
    colors: (parameters.get("color") ?? "").split(",").filter((name) => /^[a-z]+$/.test(name)),
    camera: plain(parameters.get("camera") ?? ""),
    after: time("after"),
    before: time("before"),
    least: least > 0 && least <= 100 ? Math.round(least) : 0,
    sort: parameters.get("sort") === "newest" ? "newest" : "best",
    similar: ID.test(parameters.get("similar") ?? "") ? parameters.get("similar") : "",
  };
}

/** The id of the photo that an address has open, or "". */
export function photoInAddress(search) {
  const id = new URLSearchParams(search).get("photo") ?? "";
  return ID.test(id) ? id : "";
}

/** The query part of the address that says all this: "" for nothing. */
export function toAddress(filters, photo = "") {
  const parameters = new URLSearchParams();
  const set = (name, value) => value && parameters.set(name, value);
  set("q", filters.text.trim());
  for (const tag of filters.tags) parameters.append("tag", tag);
  set("color", filters.colors.join(","));
  set("camera", filters.camera);
  set("after", filters.after);
  set("before", filters.before);
  set("least", filters.least ? String(filters.least) : "");
  set("sort", filters.sort === "best" ? "" : filters.sort);
  set("similar", filters.similar);
  set("photo", photo);
  const written = parameters.toString();
  return written ? `?${written}` : "";
}

/** The query in the catalog's language (docs/search.md): "" if everything is looked for. */
export function toQuery(filters) {
  const parts = [];
  const text = filters.text.trim();
  const others = filters.tags.length || filters.colors.length || filters.camera || filters.after || filters.before;
  if (text) parts.push(others && /\||(^|\s)or(\s|$)/i.test(text) ? `(${text})` : text);
  for (const tag of filters.tags) parts.push(`"${plain(tag)}"`);
  if (filters.colors.length) parts.push(`color:${filters.colors.join("|")}`);
  if (filters.camera) parts.push(`camera:"${plain(filters.camera)}"`);
  if (filters.after) parts.push(`after:${filters.after}`);
  if (filters.before) parts.push(`before:${filters.before}`);
  return parts.join(" ");
}

/** The parameters of GET /images. */
export function toParameters(filters) {
  const q = toQuery(filters);
  const parameters = {};
  if (q) parameters.q = q;
  if (filters.least && hasWords(filters)) parameters.min_score = String(filters.least / 100);
  if (q && filters.sort !== "best") parameters.sort = filters.sort;
  return parameters;
}

/** Whether photos are looked for by what they show: only then they have a score. */
export function hasWords(filters) {
  if (filters.tags.length) return true;
  const rest = filters.text.replace(/(^|\s)-?[a-z]+:("[^"]*"?|\S*)/gi, " ").replace(/[()|]/g, " ");
  return rest.split(/\s+/).some((word) => word && !word.startsWith("-"));
}

/** Whether anything is looked for at all. */
export function isNothing(filters) {
  return !toQuery(filters) && !filters.similar;
}

/** The word at the end of what is typed, which may be completed: its beginning, and where that is. */
export function lastWord(text, caret = text.length) {
  const before = text.slice(0, caret);
  // Nothing is completed in the middle, after a space, and in filters and scores.
  const found = /(?:^|[\s(|])-?"?([^\s"()|:<>=-][^\s"()|:<>=]*)$/.exec(before);
  if (!found || caret < text.trimEnd().length) return null;
  return { word: found[1], start: caret - found[1].length };
}

/** Text with its last word replaced by a tag, and a space behind it. */
export function complete(text, caret, tag) {
  const last = lastWord(text, caret);
  if (!last) return text;
  const before = text.slice(0, last.start);
  // Quotes opened before the word are closed by the tag's own.
  const opened = (before.match(/"/g) ?? []).length % 2 === 1;
  return `${opened ? before.slice(0, before.lastIndexOf('"')) : before}${/\s/.test(tag) ? `"${plain(tag)}"` : tag} `;
}

/** Text that may stand between quotes in a query. */
function plain(text) {
  return text.replace(/["\p{Cc}]/gu, " ").trim().slice(0, 200);
}
