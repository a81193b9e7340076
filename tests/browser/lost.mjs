// Tests whether a page survives a connection that is lost while a message waits to be sent, with each interface of the browser. It
// explains why `browser::Builder` uses `WebSocket` unless the program selects `WebSocketStream`: tests/wasm/src/defects.rs tests
// Sockeye itself in this situation, and cannot do so with an interface that ends the process.
// tests/browser/run starts this script, and lists the required tools.

import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";

import { assertEqual, Checks, launch, main, within } from "./harness.mjs";

/** More than the buffers of the browser and of two sockets take. */
const LENGTH = 16 * 2 ** 20;

/** How a peer can end a connection. All but the last end it without a Close. */
const ENDINGS = {
  "a reset": socket => socket.resetAndDestroy(),
  "an end of TCP": socket => socket.end(),
  "an invalid frame": socket => socket.write(Buffer.from([0xc1, 0])),
  "a Close": socket => socket.end(Buffer.from([0x88, 2, 0x03, 0xe8])),
};

/** A server that accepts WebSockets, and reads nothing after the beginning of a message. */
async function startServer() {
  const server = http.createServer((_, answer) => answer.end());
  server.on("upgrade", (request, socket) => {
    const key = request.headers["sec-websocket-key"];
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.on("error", () => {});
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.once("data", () => { socket.pause(); server.emit("blocked", socket); });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Runs in a page: sends a long message, and waits for the end of the connection. */
const SEND = {
  WebSocket: (url, length) => new Promise(resolve => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send(new Uint8Array(length));
    socket.onclose = () => resolve("closed");
  }),
  WebSocketStream: async (url, length) => {
    const socket = new WebSocketStream(url);
    const { writable } = await socket.opened;
    writable.getWriter().write(new Uint8Array(length)).catch(() => {});
    return socket.closed.then(() => "closed", () => "closed");
  },
};

/** Where a script can run. Each function returns the expression that runs `send` there. */
const PLACES = {
  "a page": (send, url) => `(${send})(${JSON.stringify(url)}, ${LENGTH})`,
  "a worker": (send, url) => `new Promise(resolve => {
    const code = ${JSON.stringify(`(${send})(${JSON.stringify(url)}, ${LENGTH}).then(end => postMessage(end))`)};
    new Worker(URL.createObjectURL(new Blob([code]))).onmessage = ({ data }) => resolve(data);
  })`,
};

/** Returns `closed` if the page has seen the end of the connection, or `crashed`. */
async function outcome(page, server, call, end) {
  const crashed = new Promise(resolve => page.once("crash", () => resolve("crashed")));
  const blocked = once(server, "blocked");
  const closed = page.evaluate(call).catch(() => crashed);
  const [socket] = await within("the server reads", blocked);
  end(socket);
  const found = await within("the connection ends", Promise.race([crashed, closed]));
  socket.destroy();
  return found;
}

await main(async () => {
  const checks = new Checks();
  const server = await startServer();
  const address = `127.0.0.1:${server.address().port}/`;
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(`http://${address}`);
    for (const [ending, end] of Object.entries(ENDINGS)) {
      for (const [place, call] of Object.entries(PLACES)) {
        await checks.check(`WebSocket in ${place} survives ${ending} while a message waits`, async () =>
          assertEqual(await outcome(page, server, call(SEND.WebSocket, `ws://${address}`), end), "closed", "outcome"));
      }
    }
    // No check, because a browser without the defect is no failure of Sockeye.
    const call = PLACES["a worker"](SEND.WebSocketStream, `ws://${address}`);
    console.log(`note  WebSocketStream in a worker, a reset while a message waits: ${await outcome(page, server, call, ENDINGS["a reset"])}`);
  } finally {
    await browser.close();
    server.close();
  }
  return checks.report();
});
