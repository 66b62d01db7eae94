import { h, render } from "preact";

render(h("p", null, "Tagstream"), document.getElementById("app"));
