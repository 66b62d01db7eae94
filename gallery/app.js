// The page: its head, what was found, and what lies over it; and the keys that work everywhere.
import { html, signal, useEffect, useRef } from "./html.js";
import { online } from "./api.js";
import { session, signIn, signOut } from "./session.js";
import { current, find, isEmptyCatalog, visible } from "./results.js";
import { filters, key, look, photo, remembered } from "./route.js";
import { NOTHING, toQuery } from "./filters.js";
import { Search, field } from "./search.js";
import { Chips, Summary } from "./chips.js";
import { Grid } from "./grid.js";
import { Viewer } from "./viewer.js";
import { Uploads } from "./panel.js";
import { DropZone, choose } from "./dropping.js";
import { fresh, showFresh } from "./uploads.js";
import { Empty, NotUnderstood, NothingFound, SignedOut, Skeleton, Trouble } from "./states.js";
import { chosen, clear, download, remove, selectAll, selected } from "./selection.js";
import { Toasts } from "./toasts.js";
import { count } from "./format.js";
import { Icon, Mark } from "./icons.js";

const helping = signal(false);

export function App() {
  const { state } = session.value;
  useEffect(() => {
    if (state === "in") find(remembered().count ?? 0);
  }, [key.value, state]);
  useEffect(() => {
    const { text, tags, similar } = filters.value;
    const what = [text.trim(), ...tags, similar && "similar photos"].filter(Boolean).join(", ");
    document.title = what ? `${what} – Tagstream` : "Tagstream";
  }, [key.value]);
  useKeys();
  // Whoever follows a link to a photo signs in first.
  const isShut = state === "out" && !visible.value;
  const behind = photo.value !== "" && !isShut;
  return html`<div class="page" inert=${behind}>
      <a class="skip" href="#photos">To the photos</a>
      <${Header} />
      <main id="photos" tabindex="-1"><h1 class="unseen">Photos</h1><${Main} /></main>
      ${selected.value.size > 0 && html`<${SelectionBar} />`}
      <${Uploads} />
    </div>
    ${!isShut && html`<${Viewer} />`}
    <${Toasts} />
    <${DropZone} />
    ${helping.value && html`<${Help} />`}`;
}

function Header() {
  const { state } = session.value;
  const isIn = state === "in" || state === "starting" || visible.value !== null;
  return html`<header class="head">
    <div class="head-row">
      <a
        class="brand"
        href="/"
        aria-label="Tagstream: all photos"
        onClick=${(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          look(NOTHING);
          scrollTo({ top: 0 });
        }}
        ><${Mark} /><span>Tagstream</span></a
      >
      ${isIn && html`<${Search} />`}
      <div class="head-tools">
        ${state === "in" &&
        html`<button class="primary add" onClick=${() => choose(false)}><${Icon} name="upload" /><span>Add photos</span></button>
          <button class="round" aria-label="Keys" title="Keys (?)" onClick=${() => (helping.value = true)}><${Icon} name="help" /></button>
          <button class="round" aria-label="Sign out" title="Sign out" onClick=${signOut}><${Icon} name="leave" /></button>`}
      </div>
    </div>
    ${isIn && (visible.value && !isEmptyCatalog.value ? html`<${Chips} />` : html`<div class="chips" aria-hidden="true"></div>`)}
    ${!online.value && html`<p class="banner" role="status"><${Icon} name="offline" size=${18} /><span>You are offline. What you see is what was loaded before.</span></p>`}
    ${state === "out" &&
    online.value &&
    visible.value &&
    html`<p class="banner" role="alert">
      <span>You have been signed out. What you see is what was loaded before. <button class="link" onClick=${signIn}>Sign in again</button></span>
    </p>`}
  </header>`;
}

function Main() {
  const { state, why, detail } = session.value;
  const list = visible.value;
  const next = current.value;
  if (state === "out" && !list) return html`<${SignedOut} why=${why} detail=${detail} />`;
  // What failed at its first page; a list that is there stays, and says so at its end.
  if (next && next.state.value === "failed" && next.pages.length === 0 && next.error.value.kind !== "signed-out") {
    const error = next.error.value;
    const query = toQuery(next.what);
    if (error.status !== 400 || !list || list === next) {
      return html`<${Trouble} error=${error} query=${query} retry=${() => find()} />`;
    }
    return html`<${NotUnderstood} error=${error} query=${query} /><${Grid} key=${list.key} results=${list} busy />`;
  }
  if (!list) return html`<${Skeleton} /><p class="unseen" role="status">Loading photos</p>`;
  const busy = next !== list;
  if (isEmptyCatalog.value) return html`<${Empty} />`;
  if (list.pages.length && list.shown.value.length === 0) return html`<${NothingFound} results=${list} />`;
  return html`<${Summary} />
    ${fresh.value > 0 && html`<button class="pill" onClick=${() => {
      scrollTo({ top: 0 });
      showFresh(true);
    }}>New photos: show them</button>`}
    <${Grid} key=${list.key} results=${list} busy=${busy} />
    ${list.state.value === "more" && html`<p class="end" role="status"><span class="spinner"></span><span class="unseen">Loading more</span></p>`}
    ${list.state.value === "failed" &&
    list.error.value.kind !== "signed-out" &&
    html`<p class="end" role="alert">${list.error.value.message} <button class="link" onClick=${() => list.retry()}>Try again</button></p>`}`;
}

function SelectionBar() {
  const images = chosen.value;
  return html`<section class="selection" aria-label="Selected photos">
    <button class="bare" aria-label="Select none" title="Select none (Esc)" onClick=${clear}><${Icon} name="close" /></button>
    <strong role="status">${count(images.length, "photo")}</strong>
    <span class="selection-tools">
      <button class="bare labelled" onClick=${selectAll}><${Icon} name="check" /><span>All</span></button>
      <button class="bare labelled" onClick=${() => download(images)}><${Icon} name="download" /><span>Download</span></button>
      <button class="bare labelled danger" onClick=${() => remove(images)}><${Icon} name="trash" /><span>Delete</span></button>
    </span>
  </section>`;
}

const KEYS = [
  ["Everywhere", [["/", "search"], ["U", "add photos"], ["?", "these keys"], ["Esc", "close, clear, back out"]]],
  ["Photos", [["← ↑ → ↓", "from photo to photo"], ["Enter", "open"], ["Space or X", "select"], ["Shift and arrows", "select several"], ["Ctrl A", "select all"], ["Del", "delete"]]],
  ["One photo", [["← →", "previous, next"], ["Z", "zoom"], ["I", "details"], ["D", "download"], ["O", "the original"], ["Del", "delete"]]],
];

function Help() {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  const shut = () => (helping.value = false);
  return html`<dialog
    class="help"
    ref=${dialog}
    aria-labelledby="help-title"
    onClose=${shut}
    onClick=${(event) => event.target === dialog.current && dialog.current.close()}
    onKeyDown=${(event) => event.stopPropagation()}
  >
    <header>
      <h2 id="help-title">Keys</h2>
      <button class="bare" aria-label="Close" onClick=${() => dialog.current.close()}><${Icon} name="close" /></button>
    </header>
    ${KEYS.map(
      ([title, keys]) => html`<section key=${title}>
        <h3>${title}</h3>
        <dl>
          ${keys.map(
            ([pressed, does]) => html`<div key=${pressed}>
              <dt>${pressed.split(" ").map((part) => (/^(or|and)$/.test(part) ? ` ${part} ` : html`<kbd>${part}</kbd>`))}</dt>
              <dd>${does}</dd>
            </div>`,
          )}
        </dl>
      </section>`,
    )}
  </dialog>`;
}

function useKeys() {
  useEffect(() => {
    const pressed = (event) => {
      if (event.defaultPrevented || event.isComposing) return;
      const typing = event.target.closest?.("input:not([type=range], [type=radio]), textarea, [contenteditable]");
      if ((event.ctrlKey || event.metaKey) && event.key === "a" && !typing && !photo.peek() && visible.peek()) {
        event.preventDefault();
        return selectAll();
      }
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return undefined;
      if (event.key === "?") helping.value = true;
      else if (photo.peek()) return undefined;
      else if (event.key === "/") {
        event.preventDefault();
        field.peek()?.focus();
        field.peek()?.select();
      } else if (event.key === "u" && session.peek().state === "in") choose(false);
      else if (event.key === "Escape") {
        if (selected.peek().size) clear();
        else if (filters.peek().similar) look({ similar: "" });
      } else if (event.key.startsWith("Arrow") && event.target === document.body) {
        const tile = document.querySelector(".grid .tile a[tabindex='0']");
        if (tile && event.key !== "ArrowUp") {
          event.preventDefault();
          tile.focus();
        }
      }
      return undefined;
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
