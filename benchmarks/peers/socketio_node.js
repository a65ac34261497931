// Socket.IO with the Redis adapter, as their documentation shows it; of its advice on performance and memory: the
// native add-ons of ws (they are in package.json), and the first request of each session is let go.
"use strict";
const fs = require("fs");
const { createServer } = require("http");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");

const [redisUrl, readyFile] = process.argv.slice(2);

async function main() {
  const pubClient = createClient({ url: redisUrl });
  const subClient = pubClient.duplicate();
  await Promise.all([pubClient.connect(), subClient.connect()]);

  const httpServer = createServer();
  const io = new Server(httpServer, { adapter: createAdapter(pubClient, subClient) });
  io.engine.on("connection", (rawSocket) => {
    rawSocket.request = null;
  });
  io.on("connection", (socket) => {
    const room = socket.handshake.auth.room;
    socket.join(room);
    socket.on("chat", (message) => socket.to(room).emit("chat", message));
  });
  httpServer.listen(0, "127.0.0.1", 1024, () => {
    fs.writeFileSync(readyFile + ".new", JSON.stringify({ port: httpServer.address().port, pid: process.pid }));
    fs.renameSync(readyFile + ".new", readyFile);
  });
}

main();
