// Shared code of the browser tests: the server process, the browser, a runner that counts the results, and the end of a script.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";

// The module is installed in another folder, and only `require` searches NODE_PATH.
const { chromium } = createRequire(import.meta.url)("playwright-core");

export const LIMIT = 15_000;

/** Fails unless `promise` settles within the limit. Every wait in these tests has a limit. */
export function within(what, promise, limit = LIMIT) {
  let timer;
  const expired = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${limit} ms`)), limit);
  });
  return Promise.race([promise, expired]).finally(() => clearTimeout(timer));
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function assertEqual(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  assert(a === b, `${what}: ${a} instead of ${b}`);
}

/** The words of the command of the chat server. */
function chat() {
  const { CHAT, CHAT_CMD } = process.env;
  return CHAT_CMD ? CHAT_CMD.split(/\s+/).filter(Boolean) : [CHAT];
}

/** A server in a separate process. By default it is the chat. */
export class Server {
  static async start(address = "127.0.0.1:0", flags = [], [command, ...words] = chat()) {
    const server = new Server();
    server.flags = flags;
    server.process = spawn(command, [...words, address, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
    server.output = "";
    server.process.stdout.setEncoding("utf8").on("data", text => { server.output += text; });
    server.ended = new Promise(resolve => server.process.once("close", (code, signal) => resolve({ code, signal })));
    const listening = new Promise((resolve, reject) => {
      server.process.once("error", reject);
      server.process.stdout.on("data", () => {
        const found = server.output.match(/https?:\/\/\S+/);
        if (found) resolve(found[0]);
      });
      server.ended.then(({ code }) => reject(new Error(`the server exited with ${code} before it listened`)));
    });
    server.url = `${await within("the server listens", listening)}/`;
    server.address = new URL(server.url).host;
    return server;
  }

  /** Starts the server again, at the same address and with the same options. */
  restart() {
    return Server.start(this.address, this.flags);
  }

  /** Sends a signal, and waits until the process exits. SIGSTOP only suspends the process, so there is no wait. */
  async signal(signal) {
    this.process.kill(signal);
    return signal === "SIGSTOP" ? undefined : within(`the server exits on ${signal}`, this.ended);
  }

  get isRunning() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }
}

export function launch(more = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    headless: true,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      // The certificates are self-signed.
      "--ignore-certificate-errors", ...more],
  });
}

/** Runs named tests one after the other, and continues after a failure. */
export class Checks {
  passed = 0;
  failed = 0;

  async check(name, body) {
    try {
      await within(name, body(), 60_000);
      this.passed += 1;
      console.log(`ok    ${name}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error.message).split("\n").join("\n      ")}`);
    }
  }

  report() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0;
  }
}

/** Runs the tests of a script, and ends the process: with 0 if `run` returns true, with 1 otherwise. */
export async function main(run) {
  try {
    process.exit(await run() ? 0 : 1);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
