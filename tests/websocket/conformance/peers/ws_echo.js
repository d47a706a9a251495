// Node's `ws` as an end under test: `listen` prints its port; `connect PORT` dials until nobody listens.
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
