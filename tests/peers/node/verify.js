// Verifies with npm's jsonwebtoken: argv[2] is {"token","secret"}; prints the claims, or {"refused"}.
"use strict";
const jwt = require("jsonwebtoken");

const { token, secret } = JSON.parse(process.argv[2]);
try {
  console.log(JSON.stringify(jwt.verify(token, secret, { algorithms: ["HS256"] })));
} catch (error) {
  console.log(JSON.stringify({ refused: error.message }));
}
