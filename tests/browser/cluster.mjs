// Tests the page of the example `chat` with two nodes that share their rooms through a Redis server. Nodes and the server fail.
// tests/browser/run starts this script, and lists the required tools.

import { assert, assertEqual, Checks, launch, main, Server } from "./harness.mjs";
import { freePort, Redis } from "./redis.mjs";
import { expectUsers, fillLogin, isHidden, isJoined, isVisible, join, messageIn, newContext, noteIn, pageErrors, sendText } from "./user.mjs";

/** Starts two nodes, each of which knows the addresses of both. */
async function startNodes(redis) {
  const addresses = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const nodes = addresses.map(address => `http://${address}`).join(",");
  return Promise.all(addresses.map(address => Server.start(address, ["--redis", redis.url, "--nodes", nodes])));
}

const texts = page => page.locator(".log:visible .msg:not(.pending) .bubble").allTextContents();
const unreachable = page => page.getByText("The other servers cannot be reached. Only users of this server see new messages.");
const gaps = page => page.locator(".log:visible .divider.missing").count();

/** Checks that all pages show the same conversation: these texts, each of them once, and no others. */
async function expectConversation(pages, wanted) {
  for (const page of pages) {
    await isVisible(messageIn(page, wanted.at(-1)));
    await page.waitForFunction(count => document.querySelectorAll(".log:not([hidden]) .msg:not(.pending)").length >= count, wanted.length);
    assertEqual(await texts(page), wanted, "the conversation");
    assertEqual(await page.locator(".msg.pending").count(), 0, "messages without a receipt");
  }
}

async function checkTwoNodes({ check }, [first, second], { ada, bo, cy }, said) {
  await check("users of two nodes see each other", async () => {
    await join(ada, first.url, "Ada");
    await fillLogin(bo, second.url, "ada");
    await isVisible(bo.getByText("This name, or one that looks like it, is already in use."));
    await join(bo, second.url, "Bo");
    await isVisible(noteIn(ada, "Bo joined"));
    await join(cy, first.url, "Cy");
    for (const page of [ada, bo, cy]) await expectUsers(page, ["Ada", "Bo", "Cy"]);
  });
  await check("messages of two nodes have the same order on all pages", async () => {
    for (let n = 1; n <= 4; n++) {
      const [page, name] = n % 2 ? [ada, "Ada"] : [bo, "Bo"];
      await sendText(page, `${n} from ${name}`);
      await isVisible(messageIn(n % 2 ? bo : ada, `${n} from ${name}`));
      said.push(`${n} from ${name}`);
    }
    await expectConversation([ada, bo, cy], said);
    // Both at once: each order is possible, but it is the same for all.
    await Promise.all([[ada, "Ada"], [bo, "Bo"]].map(async ([page, name]) => {
      for (const n of [1, 2, 3]) await sendText(page, `${name} ${n}`);
    }));
    await isVisible(messageIn(bo, "Ada 3"));
    await isVisible(messageIn(ada, "Bo 3"));
    const both = (await texts(ada)).slice(said.length);
    assertEqual([...both].sort(), ["Ada 1", "Ada 2", "Ada 3", "Bo 1", "Bo 2", "Bo 3"], "the messages");
    said.push(...both);
    await expectConversation([ada, bo, cy], said);
  });
}

/** Removes the row of a message from a page, as if the message had not arrived. */
const forget = (page, text) => messageIn(page, text).evaluate(bubble => bubble.closest(".msg").remove());

async function checkHoles({ check }, redis, { ada, bo }, said) {
  await check("a page that has missed a message receives it when the next one arrives", async () => {
    const last = said.at(-1);
    await forget(bo, last);
    await sendText(ada, "the next one");
    await isVisible(messageIn(bo, last));
    said.push("the next one");
    await expectConversation([ada, bo], said);
    assertEqual(await gaps(bo), 0, "gaps");
  });
  await check("a page that has missed the last message receives it when a user leaves", async () => {
    // A node that fails after it has stored a message, and before it has published it, leads to the same.
    await forget(bo, said.at(-1));
    const guest = await join(await ada.context().newPage(), await ada.evaluate(() => nodes[connection.node]), "Guest");
    await expectUsers(bo, ["Ada", "Bo", "Guest"]);
    await guest.close();
    await expectConversation([bo], said);
  });
  await check("a page shows that a message is missing which the history does not contain any more", async () => {
    await forget(bo, said.at(-1));
    await redis.command("DEL chat:history:lobby chat:history-bytes:lobby");
    await sendText(ada, "after the hole");
    await isVisible(bo.locator(".divider.missing"));
    await expectConversation([bo], [...said.slice(0, -1), "after the hole"]);
    said.push("after the hole");
    await expectConversation([ada], said);
    assertEqual([await gaps(ada), await gaps(bo)], [0, 1], "gaps");
  });
}

async function checkLostNode({ check }, servers, { ada, bo, cy }, said) {
  const [first] = servers;
  await check("a page whose node is killed continues on the other one, and its conversation is complete", async () => {
    await first.signal("SIGSTOP");
    // The node has not confirmed this message, and cannot notice that Cy leaves.
    await sendText(ada, "into the void");
    await isVisible(ada.locator(".msg.pending"));
    await cy.close();
    for (const text of ["in between 1", "in between 2"]) await sendText(bo, text);
    await isVisible(messageIn(bo, "in between 2"));
    await first.signal("SIGKILL");
    await isVisible(ada.getByText("You are connected again"));
    await sendText(bo, "welcome back");
    said.push("in between 1", "in between 2", "into the void", "welcome back");
    await isVisible(messageIn(bo, "into the void"));
    // Ada's message and Bo's last one are sent at the same time.
    const end = (await texts(bo)).slice(-2);
    assertEqual([...end].sort(), said.slice(-2).sort(), "the last messages");
    said.splice(-2, 2, ...end);
    await expectConversation([ada, bo], said);
    assertEqual(await gaps(ada), 0, "gaps");
  });
  await check("the other users of the killed node disappear", async () => {
    await isVisible(noteIn(bo, "Cy left"));
    for (const page of [ada, bo]) await expectUsers(page, ["Ada", "Bo"]);
  });
  await check("a node that starts again has the same rooms", async () => {
    servers[0] = await first.restart();
    const dee = await join(await ada.context().newPage(), servers[0].url, "Dee");
    await expectConversation([dee], said);
    for (const page of [ada, bo, dee]) await expectUsers(page, ["Ada", "Bo", "Dee"]);
    await dee.close();
    for (const page of [ada, bo]) await expectUsers(page, ["Ada", "Bo"]);
  });
}

async function checkSuspendedNode({ check }, servers, { bo }, said) {
  await check("the users of a suspended node are removed, and come back with it", async () => {
    const eve = await join(await bo.context().newPage(), servers[0].url, "Eve");
    await expectUsers(bo, ["Ada", "Bo", "Eve"]);
    await servers[0].signal("SIGSTOP");
    await expectUsers(bo, ["Ada", "Bo"]);
    await sendText(bo, "where is Eve?");
    servers[0].process.kill("SIGCONT");
    await expectUsers(bo, ["Ada", "Bo", "Eve"]);
    await sendText(eve, "here");
    said.push("where is Eve?", "here");
    await expectConversation([bo, eve], said);
    for (const page of [bo, eve]) await expectUsers(page, ["Ada", "Bo", "Eve"]);
    assertEqual(await gaps(eve), 0, "gaps");
    await eve.close();
  });
}

/** Redis fails while Eve and Flo are on the first node, and Bo is on the second one. */
async function checkLostRedis({ check }, redis, servers, context, isDurable) {
  const join_ = async (server, name) => join(await context.newPage(), server.url, name);
  const [eve, flo, bo] = [await join_(servers[0], "Eve"), await join_(servers[0], "Flo"), await join_(servers[1], "Bo")];
  const pages = [eve, flo, bo];
  const kind = isDurable ? "durable" : "not durable";
  await check(`${kind}: without Redis, users of one node continue, and newcomers get an error`, async () => {
    await sendText(eve, "before");
    for (const page of pages) await isVisible(messageIn(page, "before"));
    await redis.kill();
    for (const page of pages) await isVisible(unreachable(page));
    await sendText(eve, "during 1");
    await isVisible(flo.locator(".msg.pending").getByText("during 1"));
    await sendText(flo, "during 2");
    await isVisible(eve.locator(".msg.pending").getByText("during 2"));
    assertEqual(await bo.getByText("during 1").count(), 0, "messages on the other node");
    const guest = await context.newPage();
    await fillLogin(guest, servers[0].url, "Guest");
    await isVisible(guest.getByText("The server closed the connection: the other servers cannot be reached."));
    await guest.close();
  });
  await check(`${kind}: when Redis is back, all pages have all messages`, async () => {
    await redis.restart();
    for (const page of pages) {
      await isHidden(unreachable(page));
      await expectConversation([page], ["before", "during 1", "during 2"]);
      // The page has joined the room again.
      await page.waitForFunction(() => rooms.get("lobby").run === run);
      assertEqual(await gaps(page), isDurable ? 0 : 1, "gaps before the next message");
    }
    await sendText(bo, "after");
    await isVisible(messageIn(eve, "after"));
    await expectConversation(pages, ["before", "during 1", "during 2", "after"]);
    for (const page of pages) await expectUsers(page, ["Eve", "Flo", "Bo"]);
  });
  await check(`${kind}: ${isDurable ? "nothing is missing" : "the page shows that messages may be missing"}`, async () => {
    for (const page of pages) assertEqual(await gaps(page), isDurable ? 0 : 1, "gaps");
  });
  for (const page of pages) await page.close();
}

async function checkStop({ check }, servers, context) {
  await check("a node that stops ends its users at once", async () => {
    const [ada, bo] = [await context.newPage(), await context.newPage()];
    await join(ada, servers[0].url, "Ada");
    await join(bo, servers[1].url, "Bo");
    await expectUsers(bo, ["Ada", "Bo"]);
    const { code } = await servers[0].signal("SIGTERM");
    assertEqual(code, 0, "exit code");
    await isVisible(ada.getByText("You are connected again"));
    await expectUsers(ada, ["Ada", "Bo"]);
    await sendText(ada, "from the other node");
    await isVisible(messageIn(bo, "from the other node"));
  });
}

/** Runs the tests with a new Redis server and two new nodes. */
async function withCluster(isDurable, body) {
  const redis = await Redis.start(isDurable);
  const servers = [];
  try {
    servers.push(...await startNodes(redis));
    await body(redis, servers);
  } finally {
    for (const server of servers) if (server.isRunning) server.process.kill("SIGKILL");
    await redis.remove();
  }
}

async function runTests() {
  const checks = new Checks();
  const tools = { check: (name, body) => checks.check(`cluster: ${name}`, body) };
  const browser = await launch();
  try {
    await withCluster(false, async (redis, servers) => {
      const context = await newContext(browser);
      const pages = { ada: await context.newPage(), bo: await context.newPage(), cy: await context.newPage() };
      const said = [];
      await checkTwoNodes(tools, servers, pages, said);
      await checkLostNode(tools, servers, pages, said);
      await checkSuspendedNode(tools, servers, pages, said);
      await checkHoles(tools, redis, pages, said);
      await context.close();
    });
    for (const isDurable of [false, true]) {
      await withCluster(isDurable, async (redis, servers) => {
        const context = await newContext(browser);
        await checkLostRedis(tools, redis, servers, context, isDurable);
        await checkStop(tools, servers, context);
        await context.close();
      });
    }
    await tools.check("no page reported an error", async () => assertEqual(pageErrors, [], "pageErrors"));
  } finally {
    await browser.close();
  }
  return checks.report();
}

await main(runTests);
