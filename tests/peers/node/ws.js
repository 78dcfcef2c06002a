// The ws client: argv[2] is {"url","headers","messages"}; prints what came back, or the status of a refused handshake.
"use strict";
const WebSocket = require("ws");

const { url, headers, messages } = JSON.parse(process.argv[2]);
const socket = new WebSocket(url, { headers });
const received = [];
const finish = (outcome) => {
  // Only once the pipe has taken all of it: an exit cuts what is still to be written.
  process.stdout.write(`${JSON.stringify({ received, ...outcome })}\n`, () => process.exit(0));
};
socket.on("open", () => messages.forEach((message) => socket.send(message)));
socket.on("message", (data) => {
  received.push(data.toString());
  if (received.length === messages.length + 1) socket.close(1000);
});
socket.on("unexpected-response", (_request, response) => finish({ status: response.statusCode }));
socket.on("close", (code) => finish({ status: 101, code }));
socket.on("error", (error) => finish({ status: 0, error: String(error) }));
