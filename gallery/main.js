// Where it begins: the settings, the session, the page.
import { html, render } from "./html.js";
import { start } from "./session.js";
import { startRoute } from "./route.js";
import { configure } from "./uploads.js";
import { App } from "./app.js";

async function begin() {
  const root = document.getElementById("app");
  try {
    const answer = await fetch("/config.json");
    if (!answer.ok) throw new Error(`no settings: ${answer.status}`);
    const settings = await answer.json();
    configure(settings);
    await start(settings.auth);
  } catch {
    render(
      html`<main class="state">
        <h1>The gallery can’t be reached</h1>
        <p>Check your connection, then load the page again.</p>
        <p class="state-do"><button class="primary" onClick=${() => location.reload()}>Load again</button></p>
      </main>`,
      root,
    );
    return;
  }
  startRoute();
  root.replaceChildren();
  render(html`<${App} />`, root);
}

begin();
