// The support of the tests in JavaScript: the Sockeye process, limits for waiting, payloads, and a summary.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

// The limit for each wait in milliseconds. It is shorter than the close timeouts of both sides (ten seconds or more), so
// that a test that relies on those fails.
const LIMIT = 8_000;
const TIME_FOR_ALL = 300_000;

/** The folder of a certificate for 127.0.0.1, if all is to be encrypted. */
const TLS = process.env.TLS_FOLDER;
export const SCHEME = TLS ? "wss" : "ws";

/** What their client, and their server, need to encrypt; nothing if they need not. */
export const [OF_CLIENTS, OF_SERVERS] = TLS ? encryption() : [{}, undefined];

function encryption() {
  const [cert, key] = ["certificate.pem", "key.pem"].map(name => readFileSync(`${TLS}/${name}`));
  return [{ ca: cert }, { cert, key }];
}

/** Fails unless `promise` settles in time; `what` may be a function, for what is known only then. */
export function within(what, promise, limit = LIMIT) {
  let timer;
  const expired = new Promise((_, reject) => {
    const say = () => (typeof what === "function" ? what() : what);
    timer = setTimeout(() => reject(new Error(`${say()}: not within ${limit} ms`)), limit);
  });
  return Promise.race([promise, expired]).finally(() => clearTimeout(timer));
}

/** What has come and nobody has looked at yet, in order. */
export class Queue {
  items = [];
  waiting = [];

  push(item) {
    const taker = this.waiting.shift();
    taker ? taker(item) : this.items.push(item);
  }

  next(what) {
    if (this.items.length > 0) return Promise.resolve(this.items.shift());
    return within(what, new Promise(resolve => this.waiting.push(resolve)));
  }
}

/**
 * A process that takes orders and tells what happens; peer.rs says which.
 *
 * Its events are kept by connection and kind, so that nobody misses one by coming late.
 */
export class Sockeye {
  static started = [];
  events = new Map();

  static async start(settings = {}) {
    const sockeye = new Sockeye();
    if (TLS) settings = { tls: TLS, ...settings };
    const stdio = ["pipe", "pipe", "inherit"];
    sockeye.process = spawn(process.env.SOCKEYE_PEER, [JSON.stringify(settings)], { stdio });
    // A command to a process that has ended. The test fails when the expected event does not arrive.
    sockeye.process.stdin.on("error", () => {});
    sockeye.ended = new Promise(resolve => sockeye.process.once("close", code => resolve(code)));
    createInterface({ input: sockeye.process.stdout }).on("line", line => {
      const event = JSON.parse(line);
      sockeye.queue(event.name, event.event).push(event);
    });
    sockeye.port = (await sockeye.event(undefined, "listening")).port;
    Sockeye.started.push(sockeye);
    return sockeye;
  }

  queue(name, kind) {
    const key = `${name} ${kind}`;
    if (!this.events.has(key)) this.events.set(key, new Queue());
    return this.events.get(key);
  }

  say(order) {
    this.process.stdin.write(`${JSON.stringify(order)}\n`);
  }

  /** Waits for the next event of this kind on this connection. */
  event(name, kind) {
    const heard = () => [...this.events.keys()].filter(key => key.startsWith(`${name} `));
    return this.queue(name, kind).next(() => `Sockeye reports ${kind} of ${name}; so far: ${heard()}`);
  }

  /** Returns how many events have come that nobody has waited for. */
  count(name, kind) {
    return this.queue(name, kind).items.length;
  }

  get isRunning() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Asks Sockeye to shut down, and waits until it has. */
  async end() {
    this.process.stdin.end();
    const code = await within("Sockeye ends", this.ended);
    assert.equal(code, 0, `Sockeye has ended with exit code ${code}`);
    Sockeye.started = Sockeye.started.filter(other => other !== this);
  }
}

/** Returns text of this many bytes, with characters of one to four bytes. */
export const textOf = size => "aé€🐟".repeat(Math.floor(size / 10)) + "x".repeat(size % 10);
export const bytesOf = size => Buffer.alloc(size, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
export const numbersUpTo = count => Array.from({ length: count }, (_, index) => String(index));
export const piecesOf = (data, size) =>
  Array.from({ length: Math.ceil(data.length / size) }, (_, index) => data.subarray(index * size, (index + 1) * size));

/**
 * Holds all conversations, says how they went, and returns the exit status.
 *
 * A check is the role of Sockeye, a function, and what else that takes.
 */
export async function run(title, prepare, checks) {
  const score = { passed: 0, failed: 0 };
  await counted(score, "to the end, with every Sockeye still there", async () => {
    await prepare();
    await converse(score, checks);
  });
  console.log(`${title}${TLS ? " over TLS" : ""}: ${score.passed} passed, ${score.failed} failed`);
  return score.failed === 0 ? 0 : 1;
}

async function converse(score, checks) {
  const deadline = Date.now() + TIME_FOR_ALL;
  for (const [role, conversation, ...more] of checks) {
    assert(Date.now() < deadline, "the time is up");
    assert(Sockeye.started.every(sockeye => sockeye.isRunning), "a Sockeye has ended");
    const name = [role, conversation.name, ...more].join(" ");
    await counted(score, name, () => within("the conversation", conversation(role, ...more), 3 * LIMIT));
  }
  for (const sockeye of Sockeye.started) await sockeye.end();
}

async function counted(score, name, conversation) {
  try {
    await conversation();
    score.passed++;
  } catch (error) {
    score.failed++;
    console.log(`FAILED: ${name}\n${error.stack}\n`);
  }
}
