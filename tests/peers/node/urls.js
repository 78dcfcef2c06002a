// What a browser makes of each address of a JSON file: WHATWG's parser, as Node has it.
const addresses = JSON.parse(require('node:fs').readFileSync(process.argv[2], 'utf8'));
const read = addresses.map((address) => {
  try {
    const { href, protocol, hostname, port, username, password } = new URL(address, 'https://gw.test/planner/authorize');
    return { href, protocol, hostname, port, username, password };
  } catch {
    return null;
  }
});
console.log(JSON.stringify(read));
