// What narrows a search: chips for what is chosen and for what could be, and menus for colours, time and certainty.
import { html, useEffect, useRef, useState } from "./html.js";
import { filters, look } from "./route.js";
import { hasWords, isNothing, NOTHING } from "./filters.js";
import { current, visible } from "./results.js";
import { count, number, span } from "./format.js";
import { Icon } from "./icons.js";

const COLORS = [
  "red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "brown", "black", "gray", "white",
];

export function Chips() {
  const now = filters.value;
  const list = visible.value;
  const facets = list?.about.value.facets;
  const chosen = active(now);
  const words = hasWords(now);
  const offered = (facets?.tags ?? [])
    .filter(({ tag }) => !now.tags.includes(tag) && !now.text.toLowerCase().split(/[\s"]+/).includes(tag))
    // What all of them show narrows nothing.
    .filter(({ images }) => images < list.total.value || isNothing(now))
    .slice(0, 12);
  return html`<div class="chips" role="group" aria-label="Filters">
    <${Menu} icon="palette" label="Colour" name="color" on=${now.colors.length > 0}>
      <${Colors} chosen=${now.colors} counts=${facets?.colors} />
    <//>
    <${Menu} icon="clock" label="Time" name="time" on=${Boolean(now.after || now.before)}>
      <${Time} now=${now} years=${facets?.years} />
    <//>
    ${(facets?.cameras?.length > 0 || now.camera) &&
    html`<${Menu} icon="camera" label="Camera" name="camera" on=${Boolean(now.camera)}>
      <${Cameras} chosen=${now.camera} cameras=${facets?.cameras ?? []} />
    <//>`}
    ${words &&
    html`<${Menu} icon="sliders" name="certainty" label=${now.least ? `${now.least} % sure` : "How sure"} on=${now.least > 0 || now.sort !== "best"}>
      <${Certainty} now=${now} />
    <//>`}
    ${chosen.length + offered.length > 0 && html`<span class="chips-line" aria-hidden="true"></span>`}
    ${chosen.map(
      ({ label, swatch, remove }) => html`<button
        key=${`chosen ${label}`}
        class="chip chosen"
        aria-label=${`Without ${label}`}
        onClick=${() => look(remove)}
      >
        ${swatch && html`<span class="swatch" data-color=${swatch}></span>`}${label}<${Icon} name="close" size=${14} />
      </button>`,
    )}
    ${chosen.length > 1 &&
    html`<button class="chip quiet" key="clear" onClick=${() => look({ ...NOTHING, text: now.text })}>Clear all</button>`}
    ${offered.map(
      ({ tag, images }) => html`<button class="chip" key=${`tag ${tag}`} onClick=${() => look({ tags: [...now.tags, tag] })}>
        ${tag}<span class="chip-count" aria-label=${count(images, "photo")}>${number(images)}</span>
      </button>`,
    )}
  </div>`;
}

function active(now) {
  const chips = now.tags.map((tag) => ({ label: tag, remove: { tags: now.tags.filter((other) => other !== tag) } }));
  if (now.similar) chips.push({ label: "similar photos", remove: { similar: "" } });
  for (const color of now.colors) {
    chips.push({ label: color, swatch: color, remove: { colors: now.colors.filter((other) => other !== color) } });
  }
  if (now.after || now.before) chips.push({ label: span(now.after, now.before), remove: { after: "", before: "" } });
  if (now.camera) chips.push({ label: now.camera, remove: { camera: "" } });
  if (now.least) chips.push({ label: `at least ${now.least} % sure`, remove: { least: 0 } });
  return chips;
}

/** A button that opens a small panel below it: a popover, which the browser closes when somebody turns elsewhere. */
function Menu({ icon, label, name, on, children }) {
  const [open, setOpen] = useState(false);
  const button = useRef(null);
  const panel = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const from = scrollY;
    const scrolled = () => Math.abs(scrollY - from) > 60 && panel.current?.hidePopover();
    const resized = () => panel.current?.hidePopover();
    addEventListener("scroll", scrolled, { passive: true });
    addEventListener("resize", resized);
    return () => {
      removeEventListener("scroll", scrolled);
      removeEventListener("resize", resized);
    };
  }, [open]);
  const place = ({ newState }) => {
    if (newState !== "open") return;
    const box = button.current.getBoundingClientRect();
    const { style } = panel.current;
    style.top = `${box.bottom + 6}px`;
    style.left = `${Math.max(12, Math.min(box.left, innerWidth - Math.min(304, innerWidth - 24) - 12))}px`;
  };
  return html`<div class="menu">
    <button
      class="chip opens"
      ref=${button}
      data-on=${on}
      aria-expanded=${open}
      popovertarget=${`menu-${name}`}
    >
      <${Icon} name=${icon} size=${16} />${label}<${Icon} name="down" size=${14} />
    </button>
    <div
      class="menu-panel"
      id=${`menu-${name}`}
      popover="auto"
      ref=${panel}
      role="group"
      aria-label=${label}
      onBeforeToggle=${place}
      onToggle=${(event) => setOpen(event.newState === "open")}
    >
      ${open && children}
    </div>
  </div>`;
}

function Colors({ chosen, counts }) {
  const found = counts && new Map(counts.map(({ color, images }) => [color, images]));
  return html`<div class="colors">
    ${COLORS.map((color) => {
      const on = chosen.includes(color);
      return html`<button
        key=${color}
        class="color"
        aria-pressed=${on}
        data-none=${Boolean(found) && !found.has(color) && !on}
        onClick=${() => look({ colors: on ? chosen.filter((other) => other !== color) : [...chosen, color] })}
      >
        <span class="swatch" data-color=${color}>${on && html`<${Icon} name="check" size=${16} />`}</span>${color}
      </button>`;
    })}
  </div>`;
}

function Time({ now, years }) {
  const listed = [...(years ?? [])].reverse();
  return html`<div>
    ${listed.length > 0 &&
    html`<div class="years">
      ${listed.map(({ year, images }) => {
        const next = String(Number(year) + 1);
        const on = now.after === year && now.before === next;
        return html`<button
          key=${year}
          class="chip"
          aria-pressed=${on}
          onClick=${() => look(on ? { after: "", before: "" } : { after: year, before: next })}
        >
          ${year}<span class="chip-count" aria-label=${count(images, "photo")}>${number(images)}</span>
        </button>`;
      })}
    </div>`}
    <div class="dates">
      <label>From <input type="date" value=${full(now.after)} onChange=${(event) => look({ after: event.target.value })} /></label>
      <label>Before <input type="date" value=${full(now.before)} onChange=${(event) => look({ before: event.target.value })} /></label>
    </div>
    <p class="hint">When it was taken, if the photo says so.</p>
  </div>`;
}

function full(time) {
  return time && `${time}${"-01-01".slice(time.length === 4 ? 0 : time.length === 7 ? 3 : 6)}`;
}

function Cameras({ chosen, cameras }) {
  return html`<div class="cameras">
    ${cameras.map(
      ({ camera, images }) => html`<button
        key=${camera}
        class="choice"
        aria-pressed=${chosen === camera}
        onClick=${() => look({ camera: chosen === camera ? "" : camera })}
      >
        <span>${camera}</span><span class="chip-count">${number(images)}</span>
      </button>`,
    )}
  </div>`;
}

function Certainty({ now }) {
  const [least, setLeast] = useState(now.least);
  const waiting = useRef(0);
  useEffect(() => setLeast(now.least), [now.least]);
  const changed = (event) => {
    const value = Number(event.target.value);
    setLeast(value);
    clearTimeout(waiting.current);
    waiting.current = setTimeout(() => look({ least: value }, { typed: true }), 200);
  };
  return html`<div class="certainty">
    <label class="slider">
      <span>${least ? html`At least <output>${least} %</output> sure` : html`<output>However sure</output> the classifier was`}</span>
      <input
        type="range"
        min="0"
        max="95"
        step="5"
        value=${least}
        aria-valuetext=${least ? `at least ${least} percent sure` : "however sure"}
        onInput=${changed}
      />
    </label>
    <fieldset class="sort">
      <legend>Order</legend>
      ${[
        ["best", "Best first"],
        ["newest", "Newest first"],
      ].map(
        ([value, label]) => html`<label key=${value}
          ><input type="radio" name="sort" checked=${now.sort === value} onChange=${() => look({ sort: value })} />${label}</label
        >`,
      )}
    </fieldset>
  </div>`;
}

/** What was found, in a line: how many, and what the words were taken for. */
export function Summary() {
  const list = visible.value;
  const now = current.value;
  if (!list || !list.pages.length || list.shown.value.length === 0) return null;
  const total = list.count.value;
  const taken = list.about.value.terms.filter(
    ({ term, means }) => means?.length && !means.some(({ tag, how }) => tag === term || how === "name"),
  );
  return html`<p class="summary" role="status" aria-busy=${now !== list}>
    <strong>${number(total)}</strong> ${total === 1 ? "photo" : "photos"}
    ${taken.map(
      ({ term, means }) => html`<span class="taken" key=${term}
        >“${term}” <span aria-label="means">→</span> ${means
          .slice(0, 3)
          .map(({ tag }) => tag)
          .join(", ")}</span
      >`,
    )}
    ${list.about.value.terms.map(({ term, note }) => note && html`<span class="taken" key=${`note ${term}`}>${note}</span>`)}
  </p>`;
}
