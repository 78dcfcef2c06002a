// An Express 5 backend on an ephemeral port; prints the port.
"use strict";
const express = require("express");
const { record } = require("./recorder");

const app = express();
app.disable("x-powered-by");
app.use((request, response) => {
  record(request, (status, json) => response.status(status).json(json));
});
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
