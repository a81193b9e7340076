// Shared code of the tests in JavaScript: the Sockeye process, limits for waiting, payloads, and a summary.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

// The limit for each wait in milliseconds. It is shorter than the close timeouts of both sides (ten seconds or more),
// so a test that relies on these timeouts fails.
const LIMIT = 8_000;
const TIME_FOR_ALL = 300_000;

/** The folder of a certificate for 127.0.0.1, if all connections are encrypted. */
const TLS = process.env.TLS_FOLDER;
export const SCHEME = TLS ? "wss" : "ws";

/** The TLS options of the other implementation's client and server. Without TLS, there are none. */
export const [CLIENT_TLS, SERVER_TLS] = TLS ? encryption() : [{}, undefined];

function encryption() {
  const [cert, key] = ["certificate.pem", "key.pem"].map(name => readFileSync(`${TLS}/${name}`));
  return [{ ca: cert }, { cert, key }];
}

/** Fails unless `promise` settles in time. `what` may be a function, which is called if the time has expired. */
export function within(what, promise, limit = LIMIT) {
  let timer;
  const expired = new Promise((_, reject) => {
    const describe = () => (typeof what === "function" ? what() : what);
    timer = setTimeout(() => reject(new Error(`${describe()}: not within ${limit} ms`)), limit);
  });
  return Promise.race([promise, expired]).finally(() => clearTimeout(timer));
}

/** A queue of items that no test has read yet. `next` waits for an item if the queue is empty. */
export class Queue {
  items = [];
  waiting = [];

  push(item) {
    const receiver = this.waiting.shift();
    receiver ? receiver(item) : this.items.push(item);
  }

  next(what) {
    if (this.items.length > 0) return Promise.resolve(this.items.shift());
    return within(what, new Promise(resolve => this.waiting.push(resolve)));
  }
}

/**
 * A process that executes commands and reports events; peer.rs lists both.
 *
 * Events are stored by connection and kind, so that a test can wait for them later.
 */
export class Sockeye {
  static started = [];
  events = new Map();

  static async start(settings = {}) {
    const sockeye = new Sockeye();
    if (TLS) settings = { tls: TLS, ...settings };
    const stdio = ["pipe", "pipe", "inherit"];
    sockeye.process = spawn(process.env.SOCKEYE_PEER, [JSON.stringify(settings)], { stdio });
    // Sending a command to a process that has exited is not an error. The test fails if the expected event does not
    // arrive.
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

  sendCommand(command) {
    this.process.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /** Waits for the next event of this kind on this connection. */
  event(name, kind) {
    const known = () => [...this.events.keys()].filter(key => key.startsWith(`${name} `));
    return this.queue(name, kind).next(() => `Sockeye reports ${kind} of ${name}; so far: ${known()}`);
  }

  /** Returns the number of events that no test has waited for. */
  count(name, kind) {
    return this.queue(name, kind).items.length;
  }

  get isRunning() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Asks Sockeye to shut down, and waits until it has exited. */
  async end() {
    this.process.stdin.end();
    const code = await within("Sockeye ends", this.ended);
    assert.equal(code, 0, `Sockeye exited with code ${code}`);
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
 * Runs all checks, prints the results, and returns the exit status.
 *
 * A check consists of the role of Sockeye, a function, and further arguments of the function.
 */
export async function run(title, prepare, checks) {
  const score = { passed: 0, failed: 0 };
  await counted(score, "all checks were run, and every Sockeye process exited correctly", async () => {
    await prepare();
    await runChecks(score, checks);
  });
  console.log(`${title}${TLS ? " over TLS" : ""}: ${score.passed} passed, ${score.failed} failed`);
  return score.failed === 0 ? 0 : 1;
}

async function runChecks(score, checks) {
  const deadline = Date.now() + TIME_FOR_ALL;
  for (const [role, test, ...more] of checks) {
    assert(Date.now() < deadline, "the time limit for all checks has been reached");
    assert(Sockeye.started.every(sockeye => sockeye.isRunning), "a Sockeye process has exited");
    const name = [role, test.name, ...more].join(" ");
    await counted(score, name, () => within("the test ends", test(role, ...more), 3 * LIMIT));
  }
  for (const sockeye of Sockeye.started) await sockeye.end();
}

async function counted(score, name, test) {
  try {
    await test();
    score.passed++;
  } catch (error) {
    score.failed++;
    console.log(`FAILED: ${name}\n${error.stack}\n`);
  }
}
