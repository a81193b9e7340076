// Node's `ws`, as in the echo server and the broadcast of its README: `node server.js ADDRESS MODE`.
'use strict';

const { WebSocketServer, WebSocket } = require('ws');

const [address, mode] = process.argv.slice(2);
const [host, port] = address.split(':');

const behaviors = {
  echo: (server, socket) => (data, isBinary) => socket.send(data, { binary: isBinary }),
  broadcast: (server) => (data, isBinary) => {
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  },
};
behaviors.deflate = behaviors.echo;

const behavior = behaviors[mode];
if (behavior === undefined) throw new Error('unknown mode');

const server = new WebSocketServer({ host, port: Number(port), perMessageDeflate: mode === 'deflate' });
server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', behavior(server, socket));
});
