// Mints with npm's jsonwebtoken: reads lines {"payload","secret","algorithm"?}, prints a token a line.
"use strict";
const jwt = require("jsonwebtoken");
const readline = require("node:readline");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { payload, secret, algorithm } = JSON.parse(line);
  console.log(jwt.sign(payload, secret, { algorithm: algorithm ?? "HS256", noTimestamp: payload.iat === undefined }));
});
