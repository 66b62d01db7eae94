// Short messages at the bottom, some with something to do; read out, and there for as long as somebody is at them.
import { html, signal, useEffect, useRef } from "./html.js";
import { Icon } from "./icons.js";

const toasts = signal([]);
let last = 0;

/** Show `text`; with `action` `{ label, run }` it has a button. Answers how to take it away. */
export function toast(text, { action, kind = "note", seconds = action ? 10 : 5 } = {}) {
  const id = (last += 1);
  toasts.value = [...toasts.peek().slice(-2), { id, text, action, kind, seconds }];
  return () => dismiss(id);
}

function dismiss(id) {
  toasts.value = toasts.peek().filter((one) => one.id !== id);
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite" aria-atomic="false">
    ${toasts.value.map((one) => html`<${Toast} key=${one.id} ...${one} />`)}
  </div>`;
}

function Toast({ id, text, action, kind, seconds }) {
  const timer = useRef(0);
  const wait = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => dismiss(id), seconds * 1000);
  };
  const stay = () => clearTimeout(timer.current);
  useEffect(() => {
    wait();
    return stay;
  }, []);
  return html`<div class="toast" data-kind=${kind} onMouseEnter=${stay} onMouseLeave=${wait} onFocusIn=${stay} onFocusOut=${wait}>
    <span class="toast-text">${text}</span>
    ${action &&
    html`<button
      class="toast-action"
      onClick=${() => {
        dismiss(id);
        action.run();
      }}
    >
      ${action.label}
    </button>`}
    <button class="bare" aria-label="Dismiss" onClick=${() => dismiss(id)}><${Icon} name="close" size=${16} /></button>
  </div>`;
}
