// What there is to see when there are no photos to see: each says what is the matter, and what to do.
import { html } from "./html.js";
import { look } from "./route.js";
import { NOTHING } from "./filters.js";
import { choose } from "./dropping.js";
import { number } from "./format.js";
import { online } from "./api.js";
import { signIn } from "./session.js";
import { Icon, Mark } from "./icons.js";

function State({ art, title, children, role }) {
  return html`<section class="state" role=${role}>
    <div class="state-art" aria-hidden="true">${art}</div>
    <h2>${title}</h2>
    ${children}
  </section>`;
}

export function Empty() {
  return html`<${State} art=${html`<${Frames} />`} title="Your photos go here">
    <p>
      ${matchMedia("(pointer: coarse)").matches ? "Choose some." : "Drop photos or a whole folder anywhere on this page."}
      ${" "}A few seconds later you can find each of them by what it shows.
    </p>
    <p class="state-do">
      <button class="primary" onClick=${() => choose(false)}><${Icon} name="upload" /> Choose photos</button>
      <button class="secondary folder" onClick=${() => choose(true)}>Choose a folder</button>
    </p>
    <p class="hint">JPEG, PNG, WebP, GIF, TIFF, HEIC and AVIF.</p>
  <//>`;
}

export function NothingFound({ results }) {
  const { what } = results;
  const { suggestions, terms } = results.about.value;
  const near = suggestions?.suggestions ?? [];
  const common = suggestions?.common ?? results.about.value.facets?.tags?.slice(0, 6) ?? [];
  const narrowed = what.tags.length + what.colors.length + (what.camera ? 1 : 0) + (what.after || what.before ? 1 : 0) + (what.least ? 1 : 0);
  const notes = terms.filter(({ note }) => note);
  return html`<${State} art=${html`<${Icon} name="search" size=${44} />`} title="Nothing like that here">
    ${notes.map(({ term, note }) => html`<p key=${term}>${note}</p>`)}
    ${near.map(
      ({ term, near: isNear, tags }) => html`<div class="suggested" key=${term}>
        <p>${isNear ? html`For “${term}”, did you mean` : html`On its own, “${term}” is found as`}</p>
        <div class="state-chips">
          ${tags.map(
            ({ tag, images }) => html`<button
              class="chip"
              key=${tag}
              onClick=${() => look({ ...NOTHING, ...(isNear ? { ...what, text: replaced(what.text, term, tag), tags: what.tags.map((one) => (one === term ? tag : one)) } : { text: tag }) })}
            >
              ${tag}<span class="chip-count">${number(images)}</span>
            </button>`,
          )}
        </div>
      </div>`,
    )}
    ${near.length === 0 &&
    common.length > 0 &&
    html`<div class="suggested">
      <p>Your photos often show</p>
      <div class="state-chips">
        ${common.map(
          ({ tag, images }) => html`<button class="chip" key=${tag} onClick=${() => look({ ...NOTHING, text: tag })}>
            ${tag}<span class="chip-count">${number(images)}</span>
          </button>`,
        )}
      </div>
    </div>`}
    ${narrowed > 0
      ? html`<p class="state-do">
          <button class="secondary" onClick=${() => look({ ...NOTHING, text: what.text })}>Without the filters</button>
        </p>`
      : html`<p class="state-do">
          <button class="secondary" onClick=${() => look(NOTHING)}>Show all photos</button>
        </p>`}
  <//>`;
}

export function Trouble({ error, query, retry }) {
  if (error.kind === "offline") {
    return html`<${State} role="alert" art=${html`<${Icon} name="offline" size=${44} />`} title="No connection">
      <p>${online.value ? error.message : "You are offline. Everything goes on by itself when you are back."}</p>
      <p class="state-do"><button class="secondary" onClick=${retry}><${Icon} name="retry" /> Try again</button></p>
    <//>`;
  }
  const asked = error.status === 400;
  return html`<${State}
    role="alert"
    art=${html`<${Icon} name="warning" size=${44} />`}
    title=${asked ? "That can’t be looked for" : "That didn’t work"}
  >
    <p>${error.message}</p>
    <${Pointed} error=${error} query=${query} />
    ${!asked && html`<p class="state-do"><button class="secondary" onClick=${retry}><${Icon} name="retry" /> Try again</button></p>`}
  <//>`;
}

/** In a line, above what was found before: somebody may be in the middle of writing it. */
export function NotUnderstood({ error, query }) {
  return html`<div class="asked" role="alert"><p>${error.message}</p><${Pointed} error=${error} query=${query} /></div>`;
}

// The query, with the part marked that was not understood.
function Pointed({ error, query }) {
  const { position, parameter } = error.document;
  if (parameter !== "q" || !(position >= 0) || !query) return null;
  // Positions count characters, and not the halves of those beyond 16 bits.
  const characters = [...query];
  const rest = characters.slice(position).join("");
  const wrong = /^\S+/.exec(rest)?.[0] ?? "\u00a0";
  return html`<p class="pointed">${characters.slice(0, position).join("")}<mark>${wrong}</mark>${rest.slice(wrong.length)}</p>`;
}

export function SignedOut({ why, detail }) {
  const expired = why === "expired";
  return html`<${State} art=${html`<${Mark} size=${64} />`} title=${expired ? "You have been signed out" : "Find your photos by what they show"}>
    ${why === "refused" && html`<p role="alert">Signing in did not work. ${detail}</p>`}
    <p>${expired ? "Sign in again to go on: what you were looking for is kept." : "Sign in to see, search and add to your photos."}</p>
    <p class="state-do"><button class="primary" onClick=${signIn}>Sign in</button></p>
  <//>`;
}

function replaced(text, term, tag) {
  const quoted = /\s/.test(tag) ? `"${tag}"` : tag;
  const at = text.toLowerCase().indexOf(term.toLowerCase());
  return at < 0 ? text : text.slice(0, at) + quoted + text.slice(at + term.length);
}

function Frames() {
  return html`<svg width="176" height="120" viewBox="0 0 176 120" fill="none">
    <g class="frame back" transform="rotate(-9 60 64)"><rect x="22" y="24" width="78" height="78" rx="10" /></g>
    <g class="frame back" transform="rotate(8 118 62)"><rect x="78" y="22" width="78" height="78" rx="10" /></g>
    <g class="frame">
      <rect x="46" y="16" width="84" height="84" rx="11" />
      <path d="m54 84 21-24 15 17 10-11 22 24" />
      <circle cx="107" cy="40" r="7" />
    </g>
  </svg>`;
}

/** Where photos will be: rows of empty tiles, while the first ones are on their way. */
export function Skeleton() {
  return html`<div class="skeleton" aria-hidden="true">
    ${Array.from({ length: 24 }, (_, index) => html`<span key=${index} data-shape=${(index * 7) % 5}></span>`)}
  </div>`;
}
