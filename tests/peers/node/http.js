// Node's own http server on an ephemeral port, with WebSocket (ws) at every path; prints the port.
"use strict";
const http = require("node:http");
const { WebSocketServer } = require("ws");
const { record } = require("./recorder");

const server = http.createServer((request, response) => {
  record(request, (status, json) => {
    const body = JSON.stringify(json);
    response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
    response.end(body);
  });
});

const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket, request) => {
  socket.send(JSON.stringify({ headers: request.rawHeaders, url: request.url }));
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
