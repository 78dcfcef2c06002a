// Node's fetch as a client: argv[2] is a JSON list of {"url","method","headers","body"}; prints a JSON list of answers.
"use strict";
(async () => {
  const answers = [];
  for (const { url, ...init } of JSON.parse(process.argv[2])) {
    const response = await fetch(url, { redirect: "manual", ...init });
    answers.push({ status: response.status, headers: [...response.headers], body: await response.text() });
  }
  console.log(JSON.stringify(answers));
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
