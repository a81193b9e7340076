// Tests an echo server with Chromium, with and without compression. Chromium offers context takeover, and compresses
// every message. tests/browser/run starts this script, and lists the required tools.

import { once } from "node:events";
import http from "node:http";

import { SCHEME, Sockeye, textOf } from "../interoperability/harness.mjs";
import { assert, assertEqual, Checks, launch, main } from "./harness.mjs";

const SIZES = [0, 1, 125, 126, 65535, 65536, 2 ** 20, 16 * 2 ** 20];
const CLOSES = [[1000, ""], [3000, "bye"], [4999, "🐟".repeat(30) + "end"]];
const PARAMETERS = {
  "with context takeover": { deflate: true },
  "without context takeover": { deflate: false },
  "in fragments": { deflate: true, fragment_size: 100 },
  "without compression": {},
};

/** Runs in the page: defines a WebSocket with a queue of received messages. */
function defineHelpers() {
  window.open_ = url => new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const [received, waiting] = [[], []];
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (waiting.length > 0 ? waiting.shift()(data) : received.push(data));
    socket.next = () => new Promise(resolve => (received.length > 0 ? resolve(received.shift()) : waiting.push(resolve)));
    socket.closed = new Promise(resolve => { socket.onclose = ({ code, reason }) => resolve([code, reason]); });
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error("the connection was not opened"));
  });
  window.isEqual = (one, other) => {
    if (typeof one === "string") return one === other;
    const [a, b] = [new Uint8Array(one), new Uint8Array(other)];
    return a.length === b.length && a.every((byte, at) => byte === b[at]);
  };
}

/** Runs in the page: sends messages one after the other, and counts the replies that are unchanged. */
async function echo({ url, kind, texts }) {
  const socket = await window.open_(url);
  let count = 0;
  for (const text of texts) {
    const bytes = new TextEncoder().encode(text);
    const message = kind === "text" ? text : bytes.buffer;
    socket.send(message);
    count += window.isEqual(message, await socket.next());
  }
  socket.close(1000);
  return [count, await socket.closed, socket.extensions];
}

async function checkEchoes(check, page, name, settings) {
  const sockeye = await Sockeye.start({ ...settings });
  const url = () => `${SCHEME}://127.0.0.1:${sockeye.port}/${number++}`;
  const isCompressed = settings.deflate !== undefined;
  for (const kind of ["text", "binary"]) {
    await check(`${kind}, ${name}`, async () => {
      const texts = SIZES.map(textOf);
      const [count, closed, extensions] = await page.evaluate(echo, { url: url(), kind, texts });
      assertEqual([count, closed], [SIZES.length, [1000, ""]], "returned messages");
      assertEqual(extensions.startsWith("permessage-deflate"), isCompressed, extensions);
    });
  }
  await check(`similar messages, ${name}`, async () => {
    const at = url();
    const texts = Array.from({ length: 100 }, (_, round) => `the quick brown fish ${round} `.repeat(round + 1));
    const [count] = await page.evaluate(echo, { url: at, kind: "text", texts });
    assertEqual(count, 100, "returned messages");
    const isCompressedHere = (await sockeye.event(new URL(at).pathname, "message")).compressed;
    assertEqual(isCompressedHere, isCompressed, "compressed by Chromium");
  });
  await checkClosing(check, page, name, sockeye, url);
  await check(`Sockeye exits, ${name}`, () => sockeye.end());
}

async function checkClosing(check, page, name, sockeye, url) {
  await check(`pings between messages, ${name}`, async () => {
    const at = url();
    const to = new URL(at).pathname;
    const socket = await page.evaluateHandle(url => window.open_(url), at);
    await sockeye.event(to, "open");
    for (const payload of ["", "hello", "p".repeat(125)]) {
      sockeye.sendCommand({ to, ping: payload });
      assertEqual((await sockeye.event(to, "pong")).payload, payload, "the pong");
      sockeye.sendCommand({ to, text: payload.repeat(100) });
      assertEqual(await socket.evaluate(socket => socket.next()), payload.repeat(100), "a message");
    }
    sockeye.sendCommand({ to, close: 4000, reason: "enough" });
    assertEqual(await socket.evaluate(socket => socket.closed), [4000, "enough"], "close code and reason");
  });
  for (const [code, reason] of CLOSES) {
    await check(`the page closes with ${code}, ${name}`, async () => {
      const at = url();
      const close = async ([url, code, reason]) => {
        const socket = await window.open_(url);
        socket.close(code, reason);
        return socket.closed;
      };
      assertEqual((await page.evaluate(close, [at, code, reason]))[0], code, "the answer");
      const event = await sockeye.event(new URL(at).pathname, "close");
      assertEqual([event.code, event.reason], [code, reason], "code and reason that Sockeye received");
    });
  }
}

let number = 0;

async function runTests() {
  const checks = new Checks();
  // Chromium forbids connections to this machine from a page without an origin.
  const blank = http.createServer((_, answer) => answer.end()).listen(0, "127.0.0.1");
  await once(blank, "listening");
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${blank.address().port}/`);
    await page.evaluate(defineHelpers);
    for (const [name, settings] of Object.entries(PARAMETERS)) {
      await checkEchoes(checks.check.bind(checks), page, name, settings);
    }
    assert(Sockeye.started.length === 0, "a Sockeye process is still running");
  } finally {
    await browser.close();
  }
  return checks.report();
}

await main(runTests);
