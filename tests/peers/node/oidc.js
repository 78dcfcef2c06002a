// npm's oidc-provider: an OpenID provider that nobody here wrote, and an issuer of access tokens for kind "jwt".
// argv[2]: { redirectUris, accessLife, audience, claims }. Prints its port. Beside the provider's own endpoints:
//   POST /__rotate    new signing keys; the old ones stay in the key set behind them
//   GET  /__seen      how often each path was asked for
const { generateKeyPairSync } = require('node:crypto');
const http = require('node:http');

const options = JSON.parse(process.argv[2] || '{}');
const seen = {};

/** A private key as JWK. */
function key(kind, serial) {
  const pair = kind === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...pair.privateKey.export({ format: 'jwk' }), use: 'sig', alg: kind, kid: `${kind}-${serial}` };
}

let serial = 0;
let keys = [];
function rotated() {
  serial += 1;
  keys = [key('RS256', serial), key('ES256', serial), ...keys].slice(0, 4);
}

(async () => {
  const { default: Provider } = await import(require.resolve('oidc-provider'));
  const server = http.createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const life = options.accessLife || 3600;

  function provider() {
    const made = new Provider(issuer, {
      clients: [
        {
          client_id: 'oidc-client',
          client_secret: 'canary-oidc-client-secret-0123456789abcdef',
          redirect_uris: options.redirectUris || ['https://gw.test/planner/authorize/callback/oidc'],
          grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
          response_types: ['code'],
          token_endpoint_auth_method: options.authentication || 'client_secret_basic',
        },
      ],
      jwks: { keys },
      cookies: { keys: ['a key for the cookies of this provider'] },
      scopes: ['openid', 'offline_access', 'calendar'],
      pkce: { required: () => true },
      rotateRefreshToken: true,
      issueRefreshToken: async () => true,
      ttl: { AccessToken: life, ClientCredentials: life, Session: 3600, Grant: 86400, Interaction: 3600, RefreshToken: 86400, IdToken: 3600 },
      extraTokenClaims: () => options.claims || { org_id: 77, uid: 42 },
      features: {
        devInteractions: { enabled: true },
        clientCredentials: { enabled: true },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_ctx, resource) => ({
            scope: 'calendar',
            audience: options.audience || 'https://api.example.com',
            accessTokenTTL: life,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: resource.endsWith('es256') ? 'ES256' : 'RS256' } },
          }),
        },
      },
    });
    return made.callback();
  }

  rotated();
  let answer = provider();
  server.on('request', (request, response) => {
    const path = new URL(request.url, issuer).pathname;
    if (path === '/__rotate') {
      rotated();
      answer = provider();
      return response.end('{}');
    }
    if (path === '/__seen') {
      return response.end(JSON.stringify(seen));
    }
    seen[path] = (seen[path] || 0) + 1;
    return answer(request, response);
  });
  console.log(server.address().port);
})();
