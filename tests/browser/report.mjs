// Copyright: (c) 2026, the pve.provision authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Opens a page at three widths, by day and by night: node report.mjs PAGE FOLDER. Tells as JSON what axe-core finds
// against it, whether it is wider than the window, and what it asked the network for. Screenshots go to FOLDER.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.cwd()}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [page, folder] = process.argv.slice(2);
const found = { violations: [], wide: [], asked: [], texts: "" };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
for (const width of [380, 820, 1400]) {
  for (const colorScheme of ["light", "dark"]) {
    const tab = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    tab.on("request", (request) => request.url().startsWith("file:") || found.asked.push(request.url()));
    await tab.goto(pathToFileURL(page).href);
    await tab.evaluate(axe);
    const { violations } = await tab.evaluate(() => window.axe.run());
    found.violations.push(...violations.map(({ id, nodes }) => `${width} ${colorScheme} ${id}: ${nodes[0].html}`));
    const total = await tab.evaluate(() => document.documentElement.scrollWidth);
    if (total > width) found.wide.push(`${width}: ${total}`);
    found.texts = await tab.evaluate(() => document.body.innerText);
    await tab.screenshot({ path: `${folder}/${width}-${colorScheme}.png`, fullPage: true });
    await tab.close();
  }
}
await browser.close();
console.log(JSON.stringify(found));
