// Chromium walks the gateway's flow as a person would. argv[2] is a JSON file:
//   { gateway: port, certificate: PEM file, monday: url, provider: url, links: { name: url }, session: token, screenshots: folder, scenarios: [name] }
// Every page of the gateway that it meets is looked at by axe-core and photographed light and dark, on a phone and on a desktop.
// Prints what it did as JSON; the first thing that is not as it should be ends it with exit code 1.
const { createHash, X509Certificate } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');
const { chromium } = require('playwright-core');

const options = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const report = { walked: [], pages: 0, screenshots: 0, looked: 0, serious: [], minor: 0 };
const photographed = new Set();
const home = 'monday.com is here';
let browser;

function must(condition, words) {
  if (!condition) throw new Error(words);
}

/** A new person with a browser of their own. */
async function person() {
  const context = await browser.newContext({ locale: 'en-US' });
  context.setDefaultTimeout(15000);
  context.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) report.serious.push(`console: ${message.text()}`);
  });
  context.on('request', (request) => {
    const host = new URL(request.url()).hostname;
    if (!request.frame().url().startsWith('https://gw.test')) return;
    const known = host === 'gw.test' || host === '127.0.0.1' || host.endsWith('.monday.com');
    if (!known && request.url().startsWith('http')) report.serious.push(`asked ${request.url()}`);
  });
  return context;
}

const isHome = (page) => new URL(page.url()).hostname.endsWith('.monday.com');
const isGateways = (page) => new URL(page.url()).hostname === 'gw.test';
const heading = (page) => page.locator('h1').first().innerText();

/** Looks at a page of the gateway once under each name. */
async function look(page, name, title) {
  must(isGateways(page), `${name}: at ${page.url()}`);
  const is = await heading(page);
  if (title) must(is.includes(title), `${name}: "${is}", expected "${title}"\n${await page.locator('body').innerText()}`);
  must((await page.title()).length > 3, `${name}: no title`);
  must((await page.locator('main').count()) === 1, `${name}: no main`);
  must(await page.locator('html').getAttribute('lang'), `${name}: no language`);
  if (photographed.has(name)) return;
  photographed.add(name);
  report.pages += 1;
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const [device, width, height] of [['phone', 360, 740], ['desktop', 1280, 800]]) {
      await page.setViewportSize({ width, height });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      must(wide <= 0, `${name} ${device}: ${wide} pixels too wide`);
      await page.screenshot({ path: path.join(options.screenshots, `${name}-${colorScheme}-${device}.png`), fullPage: true });
      report.screenshots += 1;
    }
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    report.looked += 1;
    for (const violation of found.violations) {
      const words = `${name} ${colorScheme}: ${violation.impact} ${violation.id}: ${violation.nodes.map((node) => node.html).join(' | ')}`;
      if (['serious', 'critical'].includes(violation.impact)) report.serious.push(words);
      else report.minor += 1;
    }
  }
  await page.emulateMedia({ colorScheme: null });
}

/** Clicks, and waits until the next page is there. */
const go = (page, locator) => Promise.all([page.waitForNavigation({ waitUntil: 'load' }), locator.first().click()]);
const press = (page, words) => go(page, page.locator(`main >> :is(a, button):has-text("${words}")`));
const choose = (page, words) => go(page, page.locator(`button:has-text("${words}")`));

/** Goes on until a page asks for something else than to continue or to allow. */
async function consent(page) {
  for (let step = 0; step < 12; step += 1) {
    await page.waitForLoadState();
    if (isHome(page)) return;
    if (isGateways(page)) {
      const on = page.locator('main >> :is(a, button):has-text("Continue to ")').first();
      if ((await on.count()) === 0) return;
      await go(page, on);
    } else if ((await page.locator('button:has-text("Install")').count()) > 0) {
      await choose(page, 'Install');
    } else {
      await choose(page, 'Allow');
    }
  }
  throw new Error(`no end at ${page.url()}`);
}

async function arrive(page) {
  await consent(page);
  must(isHome(page), `not home but at ${page.url()}: ${await page.locator('body').innerText()}`);
}

/** Tells a fake server something. */
function control(base, change) {
  return new Promise((done, fail) => {
    const request = http.request(`${base}/__control`, { method: 'POST', headers: { 'content-type': 'application/json' } }, (response) => {
      response.resume();
      response.on('end', done);
    });
    request.on('error', fail);
    request.end(JSON.stringify(change));
  });
}

/** What the app's own front end does. */
function connect(body) {
  return new Promise((done, fail) => {
    const request = https.request(
      {
        host: '127.0.0.1', port: options.gateway, path: '/planner/authorize/connect', method: 'POST', servername: 'gw.test', rejectUnauthorized: false,
        headers: { host: 'gw.test', authorization: options.session, 'content-type': 'application/json' },
      },
      (response) => {
        let text = '';
        response.on('data', (piece) => (text += piece));
        response.on('end', () => done(JSON.parse(text).url));
      },
    );
    request.on('error', fail);
    request.end(JSON.stringify(body));
  });
}

async function disconnectEverything(page) {
  await page.goto('https://gw.test/planner/authorize/connections');
  for (let n = 0; n < 4; n += 1) {
    const button = page.locator('main >> button:has-text("Disconnect ")').first();
    if ((await button.count()) === 0) return;
    await go(page, button);
  }
}

const scenarios = {
  async 'first time through two providers, second time straight back'() {
    const context = await person();
    const page = await context.newPage();
    await page.goto(options.links.usual);
    await look(page, 'progress-1', 'Connect your accounts');
    must(await page.locator('[aria-current="step"]').innerText().then((text) => text.includes('1 of 2')), 'the step is not said');
    // By keyboard alone.
    for (let n = 0; n < 10; n += 1) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(() => document.activeElement.innerText.includes('Continue to'))) break;
    }
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.hostname === '127.0.0.1');
    await choose(page, 'Allow');
    await look(page, 'progress-2', 'Connect your accounts');
    await arrive(page);
    const pages = [];
    page.on('framenavigated', (frame) => pages.push(frame.url()));
    await page.goto(options.links.usual);
    must(isHome(page), `the second time: ${page.url()}`);
    must(pages.length === 1, `the second time: ${pages}`);
    return context;
  },
  async 'the connections page'(context) {
    const page = await context.newPage();
    await page.goto('https://gw.test/planner/authorize/connections');
    await look(page, 'connections', 'Your connections');
    await press(page, 'Disconnect github');
    await page.waitForLoadState();
    await look(page, 'connections-disconnected', 'Your connections');
    must((await page.locator('main').innerText()).includes('Disconnected'), 'not disconnected');
    await press(page, 'onnect github');
    await consent(page);
    must(isGateways(page), page.url());
    await page.goto('https://gw.test/planner/authorize/connections');
    must((await page.locator('main >> button:has-text("Disconnect github")').count()) === 1, 'not connected again');
    await disconnectEverything(page);
  },
  async denial() {
    const page = await (await person()).newPage();
    await page.goto(options.links.usual);
    await press(page, 'Continue to ');
    await choose(page, 'Deny');
    await look(page, 'denied', 'was not connected');
    await press(page, 'Try again');
    await arrive(page);
    await disconnectEverything(page);
  },
  async 'a provider\'s error'() {
    const page = await (await person()).newPage();
    await control(options.provider, { failure: 500 });
    await page.goto(options.links.usual);
    await press(page, 'Continue to ');
    await choose(page, 'Allow');
    await press(page, 'Continue to ');
    await choose(page, 'Allow');
    await look(page, 'provider-error', 'reported a problem');
    await control(options.provider, { failure: null });
    await press(page, 'Try again');
    await arrive(page);
    await disconnectEverything(page);
  },
  async 'a state that was used, and another browser\'s'() {
    const context = await person();
    const page = await context.newPage();
    let callback;
    page.on('request', (request) => {
      if (request.url().includes('/callback/monday')) callback = request.url();
    });
    await page.goto(options.links.usual);
    await press(page, 'Continue to ');
    await choose(page, 'Allow');
    await page.waitForLoadState();
    await page.goto(callback);
    await look(page, 'expired', 'This attempt has expired');
    const other = await (await person()).newPage();
    await other.goto(callback);
    await look(other, 'other-browser');
    await page.goto(options.links.usual);
    await arrive(page);
    await disconnectEverything(page);
  },
  async 'back button'() {
    const page = await (await person()).newPage();
    await page.goto(options.links.usual);
    await arrive(page);
    for (let n = 0; n < 6; n += 1) {
      const went = await page.goBack().catch(() => null);
      if (page.url() === 'about:blank') break;
      await page.waitForLoadState();
      must((await page.locator('h1').count()) > 0, `a page without words: ${page.url()} ${went && went.status()}`);
      if (isGateways(page)) await look(page, `back-${n}`);
    }
    await page.goto(options.links.usual);
    await arrive(page);
    await disconnectEverything(page);
  },
  async 'five tabs'() {
    const context = await person();
    const tabs = [];
    for (let n = 0; n < 5; n += 1) {
      const page = await context.newPage();
      await page.goto(options.links[`tab${n}`]);
      await press(page, 'Continue to ');
      await page.waitForLoadState();
      tabs.push(page);
    }
    for (const [n, page] of tabs.entries()) {
      await arrive(page);
      must(page.url().endsWith(`/boards/${n}`), `tab ${n} is at ${page.url()}`);
    }
    await disconnectEverything(tabs[0]);
  },
  async 'connect from a view'() {
    const page = await (await person()).newPage();
    const url = await connect({});
    await page.goto(url);
    await consent(page);
    await look(page, 'done', 'Connected');
    await page.goto(url);
    await look(page, 'ticket-used');
    await disconnectEverything(page);
  },
  async 'another monday user'() {
    const page = await (await person()).newPage();
    await control(options.monday, { user: 99, account: 98, slug: 'elsewhere' });
    await page.goto(options.links.usual);
    await press(page, 'Continue to ');
    await choose(page, 'Allow');
    await look(page, 'another-account', 'Another account is signed in');
    await control(options.monday, {});
    await press(page, 'Switch account');
    await arrive(page);
    await disconnectEverything(page);
  },
  async 'an app that is not installed'() {
    const page = await (await person()).newPage();
    await control(options.monday, { installed: false });
    await page.goto(options.links.usual);
    await arrive(page);
    await disconnectEverything(page);
  },
  async 'links that lead nowhere'() {
    const page = await (await person()).newPage();
    for (const [name, title] of [['elsewhere', 'This link leads somewhere unexpected'], ['stranger', ''], ['expired', '']]) {
      await page.goto(options.links[name]);
      await look(page, `link-${name}`, title);
    }
    await page.goto('https://gw.test/planner/authorize/connections');
    await look(page, 'nobody', 'Open this from monday.com');
  },
  async 'a link that is refused'() {
    const page = await (await person()).newPage();
    for (const name of ['stranger', 'expired']) {
      await page.goto(options.links[name]);
      await look(page, `refused-${name}`);
    }
  },
  async confirmation() {
    const page = await (await person()).newPage();
    await page.goto(options.links.usual);
    await look(page, 'confirm', 'Is this you?');
    await press(page, 'Yes, this is me');
    await page.waitForLoadState();
    await arrive(page);
  },
  async 'a key form'() {
    const page = await (await person()).newPage();
    await page.goto(options.links.usual);
    if ((await heading(page)).includes('Is this you')) await press(page, 'Yes, this is me');
    await page.waitForLoadState();
    if ((await page.locator('main >> :is(a, button):has-text("Continue to ")').count()) > 0) await press(page, 'Continue to ');
    await page.waitForLoadState();
    await look(page, 'key-form', 'Your key for');
    await page.getByLabel('API key').fill('wrong');
    await press(page, 'Connect ');
    await page.waitForLoadState();
    await look(page, 'key-refused', 'Your key for');
    must((await page.locator('[role="alert"]').count()) > 0, 'no alert');
    await page.getByLabel('API key').fill(options.key);
    await press(page, 'Connect ');
    await look(page, 'key-done', 'Connected');
    await press(page, 'Go on to');
    must(isHome(page), page.url());
  },
  async 'npm\'s oidc-provider'() {
    const page = await (await person()).newPage();
    await page.goto(options.links.usual);
    await press(page, 'Continue to ');
    await choose(page, 'Allow');
    await press(page, 'Continue to ');
    await page.fill('input[name=login]', 'dana');
    await page.fill('input[name=password]', 'any');
    await go(page, page.locator('button[type=submit]'));
    await go(page, page.locator('button[type=submit]'));
    must(isHome(page), page.url());
  },
  async 'only an admin connects'() {
    const page = await (await person()).newPage();
    await control(options.monday, { admin: false });
    await page.goto(options.links.usual);
    await consent(page);
    await look(page, 'admin-only', 'An admin has to connect');
    await control(options.monday, {});
  },
};

(async () => {
  const certificate = new X509Certificate(fs.readFileSync(options.certificate));
  const key = createHash('sha256').update(certificate.publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  // monday.com itself, with the gateway's own key: a redirect is followed by the browser alone.
  const keys = { cert: fs.readFileSync(options.certificate), key: fs.readFileSync(options.certificate.replace(/pem$/, 'key')) };
  const monday = https.createServer(keys, (_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<title>monday.com</title><h1>${home}</h1>`);
  });
  await new Promise((done) => monday.listen(0, '127.0.0.1', done));
  const rules = `MAP gw.test:443 127.0.0.1:${options.gateway}, MAP *.monday.com:443 127.0.0.1:${monday.address().port}`;
  fs.mkdirSync(options.screenshots, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', `--ignore-certificate-errors-spki-list=${key}`, `--host-resolver-rules=${rules}`],
  });
  let context;
  for (const name of options.scenarios) {
    try {
      context = (await scenarios[name](context)) || context;
    } catch (error) {
      error.message = `${name}: ${error.message}`;
      throw error;
    }
    report.walked.push(name);
  }
  await browser.close();
  monday.closeAllConnections();
  monday.close();
  console.log(JSON.stringify(report));
})().catch(async (error) => {
  console.error(error);
  if (browser) await browser.close();
  process.exit(1);
});
