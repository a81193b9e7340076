// The actions of users in the page of the example `chat`, and the elements that they see.

import { LIMIT } from "./harness.mjs";

/** The errors and the unexpected requests of all pages. */
export const pageErrors = [];

/** Records the close codes of the WebSockets of a page. */
function recordCloseCodes() {
  window.closeCodes = [];
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("close", event => window.closeCodes.push(event.code));
    }
  };
}

export async function newContext(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(LIMIT);
  await context.addInitScript(recordCloseCodes);
  context.on("page", page => {
    page.on("pageerror", error => pageErrors.push(`error in the page: ${error}`));
    page.on("console", message => {
      // The browser logs this error when the server is down, which happens in these tests.
      const expected = message.text().startsWith("WebSocket connection to");
      if (message.type() === "error" && !expected) pageErrors.push(`console: ${message.text()}`);
    });
    page.on("request", request => {
      const { protocol, hostname } = new URL(request.url());
      if (protocol !== "data:" && hostname !== "127.0.0.1") pageErrors.push(`requested ${request.url()}`);
    });
  });
  return context;
}

export const messageIn = (page, text) => page.locator(".log:visible .msg:not(.pending) .bubble").getByText(text, { exact: true });
export const noteIn = (page, text) => page.locator(".log:visible .note").getByText(text);
export const roomButton = (page, name) => page.getByRole("navigation").getByRole("button", { name });
export const undelivered = (page, count = "") => page.getByRole("region", { name: new RegExp(`^${count}.* not delivered$`) });
export const isVisible = locator => locator.first().waitFor({ state: "visible" });
export const isHidden = locator => locator.waitFor({ state: "hidden" });

export async function fillLogin(page, url, name) {
  if (!page.url().startsWith(url)) await page.goto(url);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Join", exact: true }).click();
}

export async function isJoined(page) {
  await page.locator('#state[data-state="online"]').waitFor({ state: "attached" });
  await isVisible(page.locator(".log:visible"));
}

export async function join(page, url, name) {
  await fillLogin(page, url, name);
  await isJoined(page);
  return page;
}

export async function sendText(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

const userNames = page => page.locator("#user-list .label").allTextContents();

export async function expectUsers(page, names) {
  const wanted = JSON.stringify([...names].sort());
  await page.waitForFunction(wanted => {
    const shown = [...document.querySelectorAll("#user-list .label")].map(label => label.textContent).sort();
    return JSON.stringify(shown) === wanted;
  }, wanted).catch(async () => { throw new Error(`the list shows ${await userNames(page)} instead of ${names}`); });
}

export const closeCodes = page => page.evaluate(() => window.closeCodes);
