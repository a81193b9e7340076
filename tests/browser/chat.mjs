// The chat example as people meet it: in a browser, in several tabs, with a server that comes and goes.
// Run by tests/browser/run, which says what is needed.

import { mkdirSync } from "node:fs";
import http from "node:http";

import { assert, assertEqual, Checks, launch, LIMIT, Server, within } from "./harness.mjs";

const SHOTS = "target/browser";

/** Things that must not happen in any page, ever. */
const complaints = [];

/** Writes down with which codes the sockets of a page were closed. */
function recordCloses() {
  window.closes = [];
  window.WebSocket = class extends WebSocket {
    constructor(...how) {
      super(...how);
      this.addEventListener("close", event => window.closes.push(event.code));
    }
  };
}

async function newContext(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(LIMIT);
  await context.addInitScript(recordCloses);
  context.on("page", page => {
    page.on("pageerror", error => complaints.push(`error in the page: ${error}`));
    page.on("console", message => {
      // The browser itself writes this one when the server is down, which it is on purpose.
      const expected = message.text().startsWith("WebSocket connection to");
      if (message.type() === "error" && !expected) complaints.push(`console: ${message.text()}`);
    });
    page.on("request", request => {
      const { protocol, hostname } = new URL(request.url());
      if (protocol !== "data:" && hostname !== "127.0.0.1") complaints.push(`asked for ${request.url()}`);
    });
  });
  return context;
}

// What a person does and sees.

const messageIn = (page, text) => page.locator(".log:visible .msg:not(.pending) .bubble").getByText(text, { exact: true });
const noteIn = (page, text) => page.locator(".log:visible .note").getByText(text);
const roomButton = (page, name) => page.getByRole("navigation").getByRole("button", { name });
const sees = locator => locator.first().waitFor({ state: "visible" });

async function enter(page, url, name) {
  if (!page.url().startsWith(url)) await page.goto(url);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Come in" }).click();
}

async function isInside(page) {
  await page.locator('#state[data-state="online"]').waitFor({ state: "attached" });
  await sees(page.locator(".log:visible"));
}

async function comeIn(page, url, name) {
  await enter(page, url, name);
  await isInside(page);
  return page;
}

async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

const peopleIn = page => page.locator("#people-list .label").allTextContents();

async function seesPeople(page, names) {
  const wanted = JSON.stringify([...names].sort());
  await page.waitForFunction(wanted => {
    const shown = [...document.querySelectorAll("#people-list .label")].map(label => label.textContent).sort();
    return JSON.stringify(shown) === wanted;
  }, wanted).catch(async () => { throw new Error(`the list says ${await peopleIn(page)} instead of ${names}`); });
}

const closesIn = page => page.evaluate(() => window.closes);

/** One HTTP request, or the attempt at an upgrade: status, headers and body of the answer. */
function ask(url, { method = "GET", path = "/", headers = {} } = {}) {
  const answer = new Promise((resolve, reject) => {
    const request = http.request(url, { method, path, headers, agent: false }, response => {
      let body = "";
      response.setEncoding("utf8").on("data", text => { body += text; });
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    request.on("upgrade", (response, socket) => { socket.destroy(); resolve({ status: response.statusCode }); });
    request.on("error", reject);
    request.end();
  });
  return within(`${method} ${path}`, answer);
}

const upgradeFrom = origin => ({
  path: "/ws",
  headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", Origin: origin },
});

/** Sends raw messages on a socket of the page's own origin, and tells the close code that they earn. */
const earnsClose = (page, messages) => page.evaluate(messages => new Promise(resolve => {
  const socket = new WebSocket(`ws://${location.host}/ws`);
  socket.onopen = () => { for (const message of messages) socket.send(message); };
  socket.onclose = event => resolve(event.code);
}), messages);

// The checks.

async function checkHttp({ check }, server) {
  await check("the page comes with its head, and HEAD brings the head alone", async () => {
    const page = await ask(server.url);
    assertEqual(page.status, 200, "status");
    assert(page.body.startsWith("<!doctype html>"), "no page");
    assert(/^text\/html; *charset=utf-8$/i.test(page.headers["content-type"]), "no content type");
    const policy = page.headers["content-security-policy"] ?? "";
    const nonce = policy.match(/script-src 'nonce-([0-9a-f]{32})'/)?.[1];
    assert(policy.includes("default-src 'none'") && page.body.includes(`<script nonce="${nonce}">`), `policy: ${policy}`);
    const again = await ask(server.url);
    assert(!again.body.includes(nonce), "the nonce is used twice");

    const head = await ask(server.url, { method: "HEAD" });
    assertEqual([head.status, head.body], [200, ""], "HEAD");
    assertEqual(Number(head.headers["content-length"]), Buffer.byteLength(page.body), "length that HEAD tells");
  });
  await check("nothing else is served", async () => {
    for (const path of ["/chat.html", "/../Cargo.toml", "/wsx", "//"]) {
      assertEqual((await ask(server.url, { path })).status, 404, path);
    }
    const posted = await ask(server.url, { method: "POST", headers: { "Content-Length": 0 } });
    assertEqual(posted.status, 405, "POST /");
    assertEqual(posted.headers.allow, "GET, HEAD", "Allow");
    const { status } = await ask(server.url, { path: "/ws" });
    assert(status >= 400 && status < 500, `/ws without an upgrade: ${status}`);
  });
  await check("only our own page may open the socket", async () => {
    assertEqual((await ask(server.url, upgradeFrom(`http://${server.address}`))).status, 101, "own origin");
    for (const origin of ["http://evil.example", "null", "http://127.0.0.1:1", `http://${server.address}.evil.example`]) {
      assertEqual((await ask(server.url, upgradeFrom(origin))).status, 403, origin);
    }
  });
}

async function checkTalk({ check }, server, ada, bo) {
  await check("two tabs come in by the door, under two names", async () => {
    await comeIn(ada, server.url, "Ada");
    await enter(bo, server.url, "ada");
    await sees(bo.getByText("Somebody here already has that name."));
    await comeIn(bo, server.url, "Bo");
    await sees(noteIn(ada, "Bo joined"));
  });
  await check("they talk, both ways", async () => {
    await say(ada, "Hello Bo");
    await sees(messageIn(bo, "Hello Bo"));
    await say(bo, "Hello Ada");
    await sees(messageIn(ada, "Hello Ada"));
    assertEqual(await ada.locator(".msg.own .bubble").allTextContents(), ["Hello Bo"], "Ada's own");
    assertEqual(await ada.locator(".msg.pending").count(), 0, "without a receipt");
  });
  await check("markup is text, lines are kept, an emoji is whole", async () => {
    const markup = '<img src=x onerror="document.title=1"><b>bold</b> & "so"';
    await say(ada, markup);
    await sees(messageIn(bo, markup));
    assertEqual(await bo.locator(".bubble *").count(), 0, "elements in a bubble");
    await ada.getByLabel("Message", { exact: true }).fill("one");
    await ada.keyboard.press("Shift+Enter");
    await ada.keyboard.type("two 🐟");
    await ada.keyboard.press("Enter");
    await bo.waitForFunction(() => [...document.querySelectorAll(".bubble")].at(-1)?.textContent === "one\ntwo 🐟");
  });
  await check("who comes and goes is seen, and who comes late reads what was said", async () => {
    await seesPeople(ada, ["Ada", "Bo"]);
    const cy = await ada.context().newPage();
    await comeIn(cy, server.url, "Cy");
    await seesPeople(ada, ["Ada", "Bo", "Cy"]);
    await seesPeople(cy, ["Ada", "Bo", "Cy"]);
    await sees(messageIn(cy, "Hello Ada"));
    await cy.close();
    await seesPeople(ada, ["Ada", "Bo"]);
    await sees(noteIn(bo, "Cy left"));
  });
}

async function checkRooms({ check }, ada, bo) {
  await check("rooms are separate, and what is unread elsewhere is counted", async () => {
    await roomButton(bo, "campfire").click();
    await sees(bo.getByRole("heading", { name: "campfire" }));
    await seesPeople(bo, ["Bo"]);
    await say(ada, "only for the lobby");
    await sees(roomButton(bo, "lobby").getByText("1 unread"));
    assertEqual(await bo.locator(".log:visible").getByText("only for the lobby").count(), 0, "heard by the fire");
    assert((await bo.title()).startsWith("(1) "), "the title counts");
    await say(bo, "only by the fire");
    await sees(messageIn(bo, "only by the fire"));
    await roomButton(bo, "lobby").click();
    await sees(messageIn(bo, "only for the lobby"));
    await sees(bo.locator(".rule.new:visible"));
    assert(!(await bo.title()).startsWith("("), "what was read is no longer counted");
    assertEqual(await ada.getByText("only by the fire").count(), 0, "heard in the lobby");
  });
  await check("a room can be made, found, linked to and left", async () => {
    await bo.getByLabel("New room", { exact: true }).fill("Salmon River!");
    await bo.keyboard.press("Enter");
    await sees(bo.getByRole("heading", { name: "salmon-river" }));
    assert(bo.url().endsWith("/#salmon-river"), bo.url());
    await roomButton(ada, "salmon-river").click();
    await seesPeople(bo, ["Ada", "Bo"]);
    for (const page of [ada, bo]) {
      await page.getByRole("button", { name: "Leave room" }).click();
      await page.waitForFunction(() => document.querySelector("#title").textContent !== "salmon-river");
    }
    await roomButton(ada, "salmon-river").waitFor({ state: "detached" });
    for (const page of [ada, bo]) await roomButton(page, "lobby").click();
  });
  await check("who has scrolled up stays there, and is told of what is new", async () => {
    await say(ada, Array.from({ length: 60 }, (_, line) => `line ${line}`).join("\n"));
    await bo.waitForFunction(() => [...document.querySelectorAll(".log:not([hidden]) .bubble")].at(-1)?.textContent.endsWith("line 59"));
    const log = bo.locator(".log:visible");
    const top = () => log.evaluate(log => log.scrollTop);
    assert(await log.evaluate(log => log.scrollHeight - log.scrollTop - log.clientHeight < 2), "the log is at its end");
    await log.evaluate(log => { log.scrollTop = 0; });
    await bo.waitForFunction(() => rooms.get("lobby").atEnd === false);
    await say(ada, "down here");
    await sees(bo.getByRole("button", { name: "1 new message" }));
    assertEqual(await top(), 0, "where Bo reads");
    await bo.getByRole("button", { name: "1 new message" }).click();
    await bo.getByRole("button", { name: "1 new message" }).waitFor({ state: "hidden" });
    assert(await top() > 0, "the log went to its end");
  });
}

async function checkAbuse({ check }, server, ada, bo) {
  await check("what no page of ours would send ends the connection", async () => {
    const page = await ada.context().newPage();
    await page.goto(server.url);
    const key = "0123456789abcdef";
    assertEqual(await earnsClose(page, ["hello?"]), 1008, "no JSON");
    assertEqual(await earnsClose(page, ['{"do":"enter","name":"X"}']), 1008, "a field is missing");
    assertEqual(await earnsClose(page, [`{"do":"enter","name":"X","key":"${key}","more":"x"}`]), 1008, "a field too many");
    assertEqual(await earnsClose(page, ["x".repeat(100_000)]), 1009, "too long");
    await page.close();
  });
  await check("one who floods is shown the door, and the others talk on", async () => {
    const page = await ada.context().newPage();
    await page.goto(server.url);
    const enterAndJoin = ['{"do":"enter","name":"Flood","key":"fedcba9876543210"}', '{"do":"join","room":"lobby"}'];
    const shout = '{"do":"say","room":"lobby","text":"FLOOD","ref":"1"}';
    const flood = earnsClose(page, [...enterAndJoin, ...Array(2000).fill(shout)]);
    await say(ada, "can you hear me?");
    await sees(messageIn(bo, "can you hear me?"));
    assertEqual(await within("the flood ends", flood), 1008, "the flooder's close code");
    await seesPeople(ada, ["Ada", "Bo"]);
    const heard = await bo.getByText("FLOOD", { exact: true }).count();
    assert(heard > 0 && heard <= 20, `${heard} shouts were heard`);
    await page.close();
  });
}

async function checkComingBack({ check }, servers, ada, bo) {
  await check("a reload comes back by itself, as the same person", async () => {
    await ada.reload();
    await isInside(ada);
    await seesPeople(ada, ["Ada", "Bo"]);
    await sees(messageIn(ada, "Hello Ada"));
    await sees(noteIn(bo, "Ada is back"));
    await say(ada, "back again");
    await sees(messageIn(bo, "back again"));
  });
  await check("the server dies and comes back: the pages reconnect, and nothing said is lost", async () => {
    const old = servers.at(-1);
    await old.signal("SIGSTOP");
    await say(ada, "into the void");
    await sees(ada.locator(".msg.pending"));
    await old.signal("SIGKILL");
    for (const page of [ada, bo]) await sees(page.getByText("The connection was lost."));
    await sees(ada.getByText("Not sent."));
    servers.push(await Server.start(old.address));
    for (const page of [ada, bo]) {
      await isInside(page);
      await seesPeople(page, ["Ada", "Bo"]);
      await sees(messageIn(page, "Hello Ada"));
    }
    await ada.getByRole("button", { name: "Send again" }).click();
    await sees(messageIn(bo, "into the void"));
    await ada.locator(".msg.pending").waitFor({ state: "detached" });
  });
}

async function checkOneself({ check }, server, context) {
  await check("a tab that was copied takes the person over, until the first one asks for them back", async () => {
    const first = await comeIn(await context.newPage(), server.url, "Twin");
    const copy = await context.newPage();
    const session = await first.evaluate(() => sessionStorage.getItem("chat"));
    await copy.goto(server.url);
    await copy.evaluate(session => sessionStorage.setItem("chat", session), session);
    await copy.reload();
    await isInside(copy);
    await sees(first.getByText("This chat goes on in another tab of yours."));
    await first.getByRole("button", { name: "Use it here" }).click();
    await isInside(first);
    await sees(copy.getByText("This chat goes on in another tab of yours."));
    await first.close();
    await copy.close();
  });
  await check("who comes with a link is led to its room, and can leave the chat", async () => {
    const page = await context.newPage();
    await page.goto(`${server.url}#workshop`);
    await sees(page.getByText("come into #workshop"));
    await comeIn(page, server.url, "Guest");
    await sees(page.getByRole("heading", { name: "workshop" }));
    await page.getByRole("button", { name: "Leave the chat" }).click();
    await sees(page.getByLabel("Your name"));
    await page.reload();
    await sees(page.getByLabel("Your name"));
    await page.close();
  });
  await check("a server that has fallen silent is noticed, though the connection looks open", async () => {
    const page = await context.newPage();
    await page.clock.install();
    await comeIn(page, server.url, "Patient");
    await server.signal("SIGSTOP");
    await page.clock.runFor(40_000);
    await sees(page.getByText("The connection was lost."));
    server.process.kill("SIGCONT");
    await page.clock.runFor(20_000);
    await isInside(page);
    await page.close();
  });
}

async function checkPhone({ check }, phone) {
  await check("on a phone nothing sticks out, and the drawers open and close", async () => {
    const overhang = () => phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assertEqual(await overhang(), 0, "pixels beyond the edge");
    await phone.getByRole("button", { name: "Show people" }).click();
    await sees(phone.getByRole("complementary", { name: "People in this room" }));
    await phone.keyboard.press("Escape");
    await phone.getByRole("complementary", { name: "People in this room" }).waitFor({ state: "hidden" });
    await phone.getByRole("button", { name: "Show rooms" }).click();
    await roomButton(phone, "campfire").click();
    await sees(phone.getByRole("heading", { name: "campfire" }));
    await phone.getByRole("complementary", { name: "Rooms" }).waitFor({ state: "hidden" });
    await phone.getByRole("button", { name: "Show rooms" }).click();
    await roomButton(phone, "lobby").click();
    await sees(phone.getByRole("heading", { name: "lobby" }));
    assertEqual(await overhang(), 0, "pixels beyond the edge");
  });
}

async function checkGoodbye({ check }, server, pages) {
  await check("Ctrl-C closes everybody with 1001 and ends with 0", async () => {
    const before = await Promise.all(pages.map(closesIn));
    const { code, signal } = await server.signal("SIGINT");
    assertEqual([code, signal], [0, null], "how the server ended");
    for (const [n, page] of pages.entries()) {
      await sees(page.getByText("The server was stopped."));
      assertEqual((await closesIn(page))[before[n].length], 1001, "close code");
    }
  });
}

const TALK = [
  ["bo", "Morning! Did the new build survive the night?"],
  ["cleo", "It did. Ten thousand connections, one thread, and the graph is a flat line."],
  ["cleo", "I kept looking for the catch."],
  ["ada", "The catch is that it is boring now. I like boring."],
  ["bo", "Could you post the numbers by the campfire? The others will want to see them too, and this room is mostly for saying hello."],
  ["ada", "Will do. Give me five minutes and a coffee."],
  ["cleo", "☕"],
  ["ada", "You read my mind."],
];

/** A little conversation on a server of its own, and pictures of it in target/browser. */
async function checkLooks({ check }, browser) {
  const server = await Server.start();
  const desktop = await newContext(browser, { deviceScaleFactor: 2 });
  const mobile = await newContext(browser, { viewport: { width: 390, height: 844 }, deviceScaleFactor: 3, isMobile: true, hasTouch: true });
  const [ada, bo, cleo] = [await desktop.newPage(), await desktop.newPage(), await desktop.newPage()];
  const phone = await mobile.newPage();
  mkdirSync(SHOTS, { recursive: true });
  const shot = async (page, name, colorScheme = "light") => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${SHOTS}/${name}.png`, animations: "disabled" });
  };

  await check("pictures of the door", async () => {
    await ada.goto(server.url);
    await ada.getByLabel("Your name").fill("Ada");
    await shot(ada, "door-light");
    await shot(ada, "door-dark", "dark");
    await phone.goto(server.url);
    await shot(phone, "phone-door");
  });
  await check("pictures of a conversation", async () => {
    const pages = { ada, bo, cleo };
    for (const [key, name] of [["ada", "Ada"], ["bo", "Bo Lindqvist"], ["cleo", "Cleo"]]) await comeIn(pages[key], server.url, name);
    for (const [key, text] of TALK) {
      await say(pages[key], text);
      for (const page of [ada, bo, cleo]) await sees(messageIn(page, text));
    }
    for (const [page, names] of [[ada, ["campfire", "lobby"]], [bo, ["campfire"]]]) {
      for (const name of names) {
        await roomButton(page, name).click();
        await sees(page.getByRole("heading", { name }));
      }
    }
    await say(bo, "Anybody awake?");
    await say(bo, "I brought marshmallows.");
    await sees(roomButton(ada, "campfire").getByText("2 unread"));
    await comeIn(phone, server.url, "Dee");
    await say(phone, "Reading along from the train");
    await sees(messageIn(ada, "Reading along from the train"));
    await shot(ada, "desktop-light");
    await shot(ada, "desktop-dark", "dark");
    await shot(phone, "phone-light");
    await shot(phone, "phone-dark", "dark");
    await phone.getByRole("button", { name: "Show rooms" }).click();
    await shot(phone, "phone-rooms");
    await phone.keyboard.press("Escape");
  });
  await checkPhone({ check }, phone);
  await check("pictures of a tablet and of a lost connection", async () => {
    await ada.setViewportSize({ width: 820, height: 1100 });
    await shot(ada, "tablet-light");
    await ada.setViewportSize({ width: 1280, height: 800 });
    await server.signal("SIGSTOP");
    await say(ada, "The numbers are in. Where is everybody?");
    await sees(ada.locator(".msg.pending"));
    await server.signal("SIGKILL");
    await sees(ada.getByText("Not sent."));
    await shot(ada, "desktop-offline");
  });
  await desktop.close();
  await mobile.close();
}

async function checkEncrypted({ check }, servers, browser) {
  if (!process.env.HAS_TLS) return console.log("SKIPPED: the chat over TLS, which needs OpenSSL");
  const server = await Server.start("127.0.0.1:0", ["--tls"]);
  servers.push(server);
  const context = await newContext(browser);
  const [ada, bo] = [await context.newPage(), await context.newPage()];
  await check("the chat over TLS", async () => {
    assert(server.url.startsWith("https://"), server.url);
    await enter(ada, server.url, "Ada");
    await enter(bo, server.url, "Bo");
    await Promise.all([isInside(ada), isInside(bo)]);
    await say(ada, "Nobody else can read this.");
    await sees(messageIn(bo, "Nobody else can read this."));
  });
  await context.close();
}

async function main() {
  const checks = new Checks();
  const tools = { check: checks.check.bind(checks) };
  const servers = [await Server.start()];
  const browser = await launch();
  try {
    await checkHttp(tools, servers[0]);
    await checkLooks(tools, browser);
    const context = await newContext(browser);
    const [ada, bo] = [await context.newPage(), await context.newPage()];
    await checkTalk(tools, servers[0], ada, bo);
    await checkRooms(tools, ada, bo);
    await checkAbuse(tools, servers[0], ada, bo);
    await checkOneself(tools, servers[0], context);
    await checkComingBack(tools, servers, ada, bo);
    await checkGoodbye(tools, servers.at(-1), [ada, bo]);
    await checkEncrypted(tools, servers, browser);
    await tools.check("no page complained", async () => assertEqual(complaints, [], "complaints"));
  } finally {
    await browser.close();
    for (const server of servers) if (server.isRunning) server.process.kill("SIGKILL");
  }
  return checks.report();
}

main().then(
  passed => process.exit(passed ? 0 : 1),
  error => { console.error(error); process.exit(1); },
);
