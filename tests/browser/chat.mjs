// Tests the page of the example `chat` in a browser, with several tabs and a server that stops and starts again.
// tests/browser/run starts this script, and lists the required tools.

import { mkdirSync } from "node:fs";
import http from "node:http";

import { assert, assertEqual, Checks, launch, main, Server, within } from "./harness.mjs";
import {
  closeCodes, expectUsers, fillLogin, isHidden, isJoined, isVisible, join, messageIn, newContext, noteIn, pageErrors, roomButton, sendText,
  undelivered,
} from "./user.mjs";

const SHOTS = "target/browser";

/** Sends an HTTP request, which may be an upgrade, and returns the status, headers and body of the response. */
function request(url, { method = "GET", path = "/", headers = {} } = {}) {
  const answer = new Promise((resolve, reject) => {
    const sent = http.request(url, { method, path, headers, agent: false }, response => {
      let body = "";
      response.setEncoding("utf8").on("data", text => { body += text; });
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    sent.on("upgrade", (response, socket) => { socket.destroy(); resolve({ status: response.statusCode }); });
    sent.on("error", reject);
    sent.end();
  });
  return within(`${method} ${path}`, answer);
}

const upgradeFrom = origin => ({
  path: "/ws",
  headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", Origin: origin },
});

/** Sends raw messages from the page's own origin, and returns the close code. */
const closeCodeFor = (page, messages) => page.evaluate(messages => new Promise(resolve => {
  const socket = new WebSocket(`ws://${location.host}/ws`);
  socket.onopen = () => { for (const message of messages) socket.send(message); };
  socket.onclose = event => resolve(event.code);
}), messages);

/** Lets 12 users send 17 messages each to a room at once. More would exceed the rate limit. */
const sendBurst = (page, room) => page.evaluate(room => Promise.all(Array.from({ length: 12 }, (_, user) => new Promise(resolve => {
  const socket = new WebSocket(`ws://${location.host}/ws`);
  const send = request => socket.send(JSON.stringify(request));
  socket.onopen = () => {
    send({ type: "enter", name: `Writer ${user}`, key: `0123456789abcdef${user}` });
    send({ type: "join", room });
    for (let n = 1; n <= 17; n++) send({ type: "send", room, text: `message ${n}`, ref: `${user}-${n}` });
  };
  socket.onmessage = event => { if (JSON.parse(event.data).ref === `${user}-17`) socket.close(); };
  socket.onclose = () => resolve();
}))), room);
const BURST = 12 * 17;

/** Waits until a page shows a number of messages, then returns the number of pixels below the visible part of the log. */
async function pixelsBelow(page, messages) {
  await page.waitForFunction(messages => document.querySelectorAll(".log:not([hidden]) .msg:not(.pending)").length === messages, messages);
  return page.locator(".log:visible").evaluate(log => new Promise(resolve => {
    requestAnimationFrame(() => setTimeout(() => resolve(Math.round(log.scrollHeight - log.scrollTop - log.clientHeight))));
  }));
}

// The tests.

async function checkHttp({ check }, server) {
  await check("GET returns the page, and HEAD only its headers", async () => {
    const page = await request(server.url);
    assertEqual(page.status, 200, "status");
    assert(page.body.startsWith("<!doctype html>"), "no page");
    assert(/^text\/html; *charset=utf-8$/i.test(page.headers["content-type"]), "no content type");
    const policy = page.headers["content-security-policy"] ?? "";
    const nonce = policy.match(/script-src 'nonce-([0-9a-f]{32})'/)?.[1];
    assert(policy.includes("default-src 'none'") && page.body.includes(`<script nonce="${nonce}">`), `policy: ${policy}`);
    const again = await request(server.url);
    assert(!again.body.includes(nonce), "the nonce is used twice");

    const head = await request(server.url, { method: "HEAD" });
    assertEqual([head.status, head.body], [200, ""], "HEAD");
    assertEqual(Number(head.headers["content-length"]), Buffer.byteLength(page.body), "Content-Length of HEAD");
  });
  await check("other paths and methods are rejected", async () => {
    for (const path of ["/chat.html", "/../Cargo.toml", "/wsx", "//"]) {
      assertEqual((await request(server.url, { path })).status, 404, path);
    }
    const posted = await request(server.url, { method: "POST", headers: { "Content-Length": 0 } });
    assertEqual(posted.status, 405, "POST /");
    assertEqual(posted.headers.allow, "GET, HEAD", "Allow");
    const { status } = await request(server.url, { path: "/ws" });
    assert(status >= 400 && status < 500, `/ws without an upgrade: ${status}`);
  });
  await check("metrics and health are pages for monitoring", async () => {
    const metrics = await request(server.url, { path: "/metrics" });
    assertEqual(metrics.status, 200, "status of /metrics");
    assert(metrics.headers["content-type"].startsWith("text/plain; version=0.0.4"), metrics.headers["content-type"]);
    assert(/^sockeye_connections_open \d+$/m.test(metrics.body), metrics.body);
    const health = await request(server.url, { path: "/health" });
    assertEqual([health.status, health.body.split(",")[0]], [200, "running"], "/health");
    for (const path of ["/metrics", "/health"]) {
      assertEqual((await request(server.url, { method: "POST", path, headers: { "Content-Length": 0 } })).status, 405, `POST ${path}`);
    }
  });
  await check("only the page of this server may open the WebSocket", async () => {
    assertEqual((await request(server.url, upgradeFrom(`http://${server.address}`))).status, 101, "same origin");
    for (const origin of ["http://evil.example", "null", "http://127.0.0.1:1", `http://${server.address}.evil.example`]) {
      assertEqual((await request(server.url, upgradeFrom(origin))).status, 403, origin);
    }
  });
}

async function checkMessages({ check }, server, ada, bo) {
  await check("two tabs join with different names", async () => {
    await join(ada, server.url, "Ada");
    // The others look like the first one: full-width letters, and letters of which two are Cyrillic.
    for (const name of ["ada", "\uff21\uff44\uff41", "\u0410d\u0430"]) {
      await fillLogin(bo, server.url, name);
      await isVisible(bo.getByText("This name, or one that looks like it, is already in use."));
    }
    await join(bo, server.url, "Bo");
    await isVisible(noteIn(ada, "Bo joined"));
  });
  await check("messages are delivered in both directions", async () => {
    await sendText(ada, "Hello Bo");
    await isVisible(messageIn(bo, "Hello Bo"));
    await sendText(bo, "Hello Ada");
    await isVisible(messageIn(ada, "Hello Ada"));
    assertEqual(await ada.locator(".msg.own .bubble").allTextContents(), ["Hello Bo"], "Ada's own messages");
    assertEqual(await ada.locator(".msg.pending").count(), 0, "messages without a receipt");
  });
  await check("markup is shown as text, and lines and emoji are preserved", async () => {
    const markup = '<img src=x onerror="document.title=1"><b>bold</b> & "so"';
    await sendText(ada, markup);
    await isVisible(messageIn(bo, markup));
    assertEqual(await bo.locator(".bubble *").count(), 0, "elements in a bubble");
    await ada.getByLabel("Message", { exact: true }).fill("one");
    await ada.keyboard.press("Shift+Enter");
    await ada.keyboard.type("two 🐟");
    await ada.keyboard.press("Enter");
    await bo.waitForFunction(() => [...document.querySelectorAll(".bubble")].at(-1)?.textContent === "one\ntwo 🐟");
  });
  await check("web addresses are links, and everything else is text", async () => {
    const texts = [
      "See https://example.com/a_(b). And (http://example.org/x), or \"HTTPS://example.net/?q=1&r=2#s\"!",
      'javascript:alert(1) data:text/html,x ftp://example.com xhttp://example.com http:// https://.',
      "https://example.com@example.net/ https://\u202emoc.example/",
      'https://example.com/"><img/src=x/onerror=alert(1)> <a href="javascript:alert(1)">https://example.org/</a>',
    ];
    for (const text of texts) await sendText(ada, text);
    const bubbles = bo.locator(".log:visible .bubble");
    await bo.waitForFunction(last => [...document.querySelectorAll(".bubble")].at(-1)?.textContent === last, texts.at(-1));
    const sent = (await bubbles.all()).slice(-texts.length);
    assertEqual(await Promise.all(sent.map(bubble => bubble.textContent())), texts, "the texts");
    const links = await Promise.all(sent.map(bubble => bubble.locator("a").evaluateAll(links => links.map(link => [link.textContent, link.href]))));
    const same = address => [address, address];
    assertEqual(links, [
      [same("https://example.com/a_(b)"), same("http://example.org/x"), ["HTTPS://example.net/?q=1&r=2#s", "https://example.net/?q=1&r=2#s"]],
      [],
      [],
      [same("https://example.com/"), same("https://example.org/")],
    ], "the links");
    assertEqual(await bo.locator(".bubble *:not(a)").count(), 0, "other elements in a bubble");
  });
  await check("a link opens a new tab that cannot reach the chat", async () => {
    await sendText(ada, `Open ${server.url}#campfire`);
    const link = bo.getByRole("link", { name: `${server.url}#campfire` });
    assertEqual(await link.getAttribute("rel"), "noopener noreferrer nofollow", "rel");
    const opened = bo.context().waitForEvent("page");
    await link.click();
    const tab = await opened;
    await isVisible(tab.getByText("join #campfire"));
    assertEqual(await tab.evaluate(() => [window.opener, document.referrer]), [null, ""], "opener and referrer");
    await tab.close();
  });
  await check("a message that is too long is kept, and sent once it is shortened", async () => {
    const field = ada.getByLabel("Message", { exact: true });
    const write = async text => { await field.fill(""); await ada.keyboard.insertText(text); };
    const tooLong = [
      ["x".repeat(2_500), "500 characters too many"],
      ["\u{1F41F}".repeat(2_001), "1 character too many"],
      ["x\n".repeat(61) + "x", "2 lines too many"],
    ];
    for (const [text, notice] of tooLong) {
      await write(text);
      await isVisible(ada.getByRole("status").getByText(notice, { exact: true }));
      await ada.keyboard.press("Enter");
      assertEqual(await field.inputValue(), text, `the text with ${notice}`);
      assertEqual(await field.getAttribute("aria-invalid"), "true", "aria-invalid");
      assert(await ada.getByRole("button", { name: "Send", exact: true }).isDisabled(), "the button is enabled");
    }
    // The server counts code points, of which 2,000 emoji have 2,000. In JavaScript, their length is 4,000. Spaces at the
    // ends and control characters do not count.
    const longest = "\u{1F41F}".repeat(2_000);
    await write(` ${longest}\u0007 `);
    assertEqual(await field.getAttribute("aria-invalid"), "false", "aria-invalid");
    await ada.keyboard.press("Enter");
    await isVisible(messageIn(bo, longest));
    assertEqual(await field.inputValue(), "", "the field after sending");
    await isVisible(messageIn(ada, longest));
    assertEqual(await bo.getByText("xx").count(), 0, "messages that are too long");
  });
  await check("joining and leaving are shown, and later users see the history", async () => {
    await expectUsers(ada, ["Ada", "Bo"]);
    const cy = await ada.context().newPage();
    await join(cy, server.url, "Cy");
    await expectUsers(ada, ["Ada", "Bo", "Cy"]);
    await expectUsers(cy, ["Ada", "Bo", "Cy"]);
    await isVisible(messageIn(cy, "Hello Ada"));
    await cy.close();
    await expectUsers(ada, ["Ada", "Bo"]);
    await isVisible(noteIn(bo, "Cy left"));
  });
}

async function checkRooms({ check }, ada, bo) {
  await check("rooms are separate, and unread messages are counted", async () => {
    await roomButton(bo, "campfire").click();
    await isVisible(bo.getByRole("heading", { name: "campfire" }));
    await expectUsers(bo, ["Bo"]);
    await sendText(ada, "only for the lobby");
    await isVisible(roomButton(bo, "lobby").getByText("1 unread"));
    assertEqual(await bo.locator(".log:visible").getByText("only for the lobby").count(), 0, "shown in the campfire");
    assert((await bo.title()).startsWith("(1) "), "the title shows the count");
    await sendText(bo, "only for the campfire");
    await isVisible(messageIn(bo, "only for the campfire"));
    await roomButton(bo, "lobby").click();
    await isVisible(messageIn(bo, "only for the lobby"));
    await isVisible(bo.locator(".divider.new:visible"));
    assert(!(await bo.title()).startsWith("("), "read messages are not counted");
    assertEqual(await ada.getByText("only for the campfire").count(), 0, "shown in the lobby");
  });
  await check("a room can be created, joined, linked to and left", async () => {
    await bo.getByLabel("New room", { exact: true }).fill("Salmon River!");
    await bo.keyboard.press("Enter");
    await isVisible(bo.getByRole("heading", { name: "salmon-river" }));
    assert(bo.url().endsWith("/#salmon-river"), bo.url());
    await roomButton(ada, "salmon-river").click();
    await expectUsers(bo, ["Ada", "Bo"]);
    for (const page of [ada, bo]) {
      await page.getByRole("button", { name: "Leave room" }).click();
      await page.waitForFunction(() => document.querySelector("#title").textContent !== "salmon-river");
    }
    await roomButton(ada, "salmon-river").waitFor({ state: "detached" });
    for (const page of [ada, bo]) await roomButton(page, "lobby").click();
  });
  await check("the scroll position is kept, and new messages are announced", async () => {
    await sendText(ada, Array.from({ length: 60 }, (_, line) => `line ${line}`).join("\n"));
    await bo.waitForFunction(() => [...document.querySelectorAll(".log:not([hidden]) .bubble")].at(-1)?.textContent.endsWith("line 59"));
    const log = bo.locator(".log:visible");
    const top = () => log.evaluate(log => log.scrollTop);
    assert(await log.evaluate(log => log.scrollHeight - log.scrollTop - log.clientHeight < 2), "the log is at its end");
    await log.evaluate(log => { log.scrollTop = 0; });
    await bo.waitForFunction(() => rooms.get("lobby").atEnd === false);
    await sendText(ada, "down here");
    await isVisible(bo.getByRole("button", { name: "1 new message" }));
    assertEqual(await top(), 0, "scroll position");
    await bo.getByRole("button", { name: "1 new message" }).click();
    await isHidden(bo.getByRole("button", { name: "1 new message" }));
    assert(await top() > 0, "the log scrolls to its end");
  });
}

async function checkBursts({ check }, server, context) {
  const [reader, writer] = [await context.newPage(), await context.newPage()];
  await writer.goto(server.url);
  await reader.goto(`${server.url}#burst`);
  await join(reader, server.url, "Reader");
  const log = reader.locator(".log:visible");
  await check("the log stays at its end during a burst, also of messages that are not delivered", async () => {
    await sendBurst(writer, "burst");
    assertEqual(await pixelsBelow(reader, BURST), 0, "pixels below the burst of other users");
    await reader.evaluate(() => {
      for (let n = 1; n <= 200; n++) {
        document.querySelector("#text").value = `my message ${n}`;
        document.querySelector("#composer").requestSubmit();
      }
    });
    await isVisible(reader.getByText("too many messages"));
    const delivered = await log.locator(".msg:not(.pending)").count();
    assert(delivered > BURST && delivered < BURST + 60, `${delivered - BURST} messages of this user were delivered`);
    assertEqual(await pixelsBelow(reader, delivered), 0, "pixels below the burst of this user");
    await reader.getByRole("button", { name: "Reconnect now" }).click();
    await isJoined(reader);
    await sendBurst(writer, "burst");
    assertEqual(await pixelsBelow(reader, delivered + BURST), 0, "pixels below the second burst of other users");
  });
  await check("undelivered messages are outside of the log, and can be sent again or discarded", async () => {
    assertEqual(await log.locator(".pending").count(), 0, "messages in the log that are not delivered");
    let left = 200 - await log.getByText(/^my message/).count();
    const box = await undelivered(reader, left).boundingBox();
    assert(box.height < 200, `the undelivered messages are ${box.height} pixels high`);
    const entry = text => undelivered(reader).getByRole("listitem").filter({ hasText: text });
    await entry("my message 199").getByRole("button", { name: "Discard" }).click();
    left -= 1;
    await isVisible(undelivered(reader, left));
    await entry("my message 200").getByRole("button", { name: "Send again" }).click();
    left -= 1;
    await isVisible(undelivered(reader, left));
    await isVisible(messageIn(reader, "my message 200"));
    assertEqual([await entry("my message 199").count(), await entry("my message 200").count()], [0, 0], "entries");
    await undelivered(reader).getByRole("button", { name: "Discard all" }).click();
    await isHidden(undelivered(reader));
    assert(await reader.evaluate(() => document.activeElement.id === "text"), "the focus is not in the field for messages");
    assertEqual(await log.getByText("my message 199").count(), 0, "discarded messages in the log");
  });
  await check("a burst does not move the log when the reader has scrolled up", async () => {
    await log.evaluate(log => { log.scrollTop = 700; });
    await reader.waitForFunction(() => rooms.get("burst").atEnd === false);
    const before = await log.locator(".msg:not(.pending)").count();
    for (let n = 1; n <= 2; n++) {
      await sendBurst(writer, "burst");
      await pixelsBelow(reader, before + n * BURST);
      assertEqual(await log.evaluate(log => log.scrollTop), 700, `the scroll position after burst ${n}`);
    }
    const button = reader.getByRole("button", { name: `${2 * BURST} new messages` });
    await button.click();
    await isHidden(button);
    assertEqual(await pixelsBelow(reader, before + 2 * BURST), 0, "pixels below the end");
  });
  await check("the order of the history is that of delivery", async () => {
    const rows = page => page.locator(".log:visible .msg").evaluateAll(rows =>
      rows.map(row => [row.dataset.from, row.querySelector(".bubble").textContent]));
    const late = await context.newPage();
    await late.goto(`${server.url}#burst`);
    await join(late, server.url, "Late reader");
    await isVisible(late.locator(".log:visible .msg"));
    const [history, delivered] = [await rows(late), await rows(reader)];
    assertEqual(history.length, 100, "messages of the history");
    assertEqual(history, delivered.slice(-history.length), "the history");
    await late.close();
  });
  await reader.close();
  await writer.close();
}

/**
 * Delivers events to a page in another order than that of their numbers, as several workers of the server can, and returns what
 * each row of the log shows. The numbers count from the last one that the page knows. `first` marks the rows that show a sender.
 */
const deliver = (page, events) => page.evaluate(events => {
  const room = rooms.get(current);
  window.since ??= room.userChanges.since;
  window.began ??= Date.now();
  const fill = ({ id, history, ...event }) => ({ room: current, id: window.since + id, time: window.began + id, ref: `${id}`,
    ...history && { history: history.map(fill) }, ...event });
  for (const event of events) handleEvent(fill(event));
  return [...room.list.querySelectorAll(".msg, .note")].map(row => {
    const text = row.querySelector(".bubble")?.textContent ?? row.textContent;
    return row.querySelector(".head")?.checkVisibility() ? `first ${text}` : text;
  });
}, events);

async function checkOrder({ check }, server, context) {
  const page = await context.newPage();
  await page.goto(`${server.url}#order`);
  await join(page, server.url, "Orderly");
  const message = (id, from = "Zoe") => ({ type: "message", id, from, text: `${from} ${id}` });
  const sorted = ["first Zoe 10", "first Yan 20", "first Zoe 30", "Zoe 40"];
  await check("messages are sorted by their numbers, and each is shown once", async () => {
    assertEqual(await deliver(page, [message(10), message(40), message(30)]), ["first Zoe 10", "Zoe 30", "Zoe 40"], "one sender");
    assertEqual(await deliver(page, [message(20, "Yan")]), sorted, "a message between them");
    assertEqual(await deliver(page, [message(20, "Yan"), message(10), message(40)]), sorted, "messages that are shown already");
  });
  await check("a message that is published after a history with it is shown once", async () => {
    const joined = { type: "joined", id: 60, users: ["Orderly", "Zoe"], history: [20, 25, 30, 60].map(id => message(id, id === 20 ? "Yan" : "Zoe")) };
    const wanted = ["first Zoe 10", "first Yan 20", "first Zoe 25", "Zoe 30", "Zoe 40", "Zoe 60"];
    assertEqual(await deliver(page, [joined, message(60), message(25)]), wanted, "rows");
    await expectUsers(page, ["Orderly", "Zoe"]);
  });
  await check("an old change of the users is ignored", async () => {
    const change = (type, id) => ({ type: `user-${type}`, id, user: "Zoe" });
    const before = await deliver(page, [change("left", 50)]);
    await expectUsers(page, ["Orderly", "Zoe"]);
    assertEqual(before.at(-1), "Zoe 60", "the last row after a change that the list contains");
    assertEqual((await deliver(page, [change("joined", 80), change("left", 70)])).slice(before.length), ["Zoe is back"], "notes");
    await expectUsers(page, ["Orderly", "Zoe"]);
    const counts = [[90, 7], [85, 6]].map(([id, users]) => ({ type: "room", room: "campfire", id, users }));
    await deliver(page, counts);
    await isVisible(roomButton(page, "campfire").getByText("7"));
    await deliver(page, [100, 95].map(id => ({ type: "room", room: "campfire", id, users: id === 100 ? null : 5 })));
    assertEqual(await roomButton(page, "campfire").count(), 0, "buttons of a room that has been removed");
  });
  await check("messages of a new run of the server follow those of the old one", async () => {
    await page.evaluate(() => { run = "another"; });
    assertEqual((await deliver(page, [message(2), message(1)])).slice(-2), ["first Zoe 1", "Zoe 2"], "rows");
  });
  await check("messages that were removed from the page do not return", async () => {
    const rows = await deliver(page, Array.from({ length: 600 }, (_, n) => message(n + 100)));
    assert(rows.length < 500 && rows.at(-1) === "Zoe 699", `${rows.length} rows until ${rows.at(-1)}`);
    assertEqual(await deliver(page, [message(150)]), rows, "rows");
  });
  await page.close();
}

async function checkAbuse({ check }, server, ada, bo) {
  await check("invalid requests close the connection", async () => {
    const page = await ada.context().newPage();
    await page.goto(server.url);
    const key = "0123456789abcdef";
    assertEqual(await closeCodeFor(page, ["hello?"]), 1008, "not JSON");
    assertEqual(await closeCodeFor(page, ['{"type":"enter","name":"X"}']), 1008, "a missing field");
    assertEqual(await closeCodeFor(page, [`{"type":"enter","name":"X","key":"${key}","more":"x"}`]), 1008, "an unknown field");
    assertEqual(await closeCodeFor(page, ["x".repeat(100_000)]), 1009, "too long");
    await page.close();
  });
  await check("a flood closes its connection and does not disturb the others", async () => {
    const page = await ada.context().newPage();
    await page.goto(server.url);
    const enterAndJoin = ['{"type":"enter","name":"Flood","key":"fedcba9876543210"}', '{"type":"join","room":"lobby"}'];
    const message = '{"type":"send","room":"lobby","text":"FLOOD","ref":"1"}';
    const flood = closeCodeFor(page, [...enterAndJoin, ...Array(2000).fill(message)]);
    await sendText(ada, "can you hear me?");
    await isVisible(messageIn(bo, "can you hear me?"));
    assertEqual(await within("the flood is stopped", flood), 1008, "close code");
    await expectUsers(ada, ["Ada", "Bo"]);
    const count = await bo.getByText("FLOOD", { exact: true }).count();
    assert(count > 0 && count <= 20, `${count} messages were delivered`);
    await page.close();
  });
}

async function checkReconnecting({ check }, servers, ada, bo) {
  await check("after a reload, the page reconnects as the same user", async () => {
    await ada.reload();
    await isJoined(ada);
    await expectUsers(ada, ["Ada", "Bo"]);
    await isVisible(messageIn(ada, "Hello Ada"));
    await isVisible(noteIn(bo, "Ada is back"));
    await sendText(ada, "back again");
    await isVisible(messageIn(bo, "back again"));
  });
  await check("after a restart of the server, the pages reconnect and no message is lost", async () => {
    const old = servers.at(-1);
    await old.signal("SIGSTOP");
    await sendText(ada, "into the void");
    await isVisible(ada.locator(".msg.pending"));
    await old.signal("SIGKILL");
    for (const page of [ada, bo]) await isVisible(page.getByText("The connection was lost."));
    await isVisible(undelivered(ada, 1));
    servers.push(await old.restart());
    for (const page of [ada, bo]) {
      await isJoined(page);
      await expectUsers(page, ["Ada", "Bo"]);
      await isVisible(messageIn(page, "Hello Ada"));
    }
    await undelivered(ada, 1).getByRole("button", { name: "Send again" }).click();
    await isVisible(messageIn(bo, "into the void"));
    await isHidden(undelivered(ada));
    await ada.locator(".msg.pending").waitFor({ state: "detached" });
  });
  await check("a drain is announced, and the pages lose nothing that was written", async () => {
    const old = servers.at(-1);
    for (const page of [ada, bo]) {
      await page.evaluate(() => {
        window.notices = [];
        new MutationObserver(() => {
          if (!document.querySelector("#banner").hidden) window.notices.push(document.querySelector("#banner-text").textContent);
        }).observe(document.querySelector("#banner"), { attributes: true, childList: true, subtree: true, characterData: true });
      });
    }
    await bo.getByLabel("Message", { exact: true }).fill("not sent yet");
    const codes = (await closeCodes(ada)).length;
    // Ada writes until her connection is closed, or the rate limit is near. Each text is sent, or remains in the field.
    const written = ada.evaluate(async () => {
      const texts = [];
      for (let n = 1; n <= 12; n++) {
        document.querySelector("#text").value = `during the drain ${n}`;
        document.querySelector("#composer").requestSubmit();
        if (document.querySelector("#text").value) break;
        texts.push(`during the drain ${n}`);
        await new Promise(requestAnimationFrame);
      }
      return texts;
    });
    await old.signal("SIGTERM");
    const texts = await written;
    for (const page of [ada, bo]) {
      await isVisible(page.getByText("The server was stopped."));
      const notices = await page.evaluate(() => window.notices);
      assertEqual(notices[0], "The server is stopping. This page will reconnect.", "the first notice");
      assert(notices.some(notice => /^The server was stopped\. Reconnecting in \d+ s\.$/.test(notice)), `notices: ${notices}`);
    }
    assertEqual((await closeCodes(ada))[codes], 1001, "close code");
    const delivered = await ada.locator(".log:visible .msg:not(.pending) .bubble").allTextContents();
    const kept = await undelivered(ada).getByRole("listitem").locator(".text").allTextContents();
    assertEqual([...delivered, ...kept].filter(text => text.startsWith("during the drain")).length, texts.length, "messages");
    for (const text of texts) assert(delivered.includes(text) !== kept.includes(text), `${text}: delivered ${delivered.includes(text)}`);

    servers.push(await old.restart());
    for (const page of [ada, bo]) {
      await isJoined(page);
      await isHidden(page.getByText("The server was stopped."));
    }
    await ada.getByLabel("Message", { exact: true }).fill("");
    if (kept.length) await undelivered(ada).getByRole("button", { name: "Discard all" }).click();
    assertEqual(await bo.getByLabel("Message", { exact: true }).inputValue(), "not sent yet", "the field");
    await bo.getByLabel("Message", { exact: true }).press("Enter");
    await isVisible(messageIn(ada, "not sent yet"));
  });
  await check("a server that restarts is named as the reason", async () => {
    assertEqual(await ada.evaluate(() => [closeReason(1012, ""), closeReason(1001, ""), closeReason(1006, "")]),
      ["The server is restarting.", "The server was stopped.", ""], "reasons");
  });
  await check("the reason for a disconnection is shown until the page is connected again", async () => {
    const old = servers.at(-1);
    const failures = (await closeCodes(ada)).length + 2;
    await old.signal("SIGINT");
    await ada.waitForFunction(failures => window.closeCodes.length >= failures, failures);
    await isVisible(ada.getByText("The server was stopped."));
    servers.push(await old.restart());
    for (const page of [ada, bo]) await isJoined(page);
    await isHidden(ada.getByText("The server was stopped."));
    await servers.at(-1).signal("SIGKILL");
    await isVisible(ada.getByText("The connection was lost."));
    servers.push(await old.restart());
    for (const page of [ada, bo]) await isJoined(page);
  });
}

async function checkSessions({ check }, server, context) {
  await check("a duplicated tab replaces the first one, until the first one reconnects", async () => {
    const first = await join(await context.newPage(), server.url, "Twin");
    const copy = await context.newPage();
    const session = await first.evaluate(() => sessionStorage.getItem("chat"));
    await copy.goto(server.url);
    await copy.evaluate(session => sessionStorage.setItem("chat", session), session);
    await copy.reload();
    await isJoined(copy);
    await isVisible(first.getByText("This chat is open in another tab."));
    await first.getByRole("button", { name: "Use it here" }).click();
    await isJoined(first);
    await isVisible(copy.getByText("This chat is open in another tab."));
    await first.close();
    await copy.close();
  });
  await check("a link leads to its room, and a user can leave the chat", async () => {
    const page = await context.newPage();
    await page.goto(`${server.url}#workshop`);
    await isVisible(page.getByText("join #workshop"));
    await join(page, server.url, "Guest");
    await isVisible(page.getByRole("heading", { name: "workshop" }));
    await page.getByRole("button", { name: "Leave the chat" }).click();
    await isVisible(page.getByLabel("Your name"));
    await page.reload();
    await isVisible(page.getByLabel("Your name"));
    await page.close();
  });
  await check("a server that does not answer is detected while the connection is open", async () => {
    const page = await context.newPage();
    await page.clock.install();
    await join(page, server.url, "Patient");
    await server.signal("SIGSTOP");
    await page.clock.runFor(40_000);
    await isVisible(page.getByText("The connection was lost."));
    server.process.kill("SIGCONT");
    await page.clock.runFor(20_000);
    await isJoined(page);
    await page.close();
  });
}

async function checkPhone({ check }, phone) {
  await check("on a phone nothing overflows, and the drawers open and close", async () => {
    const overflow = () => phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assertEqual(await overflow(), 0, "pixels beyond the edge");
    await phone.getByRole("button", { name: "Show users" }).click();
    await isVisible(phone.getByRole("complementary", { name: "Users in this room" }));
    await phone.keyboard.press("Escape");
    await isHidden(phone.getByRole("complementary", { name: "Users in this room" }));
    await phone.getByRole("button", { name: "Show rooms" }).click();
    await roomButton(phone, "campfire").click();
    await isVisible(phone.getByRole("heading", { name: "campfire" }));
    await isHidden(phone.getByRole("complementary", { name: "Rooms" }));
    await phone.getByRole("button", { name: "Show rooms" }).click();
    await roomButton(phone, "lobby").click();
    await isVisible(phone.getByRole("heading", { name: "lobby" }));
    assertEqual(await overflow(), 0, "pixels beyond the edge");
  });
}

async function checkShutdown({ check }, server, pages) {
  await check("Ctrl-C closes all connections with 1001, and the exit code is 0", async () => {
    const before = await Promise.all(pages.map(closeCodes));
    const { code, signal } = await server.signal("SIGINT");
    assertEqual([code, signal], [0, null], "exit code and signal");
    for (const [n, page] of pages.entries()) {
      await isVisible(page.getByText("The server was stopped."));
      assertEqual((await closeCodes(page))[before[n].length], 1001, "close code");
    }
  });
}

const CONVERSATION = [
  ["bo", "Morning! Did the new build survive the night?"],
  ["cleo", "It did. No errors, and the memory graph is a flat line."],
  ["ada", "Great, then we can release it today."],
  ["cleo", "🎉"],
  ["bo", "Can you post the numbers in #campfire, too?"],
  ["ada", "Will do. Give me five minutes and a coffee."],
];

/** Plays a conversation on a separate server, and saves screenshots of it in target/browser. */
async function takeScreenshots({ check }, browser) {
  const server = await Server.start();
  const desktop = await newContext(browser, { deviceScaleFactor: 2 });
  const mobile = await newContext(browser, { viewport: { width: 390, height: 844 }, deviceScaleFactor: 3, isMobile: true, hasTouch: true });
  const [ada, bo, cleo] = [await desktop.newPage(), await desktop.newPage(), await desktop.newPage()];
  const phone = await mobile.newPage();
  mkdirSync(SHOTS, { recursive: true });
  const shot = async (page, name, colorScheme = "light", scale = "device") => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${SHOTS}/${name}.png`, animations: "disabled", scale });
  };

  await check("screenshots of the login", async () => {
    await ada.goto(server.url);
    await ada.getByLabel("Your name").fill("Ada");
    await shot(ada, "login-light");
    await shot(ada, "login-dark", "dark");
    await phone.goto(server.url);
    await shot(phone, "phone-login");
  });
  await check("screenshots of a conversation", async () => {
    const pages = { ada, bo, cleo };
    for (const [key, name] of [["ada", "Ada"], ["bo", "Bo Lindqvist"], ["cleo", "Cleo"]]) await join(pages[key], server.url, name);
    for (const [key, text] of CONVERSATION) {
      await sendText(pages[key], text);
      for (const page of [ada, bo, cleo]) await isVisible(messageIn(page, text));
    }
    for (const [page, names] of [[ada, ["campfire", "lobby"]], [bo, ["campfire"]]]) {
      for (const name of names) {
        await roomButton(page, name).click();
        await isVisible(page.getByRole("heading", { name }));
      }
    }
    await sendText(bo, "Is anyone awake?");
    await sendText(bo, "I brought marshmallows.");
    await isVisible(roomButton(ada, "campfire").getByText("2 unread"));
    // examples/chat/screenshot.png is a copy of this one.
    await ada.setViewportSize({ width: 1200, height: 720 });
    await ada.waitForFunction(() => { const log = document.querySelector(".log:not([hidden])"); return log.scrollHeight - log.scrollTop - log.clientHeight < 2; });
    await shot(ada, "screenshot", "light", "css");
    await ada.setViewportSize({ width: 1280, height: 800 });
    await join(phone, server.url, "Dee");
    await sendText(phone, "Reading along from the train");
    await isVisible(messageIn(ada, "Reading along from the train"));
    await shot(ada, "desktop-light");
    await shot(ada, "desktop-dark", "dark");
    await shot(phone, "phone-light");
    await shot(phone, "phone-dark", "dark");
    await phone.getByRole("button", { name: "Show rooms" }).click();
    await shot(phone, "phone-rooms");
    await phone.keyboard.press("Escape");
  });
  await checkPhone({ check }, phone);
  await check("screenshots of a tablet and of a lost connection", async () => {
    await ada.setViewportSize({ width: 820, height: 1100 });
    await shot(ada, "tablet-light");
    await ada.setViewportSize({ width: 1280, height: 800 });
    await server.signal("SIGSTOP");
    await sendText(ada, "The numbers are in. Where is everybody?");
    await isVisible(ada.locator(".msg.pending"));
    await server.signal("SIGKILL");
    await isVisible(undelivered(ada, 1));
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
    await fillLogin(ada, server.url, "Ada");
    await fillLogin(bo, server.url, "Bo");
    await Promise.all([isJoined(ada), isJoined(bo)]);
    await sendText(ada, "This message is encrypted.");
    await isVisible(messageIn(bo, "This message is encrypted."));
  });
  await context.close();
}

/** Runs the tests that depend on the order of events with a server whose connections belong to two event loops. */
async function checkWorkers({ check }, servers, browser) {
  const tools = { check: (name, body) => check(`two workers: ${name}`, body) };
  const own = [await Server.start("127.0.0.1:0", ["--workers", "2"])];
  const context = await newContext(browser);
  const [ada, bo] = [await context.newPage(), await context.newPage()];
  try {
    await checkMessages(tools, own[0], ada, bo);
    await checkRooms(tools, ada, bo);
    await checkBursts(tools, own[0], context);
    await checkSessions(tools, own[0], context);
    await checkReconnecting(tools, own, ada, bo);
    await checkShutdown(tools, own.at(-1), [ada, bo]);
  } finally {
    servers.push(...own);
  }
  await context.close();
}

async function runTests() {
  const checks = new Checks();
  const tools = { check: checks.check.bind(checks) };
  const servers = [await Server.start()];
  const browser = await launch();
  try {
    await checkHttp(tools, servers[0]);
    await takeScreenshots(tools, browser);
    const context = await newContext(browser);
    const [ada, bo] = [await context.newPage(), await context.newPage()];
    await checkMessages(tools, servers[0], ada, bo);
    await checkRooms(tools, ada, bo);
    await checkBursts(tools, servers[0], context);
    await checkOrder(tools, servers[0], context);
    await checkAbuse(tools, servers[0], ada, bo);
    await checkSessions(tools, servers[0], context);
    await checkReconnecting(tools, servers, ada, bo);
    await checkShutdown(tools, servers.at(-1), [ada, bo]);
    await checkWorkers(tools, servers, browser);
    await checkEncrypted(tools, servers, browser);
    await tools.check("no page reported an error", async () => assertEqual(pageErrors, [], "pageErrors"));
  } finally {
    await browser.close();
    for (const server of servers) if (server.isRunning) server.process.kill("SIGKILL");
  }
  return checks.report();
}

await main(runTests);
