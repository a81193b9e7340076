// Tests that Chromium opens WebSockets on the HTTP/2 connection of a page (RFC 8441), with axum and Sockeye behind TLS: the example
// upgrade-axum-http2. The network log of the browser proves which version of HTTP was used. tests/browser/run starts this script, and
// lists the required tools.

import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";

import { assert, assertEqual, Checks, launch, Server, within } from "./harness.mjs";

/** SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3). */
const ENABLE_CONNECT_PROTOCOL = 8;

/** Runs in the page: opens a WebSocket to its own server, sends messages, and returns what arrived. */
async function exchange({ texts, protocols, size }) {
  const socket = new WebSocket(`wss://${location.host}/echo`, protocols);
  socket.binaryType = "arraybuffer";
  const received = [];
  const closed = new Promise(resolve => { socket.onclose = ({ code, wasClean }) => resolve([code, wasClean]); });
  await new Promise((resolve, reject) => {
    socket.onerror = () => reject(new Error("the connection was not opened"));
    socket.onopen = resolve;
  });
  const all = new Promise(resolve => {
    socket.onmessage = ({ data }) => {
      received.push(typeof data === "string" ? data : data.byteLength);
      if (received.length === texts.length + 1) resolve();
    };
  });
  for (const text of texts) socket.send(text);
  socket.send(new Uint8Array(size).map((_, at) => at * 7));
  await all;
  socket.close(4000, "bye");
  return { received, protocol: socket.protocol, extensions: socket.extensions, closed: await closed };
}

/** Reads the events of a network log, with the names of their types. */
function readLog(file) {
  const { constants, events } = JSON.parse(readFileSync(file, "utf8"));
  const names = Object.fromEntries(Object.entries(constants.logEventTypes).map(([name, id]) => [id, name]));
  return events.map(({ type, params = {} }) => ({ name: names[type], params }));
}

const headersOf = event => event.params.headers ?? [];
const has = (event, line) => headersOf(event).some(header => header.toLowerCase() === line);

function checkLog(events, count) {
  const named = name => events.filter(event => event.name === name);
  const setting = named("HTTP2_SESSION_RECV_SETTING").filter(({ params }) => String(params.id).startsWith(`${ENABLE_CONNECT_PROTOCOL} `));
  assert(setting.some(({ params }) => params.value === 1), "the server did not announce extended CONNECT");
  const sent = named("HTTP2_SESSION_SEND_HEADERS").filter(event => has(event, ":protocol: websocket"));
  assertEqual(sent.length, count, "requests with :protocol: websocket");
  const streams = sent.map(({ params }) => params.stream_id);
  const answers = named("HTTP2_SESSION_RECV_HEADERS").filter(event => has(event, ":status: 200") && streams.includes(event.params.stream_id));
  assertEqual(answers.length, count, "responses with status 200");
  for (const event of sent) {
    assert(has(event, ":method: connect") && has(event, ":path: /echo") && has(event, ":scheme: https"), headersOf(event).join("\n"));
    assert(!headersOf(event).some(header => /^(sec-websocket-key|upgrade|connection):/i.test(header)), "a field of HTTP/1.1 was sent");
  }
  assert(answers.every(event => !headersOf(event).some(header => /^sec-websocket-accept:/i.test(header))), "the server has accepted a key");
  const data = name => named(name).filter(({ params }) => streams.includes(params.stream_id)).length;
  assert(data("HTTP2_SESSION_SEND_DATA") > 0 && data("HTTP2_SESSION_RECV_DATA") > 0, "no frames on the streams");
  // A page of another site has connections of its own, so it has no HTTP/2 connection to this server.
  const upgrades = named("HTTP_TRANSACTION_SEND_REQUEST_HEADERS").filter(event => has(event, "upgrade: websocket"));
  assertEqual(upgrades.length, 1, "upgrades of HTTP/1.1");
  console.log(`      ${count} WebSockets on the streams ${streams.join(", ")} of one HTTP/2 connection; ` +
    `${data("HTTP2_SESSION_SEND_DATA")} DATA frames sent, ${data("HTTP2_SESSION_RECV_DATA")} received`);
}

async function main() {
  const checks = new Checks();
  const check = checks.check.bind(checks);
  const folder = mkdtempSync(path.join(tmpdir(), "sockeye-http2-"));
  const log = path.join(folder, "net-log.json");
  const server = await Server.start("127.0.0.1:0", [], [process.env.AXUM_HTTP2]);
  const browser = await launch([`--log-net-log=${log}`]);
  const other = http.createServer((_, answer) => answer.end()).listen(0, "127.0.0.1");
  await once(other, "listening");
  let opened = 0;
  try {
    const page = await browser.newPage();
    const visited = await page.goto(server.url);
    await check("the page opens a WebSocket", async () => {
      assertEqual(visited.status(), 200, "the page");
      await page.waitForFunction(() => document.getElementById("reply").textContent === "salmon");
      opened += 1;
    });
    await check("messages, a subprotocol, compression and a close", async () => {
      const texts = ["salmon", "", "é".repeat(70_000)];
      const { received, protocol, extensions, closed } = await page.evaluate(exchange, { texts, protocols: ["x", "echo"], size: 300_000 });
      opened += 1;
      assertEqual(received, [...texts, 300_000], "the replies");
      assertEqual([protocol, closed], ["echo", [4000, true]], "subprotocol and close");
      assert(extensions.startsWith("permessage-deflate"), extensions);
    });
    await check("several WebSockets at the same time", async () => {
      // Not empty: the network log shows that Chromium sometimes does not send an empty binary message behind a text.
      const many = Array.from({ length: 10 }, (_, number) =>
        page.evaluate(exchange, { texts: [`${number}`], protocols: [], size: number + 1 }));
      const replies = await Promise.all(many);
      opened += replies.length;
      assertEqual(replies.map(({ received }) => received), replies.map((_, number) => [`${number}`, number + 1]), "the replies");
    });
    await check("a page of another origin is rejected", async () => {
      const foreign = await browser.newPage();
      await foreign.goto(`http://127.0.0.1:${other.address().port}/`);
      const code = await foreign.evaluate(address => new Promise(resolve => {
        const socket = new WebSocket(`wss://${address}/echo`);
        socket.onclose = ({ code }) => resolve(code);
      }), server.address);
      assertEqual(code, 1006, "the close code");
      await foreign.close();
    });
    await check("on Ctrl-C, the page receives 1001", async () => {
      const close = page.evaluate(() => new Promise(resolve => {
        const socket = new WebSocket(`wss://${location.host}/echo`);
        socket.onclose = ({ code }) => resolve(code);
        socket.onopen = () => { document.title = "open"; };
      }));
      await page.waitForFunction(() => document.title === "open");
      opened += 1;
      server.process.kill("SIGINT");
      assertEqual(await within("the close", close), 1001, "the close code");
      assertEqual((await within("the server exits", server.ended)).code, 0, "the exit code");
    });
  } finally {
    await browser.close();
    other.close();
    if (server.isRunning) server.process.kill();
  }
  await check("the network log shows HTTP/2", async () => checkLog(readLog(log), opened));
  rmSync(folder, { recursive: true });
  return checks.report();
}

main().then(
  passed => process.exit(passed ? 0 : 1),
  error => { console.error(error); process.exit(1); },
);
