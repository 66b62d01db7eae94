// The list of what is being uploaded: however many there are, only the rows that are seen are in the document.
import { html, useRef, useState } from "./html.js";
import { again, files, fresh, panel, paused, preview, progress, showFresh, tidy } from "./uploads.js";
import { online } from "./api.js";
import { look, open } from "./route.js";
import { NOTHING } from "./filters.js";
import { count } from "./format.js";
import { Icon } from "./icons.js";

const ROW = 60;

export function Uploads() {
  const { all, busy, failed, rejected, searchable, uploading, waiting, classifying } = progress.value;
  if (!all) return null;
  const done = all - busy;
  const title = busy
    ? paused.value
      ? online.value
        ? "Waiting until you are signed in"
        : "Waiting for the connection"
      : waiting + uploading
        ? `Adding ${count(all, "photo")}`
        : `Looking at ${count(classifying, "photo")}`
    : searchable
      ? `${count(searchable, "photo")} can be found now`
      : "Nothing could be added";
  const notes = [
    busy > 0 && `${done} of ${all} done`,
    rejected > 0 && `${rejected} rejected`,
    failed > 0 && `${failed} failed`,
  ].filter(Boolean);
  const isOpen = panel.value;
  return html`<section class="uploads" data-open=${isOpen} aria-label="Uploads">
    <header>
      <button class="uploads-title" aria-expanded=${isOpen} onClick=${() => (panel.value = !isOpen)}>
        <${Ring} part=${all ? (done + (busy ? uploading * 0.3 + classifying * 0.6 : 0)) / all : 0} done=${!busy} trouble=${!busy && failed > 0} />
        <span role="status">
          <strong>${title}</strong>
          <span>${notes.join(" · ")}</span>
        </span>
        <span class="uploads-fold"><${Icon} name="down" /></span>
      </button>
      ${!busy && html`<button class="bare" aria-label="Close the list of uploads" onClick=${tidy}><${Icon} name="close" /></button>`}
    </header>
    ${isOpen &&
    html`<${Rows} />
      ${(failed > 0 || (fresh.value > 0 && searchable > 0)) &&
      html`<footer>
        ${failed > 0 && html`<button class="secondary" onClick=${() => again()}><${Icon} name="retry" size=${18} /> Try again what failed</button>`}
        ${fresh.value > 0 &&
        html`<button
          class="secondary"
          onClick=${() => {
            look(NOTHING);
            scrollTo({ top: 0 });
            showFresh(true);
          }}
        >
          Show the new photos
        </button>`}
      </footer>`}`}
  </section>`;
}

function Rows() {
  const list = useRef(null);
  const [first, setFirst] = useState(0);
  const all = files.value;
  const height = Math.min(all.length, 5.5) * ROW;
  const some = all.slice(first, first + 12);
  return html`<div
    class="uploads-rows"
    ref=${list}
    tabindex="0"
    role="group"
    aria-label=${`${all.length} files`}
    style=${{ height: `${height}px` }}
    onScroll=${() => setFirst(Math.max(0, Math.floor(list.current.scrollTop / ROW) - 3))}
  >
    <ul role="list" style=${{ height: `${all.length * ROW}px` }}>
      ${some.map(
        (one, index) => html`<li key=${one.id} style=${{ top: `${(first + index) * ROW}px` }} aria-setsize=${all.length} aria-posinset=${first + index + 1}>
          <${Row} one=${one} />
        </li>`,
      )}
    </ul>
  </div>`;
}

function Row({ one }) {
  const { is, part, reason, tags, thumbnail, image } = one.state.value;
  const [broken, setBroken] = useState("");
  const picture = thumbnail || preview(one);
  const tagged = is === "searchable" && (tags ?? []).slice(0, 3).map(({ tag }) => tag).join(", ");
  const shown = html`<span class="uploads-picture">
      ${picture && broken !== picture
        ? html`<img src=${picture} alt="" width="44" height="44" decoding="async" onError=${() => setBroken(picture)} />`
        : html`<${Icon} name="image" />`}
    </span>
    <span class="uploads-what">
      <span class="uploads-name">${one.name}</span>
      <span class="uploads-state" data-is=${is}>
        ${is === "waiting" && "Waiting"}
        ${is === "uploading" && (part < 1 ? `Uploading ${Math.floor(part * 100)} %` : "Uploading")}
        ${is === "classifying" && "Classifying"}
        ${is === "searchable" && (tagged || "Searchable, but nothing in it was recognised")}
        ${(is === "rejected" || is === "failed") && reason.charAt(0).toUpperCase() + reason.slice(1)}
      </span>
    </span>`;
  if (is === "searchable") {
    return html`<button class="uploads-row" title="Open it" onClick=${() => open(image)}>
      ${shown}<span class="uploads-mark" data-is=${is}><${Icon} name="check" size=${16} /></span>
    </button>`;
  }
  return html`<div class="uploads-row">
    ${shown}
    ${is === "failed" && html`<button class="bare" aria-label=${`Try ${one.name} again`} onClick=${() => again(one)}><${Icon} name="retry" size=${18} /></button>`}
    ${is === "rejected" && html`<span class="uploads-mark" data-is=${is}><${Icon} name="warning" size=${18} /></span>`}
    ${(is === "uploading" || is === "classifying") && html`<span class="uploads-mark"><${Ring} part=${is === "uploading" ? part : 0.3} turning=${is === "classifying"} small /></span>`}
  </div>`;
}

function Ring({ part, done, trouble, turning, small }) {
  const size = small ? 20 : 32;
  const around = Math.PI * 2 * 13;
  return html`<svg class="ring" data-done=${done} data-trouble=${trouble} data-turning=${turning} width=${size} height=${size} viewBox="0 0 32 32" aria-hidden="true">
    <circle cx="16" cy="16" r="13" class="ring-track" />
    <circle cx="16" cy="16" r="13" class="ring-part" stroke-dasharray=${around} stroke-dashoffset=${around * (1 - Math.min(1, part))} transform="rotate(-90 16 16)" />
    ${done && html`<path d=${trouble ? "M16 9v8M16 21.5v.5" : "m10.5 16.5 4 4 7.5-8.5"} class="ring-mark" />`}
  </svg>`;
}
