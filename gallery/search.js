// The search field: finds while one types, completes the word at the end, and says what words were taken for.
import { html, signal, useEffect, useRef, useState } from "./html.js";
import { request } from "./api.js";
import { complete, lastWord } from "./filters.js";
import { filters, look, settle } from "./route.js";
import { number } from "./format.js";
import { session } from "./session.js";
import { completing } from "./results.js";
import { Icon } from "./icons.js";

const SHOWN = 8;
// Answers for beginnings that were typed before.
const known = new Map();

/** For those who want to put the cursor there: the field itself. */
export const field = signal(null);

export function Search() {
  const input = useRef(null);
  const [open, setOpen] = useState(false);
  const [words, setWords] = useState([]);
  const [at, setAt] = useState(-1);
  const finding = useRef(0);
  const asking = useRef(null);
  const text = filters.value.text;
  const [typed, setTyped] = useState(text);
  // What is typed goes first; the address follows, and leads when somebody goes back.
  const sent = useRef(text);
  useEffect(() => {
    if (text.trim() !== sent.current.trim()) {
      sent.current = text;
      setTyped(text);
    }
  }, [text]);
  useEffect(() => {
    field.value = input.current;
  }, []);

  const find = (value, asTyped) => {
    clearTimeout(finding.current);
    sent.current = value;
    look({ text: value }, { typed: asTyped });
  };
  const suggest = async (value, caret) => {
    const last = lastWord(value, caret);
    asking.current?.abort();
    if (!last || session.peek().state !== "in") return setWords([]);
    const prefix = last.word.toLowerCase();
    if (!known.has(prefix)) {
      const abort = (asking.current = new AbortController());
      try {
        const { body } = await request("GET", "/tags", {
          parameters: { prefix, limit: String(SHOWN) },
          signal: abort.signal,
          tries: 1,
        });
        known.set(prefix, body.tags);
        if (known.size > 200) known.delete(known.keys().next().value);
      } catch {
        return setWords([]);
      }
      if (abort.signal.aborted) return undefined;
    }
    // A single one that is there already needs no completing.
    const found = known.get(prefix).filter(({ tag, means }) => tag !== prefix || means?.length);
    setAt(-1);
    setWords(found.map((word) => ({ ...word, prefix })));
    return undefined;
  };
  const changed = (event) => {
    const { value, selectionStart } = event.target;
    setTyped(value);
    setOpen(true);
    clearTimeout(finding.current);
    finding.current = setTimeout(() => find(value, true), value ? 220 : 0);
    suggest(value, selectionStart);
  };
  const take = (word) => {
    const value = complete(input.current.value, input.current.selectionStart, word.tag);
    setTyped(value);
    setWords([]);
    setAt(-1);
    settle();
    find(value, false);
    input.current.focus();
  };
  const shown = open && words.length > 0;
  useEffect(() => {
    completing.value = shown;
  }, [shown]);
  const pressed = (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!shown) {
        if (event.key === "ArrowDown") {
          event.preventDefault();
          document.querySelector(".grid .tile a[tabindex='0']")?.focus();
        }
        return;
      }
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      setAt((was) => (was + step + words.length + 1 + 1) % (words.length + 1) - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (shown && at >= 0) take(words[at]);
      else {
        setOpen(false);
        find(event.target.value, true);
        settle();
        // On a phone the keyboard goes, so that there is something to see.
        if (matchMedia("(pointer: coarse)").matches) input.current.blur();
      }
    } else if (event.key === "Tab" && shown && at >= 0) {
      event.preventDefault();
      take(words[at]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (shown) setOpen(false);
      else if (typed) {
        setTyped("");
        settle();
        find("", false);
      } else input.current.blur();
    }
  };
  return html`<div class="search" role="search">
    <label class="search-field">
      <${Icon} name="search" />
      <input
        ref=${input}
        type="text"
        role="combobox"
        inputmode="search"
        enterkeyhint="search"
        aria-label="Search photos by what they show"
        aria-expanded=${shown}
        aria-controls="words"
        aria-autocomplete="list"
        aria-activedescendant=${shown && at >= 0 ? `word-${at}` : undefined}
        aria-keyshortcuts="/"
        placeholder="Search what your photos show"
        autocomplete="off"
        autocapitalize="off"
        autocorrect="off"
        spellcheck=${false}
        maxlength="1000"
        value=${typed}
        onInput=${changed}
        onKeyDown=${pressed}
        onFocus=${() => setOpen(true)}
        onBlur=${() => {
          setOpen(false);
          settle();
        }}
      />
      ${typed
        ? html`<button
            class="bare"
            aria-label="Clear the search"
            onClick=${() => {
              setTyped("");
              setWords([]);
              settle();
              find("", false);
              input.current.focus();
            }}
          >
            <${Icon} name="close" size=${18} />
          </button>`
        : html`<kbd class="search-key" aria-hidden="true">/</kbd>`}
    </label>
    <ul class="words" id="words" role="listbox" aria-label="Words" hidden=${!shown}>
      ${words.map(
        (word, index) => html`<li
          id=${`word-${index}`}
          key=${`${word.tag} ${word.means}`}
          role="option"
          aria-selected=${index === at}
          onMouseDown=${(event) => {
            event.preventDefault();
            take(word);
          }}
          onMouseMove=${() => setAt(index)}
        >
          <${Icon} name=${word.means?.length ? "tag" : "search"} size=${16} />
          <span class="word">
            <${Marked} text=${word.tag} prefix=${word.prefix} />
            ${word.means?.length > 0 && html`<span class="word-means"><span aria-label="means">→</span> ${word.means.slice(0, 3).join(", ")}</span>`}
          </span>
          <span class="word-count">${number(word.count ?? 0)}</span>
        </li>`,
      )}
    </ul>
    <div class="unseen" role="status">${shown ? `${words.length} words to choose from` : ""}</div>
  </div>`;
}

function Marked({ text, prefix }) {
  const at = text.toLowerCase().split(/\s+/).some((word) => word.startsWith(prefix))
    ? text.toLowerCase().search(new RegExp(`(^|\\s)${prefix.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`))
    : -1;
  if (at < 0) return html`<span>${text}</span>`;
  const start = text[at] === " " ? at + 1 : at;
  return html`<span
    >${text.slice(0, start)}<b>${text.slice(start, start + prefix.length)}</b>${text.slice(start + prefix.length)}</span
  >`;
}
