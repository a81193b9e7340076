// A browser and an echo that compress: Chromium offers to keep its context, and compresses all that it sends.
// Run by tests/browser/run, which says what is needed.

import { once } from "node:events";
import http from "node:http";

import { SCHEME, Sockeye, textOf } from "../interop/harness.mjs";
import { assert, assertEqual, Checks, launch } from "./harness.mjs";

const SIZES = [0, 1, 125, 126, 65535, 65536, 2 ** 20, 16 * 2 ** 20];
const CLOSES = [[1000, ""], [3000, "bye"], [4999, "🐟".repeat(30) + "end"]];
const PARAMETERS = {
  "keeping contexts": { deflate: true },
  "without contexts": { deflate: false },
  "in fragments": { deflate: true, fragment_size: 100 },
  "without compression": {},
};

/** Runs in the page: connections with queues of what comes. */
function prepare() {
  window.open_ = url => new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const [heard, waiting] = [[], []];
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (waiting.length > 0 ? waiting.shift()(data) : heard.push(data));
    socket.next = () => new Promise(take => (heard.length > 0 ? take(heard.shift()) : waiting.push(take)));
    socket.closed = new Promise(tell => { socket.onclose = ({ code, reason }) => tell([code, reason]); });
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error("it does not open"));
  });
  window.same = (one, other) => {
    if (typeof one === "string") return one === other;
    const [ours, theirs] = [new Uint8Array(one), new Uint8Array(other)];
    return ours.length === theirs.length && ours.every((byte, at) => byte === theirs[at]);
  };
}

/** Runs in the page: sends messages one after the other, and says how many come back as they were. */
async function echo({ url, kind, texts }) {
  const socket = await window.open_(url);
  let count = 0;
  for (const text of texts) {
    const bytes = new TextEncoder().encode(text);
    const message = kind === "text" ? text : bytes.buffer;
    socket.send(message);
    count += window.same(message, await socket.next());
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
      assertEqual([count, closed], [SIZES.length, [1000, ""]], "messages that came back");
      assertEqual(extensions.startsWith("permessage-deflate"), isCompressed, extensions);
    });
  }
  await check(`messages that resemble each other, ${name}`, async () => {
    const at = url();
    const texts = Array.from({ length: 100 }, (_, round) => `the quick brown fish ${round} `.repeat(round + 1));
    const [count] = await page.evaluate(echo, { url: at, kind: "text", texts });
    assertEqual(count, 100, "messages that came back");
    const heard = (await sockeye.event(new URL(at).pathname, "message")).compressed;
    assertEqual(heard, isCompressed, "whether Chromium compresses");
  });
  await checkClosing(check, page, name, sockeye, url);
  await check(`Sockeye ends, ${name}`, () => sockeye.end());
}

async function checkClosing(check, page, name, sockeye, url) {
  await check(`pings between messages, ${name}`, async () => {
    const at = url();
    const to = new URL(at).pathname;
    const socket = await page.evaluateHandle(url => window.open_(url), at);
    await sockeye.event(to, "open");
    for (const payload of ["", "hello", "p".repeat(125)]) {
      sockeye.say({ to, ping: payload });
      assertEqual((await sockeye.event(to, "pong")).payload, payload, "the pong");
      sockeye.say({ to, text: payload.repeat(100) });
      assertEqual(await socket.evaluate(socket => socket.next()), payload.repeat(100), "a message");
    }
    sockeye.say({ to, close: 4000, reason: "enough" });
    assertEqual(await socket.evaluate(socket => socket.closed), [4000, "enough"], "how it closed");
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
      const heard = await sockeye.event(new URL(at).pathname, "close");
      assertEqual([heard.code, heard.reason], [code, reason], "what Sockeye heard");
    });
  }
}

let number = 0;

async function main() {
  const checks = new Checks();
  // A page that comes from nowhere may not talk to this machine.
  const blank = http.createServer((_, answer) => answer.end()).listen(0, "127.0.0.1");
  await once(blank, "listening");
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${blank.address().port}/`);
    await page.evaluate(prepare);
    for (const [name, settings] of Object.entries(PARAMETERS)) {
      await checkEchoes(checks.check.bind(checks), page, name, settings);
    }
    assert(Sockeye.started.length === 0, "every Sockeye has ended");
  } finally {
    await browser.close();
  }
  return checks.report();
}

main().then(
  passed => process.exit(passed ? 0 : 1),
  error => { console.error(error); process.exit(1); },
);
