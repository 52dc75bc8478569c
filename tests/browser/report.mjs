// Copyright: (c) 2026, the pve.provision authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Opens a page at three widths, by day and by night, and as it is printed: node report.mjs PAGE FOLDER. Tells as JSON
// for each of these what axe-core finds against it, how wide it is, what is cut off, what colours it has, what its
// pictures say, and what it asked for. Screenshots and the printed page go to FOLDER.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.cwd()}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [page, folder] = process.argv.slice(2);
const A4 = 718; // px between margins of 1 cm
const views = [380, 820, 1400].flatMap((width) => ["light", "dark"].map((colorScheme) => ({ width, colorScheme })));
const told = [];

/** What is to be seen of the page, as it stands there. */
function look() {
  const title = (element) => element.closest("section")?.querySelector("h2").textContent ?? "";
  const shown = (element) => element.getClientRects().length > 0;
  const drawn = (element) => element.localName === "line" || element.getBoundingClientRect().width > 0;
  const beyond = (inner, outer) => inner.right > outer.right + 1 || inner.left < outer.left - 1;
  const cut = [];
  for (const region of document.querySelectorAll(".scroll")) {
    if (region.scrollWidth > region.clientWidth + 1) cut.push(title(region));
  }
  for (const text of document.querySelectorAll("svg text")) {
    const picture = text.closest("svg").getBoundingClientRect();
    if (shown(text) && beyond(text.getBoundingClientRect(), picture)) cut.push(`${title(text)}: ${text.textContent}`);
  }
  const pictures = [...document.querySelectorAll("svg")].map((svg) => ({
    section: title(svg),
    label: svg.getAttribute("aria-label"),
    texts: [...svg.querySelectorAll("text")].filter(shown).map((each) => each.textContent),
    shapes: Object.fromEntries(Object.entries(Object.groupBy(
      [...svg.querySelectorAll("rect, line, circle")].filter(drawn), (each) => each.getAttribute("class"),
    )).map(([name, each]) => [name, each.length])),
  }));
  const { backgroundColor, color } = getComputedStyle(document.body);
  return {
    wide: document.documentElement.scrollWidth, cut, pictures, paper: backgroundColor, ink: color,
    text: document.body.innerText,
  };
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
for (const view of [...views, { width: A4, colorScheme: "dark", media: "print" }]) {
  const { width, colorScheme, media = "screen" } = view;
  const tab = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
  const asked = [];
  tab.on("request", (request) => asked.push(request.url()));
  await tab.emulateMedia({ media, colorScheme });
  await tab.goto(pathToFileURL(page).href);
  const seen = await tab.evaluate(look);
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => window.axe.run());
  const name = media === "print" ? "print" : `${width}-${colorScheme}`;
  told.push({
    ...view, ...seen, name, asked, violations: violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`),
  });
  await tab.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  if (media === "print") await tab.pdf({ path: `${folder}/print.pdf`, format: "A4", printBackground: true });
  await tab.close();
}
await browser.close();
console.log(JSON.stringify(told));
