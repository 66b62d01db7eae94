// One photo, as large as the screen, and beside it what is known of it. PhotoSwipe zooms, swipes and animates.
import { html, signal, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { Failed, request } from "./api.js";
import { visible, stale } from "./results.js";
import { addressOf, close, look, open, photo } from "./route.js";
import { NOTHING } from "./filters.js";
import { bestTag, isShown, picture, reveal } from "./grid.js";
import { download, remove } from "./selection.js";
import { bytes, map, moment, number, percent, place, taken, why } from "./format.js";
import { toast } from "./toasts.js";
import { Icon } from "./icons.js";

/** Whether what is known is shown beside the photo: always at first where there is room. */
const informed = signal(matchMedia("(min-width: 900px)").matches);

// What GET /images/{id} said, and what is like it, for as long as the addresses of its pictures are good.
const details = new Map();

async function detailsOf(id) {
  const known = details.get(id);
  if (known && !stale(known)) return known;
  const { body } = await request("GET", `/images/${id}`);
  details.set(id, body);
  if (details.size > 100) details.delete(details.keys().next().value);
  return body;
}

export function Viewer() {
  const id = photo.value;
  const list = visible.value?.shown.value ?? [];
  const index = list.findIndex((image) => image.id === id);
  const [state, setState] = useState({ id: "", image: null, error: null });
  const root = useRef(null);
  const swipe = useRef(null);
  const closing = useRef(false);
  const told = useRef(false);
  const isOpen = id !== "";

  // A photo that isn't in the list, of a link or among those that are similar, is a list of its own.
  const own = state.id === id ? state.image : null;
  const images = index >= 0 ? list : own ? [own] : [];
  const at = Math.max(0, index);
  const image = images[at] ? (own ? { ...own, ...images[at], tags: own.tags } : images[at]) : null;
  const latest = useRef({});
  latest.current = { images, at };

  useEffect(() => {
    if (!isOpen) return undefined;
    let current = true;
    setState((was) => (was.id === id ? was : { id, image: details.get(id) ?? null, error: null }));
    detailsOf(id)
      .then((body) => current && setState({ id, image: body, error: null }))
      .catch((error) => {
        if (!(error instanceof Failed)) throw error;
        if (current) setState((was) => ({ ...was, id, error }));
      });
    return () => {
      current = false;
    };
  }, [id]);

  // PhotoSwipe comes when the first photo is opened, and goes when the viewer is closed.
  const ready = isOpen && images.length > 0;
  useEffect(() => {
    if (!ready) return undefined;
    let gone = false;
    let shown = null;
    closing.current = false;
    const stage = root.current.querySelector(".viewer-stage");
    import("photoswipe").then(({ default: PhotoSwipe }) => {
      if (gone) return;
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      shown = swipe.current = new PhotoSwipe({
        appendToEl: stage,
        mainClass: "viewer-swipe",
        dataSource: [],
        index: latest.current.at,
        bgOpacity: 1,
        loop: false,
        preload: [1, 2],
        showHideAnimationType: still ? "none" : thumbnailOf(latest.current.images[latest.current.at]) ? "zoom" : "fade",
        zoomAnimationDuration: still ? 0 : 280,
        hideAnimationDuration: still ? 0 : 240,
        showAnimationDuration: still ? 0 : 280,
        getViewportSizeFn: () => ({ x: stage.clientWidth, y: stage.clientHeight }),
        close: false,
        arrowPrev: false,
        arrowNext: false,
        zoom: false,
        counter: false,
        preloader: false,
        escKey: false,
        arrowKeys: false,
        trapFocus: false,
        returnFocus: false,
        clickToCloseNonZoomable: false,
        bgClickAction: "toggle-controls",
        tapAction: () => root.current?.toggleAttribute("data-bare"),
        errorMsg: "This picture can’t be shown.",
      });
      shown.addFilter("numItems", () => latest.current.images.length);
      shown.addFilter("itemData", (_, number) => slide(latest.current.images[number]));
      shown.addFilter("thumbEl", (element, data) => thumbnailOf(data.image) ?? element);
      // PhotoSwipe takes what has no picture for markup to write, and the page's policy lets nobody do so.
      shown.on("contentLoad", (event) => {
        const { content } = event;
        if (content.data.src) return;
        event.preventDefault();
        content.element = document.createElement("div");
        content.element.className = "pswp__content pswp__error-msg-container";
        if (content.data.image) content.element.append("This picture can’t be shown.");
      });
      shown.on("change", () => {
        const next = latest.current.images[shown.currIndex];
        // Where it was told to go, the address is already, or further on.
        if (next && next.id !== photo.peek() && !told.current) open(next.id);
        if (shown.currIndex > latest.current.images.length - 8) visible.peek()?.more();
      });
      shown.on("close", () => {
        closing.current = true;
        if (photo.peek()) close();
      });
      shown.on("destroy", () => {
        if (swipe.current === shown) swipe.current = null;
      });
      shown.init();
      // The dialog is the viewer, with the details.
      for (const name of ["role", "aria-modal", "tabindex"]) shown.element.removeAttribute(name);
    });
    return () => {
      gone = true;
      if (shown && !shown.isDestroying) {
        if (!closing.current) shown.options.showHideAnimationType = "none";
        shown.destroy();
      }
    };
  }, [ready, index >= 0]);

  // Another photo by a key, a button or Back; and further ones at the end of the list.
  useEffect(() => {
    const shown = swipe.current;
    if (!shown || closing.current || shown.currIndex === at) return;
    told.current = true;
    shown.goTo(at);
    told.current = false;
  }, [at, images.length]);
  // Where one was deleted, another is in its place.
  useEffect(() => {
    const shown = swipe.current;
    if (!shown || closing.current) return;
    for (const number of [shown.currIndex, shown.currIndex - 1, shown.currIndex + 1]) {
      const holder = shown.mainScroll.itemHolders.find(({ slide: held }) => held?.index === number);
      const expected = images[number]?.id;
      if (holder && expected && holder.slide.data.image?.id !== expected) shown.refreshSlideContent(number);
    }
  }, [images]);
  useEffect(() => {
    swipe.current?.updateSize(true);
  }, [informed.value]);

  // The page behind it neither moves nor can be reached; focus comes back to the photo in the list.
  const lastOpen = useRef("");
  useLayoutEffect(() => {
    if (isOpen) {
      root.current.focus({ preventScroll: true });
      document.documentElement.dataset.viewing = "";
    }
    return () => {
      delete document.documentElement.dataset.viewing;
    };
  }, [isOpen]);
  useEffect(() => {
    if (isOpen) {
      // The list behind it goes along, so that the photo goes back to where it came from.
      if (lastOpen.current !== id) reveal(id);
      lastOpen.current = id;
    } else if (lastOpen.current) {
      reveal(lastOpen.current, true);
      lastOpen.current = "";
    }
  }, [id]);

  // Clicks in PhotoSwipe leave the focus nowhere, and the keys are to work all the same.
  const press = useRef(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const pressedAnywhere = (event) => {
      if (event.target === document.body || root.current?.contains(event.target)) press.current?.(event);
    };
    addEventListener("keydown", pressedAnywhere);
    return () => removeEventListener("keydown", pressedAnywhere);
  }, [isOpen]);

  if (!isOpen) return null;
  const step = (by) => {
    // From the photo that is open now: keys may come faster than the page follows.
    const next = images[images.findIndex((one) => one.id === photo.peek()) + by];
    if (next && photo.peek()) open(next.id);
    if (images.length - at < 12) visible.peek()?.more();
  };
  const erase = () => {
    const next = images[at + 1] ?? images[at - 1];
    remove([image]);
    if (next && index >= 0) open(next.id);
    else close();
  };
  // PhotoSwipe doesn't listen before it has opened.
  const shut = () => (swipe.current?.opener.isOpen && images.length ? swipe.current.close() : close());
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea")) return;
    const act = {
      Escape: shut,
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      i: () => (informed.value = !informed.peek()),
      d: () => image && download([image]),
      o: () => image && window.open(image.picture_url, "_blank", "noopener,noreferrer"),
      z: () => swipe.current?.toggleZoom(),
      Delete: () => image && erase(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  press.current = pressed;
  return html`<div
    class="viewer"
    ref=${root}
    role="dialog"
    aria-modal="true"
    aria-label=${image ? image.title : "Photo"}
    tabindex="-1"
    data-informed=${informed.value}
  >
    <div class="viewer-main">
      <div class="viewer-stage">
        ${!ready && !state.error && html`<div class="viewer-wait" role="status"><span class="spinner"></span><span class="unseen">Loading</span></div>`}
        ${!ready && state.error && html`<${Missing} error=${state.error} />`}
      </div>
      <div class="viewer-bar">
        <button class="viewer-button" aria-label="Close" title="Close (Esc)" onClick=${shut}><${Icon} name="close" size=${22} /></button>
        <span class="viewer-count">${index >= 0 && images.length > 1 ? `${number(at + 1)} / ${number(visible.value.count.value)}` : ""}</span>
        <span class="viewer-tools">
          ${image &&
          html`<button class="viewer-button" aria-label="Download" title="Download (D)" onClick=${() => download([image])}><${Icon} name="download" size=${22} /></button>
            <button class="viewer-button" aria-label="Delete" title="Delete (Del)" onClick=${erase}><${Icon} name="trash" size=${22} /></button>`}
          <button class="viewer-button" aria-label="Details" title="Details (I)" aria-pressed=${informed.value} onClick=${() => (informed.value = !informed.value)}><${Icon} name="info" size=${22} /></button>
        </span>
      </div>
      ${at > 0 && html`<button class="viewer-button viewer-step" data-to="left" aria-label="Previous photo" onClick=${() => step(-1)}><${Icon} name="left" size=${26} /></button>`}
      ${at < images.length - 1 && html`<button class="viewer-button viewer-step" data-to="right" aria-label="Next photo" onClick=${() => step(1)}><${Icon} name="right" size=${26} /></button>`}
    </div>
    ${informed.value && image && html`<${Details} key=${id} image=${image} whole=${Boolean(own?.status || own?.tags?.[0]?.parents)} />`}
    <div class="unseen" role="status" aria-live="polite">${image ? described(image) : ""}</div>
  </div>`;
}

function Missing({ error }) {
  return html`<div class="viewer-missing" role="alert">
    <${Icon} name=${error.kind === "offline" ? "offline" : "image"} size=${44} />
    <h2>${error.status === 404 ? "This photo is not here any more" : "This photo can’t be shown"}</h2>
    <p>${error.message}</p>
    <button class="secondary" onClick=${close}>To all photos</button>
  </div>`;
}

function Details({ image, whole }) {
  const { id, title, tags = [], colors = [], taken_at: at, camera, location: where, matches = [], why: reasons } = image;
  const leaves = tags.filter((tag) => tag.kind === "leaf");
  const ancestors = tags.filter((tag) => tag.kind !== "leaf");
  const said = matches.filter(({ tag }) => tag);
  return html`<aside class="details" aria-label="About this photo">
    <header>
      <h2>${title}</h2>
      <button class="bare details-close" aria-label="Close the details" onClick=${() => (informed.value = false)}><${Icon} name="close" /></button>
    </header>
    ${(said.length > 0 || reasons?.length > 0) &&
    html`<section class="reasons" aria-label="Why it was found">
      <h3>Why it was found</h3>
      <ul role="list">
        ${said.map(
          (match) => html`<li key=${match.term}>
            <strong>${match.tag}</strong> ${percent(match.score)}${why(match) && html`<span>${why(match)}</span>`}
          </li>`,
        )}
        ${(reasons ?? []).map((reason) => html`<li key=${reason}>${reason}</li>`)}
      </ul>
    </section>`}
    ${leaves.length > 0 && html`<${Tags} title="It shows" tags=${leaves} />`}
    ${ancestors.length > 0 && html`<${Tags} title="In general" tags=${ancestors} general />`}
    ${tags.length === 0 && html`<p class="hint">Nothing in it was recognised.</p>`}
    ${colors.length > 0 && html`<${Colors} colors=${colors} />`}
    <section class="facts">
      <h3>The photo</h3>
      <dl>
        ${at && html`<${Fact} icon="clock" name="Taken">${taken(at)}<//>`}
        ${camera && html`<${Fact} icon="camera" name="Camera"><button class="link" onClick=${() => look({ ...NOTHING, camera })}>${camera}</button><//>`}
        ${where &&
        html`<${Fact} icon="pin" name="Place"
          ><a href=${map(where)} target="_blank" rel="noopener noreferrer">${place(where)} <${Icon} name="external" size=${14} /><span class="unseen">(map in a new tab)</span></a
        ><//>`}
        <${Fact} icon="image" name="File"
          >${image.width && `${number(image.width)} × ${number(image.height)}`}${image.size ? ` · ${bytes(image.size)}` : ""}<//>
        ${image.uploaded_at && html`<${Fact} icon="upload" name="Added">${moment(image.uploaded_at)}<//>`}
      </dl>
      <p class="details-do">
        <a class="secondary" href=${image.picture_url} target="_blank" rel="noopener noreferrer"><${Icon} name="external" size=${18} /> Original</a>
        <button class="secondary" onClick=${() => copy(id)}>Copy link</button>
      </p>
    </section>
    ${whole && html`<${Similar} id=${id} />`}
  </aside>`;
}

function Tags({ title, tags, general }) {
  const [all, setAll] = useState(false);
  // The three best, and what else there is something to: the rest is there for those who ask.
  const sorted = [...tags].sort((one, other) => other.score - one.score);
  const best = sorted.filter(({ score }, index) => index < 3 || score >= 0.05);
  const more = tags.length - best.length;
  return html`<section class="tags" data-general=${general}>
    <h3>${title}</h3>
    <ul role="list">
      ${(all ? sorted : best).map(
        ({ tag, score, aliases }) => html`<li key=${tag}>
          <button title=${aliases?.length ? `also: ${aliases.join(", ")}` : undefined} onClick=${() => look({ ...NOTHING, text: /\s/.test(tag) ? `"${tag}"` : tag })}>
            <span class="tag-name">${tag}</span>
            <span class="tag-score">${percent(score)}</span>
            <span class="bar" aria-hidden="true"><span style=${{ width: `${Math.max(1, score * 100)}%` }}></span></span>
          </button>
        </li>`,
      )}
    </ul>
    ${more > 0 &&
    html`<button class="fold" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? "Fewer" : `${more} less likely`}</button>`}
  </section>`;
}

function Colors({ colors }) {
  return html`<section class="palette">
    <h3>Colours</h3>
    <div class="palette-bar" aria-hidden="true">
      ${colors.map(({ color, share }) => html`<span key=${color} data-color=${color} style=${{ flexGrow: share }}></span>`)}
    </div>
    <ul role="list">
      ${colors.map(
        ({ color, share }) => html`<li key=${color}>
          <button class="chip small" onClick=${() => look({ ...NOTHING, colors: [color] })}><span class="swatch" data-color=${color}></span>${color} <span class="chip-count">${percent(share)}</span></button>
        </li>`,
      )}
    </ul>
  </section>`;
}

function Fact({ icon, name, children }) {
  return html`<div><dt><${Icon} name=${icon} size=${18} /><span class="unseen">${name}</span></dt><dd>${children}</dd></div>`;
}

function Similar({ id }) {
  const [images, setImages] = useState(null);
  useEffect(() => {
    const abort = new AbortController();
    // Somebody who leafs through asks for none of them.
    const waiting = setTimeout(() => {
      request("GET", `/images/${id}/similar`, { parameters: { limit: "9" }, signal: abort.signal, tries: 2 })
        .then(({ body }) => setImages(body.images))
        .catch(() => {});
    }, 250);
    return () => {
      clearTimeout(waiting);
      abort.abort();
    };
  }, [id]);
  if (!images?.length) return images ? null : html`<section class="similar" data-waiting><h3>Similar photos</h3><div class="similar-grid">${[0, 1, 2].map((n) => html`<span key=${n}></span>`)}</div></section>`;
  return html`<section class="similar">
    <h3>Similar photos</h3>
    <ul class="similar-grid" role="list">
      ${images.map(
        (image) => html`<li key=${image.id} data-color=${image.colors?.[0]?.color}>
          <a
            href=${addressOf(image.id)}
            aria-label=${`${image.title}${image.why?.length ? `: ${image.why.join(", ")}` : ""}`}
            title=${image.why?.join(", ")}
            onClick=${(event) => {
              if (event.ctrlKey || event.metaKey || event.shiftKey) return;
              event.preventDefault();
              open(image.id);
            }}
            ><img src=${picture(image, 110)} alt="" loading="lazy" decoding="async" width="110" height="110"
          /></a>
        </li>`,
      )}
    </ul>
    <p class="details-do">
      <button class="secondary" onClick=${() => look({ ...NOTHING, similar: id })}><${Icon} name="similar" size=${18} /> Show them all</button>
    </p>
  </section>`;
}

// The photo as PhotoSwipe wants it: the large thumbnail fills the screen, and the original comes when one zooms in.
function slide(image) {
  if (!image) return {};
  const large = image.thumbnails?.["1024"];
  const small = image.thumbnails?.["320"];
  const sizes = image.thumbnail_sizes?.["1024"];
  const original = isShown(image.title) ? image.picture_url : "";
  const [width, height] = original || !sizes ? [image.width ?? 1024, image.height ?? 768] : sizes;
  const sources = [];
  if (large && sizes) sources.push(`${large} ${sizes[0]}w`);
  if (original && width > (sizes?.[0] ?? 0)) sources.push(`${original} ${width}w`);
  return {
    image,
    src: large ?? original,
    srcset: sources.length > 1 ? sources.join(", ") : undefined,
    width,
    height,
    msrc: small,
    alt: described(image),
  };
}

function thumbnailOf(image) {
  return image && document.querySelector(`.grid [data-id="${image.id}"] img`);
}

function described(image) {
  const best = bestTag(image);
  return best ? `${image.title}, shows ${best.tag}` : image.title;
}

async function copy(id) {
  const url = new URL(addressOf(id), location.href).href;
  try {
    await navigator.clipboard.writeText(url);
    toast("The link is copied.");
  } catch {
    toast(url);
  }
}

