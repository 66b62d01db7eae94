// The photos, in rows: only those near the part of the page that is seen are in the document.
import { html, signal, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./html.js";
import { arrange, neighbour, within } from "./layout.js";
import { addressOf, open, remember, remembered } from "./route.js";
import { hasWords } from "./filters.js";
import { chosen, remove, selected, toggle } from "./selection.js";
import { day, percent } from "./format.js";
import { online } from "./api.js";
import { Icon } from "./icons.js";

/** The photo that the keyboard is at. */
export const focused = signal("");

/** A photo that the list is to be scrolled to, `{ id, focus }`, or null. */
const wanted = signal(null);

/** Scroll the list to a photo, if it is in it and not in sight; with `focus`, the keyboard is there then. */
export function reveal(id, focus = false) {
  wanted.value = { id, focus };
}

/** Sections of a list: by day if the newest come first, and what is less certain under a line of its own. */
export function sectionsOf(images, what) {
  if (what.similar) return [{ title: "", images }];
  if (hasWords(what) && what.sort === "best") {
    const sure = images.filter((image) => !image.weak);
    const weak = images.filter((image) => image.weak);
    const note = "One in ten of these is right, at best.";
    return [
      ...(sure.length ? [{ title: "", images: sure }] : []),
      ...(weak.length ? [{ title: "Less certain", note, images: weak }] : []),
    ];
  }
  const sections = [];
  for (const image of images) {
    const title = day(image.uploaded_at);
    if (sections.at(-1)?.title !== title) sections.push({ title, images: [] });
    sections.at(-1).images.push(image);
  }
  return sections;
}

export function Grid({ results, busy }) {
  const images = results.shown.value;
  const container = useRef(null);
  const [width, setWidth] = useState(0);
  const [view, setView] = useState({ from: 0, to: 0 });
  const narrow = width < 620;
  const gap = narrow ? 3 : 6;
  const rowHeight = narrow ? 132 : width < 1100 ? 190 : 224;
  const more = Boolean(results.cursor) || results.state.value === "more";

  const ordered = useMemo(() => sectionsOf(images, results.what), [images, results]);
  const listed = useMemo(() => ordered.flatMap((section) => section.images), [ordered]);
  const layout = useMemo(
    () => (width ? arrange(ordered, width, { rowHeight, gap, rest: more }) : null),
    [ordered, width, rowHeight, gap, more],
  );

  useLayoutEffect(() => {
    const measure = () => setWidth(Math.floor(container.current.clientWidth));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(container.current);
    return () => observer.disconnect();
  }, []);

  // What was at the top stays there when rows are laid out anew for another width.
  const place = useRef(null);
  useLayoutEffect(() => {
    if (!layout) return;
    const held = place.current;
    if (held && held.layout !== layout && held.id && held.width !== width) {
      const box = layout.boxes.find(({ index }) => listed[index]?.id === held.id);
      if (box) scrollTo({ top: top(container.current) + box.top - held.offset, behavior: "instant" });
    }
    look();
  }, [layout]);

  const look = () => {
    if (!layout || !container.current) return;
    const above = scrollY - top(container.current);
    const screen = innerHeight;
    const from = Math.floor((above - screen) / 400) * 400;
    const to = Math.ceil((above + 2.5 * screen) / 400) * 400;
    setView((was) => (was.from === from && was.to === to ? was : { from, to }));
    const first = scrollY < 40 ? null : layout.boxes.find((box) => box.top + box.height > above + 80);
    place.current = {
      layout,
      width,
      id: first ? listed[first.index]?.id : "",
      offset: first ? first.top - above : 0,
    };
    if (above + 3 * screen > layout.height) results.more();
    results.freshen(within(layout.boxes, above, above + screen).map(({ index }) => listed[index]?.id));
  };

  useEffect(() => {
    let waiting = 0;
    const moved = () => {
      waiting ||= requestAnimationFrame(() => {
        waiting = 0;
        look();
      });
      // A list that is still there while the next one is on its way has no place in the next one's step.
      if (!busy) remember({ top: Math.round(scrollY), count: results.images.peek().length });
    };
    addEventListener("scroll", moved, { passive: true });
    return () => {
      removeEventListener("scroll", moved);
      cancelAnimationFrame(waiting);
    };
  });

  // The place in the list that this step of the history has, once the list is there.
  useLayoutEffect(() => {
    if (layout) scrollTo({ top: remembered().top ?? 0, behavior: "instant" });
  }, [Boolean(layout)]);

  // After a page that is shorter than the screen, the next.
  useEffect(look, [layout, results.state.value]);

  const at = listed.findIndex(({ id }) => id === focused.value);
  const go = (next) => {
    const box = layout.boxes[next];
    const image = box && listed[box.index];
    if (!image) return;
    focused.value = image.id;
    show(box);
    focusOn(image.id);
  };
  const show = (box) => {
    const above = top(container.current) + box.top;
    const header = 140;
    if (above < scrollY + header) scrollTo({ top: Math.max(0, above - header), behavior: "instant" });
    else if (above + box.height > scrollY + innerHeight - 24) {
      scrollTo({ top: above + box.height - innerHeight + 24, behavior: "instant" });
    }
    look();
  };
  // At once if its tile is there, else when it has been drawn.
  const focusOn = (id) => {
    const link = () => container.current?.querySelector(`[data-id="${id}"] a`);
    const focusIt = () => link()?.focus({ preventScroll: true });
    if (link()) focusIt();
    else requestAnimationFrame(focusIt);
  };
  useEffect(() => {
    if (!wanted.value || !layout) return;
    const { id, focus } = wanted.value;
    wanted.value = null;
    const box = layout.boxes.find(({ index }) => listed[index]?.id === id);
    if (!box) return;
    show(box);
    if (focus) {
      focused.value = id;
      focusOn(id);
    }
  }, [wanted.value, layout]);
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (key.startsWith("Arrow") || key === "Home" || key === "End") {
      event.preventDefault();
      const from = Math.max(0, at);
      const next = key === "Home" ? 0 : key === "End" ? layout.boxes.length - 1 : neighbour(layout.boxes, from, key);
      if (event.shiftKey && key.startsWith("Arrow")) {
        if (!selected.peek().size) toggle(listed[from].id);
        toggle(listed[layout.boxes[next].index].id, true);
      }
      go(next);
    } else if (key === "Enter") {
      // Keys may be faster than the focus, which waits for a tile: what they have led to is meant.
      const [there, meant] = [event.target.closest("[data-id]")?.dataset.id, focused.peek()];
      if (there && there !== meant && listed.some(({ id }) => id === meant)) {
        event.preventDefault();
        open(meant);
      }
    } else if (key === " " || key === "x") {
      event.preventDefault();
      if (at >= 0) toggle(listed[at].id, event.shiftKey);
    } else if (key === "Delete" || key === "Backspace") {
      event.preventDefault();
      const gone = chosen.peek().length ? chosen.peek() : at >= 0 ? [listed[at]] : [];
      const neighbourAfter = listed[at + 1] ?? listed[at - 1];
      remove(gone);
      if (neighbourAfter) focused.value = neighbourAfter.id;
    }
  };

  const seen = layout ? within(layout.boxes, view.from, view.to) : [];
  const roving = at >= 0 ? listed[at].id : listed[seen[0]?.index ?? 0]?.id;
  return html`<div
    class="grid"
    ref=${container}
    data-busy=${busy}
    data-selecting=${selected.value.size > 0}
    style=${{ height: layout ? `${layout.height}px` : "60vh" }}
    onKeyDown=${pressed}
  >
    ${layout?.headings.map(
      ({ title, note, top: above }) => html`<div class="section" key=${`section ${title}`} style=${{ top: `${above}px` }}>
        <h2>${title}</h2>
        ${note && html`<p>${note}</p>`}
      </div>`,
    )}
    <ul role="list" aria-label="Photos">
      ${seen.map((box) => {
        const image = listed[box.index];
        return (
          image &&
          html`<${Tile}
            key=${image.id}
            image=${image}
            box=${box}
            number=${box.index + 1}
            total=${results.count.value}
            isSelected=${selected.value.has(image.id)}
            tabbable=${image.id === roving}
            scored=${hasWords(results.what)}
          />`
        );
      })}
    </ul>
  </div>`;
}

function Tile({ image, box, number, total, isSelected, tabbable, scored }) {
  const [loaded, setLoaded] = useState(false);
  // The address that could not be loaded: another one may, and the same one when there is a network again.
  const [broken, setBroken] = useState("");
  useEffect(() => setBroken(""), [online.value]);
  const held = useRef(0);
  const wasHeld = useRef(false);
  const { id, title } = image;
  const best = image.tag ? { tag: image.tag, score: image.score } : bestTag(image);
  const opens = (event) => {
    if (wasHeld.current) {
      wasHeld.current = false;
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.button > 0) return;
    event.preventDefault();
    if (event.shiftKey || selected.peek().size) toggle(id, event.shiftKey);
    else {
      focused.value = id;
      open(id);
    }
  };
  // On a phone: held for half a second, a photo is selected.
  const hold = () => {
    wasHeld.current = false;
    clearTimeout(held.current);
    held.current = setTimeout(() => {
      wasHeld.current = true;
      navigator.vibrate?.(10);
      toggle(id);
    }, 500);
  };
  const letGo = () => clearTimeout(held.current);
  const source = picture(image, box.width);
  return html`<li
    class="tile"
    data-id=${id}
    data-color=${image.colors?.[0]?.color}
    data-loaded=${loaded}
    data-selected=${isSelected}
    aria-setsize=${total}
    aria-posinset=${number}
    style=${{ top: `${box.top}px`, left: `${box.left}px`, width: `${box.width}px`, height: `${box.height}px` }}
  >
    <a
      href=${addressOf(id)}
      tabindex=${tabbable ? 0 : -1}
      aria-label=${label(image, best)}
      onClick=${opens}
      onFocus=${() => (focused.value = id)}
      onTouchStart=${hold}
      onTouchMove=${letGo}
      onTouchEnd=${letGo}
      onTouchCancel=${letGo}
      onContextMenu=${(event) => wasHeld.current && event.preventDefault()}
    >
      ${source && broken !== source
        ? html`<img
            src=${source}
            alt=""
            width=${Math.round(box.width)}
            height=${Math.round(box.height)}
            decoding="async"
            draggable=${false}
            onLoad=${() => setLoaded(true)}
            onError=${() => setBroken(source)}
          />`
        : html`<span class="tile-broken"><${Icon} name="image" size=${28} /><span>${title}</span></span>`}
      ${best &&
      html`<span class="tile-tag" data-always=${scored}
        ><span>${best.tag}</span> <span class="tile-score">${percent(best.score)}</span></span
      >`}
    </a>
    <button
      class="tile-check"
      role="checkbox"
      aria-checked=${isSelected}
      aria-label=${`Select ${title}`}
      tabindex="-1"
      onClick=${(event) => toggle(id, event.shiftKey)}
    >
      <${Icon} name="check" size=${16} />
    </button>
  </li>`;
}

/** The picture for a box of that width on this screen: the small one if it will do. */
export function picture({ thumbnails, thumbnail_sizes: sizes, picture_url: original, title }, width) {
  const small = thumbnails?.["320"];
  const large = thumbnails?.["1024"];
  if (!small && !large) return isShown(title) ? original : "";
  const saving = navigator.connection?.saveData || /2g|3g/.test(navigator.connection?.effectiveType ?? "");
  const needed = width * (saving ? 1 : Math.min(2, devicePixelRatio || 1));
  return small && (needed <= (sizes?.["320"]?.[0] ?? 320) * 1.5 || !large) ? small : large;
}

/** Whether browsers show files that are called so. */
export function isShown(title) {
  return /\.(jpe?g|jpe|png|webp|gif|avif|bmp)$/i.test(title ?? "");
}

/** The finest thing that a photo surely shows. */
export function bestTag({ tags = [] }) {
  const leaves = tags.filter((tag) => tag.kind === "leaf");
  const sure = leaves.filter((tag) => tag.score >= 0.3);
  const ancestors = tags.filter((tag) => tag.kind !== "leaf").sort((a, b) => a.score - b.score);
  return most(sure) ?? ancestors.find((tag) => tag.score >= 0.5) ?? most(leaves) ?? most(tags);
}

function most(tags) {
  return tags.length ? tags.reduce((best, tag) => (tag.score > best.score ? tag : best)) : null;
}

function label({ title }, best) {
  return best ? `${title}: ${best.tag}, ${percent(best.score)}` : title;
}

function top(element) {
  return element.getBoundingClientRect().top + scrollY;
}

