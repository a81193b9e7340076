// Conversations between Sockeye and Node's `ws`, in both roles. tests/interoperability/run starts this.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import https from "node:https";
import { createRequire } from "node:module";

import { OF_CLIENTS, OF_SERVERS, Queue, SCHEME, Sockeye, bytesOf, numbersUpTo, piecesOf, run, textOf, within } from "./harness.mjs";

// A module of this folder, but installed elsewhere: only `require` looks into NODE_PATH.
const require = createRequire(import.meta.url);
const { WebSocket, WebSocketServer } = require("ws");
const { version } = require("ws/package.json");

const MAX_MESSAGE = 16 * 2 ** 20; // Sockeye's default, and what the other side is set to
const SIZES = [0, 1, 125, 126, 65535, 65536, 2 ** 20, MAX_MESSAGE];
const LONGEST_REASON = "🐟".repeat(30) + "end";
const CLOSES = [[0, ""], [1000, ""], [1000, "bye"], [1001, "gone"], [1002, ""], [1003, ""], [1007, ""], [1008, "no"],
  [1009, ""], [1010, ""], [1011, "größer"], [1012, ""], [1013, ""], [1014, ""], [3000, ""], [3999, "x"], [4000, ""],
  [4999, LONGEST_REASON]];
assert.equal(Buffer.byteLength(LONGEST_REASON), 123);

let number = 0;
/** What all conversations share; `world` is its part that a conversation is held in. */
const worlds = { plain: { compresses: false }, keeping: { compresses: true }, resetting: { compresses: true } };
const arrivals = new Map();
let world = worlds.plain;

/** One end of a connection that is theirs, with queues of what it hears. */
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
    return within(`theirs has closed; it is in state ${this.socket.readyState}`, this.closed);
  }
}

/** Their client, once it is open; rejects with what stands in the way. */
function dial(url, protocols = [], options = {}) {
  const socket = new WebSocket(url, protocols, { ...OF_CLIENTS, ...options });
  const theirs = new Theirs(socket);
  return within(`a connection to ${url}`, new Promise((resolve, reject) => {
    socket.once("open", () => resolve(theirs));
    socket.once("error", reject);
  }));
}

/** Their server, for Sockeye's clients. */
async function serve(options = {}) {
  const refuse = ({ req }, answer) => (req.url.startsWith("/refuse") ? answer(false, 403, "not today") : answer(true));
  const encrypted = OF_SERVERS && https.createServer(OF_SERVERS);
  const where = encrypted ? { server: encrypted } : { host: "127.0.0.1", port: 0 };
  const server = new WebSocketServer({ ...where, maxPayload: MAX_MESSAGE, verifyClient: refuse, ...options });
  encrypted?.listen(0, "127.0.0.1");
  server.on("connection", (socket, request) => arrival(request.url).push(new Theirs(socket)));
  await within("their server listens", new Promise(resolve => server.once("listening", resolve)));
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
  if (role === "client") sockeye.say({ connect: url + name });
  const theirs = role === "server"
    ? await dial(`${SCHEME}://127.0.0.1:${sockeye.port}${name}`, protocols, { maxPayload: MAX_MESSAGE, perMessageDeflate })
    : await arrival(name).next(`Sockeye connects to ${name}`);
  const opened = await sockeye.event(name, "open");
  assert.equal(opened.role, role);
  assert.deepEqual([theirs.socket.extensions, opened.extensions.length],
    world.compresses ? ["permessage-deflate", 1] : ["", 0]);
  return {
    theirs,
    opened,
    socket: theirs.socket,
    say: order => sockeye.say({ to: name, ...order }),
    event: kind => sockeye.event(name, kind),
    count: kind => sockeye.count(name, kind),
  };
}

/** Holds a conversation on a new connection, and closes that; both sides must be done with it then. */
async function link(role, conversation, options) {
  const its = await open(role, options);
  await conversation(its);
  its.socket.close();
  await its.theirs.end();
  await its.event("lost");
}

async function echo({ theirs, event }, message, frames = 1) {
  theirs.socket.send(message);
  const { kind, len, frames: arrived, compressed } = await event("message");
  const expected = { kind: typeof message === "string" ? "text" : "binary", len: Buffer.byteLength(message), frames };
  assert.deepEqual({ kind, len, frames: arrived }, expected);
  assert.equal(compressed, theirs.socket.extensions !== "");
  const answer = await theirs.messages.next("an echo");
  // An assertion on the messages themselves would print them.
  const isSame = typeof message === "string" ? answer === message : message.equals(answer);
  assert(isSame, `${message.length} sent, ${answer.length} of ${typeof answer} received`);
}

const conversations = {
  compressionIsDeclined: role => link(role, async its => {
    // Their client offers permessage-deflate by default.
    const offer = its.opened.offered_extensions.map(extension => extension.split(";")[0]);
    assert.deepEqual(offer, role === "server" ? ["permessage-deflate"] : []);
    await echo(its, textOf(1000));
  }),

  /** What cannot be compressed comes in many fragments. */
  noiseInPieces: role => link(role, async its => {
    for (let round = 0; round < 3; round++) {
      await echo(its, randomBytes(12345));
      await echo(its, textOf(12345));
    }
  }, { sockeye: world.pieces }),

  messagesThatResembleEachOther: role => link(role, async its => {
    for (const word of numbersUpTo(100)) await echo(its, `the quick brown fish ${word} `.repeat(Number(word) + 1));
  }),

  /** What theirs wants of the extension: an offer to our server, or an answer to our client. */
  async parameters(role, serverNoContextTakeover, clientNoContextTakeover, bits) {
    const window = bits && { serverMaxWindowBits: bits, clientMaxWindowBits: bits };
    const perMessageDeflate = { threshold: 0, serverNoContextTakeover, clientNoContextTakeover, ...window };
    const url = role === "client" ? await serve({ perMessageDeflate }) : undefined;
    await link(role, async its => {
      for (let round = 0; round < 3; round++) await echo(its, textOf(100_000));
    }, { url, perMessageDeflate });
  },

  echoes: (role, kind, size) => link(role, its => echo(its, kind === "text" ? textOf(size) : bytesOf(size)),
    { sockeye: world.whole }),

  ourFragments: (role, kind, size) => link(role, its => echo(its, kind === "text" ? textOf(size) : bytesOf(size)),
    { sockeye: world.pieces }),

  /** Fragments of seven bytes cut characters in two; some are empty, and a Ping stands between others. */
  theirFragments: (role, kind) => link(role, async ({ theirs, socket, event }) => {
    const message = kind === "text" ? Buffer.from(textOf(1003)) : bytesOf(1003);
    const pieces = [Buffer.alloc(0), ...piecesOf(message, 7), Buffer.alloc(0)];
    pieces.forEach((piece, index) => {
      if (index % 50 === 3) socket.ping(`between ${index}`);
      socket.send(piece, { binary: kind === "binary", fin: index === pieces.length - 1 });
    });
    const heard = await event("message");
    assert.deepEqual([heard.kind, heard.len, heard.frames], [kind, 1003, pieces.length]);
    for (const index of [3, 53, 103]) assert.equal((await event("ping")).payload, `between ${index}`);
    const answer = await theirs.messages.next("an echo");
    assert(message.equals(Buffer.from(answer)));
  }),

  theirPings: role => link(role, async its => {
    const pongs = new Queue();
    its.socket.on("pong", data => pongs.push(data.toString()));
    for (const payload of ["", "hello", "p".repeat(125)]) {
      its.socket.ping(payload);
      assert.equal((await its.event("ping")).payload, payload);
      assert.equal(await pongs.next("a pong"), payload);
    }
    its.socket.pong("unsolicited");
    assert.equal((await its.event("pong")).payload, "unsolicited");
    await echo(its, "still there");
  }),

  ourPings: role => link(role, async its => {
    for (const payload of ["", "hello", "p".repeat(125)]) {
      its.say({ ping: payload });
      assert.equal(await its.theirs.pings.next("a ping"), payload);
      assert.equal((await its.event("pong")).payload, payload);
    }
    its.say({ pong: "unsolicited" });
    its.say({ ping: "p".repeat(126) });
    await its.event("refused");
    await echo(its, "still there");
  }),

  theirClose: (role, code, reason) => link(role, async ({ theirs, socket, event, count }) => {
    code === 0 ? socket.close() : socket.close(code, reason);
    const heard = await event("close");
    assert.deepEqual([heard.code, heard.reason], [code || 1005, reason]);
    // §5.5.1: the answer has the same code.
    assert.equal((await theirs.end())[0], code || 1005);
    assert.equal(count("error"), 0);
  }),

  ourClose: (role, code, reason) => link(role, async ({ theirs, say, event, count }) => {
    say({ close: code, reason });
    assert.deepEqual(await theirs.end(), [code || 1005, reason]);
    assert.equal((await event("close")).code, code || 1005);
    assert.equal(count("error"), 0);
  }),

  bothClose: role => link(role, async ({ theirs, socket, say, event }) => {
    say({ close: 3001, reason: "ours" });
    socket.close(3002, "theirs");
    const heard = [(await theirs.end())[0], (await event("close")).code].join();
    assert(["3001,3002", "3001,3001", "3002,3002"].includes(heard), heard);
  }),

  theyVanish: role => link(role, async ({ socket, event }) => {
    socket.terminate();
    assert.equal((await event("close")).code, 1006);
  }),

  unsendableCloses: role => link(role, async its => {
    for (const [code, reason] of [[1004, ""], [1006, ""], [999, ""], [5000, ""], [1000, "x".repeat(124)]]) {
      its.say({ close: code, reason });
      await its.event("refused");
    }
    await echo(its, "still there");
  }),

  wordsBeforeTheirClose: role => link(role, async ({ theirs, socket, event }) => {
    for (const word of numbersUpTo(1000)) socket.send(word);
    socket.close(1000);
    assert.equal((await theirs.end())[0], 1000);
    assert.deepEqual(theirs.messages.items, numbersUpTo(1000));
    assert.equal((await event("close")).code, 1000);
  }),

  wordsBeforeOurClose: role => link(role, async ({ theirs, say }) => {
    say({ count: 1000 });
    say({ close: 1000 });
    assert.equal((await theirs.end())[0], 1000);
    assert.deepEqual(theirs.messages.items, numbersUpTo(1000));
  }),

  /** Theirs sends one byte too many, in frames of this size: 1009, and it arrives although theirs is still talking. */
  theySayTooMuch: (role, size) => link(role, async ({ theirs, socket, event }) => {
    const pieces = piecesOf(Buffer.alloc(MAX_MESSAGE + 1), size);
    pieces.forEach((piece, index) => socket.send(piece, { fin: index === pieces.length - 1 }, () => {}));
    assert.equal((await theirs.end())[0], 1009);
    assert.equal((await event("error")).kind, "Capacity");
    assert.equal((await event("close")).code, 1006);
  }),

  weSayTooMuch: (role, frames) => link(role, async ({ theirs, say, event }) => {
    say({ bytes: MAX_MESSAGE + 1 });
    assert.equal((await event("close")).code, 1009);
    await theirs.end();
    assert.deepEqual(theirs.errors.map(error => error.code), ["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"]);
  }, { sockeye: frames === "one frame" ? world.whole : world.plain }),

  manyInFlight: role => link(role, async ({ theirs, socket }) => {
    for (const word of numbersUpTo(10_000)) socket.send(word);
    const heard = [];
    while (heard.length < 10_000) heard.push(await theirs.messages.next("an echo"));
    assert.deepEqual(heard, numbersUpTo(10_000));
  }),

  fiftyAtOnce: role => Promise.all(numbersUpTo(50).map(own => link(role, async its => {
    for (let size = Number(own); size < 40_000; size += 2000) await echo(its, textOf(size));
  }))),

  async subprotocols(role) {
    // Sockeye's order decides, as a server; as a client it takes what theirs chooses, which is the first offered.
    const offers = role === "server" ? [["chat.v1", "chat.v2"], ["chat.v2"], ["x", "chat.v1"]] : [[]];
    for (const protocols of offers) {
      const expected = protocols.includes("x") ? "chat.v1" : "chat.v2";
      await link(role, async ({ socket, opened }) => {
        assert.deepEqual([socket.protocol, opened.subprotocol], [expected, expected]);
      }, { sockeye: world.choosy, protocols });
    }
  },

  /** Sockeye chooses none, and theirs does not accept that. */
  async noCommonSubprotocol() {
    const attempt = dial(`${SCHEME}://127.0.0.1:${world.choosy.port}/${number++}`, ["x"]);
    await assert.rejects(attempt, { message: "Server sent no subprotocol" });
  },

  async aSubprotocolNobodyOffered() {
    const name = `/${number++}`;
    world.choosy.say({ connect: world.surpriseUrl + name });
    assert.equal((await world.choosy.event(name, "error")).kind, "Protocol");
    await world.choosy.event(name, "lost");
    assert.equal(world.choosy.count(name, "open"), 0);
  },

  /** No connection opens, so that none closes. */
  async refused(role) {
    const name = `/refuse/${number++}`;
    if (role === "server") {
      const url = `${SCHEME}://127.0.0.1:${world.plain.port}${name}`;
      await assert.rejects(dial(url), { message: "Unexpected server response: 403" });
      assert.deepEqual(await responseTo(url), [403, "not today"]);
    } else {
      world.plain.say({ connect: world.url + name });
      assert.equal((await world.plain.event(name, "rejected")).status, 403);
      assert.equal((await world.plain.event(name, "error")).kind, "Protocol");
      await world.plain.event(name, "lost");
      assert.equal(world.plain.count(name, "open") + world.plain.count(name, "close"), 0);
    }
  },

  async wrongOrigin() {
    const url = `${SCHEME}://127.0.0.1:${world.choosy.port}/${number++}`;
    await assert.rejects(dial(url, [], { origin: "http://evil.example" }), { message: "Unexpected server response: 403" });
    const theirs = await dial(url, [], { origin: "http://good.example" });
    theirs.socket.close();
    await theirs.end();
  },

  /** All hear what was said before, and 1001. */
  async shutdown(role) {
    const sockeye = await Sockeye.start();
    const links = await Promise.all(numbersUpTo(10).map(() => open(role, { sockeye })));
    for (const { say } of links) say({ count: 1000 });
    await sockeye.end();
    for (const { theirs } of links) {
      assert.equal((await theirs.end())[0], 1001);
      assert.deepEqual(theirs.messages.items, numbersUpTo(1000));
    }
  },
};

/** What their client is told of a refusal, by one who asks: status and body. */
function responseTo(url) {
  const socket = new WebSocket(url, OF_CLIENTS);
  return within(`an answer from ${url}`, new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("unexpected-response", async (_, response) => {
      let body = "";
      for await (const part of response.setEncoding("utf8")) body += part;
      resolve([response.statusCode, body]);
    });
  }));
}

/** The conversation, held where messages are compressed. */
function compressing(contexts, conversation) {
  const held = async (...how) => {
    world = worlds[contexts];
    try {
      await conversation(...how);
    } finally {
      world = worlds.plain;
    }
  };
  Object.defineProperty(held, "name", { value: `${contexts} contexts, ${conversation.name}` });
  return held;
}

/** Yields the conversations in which messages are compressed. */
function* compressed(role, contexts) {
  const c = conversations;
  const all = [];
  for (const kind of ["text", "binary"]) {
    for (const size of SIZES) all.push([c.echoes, kind, size]);
    all.push([c.theirFragments, kind]);
  }
  for (const close of CLOSES) all.push([c.theirClose, ...close], [c.ourClose, ...close]);
  for (const size of [MAX_MESSAGE + 1, 2 ** 20]) all.push([c.theySayTooMuch, size]);
  for (const frames of ["one frame", "many frames"]) all.push([c.weSayTooMuch, frames]);
  for (const conversation of [c.noiseInPieces, c.messagesThatResembleEachOther, c.theirPings, c.ourPings, c.theyVanish,
    c.wordsBeforeTheirClose, c.wordsBeforeOurClose, c.manyInFlight, c.fiftyAtOnce]) all.push([conversation]);
  if (contexts === "keeping") {
    for (const server of [false, true]) {
      for (const client of [false, true]) {
        for (const bits of [undefined, 9, 12, 15]) all.push([c.parameters, server, client, bits]);
      }
    }
  }
  for (const [conversation, ...more] of all) yield [role, compressing(contexts, conversation), ...more];
}

/** Yields all conversations: the role of Sockeye, the function, what else it takes. */
function* checks() {
  const c = conversations;
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
    for (const size of [MAX_MESSAGE + 1, 2 ** 20, 1000]) yield [role, c.theySayTooMuch, size];
    for (const frames of ["one frame", "many frames"]) yield [role, c.weSayTooMuch, frames];
    for (const conversation of [c.compressionIsDeclined, c.theirPings, c.ourPings, c.bothClose, c.theyVanish,
      c.unsendableCloses, c.wordsBeforeTheirClose, c.wordsBeforeOurClose, c.manyInFlight, c.fiftyAtOnce, c.subprotocols,
      c.refused, c.shutdown]) yield [role, conversation];
    for (const contexts of ["keeping", "resetting"]) yield* compressed(role, contexts);
  }
  yield ["server", c.noCommonSubprotocol];
  yield ["server", c.wrongOrigin];
  yield ["client", c.aSubprotocolNobodyOffered];
}

async function prepare() {
  const opinions = { plain: {}, keeping: { deflate: true }, resetting: { deflate: false } };
  for (const [name, settings] of Object.entries(opinions)) {
    const part = worlds[name];
    part.plain = await Sockeye.start(settings);
    part.whole = await Sockeye.start({ fragment_size: 2 ** 30, ...settings });
    part.pieces = await Sockeye.start({ fragment_size: 100, ...settings });
    part.url = await serve({ perMessageDeflate: { threshold: 0 } });
  }
  world.choosy = await Sockeye.start({ subprotocols: ["chat.v2", "chat.v1"], origins: ["http://good.example"] });
  world.surpriseUrl = await serve({ handleProtocols: () => "surprise" });
}

// What a failed conversation has left open must not keep the process.
process.exit(await run(`ws ${version}`, prepare, checks()));
