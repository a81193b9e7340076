// A private Redis server for one test.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { within } from "./harness.mjs";

/** Returns a port that is free now. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export class Redis {
  /** Starts a server. One that is durable has all of its data after a restart, and others have none. */
  static async start(isDurable = false) {
    const redis = new Redis();
    redis.folder = mkdtempSync(join(tmpdir(), "sockeye-redis-"));
    redis.durability = isDurable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
    redis.port = await freePort();
    redis.url = `redis://127.0.0.1:${redis.port}/`;
    await redis.restart();
    return redis;
  }

  async restart() {
    this.process = spawn("redis-server", ["--bind", "127.0.0.1", "--port", String(this.port), "--dir", this.folder, "--save", "", ...this.durability],
      { stdio: ["ignore", "pipe", "inherit"] });
    this.ended = new Promise(resolve => this.process.once("close", resolve));
    const ready = new Promise((resolve, reject) => {
      let output = "";
      this.process.once("error", reject);
      this.process.stdout.setEncoding("utf8").on("data", text => {
        output += text;
        if (output.includes("Ready to accept connections")) resolve();
      });
      this.ended.then(() => reject(new Error(`redis-server has ended: ${output}`)));
    });
    await within("redis-server starts", ready);
  }

  /** Executes a command, and returns the first line of its reply. */
  command(line) {
    const reply = new Promise((resolve, reject) => {
      const socket = connect(this.port, "127.0.0.1", () => socket.write(`${line}\r\n`));
      socket.once("error", reject).once("data", data => { socket.destroy(); resolve(String(data).split("\r\n")[0]); });
    });
    return within(line, reply);
  }

  async kill() {
    this.process.kill("SIGKILL");
    await within("redis-server ends", this.ended);
  }

  /** Ends the server, and removes its files. */
  async remove() {
    await this.kill();
    rmSync(this.folder, { recursive: true });
  }
}
