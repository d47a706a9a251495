// Node's `ws` as an end under test: `listen` prints its port; `connect PORT` dials until nobody listens;
// `send PORT` fails unless an echo there gives every message back.
'use strict';
const { WebSocket, WebSocketServer } = require('ws');

const settings = { perMessageDeflate: false, maxPayload: 1114112 };
const echo = (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('error', () => {});
};

if (process.argv[2] === 'listen') {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...settings });
  server.on('listening', () => console.log(server.address().port));
  server.on('connection', echo);
  process.stdin.on('end', () => process.exit(0)).resume();
} else if (process.argv[2] === 'send') {
  const { randomBytes } = require('crypto');
  const sizes = [0, 1, 125, 126, 65535, 65536, 1000000];
  const socket = new WebSocket(`ws://127.0.0.1:${process.argv[3]}/stt`, 'stt.v1', settings);
  let sent;
  const next = () => {
    if (sizes.length === 0) return socket.close(1000, 'done');
    sent = randomBytes(sizes.shift());
    socket.send(sent, { fin: false, binary: true });
    return socket.send(Buffer.alloc(0), { fin: true });
  };
  socket.on('open', next);
  socket.on('message', (data) => (data.equals(sent) ? next() : process.exit(1)));
  socket.on('error', () => process.exit(1));
  socket.on('close', (code) => process.exit(code === 1000 && sizes.length === 0 ? 0 : 1));
} else {
  const dial = () => {
    const socket = new WebSocket(`ws://127.0.0.1:${process.argv[3]}/stt`, 'stt.v1', settings);
    echo(socket);
    let refused = false;
    socket.on('error', (error) => { refused = error.code === 'ECONNREFUSED'; });
    socket.on('close', () => (refused ? process.exit(0) : dial()));
  };
  dial();
}
