// What a backend received, as the JSON that every peer of the tests answers with.
"use strict";
const crypto = require("node:crypto");

let count = 0;
const seen = [];

/** Header lines as they came: order, case and duplicates kept. */
function headerPairs(rawHeaders) {
  const pairs = [];
  for (let i = 0; i < rawHeaders.length; i += 2) pairs.push([rawHeaders[i], rawHeaders[i + 1]]);
  return pairs;
}

/** Reads the body of `request`, then answers with what was received. */
function record(request, answer) {
  if (request.url === "/__seen") {
    answer(200, { count, seen });
    return;
  }
  const hash = crypto.createHash("sha256");
  let bodyLength = 0;
  request.on("data", (piece) => {
    bodyLength += piece.length;
    hash.update(piece);
  });
  request.on("end", () => {
    count += 1;
    const entry = { method: request.method, target: request.url, bodyLength };
    if (seen.length < 10000) seen.push(entry);
    answer(200, {
      ...entry,
      headers: headerPairs(request.rawHeaders),
      sha256: hash.digest("hex"),
      trailers: headerPairs(request.rawTrailers ?? []),
      count,
    });
  });
}

module.exports = { record };
