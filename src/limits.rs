//! Every fixed bound of the gateway: its unit and its reason. What users may change is in `config`, with the same care.

use std::time::Duration;

/// Bytes of a compact token before anything of it is decoded. monday's are below 1 KiB (RFC 8725, section 2.4: bound the work).
pub(crate) const TOKEN_BYTES: usize = 8 * 1024;
/// How deep the JSON of a token may nest.
pub(crate) const JSON_DEPTH: usize = 16;
/// Bytes of an HMAC secret below which it is refused (RFC 7518, section 3.2: at least the hash's size).
pub(crate) const SECRET_BYTES_MIN: usize = 32;
/// Bytes of a body that is read whole and sent on with its head in one write.
pub(crate) const COLLECTED_BODY: u64 = 64 * 1024;
/// How long such a body may take: 64 KiB in this time is slower than any connection that is worth waiting for.
pub(crate) const COLLECTED_BODY_TIME: Duration = Duration::from_secs(30);
/// How long the other side of a WebSocket may go on after one side's end: time to say goodbye, not to stay.
pub(crate) const TUNNEL_CLOSING: Duration = Duration::from_secs(5);
/// Silence on a WebSocket after which the system asks whether the other side is still there.
pub(crate) const TUNNEL_PROBED_AFTER: Duration = Duration::from_mins(1);
/// Bytes of a webhook challenge that the gateway answers by itself.
pub(crate) const CHALLENGE_BYTES: usize = 4 * 1024;
/// Bytes of chunk extensions and of trailers in one message (RFC 9112, section 7.1.1: bound them).
pub(crate) const CHUNK_OVERHEAD: usize = 16 * 1024;
/// Bytes that are still read and thrown away after a request was refused, so that the client reads the answer before a reset.
pub(crate) const DRAINED: usize = 64 * 1024;
/// Bytes of a connection's read and write buffers inside hyper.
pub(crate) const CONNECTION_BUFFER: usize = 64 * 1024;
/// Lifetime of a token that the gateway signs for a backend (`resign`).
pub(crate) const RESIGNED_LIFETIME: Duration = Duration::from_mins(5);
/// How often a worker looks at its deadlines: their precision.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Idle time after which a connection gives its HTTP buffers back.
pub(crate) const PARK_AFTER: Duration = Duration::from_secs(1);
/// Handshakes that the process carries on at once. Many: a client that sends its hello byte by byte holds one for its whole time.
pub(crate) const HANDSHAKES: usize = 2048;
/// Connections accepted and not yet taken by their worker.
pub(crate) const ACCEPT_QUEUE: usize = 1024;
/// Bytes that a backend may send before the head of its answer is complete: interim (1xx) answers and the head itself.
pub(crate) const BYTES_BEFORE_HEAD: u64 = 128 * 1024;
/// Attempts at kept connections that turn out to be closed before a new one is made.
pub(crate) const KEPT_ATTEMPTS: usize = 4;
/// Bytes of an access log buffer that is handed to the writer.
pub(crate) const LOG_BUFFER: usize = 64 * 1024;
/// Access log buffers that wait for the writer; beyond them lines are dropped and counted.
pub(crate) const LOG_QUEUE: usize = 64;
/// Bytes that a client may go on sending after the last answer of its connection, before the connection is reset.
pub(crate) const LINGERING_BYTES: usize = 256 * 1024;
/// Bytes of an answer of an authorization server, an API or a key test. Real ones are below 64 KiB.
pub(crate) const WEB_ANSWER: usize = 1024 * 1024;
/// How long a whole question to one of them may take. Token endpoints have been seen to take 10 s.
pub(crate) const WEB_TIME: Duration = Duration::from_secs(30);
/// How long of that may pass until there is a connection, TLS included.
pub(crate) const WEB_CONNECT_TIME: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried, one after the other.
pub(crate) const WEB_ADDRESSES: usize = 4;
/// Issuers whose metadata is kept. There are as many as the configuration names.
pub(crate) const ISSUERS: usize = 64;
/// How long an issuer's metadata is used before it is asked again.
pub(crate) const METADATA_FRESH: Duration = Duration::from_hours(1);
/// How long it is still used while the issuer is down.
pub(crate) const METADATA_STALE: Duration = Duration::from_hours(24);
/// How long an issuer that gave no metadata is not asked again.
pub(crate) const METADATA_RETRY: Duration = Duration::from_secs(10);
/// Bytes of a callback's query. Codes of 2 KiB are common.
pub(crate) const CALLBACK_QUERY: usize = 16 * 1024;
/// Parameters of a callback.
pub(crate) const CALLBACK_PARAMETERS: usize = 32;
/// Bytes of one value that a provider gives or a user types: a token, a key, a code.
pub(crate) const CREDENTIAL_BYTES: usize = 16 * 1024;
/// Characters of a provider's own words that are shown or logged.
pub(crate) const QUOTED_WORDS: usize = 240;
/// How long a worker waits for what the control plane knows of grants: a route that needs one is refused within a second.
pub(crate) const GRANT_LOOKUP: Duration = Duration::from_millis(850);
/// How long the control plane waits for the store, so that it can still answer the worker.
pub(crate) const GRANT_READ: Duration = Duration::from_millis(700);
/// How long a request waits for a token that has to be refreshed first, from its question on. Callers wait 15 s at most.
pub(crate) const GRANT_REFRESH: Duration = Duration::from_millis(14_700);
/// Questions of all workers that the control plane has not taken yet; beyond them the answer is 503.
pub(crate) const GRANT_QUESTIONS: usize = 1024;
/// Questions that the control plane works on at once.
pub(crate) const GRANT_QUESTIONS_TAKEN: usize = 8192;
/// Answers about grants that one core keeps: as many users at work at once.
pub(crate) const GRANT_COPIES: usize = 65_536;
/// How long what the store said of a grant is believed without asking again. Changes are told at once; this is for those
/// that were not.
pub(crate) const GRANT_BELIEVED: Duration = Duration::from_mins(1);
/// How long it is believed that there is no grant.
pub(crate) const ABSENCE_BELIEVED: Duration = Duration::from_secs(5);
/// After the store failed it is not asked again for so long.
pub(crate) const STORE_PAUSE: Duration = Duration::from_millis(500);
/// What an access token has left when it is refreshed (monday's advice).
pub(crate) const TOKEN_REFRESHED_BEFORE: Duration = Duration::from_mins(5);
/// What an access token has left when it no longer counts as alive: time on its way to who checks it.
pub(crate) const TOKEN_ON_ITS_WAY: Duration = Duration::from_secs(5);
/// Between two refreshes of one grant that still works.
pub(crate) const REFRESH_PAUSE: Duration = Duration::from_mins(1);
/// After a provider failed to refresh a grant it is not asked again for so long.
pub(crate) const REFRESH_FAILED_PAUSE: Duration = Duration::from_secs(3);
/// How long a lease lasts that is not renewed: what a death costs those who wait.
pub(crate) const LEASE: Duration = Duration::from_secs(4);
/// How often a lease is renewed while the provider is slow.
pub(crate) const LEASE_RENEWED: Duration = Duration::from_secs(1);
/// How often whoever waits for another gateway's refresh looks.
pub(crate) const LEASE_LOOK: Duration = Duration::from_millis(150);
/// How long it is tried to write down a token that a provider has already given out.
pub(crate) const TOKEN_WRITTEN_WITHIN: Duration = Duration::from_mins(10);
/// How long an end waits for refreshes that are under way.
pub(crate) const REFRESHES_SETTLE: Duration = Duration::from_secs(35);
/// How long it is remembered that a grant was taken back.
pub(crate) const REVOKED_REMEMBERED: Duration = Duration::from_hours(30 * 24);
/// Before the absolute end of a chain of refresh tokens, whoever can renew the consent is told.
pub(crate) const CHAIN_ENDING: Duration = Duration::from_hours(14 * 24);
/// Without a sign of life for so long, an account that uninstalled the app loses its grants.
pub(crate) const UNINSTALL_SILENCE: Duration = Duration::from_hours(24);
/// How long the answer to an `uninstall` waits for the store: as long as the slowest store may take for a write.
pub(crate) const UNINSTALL_WRITTEN: Duration = Duration::from_secs(4);
/// How often it is looked which uninstalled accounts were silent.
pub(crate) const UNINSTALL_LOOK: Duration = Duration::from_mins(10);
/// A refresh this long after an `uninstall` shows that the app is installed: monday has had the time to end its tokens.
pub(crate) const UNINSTALL_SETTLED: Duration = Duration::from_hours(1);
/// Grants that are read at once where all are looked at.
pub(crate) const GRANTS_PAGE: usize = 500;
/// Bytes of what a page of the gateway is sent: forms of a few fields.
pub(crate) const VISIT_BODY: u64 = 16 * 1024;
/// How long a page may take: longer than a token request and a question to monday's API, each with its own time.
pub(crate) const VISIT: Duration = Duration::from_secs(50);
/// Visits of pages that wait for their turn; beyond them a visitor is told to come again.
pub(crate) const VISITS_WAITING: usize = 256;
/// Visits of pages that are served at once, of the process.
pub(crate) const VISITS_AT_ONCE: usize = 128;
/// How long a request waits for a reconnect link: it is refused anyway, and the link is only a courtesy.
pub(crate) const LINK_WAIT: Duration = Duration::from_millis(500);
/// How long somebody may stay at a provider's page (RFC 9700, section 4.7: one-time and short-lived).
pub(crate) const STATE_LIFETIME: Duration = Duration::from_mins(10);
/// How long a flow may be gone on with, from its last step.
pub(crate) const FLOW_LIFETIME: Duration = Duration::from_hours(1);
/// How long a browser is believed to be whose monday.com said it is.
pub(crate) const IDENTITY_LIFETIME: Duration = Duration::from_hours(1);
/// How long a link that a view asked for works: it is opened at once.
pub(crate) const CONNECT_TICKET: Duration = Duration::from_mins(1);
/// How long a link in a notification works.
pub(crate) const RECONNECT_TICKET: Duration = Duration::from_mins(10);
/// How long a form may lie open.
pub(crate) const FORM_LIFETIME: Duration = Duration::from_hours(1);
/// Bytes of `backToUrl`. monday's are below 300; a token holds no more than 6 KiB.
pub(crate) const BACK_TO_BYTES: usize = 4096;
/// The longest that a backend's "authorized" is believed.
pub(crate) const STATUS_TRUE: Duration = Duration::from_hours(1);
/// How long a backend's "not authorized" is believed: a user who just finished is not sent around again.
pub(crate) const STATUS_FALSE: Duration = Duration::from_secs(5);
/// Answers of `status_url` that are kept.
pub(crate) const STATUS_ENTRIES: u64 = 100_000;
/// Events about grants that a backend does not take are kept this long: a weekend and a holiday.
pub(crate) const EVENT_KEPT: Duration = Duration::from_hours(7 * 24);
/// Pause after an event's first failed delivery; it doubles with each further one.
pub(crate) const EVENT_BACKOFF: Duration = Duration::from_secs(5);
/// The longest pause between two deliveries of an event.
pub(crate) const EVENT_BACKOFF_MAX: Duration = Duration::from_hours(1);
/// How long a gateway alone delivers an app's events after it last said so: longer than one delivery may take.
pub(crate) const EVENT_LEASE: Duration = Duration::from_mins(1);
/// How often the outbox is looked at, also when nobody tells: another gateway may have ended.
pub(crate) const EVENT_LOOK: Duration = Duration::from_secs(5);
/// Events read from the store at once.
pub(crate) const EVENT_PAGE: usize = 100;
/// Bytes of a vault record before it is sealed: tokens, their scopes and values are a few KiB at most.
pub(crate) const VAULT_RECORD_BYTES: usize = 64 * 1024;
/// Bytes of a record's key: what every store's index takes, and a PostgreSQL notification (8000 bytes).
pub(crate) const VAULT_KEY_BYTES: usize = 512;
/// Records that a store is asked for at once, so that an answer is bounded.
pub(crate) const VAULT_LIST: usize = 500;
/// How long a store may take for what it is asked, connecting included. Routes that need it answer 503 within a second.
pub(crate) const VAULT_PATIENCE: Duration = Duration::from_millis(950);
/// Who gives up waiting after this long has found a connection that hangs: it is made again.
pub(crate) const VAULT_HANGS: Duration = Duration::from_millis(500);
/// How long a store's server may take to go through many records: counting, writing hundreds at once. Nobody's request waits for it.
pub(crate) const VAULT_WALK_PATIENCE: Duration = Duration::from_secs(10);
/// How long a write to a file may take: it waits for a disk, and for other processes that write.
pub(crate) const VAULT_FILE_PATIENCE: Duration = Duration::from_secs(5);
/// Operations that wait for a store's writer or reader; beyond them they are refused.
pub(crate) const VAULT_QUEUE: usize = 1024;
/// Writes that share one wait for the disk.
pub(crate) const VAULT_BATCH: usize = 256;
/// Changes that a listener may be behind before it is told that anything may have changed.
pub(crate) const VAULT_CHANGES: usize = 4096;
/// Bytes that a store may send without being asked anything more: the largest list, and room. A store that lies cannot fill the memory.
pub(crate) const VAULT_ANSWER_BYTES: u64 = 48 * 1024 * 1024;
/// Age at which an issuer's key set is fetched again, in the background: an issuer that takes a key back is obeyed within it.
pub(crate) const KEYS_FRESH: Duration = Duration::from_mins(5);
/// Age up to which a key set is used while its issuer cannot be reached: an outage of an evening, and no longer than a stolen key may be of use.
pub(crate) const KEYS_STALE: Duration = Duration::from_hours(6);
/// Pause between two fetches that an unknown `kid` has caused, whoever sends them.
pub(crate) const KEYS_UNKNOWN_PAUSE: Duration = Duration::from_mins(1);
/// Pause after a fetch that failed.
pub(crate) const KEYS_FAILED_PAUSE: Duration = Duration::from_secs(5);
/// How long one fetch may take.
pub(crate) const KEYS_FETCH_TIME: Duration = Duration::from_secs(10);
/// How long a request waits for an issuer's keys.
pub(crate) const KEYS_WAIT: Duration = Duration::from_secs(5);
/// Requests that wait for one issuer's keys: as many as there may be connections.
pub(crate) const KEYS_QUEUE: usize = 8192;
/// Keys of one set that are kept. Issuers have two or three.
pub(crate) const KEYS_MAX: usize = 32;
/// Keys of a set that are tried on a token that names none: during a rotation, two.
pub(crate) const KEYS_TRIED: usize = 3;
/// How long a worker remembers that there is no key of a `kid`.
pub(crate) const KEYS_UNKNOWN_REMEMBERED: Duration = Duration::from_secs(10);
/// Unknown `kid`s that are remembered, so that they cost their worker nothing.
pub(crate) const KEYS_UNKNOWN: u64 = 10_000;
/// Bytes of a `kid`.
pub(crate) const KID_BYTES: usize = 256;
/// Connections of the internal API at once.
pub(crate) const INTERNAL_CONNECTIONS: usize = 256;
/// Requests of one client of the internal API at work at once: each may wait for a provider.
pub(crate) const INTERNAL_REQUESTS: usize = 64;
/// Bytes of a request's head on the internal API.
pub(crate) const INTERNAL_HEAD: usize = 16 * 1024;
/// Bytes of a request's body there: none has anything to say in it.
pub(crate) const INTERNAL_BODY: u64 = 4 * 1024;
/// How long a head, and a pause between two requests, may take there.
pub(crate) const INTERNAL_HEAD_TIME: Duration = Duration::from_secs(10);
/// How long one request may take there: a refresh may be waited for.
pub(crate) const INTERNAL_REQUEST_TIME: Duration = Duration::from_secs(20);
/// How long a connection may last there, so that a key that was taken back is not spoken over for ever.
pub(crate) const INTERNAL_CONNECTION_TIME: Duration = Duration::from_mins(10);
/// Grants on one page of a listing: by default, and at most.
pub(crate) const INTERNAL_PAGE: (usize, usize) = (50, 200);
/// Lifetime of a token that the gateway signs for what an app sends to monday.
pub(crate) const APP_TOKEN_LIFETIME: i64 = 300;
