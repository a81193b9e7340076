// Tests between Sockeye and Node's `ws`, in both roles. tests/interoperability/run starts this script.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import https from "node:https";
import { createRequire } from "node:module";

import {
  CLIENT_TLS, Queue, SCHEME, SERVER_TLS, Sockeye, bytesOf, numbersUpTo, piecesOf, run, textOf, within,
} from "./harness.mjs";

// The module is installed in another folder, and only `require` searches NODE_PATH.
const require = createRequire(import.meta.url);
const { WebSocket, WebSocketServer } = require("ws");
const { version } = require("ws/package.json");

const MAX_MESSAGE = 16 * 2 ** 20; // the default of Sockeye, and the setting of the other side
const SIZES = [0, 1, 125, 126, 65535, 65536, 2 ** 20, MAX_MESSAGE];
const LONGEST_REASON = "🐟".repeat(30) + "end";
const CLOSES = [[0, ""], [1000, ""], [1000, "bye"], [1001, "gone"], [1002, ""], [1003, ""], [1007, ""], [1008, "no"],
  [1009, ""], [1010, ""], [1011, "größer"], [1012, ""], [1013, ""], [1014, ""], [3000, ""], [3999, "x"], [4000, ""],
  [4999, LONGEST_REASON]];
assert.equal(Buffer.byteLength(LONGEST_REASON), 123);

let number = 0;
/** The shared state of all tests, for each setting of compression. `world` is the state that the current test uses. */
const worlds = { plain: { compresses: false }, keeping: { compresses: true }, resetting: { compresses: true } };
const arrivals = new Map();
let world = worlds.plain;

/** A socket of `ws`, with queues of received messages and Pings. */
class Theirs {
  messages = new Queue();
  pings = new Queue();
  errors = [];

  constructor(socket) {
    this.socket = socket;
    socket.on("message", (data, isBinary) => this.messages.push(isBinary ? data : data.toString()));
    socket.on("ping", data => this.pings.push(data.toString()));
    socket.on("error", error => this.errors.push(error));
    this.closed = new Promise(resolve => {
      socket.on("close", (code, reason) => resolve([code, reason.toString()]));
    });
  }

  end() {
    return within(`ws closes the connection; it is in state ${this.socket.readyState}`, this.closed);
  }
}

/** Opens a connection with a client of `ws`. Rejects with the error if this fails. */
function connect(url, protocols = [], options = {}) {
  const socket = new WebSocket(url, protocols, { ...CLIENT_TLS, ...options });
  const theirs = new Theirs(socket);
  return within(`a connection to ${url}`, new Promise((resolve, reject) => {
    socket.once("open", () => resolve(theirs));
    socket.once("error", reject);
  }));
}

/** Starts a server of `ws` for Sockeye's clients. */
async function serve(options = {}) {
  const refuse = ({ req }, answer) => (req.url.startsWith("/refuse") ? answer(false, 403, "not today") : answer(true));
  const encrypted = SERVER_TLS && https.createServer(SERVER_TLS);
  const where = encrypted ? { server: encrypted } : { host: "127.0.0.1", port: 0 };
  const server = new WebSocketServer({ ...where, maxPayload: MAX_MESSAGE, verifyClient: refuse, ...options });
  encrypted?.listen(0, "127.0.0.1");
  server.on("connection", (socket, request) => arrival(request.url).push(new Theirs(socket)));
  await within("the server of ws listens", new Promise(resolve => server.once("listening", resolve)));
  return `${SCHEME}://127.0.0.1:${server.address().port}`;
}

function arrival(name) {
  if (!arrivals.has(name)) arrivals.set(name, new Queue());
  return arrivals.get(name);
}

/** Opens a connection with Sockeye in this role. */
async function open(role, options = {}) {
  const { sockeye = world.plain, url = world.url, protocols = [], perMessageDeflate = { threshold: 0 } } = options;
  const name = `/${number++}`;
  if (role === "client") sockeye.sendCommand({ connect: url + name });
  const theirs = role === "server"
    ? await connect(`${SCHEME}://127.0.0.1:${sockeye.port}${name}`, protocols,
      { maxPayload: MAX_MESSAGE, perMessageDeflate })
    : await arrival(name).next(`Sockeye connects to ${name}`);
  const opened = await sockeye.event(name, "open");
  assert.equal(opened.role, role);
  assert.deepEqual([theirs.socket.extensions, opened.extensions.length],
    world.compresses ? ["permessage-deflate", 1] : ["", 0]);
  return {
    theirs,
    opened,
    socket: theirs.socket,
    sendCommand: command => sockeye.sendCommand({ to: name, ...command }),
    event: kind => sockeye.event(name, kind),
    count: kind => sockeye.count(name, kind),
  };
}

/** Runs a test on a new connection. Then closes the connection, and waits until both sides have closed. */
async function link(role, test, options) {
  const conn = await open(role, options);
  await test(conn);
  conn.socket.close();
  await conn.theirs.end();
  await conn.event("lost");
}

async function echo({ theirs, event }, message, frames = 1) {
  theirs.socket.send(message);
  const { kind, len, frames: arrived, compressed } = await event("message");
  const expected = { kind: typeof message === "string" ? "text" : "binary", len: Buffer.byteLength(message), frames };
  assert.deepEqual({ kind, len, frames: arrived }, expected);
  assert.equal(compressed, theirs.socket.extensions !== "");
  const answer = await theirs.messages.next("an echo");
  // An assertion that compares the messages would print them.
  const isSame = typeof message === "string" ? answer === message : message.equals(answer);
  assert(isSame, `${message.length} sent, ${answer.length} of ${typeof answer} received`);
}

const tests = {
  compressionIsDeclined: role => link(role, async conn => {
    // The client of `ws` offers permessage-deflate by default.
    const offer = conn.opened.offered_extensions.map(extension => extension.split(";")[0]);
    assert.deepEqual(offer, role === "server" ? ["permessage-deflate"] : []);
    await echo(conn, textOf(1000));
  }),

  /** Incompressible messages are received in many fragments. */
  incompressibleFragments: role => link(role, async conn => {
    for (let round = 0; round < 3; round++) {
      await echo(conn, randomBytes(12345));
      await echo(conn, textOf(12345));
    }
  }, { sockeye: world.pieces }),

  similarMessages: role => link(role, async conn => {
    for (const word of numbersUpTo(100)) await echo(conn, `the quick brown fish ${word} `.repeat(Number(word) + 1));
  }),

  /** Uses parameters of the extension in an offer to Sockeye's server, or in an answer to Sockeye's client. */
  async parameters(role, serverNoContextTakeover, clientNoContextTakeover, bits) {
    const window = bits && { serverMaxWindowBits: bits, clientMaxWindowBits: bits };
    const perMessageDeflate = { threshold: 0, serverNoContextTakeover, clientNoContextTakeover, ...window };
    const url = role === "client" ? await serve({ perMessageDeflate }) : undefined;
    await link(role, async conn => {
      for (let round = 0; round < 3; round++) await echo(conn, textOf(100_000));
    }, { url, perMessageDeflate });
  },

  echoes: (role, kind, size) => link(role, conn => echo(conn, kind === "text" ? textOf(size) : bytesOf(size)),
    { sockeye: world.whole }),

  ourFragments: (role, kind, size) => link(role, conn => echo(conn, kind === "text" ? textOf(size) : bytesOf(size)),
    { sockeye: world.pieces }),

  /** Sends fragments of seven bytes, which split characters. Some are empty, and Pings are sent between others. */
  theirFragments: (role, kind) => link(role, async ({ theirs, socket, event }) => {
    const message = kind === "text" ? Buffer.from(textOf(1003)) : bytesOf(1003);
    const pieces = [Buffer.alloc(0), ...piecesOf(message, 7), Buffer.alloc(0)];
    pieces.forEach((piece, index) => {
      if (index % 50 === 3) socket.ping(`between ${index}`);
      socket.send(piece, { binary: kind === "binary", fin: index === pieces.length - 1 });
    });
    const received = await event("message");
    assert.deepEqual([received.kind, received.len, received.frames], [kind, 1003, pieces.length]);
    for (const index of [3, 53, 103]) assert.equal((await event("ping")).payload, `between ${index}`);
    const answer = await theirs.messages.next("an echo");
    assert(message.equals(Buffer.from(answer)));
  }),

  theirPings: role => link(role, async conn => {
    const pongs = new Queue();
    conn.socket.on("pong", data => pongs.push(data.toString()));
    for (const payload of ["", "hello", "p".repeat(125)]) {
      conn.socket.ping(payload);
      assert.equal((await conn.event("ping")).payload, payload);
      assert.equal(await pongs.next("a pong"), payload);
    }
    conn.socket.pong("unsolicited");
    assert.equal((await conn.event("pong")).payload, "unsolicited");
    await echo(conn, "still there");
  }),

  ourPings: role => link(role, async conn => {
    for (const payload of ["", "hello", "p".repeat(125)]) {
      conn.sendCommand({ ping: payload });
      assert.equal(await conn.theirs.pings.next("a ping"), payload);
      assert.equal((await conn.event("pong")).payload, payload);
    }
    conn.sendCommand({ pong: "unsolicited" });
    conn.sendCommand({ ping: "p".repeat(126) });
    await conn.event("refused");
    await echo(conn, "still there");
  }),

  theirClose: (role, code, reason) => link(role, async ({ theirs, socket, event, count }) => {
    code === 0 ? socket.close() : socket.close(code, reason);
    const received = await event("close");
    assert.deepEqual([received.code, received.reason], [code || 1005, reason]);
    // §5.5.1: the response has the same code.
    assert.equal((await theirs.end())[0], code || 1005);
    assert.equal(count("error"), 0);
  }),

  ourClose: (role, code, reason) => link(role, async ({ theirs, sendCommand, event, count }) => {
    sendCommand({ close: code, reason });
    assert.deepEqual(await theirs.end(), [code || 1005, reason]);
    assert.equal((await event("close")).code, code || 1005);
    assert.equal(count("error"), 0);
  }),

  bothClose: role => link(role, async ({ theirs, socket, sendCommand, event }) => {
    sendCommand({ close: 3001, reason: "ours" });
    socket.close(3002, "theirs");
    const received = [(await theirs.end())[0], (await event("close")).code].join();
    assert(["3001,3002", "3001,3001", "3002,3002"].includes(received), received);
  }),

  theirAbort: role => link(role, async ({ socket, event }) => {
    socket.terminate();
    assert.equal((await event("close")).code, 1006);
  }),

  unsendableCloses: role => link(role, async conn => {
    for (const [code, reason] of [[1004, ""], [1006, ""], [999, ""], [5000, ""], [1000, "x".repeat(124)]]) {
      conn.sendCommand({ close: code, reason });
      await conn.event("refused");
    }
    await echo(conn, "still there");
  }),

  messagesBeforeTheirClose: role => link(role, async ({ theirs, socket, event }) => {
    for (const word of numbersUpTo(1000)) socket.send(word);
    socket.close(1000);
    assert.equal((await theirs.end())[0], 1000);
    assert.deepEqual(theirs.messages.items, numbersUpTo(1000));
    assert.equal((await event("close")).code, 1000);
  }),

  messagesBeforeOurClose: role => link(role, async ({ theirs, sendCommand }) => {
    sendCommand({ count: 1000 });
    sendCommand({ close: 1000 });
    assert.equal((await theirs.end())[0], 1000);
    assert.deepEqual(theirs.messages.items, numbersUpTo(1000));
  }),

  /** The peer sends one byte too many, in frames of this size. It receives 1009 although it is still sending. */
  theirMessageIsTooLong: (role, size) => link(role, async ({ theirs, socket, event }) => {
    const pieces = piecesOf(Buffer.alloc(MAX_MESSAGE + 1), size);
    pieces.forEach((piece, index) => socket.send(piece, { fin: index === pieces.length - 1 }, () => {}));
    assert.equal((await theirs.end())[0], 1009);
    assert.equal((await event("error")).kind, "Capacity");
    assert.equal((await event("close")).code, 1006);
  }),

  ourMessageIsTooLong: (role, frames) => link(role, async ({ theirs, sendCommand, event }) => {
    sendCommand({ bytes: MAX_MESSAGE + 1 });
    assert.equal((await event("close")).code, 1009);
    await theirs.end();
    assert.deepEqual(theirs.errors.map(error => error.code), ["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"]);
  }, { sockeye: frames === "one frame" ? world.whole : world.plain }),

  manyInFlight: role => link(role, async ({ theirs, socket }) => {
    for (const word of numbersUpTo(10_000)) socket.send(word);
    const received = [];
    while (received.length < 10_000) received.push(await theirs.messages.next("an echo"));
    assert.deepEqual(received, numbersUpTo(10_000));
  }),

  fiftyConnections: role => Promise.all(numbersUpTo(50).map(start => link(role, async conn => {
    for (let size = Number(start); size < 40_000; size += 2000) await echo(conn, textOf(size));
  }))),

  async subprotocols(role) {
    // As a server, Sockeye chooses in the order of its settings. As a client, it accepts the choice of the server,
    // which is the first subprotocol in the offer.
    const offers = role === "server" ? [["chat.v1", "chat.v2"], ["chat.v2"], ["x", "chat.v1"]] : [[]];
    for (const protocols of offers) {
      const expected = protocols.includes("x") ? "chat.v1" : "chat.v2";
      await link(role, async ({ socket, opened }) => {
        assert.deepEqual([socket.protocol, opened.subprotocol], [expected, expected]);
      }, { sockeye: world.restrictive, protocols });
    }
  },

  /** Sockeye chooses no subprotocol, and the client does not accept this. */
  async noCommonSubprotocol() {
    const attempt = connect(`${SCHEME}://127.0.0.1:${world.restrictive.port}/${number++}`, ["x"]);
    await assert.rejects(attempt, { message: "Server sent no subprotocol" });
  },

  async unofferedSubprotocol() {
    const name = `/${number++}`;
    world.restrictive.sendCommand({ connect: world.surpriseUrl + name });
    assert.equal((await world.restrictive.event(name, "error")).kind, "Protocol");
    await world.restrictive.event(name, "lost");
    assert.equal(world.restrictive.count(name, "open"), 0);
  },

  /** No connection opens, so `on_close` is not called. */
  async refused(role) {
    const name = `/refuse/${number++}`;
    if (role === "server") {
      const url = `${SCHEME}://127.0.0.1:${world.plain.port}${name}`;
      await assert.rejects(connect(url), { message: "Unexpected server response: 403" });
      assert.deepEqual(await responseTo(url), [403, "not today"]);
    } else {
      world.plain.sendCommand({ connect: world.url + name });
      assert.equal((await world.plain.event(name, "rejected")).status, 403);
      assert.equal((await world.plain.event(name, "error")).kind, "Protocol");
      await world.plain.event(name, "lost");
      assert.equal(world.plain.count(name, "open") + world.plain.count(name, "close"), 0);
    }
  },

  async wrongOrigin() {
    const url = `${SCHEME}://127.0.0.1:${world.restrictive.port}/${number++}`;
    const attempt = connect(url, [], { origin: "http://evil.example" });
    await assert.rejects(attempt, { message: "Unexpected server response: 403" });
    const theirs = await connect(url, [], { origin: "http://good.example" });
    theirs.socket.close();
    await theirs.end();
  },

  /** All connections receive the earlier messages, and then 1001. */
  async shutdown(role) {
    const sockeye = await Sockeye.start();
    const links = await Promise.all(numbersUpTo(10).map(() => open(role, { sockeye })));
    for (const { sendCommand } of links) sendCommand({ count: 1000 });
    await sockeye.end();
    for (const { theirs } of links) {
      assert.equal((await theirs.end())[0], 1001);
      assert.deepEqual(theirs.messages.items, numbersUpTo(1000));
    }
  },
};

/** Returns the status and the body of the response with which Sockeye refuses a client. */
function responseTo(url) {
  const socket = new WebSocket(url, CLIENT_TLS);
  return within(`an answer from ${url}`, new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("unexpected-response", async (_, response) => {
      let body = "";
      for await (const part of response.setEncoding("utf8")) body += part;
      resolve([response.statusCode, body]);
    });
  }));
}

/** Returns a test that runs in the world in which messages are compressed. */
function compressing(contexts, test) {
  const compressed = async (...args) => {
    world = worlds[contexts];
    try {
      await test(...args);
    } finally {
      world = worlds.plain;
    }
  };
  Object.defineProperty(compressed, "name", { value: `${contexts} contexts, ${test.name}` });
  return compressed;
}

/** Yields the tests in which messages are compressed. */
function* compressedTests(role, contexts) {
  const c = tests;
  const all = [];
  for (const kind of ["text", "binary"]) {
    for (const size of SIZES) all.push([c.echoes, kind, size]);
    all.push([c.theirFragments, kind]);
  }
  for (const close of CLOSES) all.push([c.theirClose, ...close], [c.ourClose, ...close]);
  for (const size of [MAX_MESSAGE + 1, 2 ** 20]) all.push([c.theirMessageIsTooLong, size]);
  for (const frames of ["one frame", "many frames"]) all.push([c.ourMessageIsTooLong, frames]);
  for (const test of [c.incompressibleFragments, c.similarMessages, c.theirPings, c.ourPings, c.theirAbort,
    c.messagesBeforeTheirClose, c.messagesBeforeOurClose, c.manyInFlight, c.fiftyConnections]) all.push([test]);
  if (contexts === "keeping") {
    for (const server of [false, true]) {
      for (const client of [false, true]) {
        for (const bits of [undefined, 9, 12, 15]) all.push([c.parameters, server, client, bits]);
      }
    }
  }
  for (const [test, ...more] of all) yield [role, compressing(contexts, test), ...more];
}

/** Yields all tests: the role of Sockeye, the function, and further arguments. */
function* checks() {
  const c = tests;
  for (const role of ["server", "client"]) {
    for (const kind of ["text", "binary"]) {
      for (const size of SIZES) yield [role, c.echoes, kind, size];
      for (const size of [0, 100, 101, 12345]) yield [role, c.ourFragments, kind, size];
      yield [role, c.theirFragments, kind];
    }
    for (const close of CLOSES) {
      yield [role, c.theirClose, ...close];
      yield [role, c.ourClose, ...close];
    }
    for (const size of [MAX_MESSAGE + 1, 2 ** 20, 1000]) yield [role, c.theirMessageIsTooLong, size];
    for (const frames of ["one frame", "many frames"]) yield [role, c.ourMessageIsTooLong, frames];
    for (const test of [c.compressionIsDeclined, c.theirPings, c.ourPings, c.bothClose, c.theirAbort,
      c.unsendableCloses, c.messagesBeforeTheirClose, c.messagesBeforeOurClose, c.manyInFlight, c.fiftyConnections,
      c.subprotocols, c.refused, c.shutdown]) yield [role, test];
    for (const contexts of ["keeping", "resetting"]) yield* compressedTests(role, contexts);
  }
  yield ["server", c.noCommonSubprotocol];
  yield ["server", c.wrongOrigin];
  yield ["client", c.unofferedSubprotocol];
}

async function prepare() {
  const settingsOfWorlds = { plain: {}, keeping: { deflate: true }, resetting: { deflate: false } };
  for (const [name, settings] of Object.entries(settingsOfWorlds)) {
    const part = worlds[name];
    part.plain = await Sockeye.start(settings);
    part.whole = await Sockeye.start({ fragment_size: 2 ** 30, ...settings });
    part.pieces = await Sockeye.start({ fragment_size: 100, ...settings });
    part.url = await serve({ perMessageDeflate: { threshold: 0 } });
  }
  world.restrictive = await Sockeye.start({ subprotocols: ["chat.v2", "chat.v1"], origins: ["http://good.example"] });
  world.surpriseUrl = await serve({ handleProtocols: () => "surprise" });
}

// Connections that a failed test has left open must not keep the process alive.
process.exit(await run(`ws ${version}`, prepare, checks()));
