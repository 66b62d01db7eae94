// How files come in: dropped anywhere on the page, pasted, or chosen, with the folders that they are in.
import { html, signal, useEffect } from "./html.js";
import { session } from "./session.js";
import { upload } from "./uploads.js";
import { Icon } from "./icons.js";
import { toast } from "./toasts.js";

const over = signal(false);

/** Let people choose files, or a folder. */
export function choose(folder) {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  if (folder) input.webkitdirectory = true;
  else input.accept = "image/*,.heic,.heif";
  input.addEventListener("change", () => {
    take([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
  });
  input.click();
}

function take(files) {
  if (!files.length) return toast("There are no files in there.");
  return upload(files);
}

export function DropZone() {
  useEffect(() => {
    let depth = 0;
    const hasFiles = (event) => session.peek().state === "in" && event.dataTransfer?.types.includes("Files");
    const entered = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth += 1;
      over.value = true;
    };
    const left = () => {
      depth = Math.max(0, depth - 1);
      if (!depth) over.value = false;
    };
    const moved = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    };
    const dropped = async (event) => {
      depth = 0;
      over.value = false;
      if (!event.dataTransfer?.types.includes("Files")) return;
      // A file that is dropped must never be opened in place of the page.
      event.preventDefault();
      if (!hasFiles(event)) return;
      take(await filesOf(event.dataTransfer));
    };
    const pasted = (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length && session.peek().state === "in") take(files.map((file) => ({ file, name: file.name })));
    };
    const prevent = (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault();
    const listeners = [["dragenter", entered], ["dragleave", left], ["dragover", moved], ["dragover", prevent], ["drop", dropped], ["paste", pasted]];
    for (const [name, listener] of listeners) addEventListener(name, listener);
    return () => listeners.forEach(([name, listener]) => removeEventListener(name, listener));
  }, []);
  return (
    over.value &&
    html`<div class="dropzone" role="status"><div><${Icon} name="upload" size=${40} /><strong>Drop to add</strong><span>photos or whole folders</span></div></div>`
  );
}

/** All files of a drop, those in folders too, with their places in them. */
async function filesOf(transfer) {
  // What is dropped can only be asked for now, before anything is waited for.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, path, found) {
  // Hidden files are other programs' notes.
  if (entry.name.startsWith(".")) return;
  const name = path ? `${path}/${entry.name}` : entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    if (file) found.push({ file, name });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return;
    for (const inner of some) await walk(inner, name, found);
  }
}
