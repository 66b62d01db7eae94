// What was found: page by page, kept for a while so that Back finds it as it was.
import { batch, computed, signal } from "./html.js";
import { Failed, online, request } from "./api.js";
import { filters, key } from "./route.js";
import { isNothing, toParameters } from "./filters.js";

const PAGE = 60;
const KEPT = 8;
// Addresses of pictures are renewed when they have this much left.
const FRESH = 60_000;

/** Photos that were deleted here: they are gone from all lists at once, and back at once when that is undone. */
export const hidden = signal(new Set());

class Results {
  constructor(what) {
    this.what = what;
    this.key = key.peek();
    this.images = signal([]);
    this.total = signal(0);
    this.state = signal("loading"); // "loading" the first page, "ready", "more", "failed"
    this.error = signal(null);
    this.about = signal({ terms: [], facets: null, suggestions: null });
    this.pages = [];
    this.cursor = null;
    this.made = Date.now();
    this.shown = computed(() => this.images.value.filter((image) => !hidden.value.has(image.id)));
    // How many were found, on all pages, without those that were deleted here.
    this.count = computed(() => this.total.value - this.images.value.length + this.shown.value.length);
  }

  get complete() {
    return this.pages.length > 0 && !this.cursor;
  }

  stop() {
    this.abort?.abort();
  }

  /** The first page; `atLeast` photos if one comes back to a place further down. */
  async load(atLeast = 0) {
    this.stop();
    const abort = (this.abort = new AbortController());
    batch(() => {
      this.state.value = "loading";
      this.error.value = null;
    });
    try {
      const images = [];
      const pages = [];
      let first;
      let cursor = null;
      do {
        const limit = Math.min(100, Math.max(PAGE, atLeast - images.length));
        const body = await this.page(cursor, limit, abort.signal);
        first ??= body;
        pages.push({ cursor, limit, ids: body.images.map((image) => image.id) });
        images.push(...body.images);
        cursor = body.cursor;
      } while (cursor && images.length < atLeast);
      this.made = Date.now();
      this.pages = pages;
      this.cursor = cursor;
      batch(() => {
        this.images.value = unique(images);
        this.total.value = first.total ?? images.length;
        this.about.value = {
          terms: first.terms ?? [],
          facets: first.facets ?? null,
          suggestions: first.suggestions ?? null,
        };
        this.state.value = "ready";
      });
    } catch (error) {
      this.failed(error);
    }
  }

  /** The next page, unless one is on its way or there is none. */
  async more() {
    if (!this.cursor || this.state.peek() !== "ready") return;
    const abort = (this.abort = new AbortController());
    const cursor = this.cursor;
    batch(() => {
      this.state.value = "more";
      this.error.value = null;
    });
    try {
      const body = await this.page(cursor, PAGE, abort.signal);
      this.pages.push({ cursor, limit: PAGE, ids: body.images.map((image) => image.id) });
      this.cursor = body.cursor;
      batch(() => {
        this.images.value = unique([...this.images.peek(), ...body.images]);
        this.state.value = "ready";
      });
    } catch (error) {
      if (error.name === "AbortError") this.state.value = "ready";
      else this.failed(error);
    }
  }

  /** Again what failed. */
  retry() {
    if (this.pages.length === 0) return this.load();
    this.state.value = "ready";
    return this.more();
  }

  /** New addresses for the pictures of these photos, if they are about to expire. */
  async freshen(ids) {
    const old = new Set(ids.filter((id) => stale(this.images.peek().find((image) => image.id === id))));
    if (!old.size || this.freshening) return;
    this.freshening = true;
    try {
      for (const page of this.pages.filter(({ ids: its }) => its.some((id) => old.has(id)))) {
        // Where clocks differ, new ones look as old: not again and again.
        if (Date.now() - (page.renewed ?? 0) < FRESH) continue;
        page.renewed = Date.now();
        const body = await this.page(page.cursor, page.limit);
        const renewed = new Map(body.images.map((image) => [image.id, image]));
        this.images.value = this.images.peek().map((image) => renewed.get(image.id) ?? image);
      }
    } catch {
      // It is tried again when they come into view again.
    } finally {
      this.freshening = false;
    }
  }

  async page(cursor, limit, abort) {
    const { what } = this;
    if (what.similar) {
      const { body } = await request("GET", `/images/${what.similar}/similar`, {
        parameters: { limit: 100 },
        signal: abort,
      });
      return { total: body.images.length, cursor: null, terms: [], ...body };
    }
    const parameters = { ...toParameters(what), limit: String(limit) };
    if (cursor) parameters.cursor = cursor;
    else parameters.facets = "true";
    const { body } = await request("GET", "/images", { parameters, signal: abort });
    return body;
  }

  failed(error) {
    if (error.name === "AbortError") return;
    batch(() => {
      this.error.value = error instanceof Failed ? error : new Failed("problem", "Something went wrong here.");
      this.state.value = "failed";
    });
    if (!(error instanceof Failed)) throw error;
  }
}

const kept = new Map();

/** The list for what is looked for now; null before the first. */
export const current = signal(null);

/** The list to show: the one before, while the first page of the next is on its way. */
export const visible = signal(null);

/** Find what the address says. `atLeast`: so many photos, to come back to a place further down. */
export function find(atLeast = 0) {
  const known = kept.get(key.peek());
  if (known && known.state.peek() !== "failed" && Date.now() - known.made < 10 * 60_000) {
    if (current.peek() !== known) current.peek()?.stop();
    keep(known);
    current.value = known;
    if (known.pages.length) visible.value = known;
    else known.load(atLeast).then(() => show(known));
    return known;
  }
  current.peek()?.stop();
  const results = new Results(filters.peek());
  keep(results);
  current.value = results;
  results.load(atLeast).then(() => show(results));
  return results;
}

/** Whether somebody is in the middle of a word, with words to choose from: then finding nothing says nothing yet. */
export const completing = signal(false);

function show(results) {
  // One that was stopped or failed has nothing to show, and what was found before stays.
  if (current.peek() !== results || results.state.peek() === "loading" || !results.pages.length) return;
  if (completing.peek() && visible.peek() && !results.shown.peek().length) return;
  visible.value = results;
}

completing.subscribe((is) => {
  if (!is && current.peek()?.pages.length) show(current.peek());
});

/** The same again, for what has changed meanwhile; the old list stays until the new one is there. */
export async function refresh() {
  const before = current.peek();
  if (!before) return;
  for (const [name, results] of kept) if (results !== before) kept.delete(name);
  const results = new Results(before.what);
  await results.load(Math.min(before.images.peek().length, 300));
  if (current.peek() !== before) return;
  if (results.state.peek() === "failed") return;
  keep(results);
  batch(() => {
    current.value = results;
    visible.value = results;
  });
}

/** Everything that was found is forgotten: somebody else may look. */
export function forgetAll() {
  kept.clear();
  current.peek()?.stop();
  batch(() => {
    current.value = null;
    visible.value = null;
  });
}

/** Whether the catalog itself is empty, as far as the last answer says. */
export const isEmptyCatalog = computed(() => {
  const results = visible.value;
  return results?.state.value === "ready" && isNothing(results.what) && results.shown.value.length === 0;
});

export function stale(image) {
  return Boolean(image?.urls_expire_at) && Date.parse(image.urls_expire_at) - Date.now() < FRESH;
}

// Once there is a network again, what failed for the lack of it is tried again.
online.subscribe((there) => {
  const results = current?.peek();
  if (there && results?.error.peek()?.kind === "offline") Promise.resolve(results.retry()).then(() => show(results));
});

function keep(results) {
  kept.delete(results.key);
  kept.set(results.key, results);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
}

// Between two pages a photo may have moved from one to the other.
function unique(images) {
  const seen = new Set();
  return images.filter(({ id }) => !seen.has(id) && seen.add(id));
}
