//! A backend inside the test: it records every byte, and answers as a script says, also as no server should.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use socket2::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::raw::{Io, find};
use super::{SOON, sha256, within};

/// What to do when a request's head is there.
pub(crate) enum Step {
    /// Take the rest of the body.
    ReadBody,
    /// Take the rest of the body and keep only its length.
    CountBody,
    /// Take that many bytes of the body.
    ReadSome(usize),
    /// Write this.
    Send(Vec<u8>),
    /// Write this again and again, until the peer closes or that often.
    Repeat(Vec<u8>, usize),
    /// Wait until `Backend::release`.
    AwaitRelease,
    /// As `AwaitRelease`, without reading meanwhile.
    Pressure,
    /// Let time pass: the test is about slowness.
    Pause(Duration),
    /// Answer 200 with what was received, as JSON.
    Echo,
    /// Send back whatever comes, until the end.
    Tunnel,
    /// Read until the peer closes.
    Hold,
    /// End the connection.
    Close,
    /// End it with RST.
    Reset,
}

type Script = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Which connection, from 0.
    pub(crate) connection: usize,
    /// Which request of this connection, from 0.
    pub(crate) sequence: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body that were counted and not kept.
    pub(crate) counted: usize,
    /// The body's end came.
    pub(crate) complete: bool,
    /// The connection ended before the body did, or while the answer was waited for.
    pub(crate) aborted: bool,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Seen {
    /// All values of a field, in any case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

#[derive(Default)]
struct Records {
    seen: Vec<Seen>,
    /// Every byte of every connection.
    bytes: Vec<Vec<u8>>,
    open: usize,
    malformed: usize,
}

struct Inner {
    records: Mutex<Records>,
    release: Notify,
    script: Box<Script>,
}

/// A running one; its thread ends with it.
pub(crate) struct Backend {
    inner: Arc<Inner>,
    pub(crate) address: String,
    _stop: tokio::sync::oneshot::Sender<()>,
}

enum Listener {
    Tcp(TcpListener, Option<TlsAcceptor>),
    Unix(UnixListener),
}

impl Backend {
    /// Answers each request with what it received.
    pub(crate) fn echo() -> Self {
        Self::scripted(|_| vec![Step::ReadBody, Step::Echo])
    }

    /// Reads each request whole and answers with these bytes.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::scripted(move |_| vec![Step::ReadBody, Step::Send(bytes.clone())])
    }

    /// Does what the script says for each request.
    pub(crate) fn scripted(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::run(format!("http://{address}"), script, move || {
            Listener::Tcp(TcpListener::from_std(listener).unwrap(), None)
        })
    }

    /// An echo over TLS, at `https://localhost:PORT`.
    pub(crate) fn echo_tls(config: Arc<rustls::ServerConfig>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let acceptor = TlsAcceptor::from(config);
        Self::run(
            format!("https://localhost:{port}"),
            |_| vec![Step::ReadBody, Step::Echo],
            move || Listener::Tcp(TcpListener::from_std(listener).unwrap(), Some(acceptor)),
        )
    }

    /// An echo on a Unix socket.
    pub(crate) fn echo_unix(path: &Path) -> Self {
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::run(
            format!("unix:{}", path.display()),
            |_| vec![Step::ReadBody, Step::Echo],
            move || Listener::Unix(UnixListener::from_std(listener).unwrap()),
        )
    }

    fn run(
        address: String,
        script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
        listener: impl FnOnce() -> Listener + Send + 'static,
    ) -> Self {
        let inner = Arc::new(Inner { records: Mutex::default(), release: Notify::new(), script: Box::new(script) });
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = Arc::clone(&inner);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::select! {
                    never = accept(listener(), serving) => never,
                    _ = stopped => (),
                }
            });
        });
        Self { inner, address, _stop: stop }
    }

    /// Its address without a scheme.
    pub(crate) fn socket(&self) -> SocketAddr {
        self.address.trim_start_matches("http://").parse().unwrap()
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.records.lock().unwrap().seen.clone()
    }

    /// How many requests so far.
    pub(crate) fn count(&self) -> usize {
        self.inner.records.lock().unwrap().seen.len()
    }

    /// The only request so far.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.inner.records.lock().unwrap().bytes.len()
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.inner.records.lock().unwrap().open
    }

    /// Heads that were no HTTP.
    pub(crate) fn malformed(&self) -> usize {
        self.inner.records.lock().unwrap().malformed
    }

    /// Every byte of every connection.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.inner.records.lock().unwrap().bytes.concat()
    }

    /// Lets everyone go on who awaits it, and the next who will.
    pub(crate) fn release(&self) {
        self.inner.release.notify_waiters();
        self.inner.release.notify_one();
    }

    /// Waits until `count` requests came.
    pub(crate) async fn when_seen(&self, count: usize) -> Vec<Seen> {
        within(SOON, "the backend sees the request", || (self.count() >= count).then(|| self.seen())).await
    }
}

async fn accept(listener: Listener, inner: Arc<Inner>) -> ! {
    loop {
        match &listener {
            Listener::Tcp(tcp, acceptor) => {
                let Ok((stream, _)) = tcp.accept().await else { continue };
                stream.set_nodelay(true).ok();
                let control = socket2::SockRef::from(&stream).try_clone().ok();
                let inner = Arc::clone(&inner);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(Box::new(stream), control, inner).await,
                        Some(acceptor) => {
                            if let Ok(tls) = acceptor.accept(stream).await {
                                serve(Box::new(tls), control, inner).await;
                            }
                        }
                    }
                });
            }
            Listener::Unix(unix) => {
                let Ok((stream, _)) = unix.accept().await else { continue };
                tokio::spawn(serve(Box::new(stream), None, Arc::clone(&inner)));
            }
        }
    }
}

/// One connection: where its bytes come from, and where they are recorded.
struct Wire {
    io: Box<dyn Io>,
    buffer: VecDeque<u8>,
    inner: Arc<Inner>,
    number: usize,
}

/// The peer closed.
struct Gone;

async fn serve(io: Box<dyn Io>, control: Option<Socket>, inner: Arc<Inner>) {
    let number = {
        let mut records = inner.records.lock().unwrap();
        records.bytes.push(Vec::new());
        records.open += 1;
        records.bytes.len() - 1
    };
    let mut wire = Wire { io, buffer: VecDeque::new(), inner: Arc::clone(&inner), number };
    let mut sequence = 0;
    let reset = loop {
        match one_request(&mut wire, sequence).await {
            Ok(After::Next) => sequence += 1,
            Ok(After::Reset) => break true,
            Ok(After::Close) | Err(Gone) => break false,
        }
    };
    if reset && let Some(control) = &control {
        control.set_linger(Some(Duration::ZERO)).ok();
    }
    if !reset {
        wire.io.shutdown().await.ok();
    }
    drop(wire);
    inner.records.lock().unwrap().open -= 1;
}

enum After {
    Next,
    Close,
    Reset,
}

async fn one_request(wire: &mut Wire, sequence: usize) -> Result<After, Gone> {
    let head = wire.head().await?;
    let Some(mut seen) = parse(&head) else {
        wire.inner.records.lock().unwrap().malformed += 1;
        wire.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await?;
        return Ok(After::Close);
    };
    (seen.connection, seen.sequence) = (wire.number, sequence);
    let mut body = Body::of(&seen);
    seen.complete = body.is_over();
    let index = {
        let mut records = wire.inner.records.lock().unwrap();
        records.seen.push(seen.clone());
        records.seen.len() - 1
    };
    let inner = Arc::clone(&wire.inner);
    for step in (inner.script)(&seen) {
        let done = carry_out(wire, &mut body, index, step).await;
        if done.is_err() {
            inner.records.lock().unwrap().seen[index].aborted = true;
        }
        if let Some(after) = done? {
            return Ok(after);
        }
    }
    while !body.is_over() {
        read_body(wire, &mut body, index).await?;
    }
    Ok(After::Next)
}

async fn carry_out(wire: &mut Wire, body: &mut Body, index: usize, step: Step) -> Result<Option<After>, Gone> {
    match step {
        Step::ReadBody => {
            while !body.is_over() {
                read_body(wire, body, index).await?;
            }
        }
        Step::CountBody => {
            while !body.is_over() {
                read_body(wire, body, index).await?;
                let mut records = wire.inner.records.lock().unwrap();
                let seen = &mut records.seen[index];
                seen.counted += std::mem::take(&mut seen.body).len();
            }
        }
        Step::ReadSome(length) => {
            while !body.is_over() && wire.inner.records.lock().unwrap().seen[index].body.len() < length {
                read_body(wire, body, index).await?;
            }
        }
        Step::Send(bytes) => wire.write(&bytes).await?,
        Step::Repeat(bytes, times) => {
            for _ in 0..times {
                wire.write(&bytes).await?;
            }
        }
        Step::AwaitRelease => {
            let inner = Arc::clone(&wire.inner);
            tokio::select! {
                () = inner.release.notified() => (),
                gone = wire.gone() => return Err(gone),
            }
        }
        Step::Pressure => Arc::clone(&wire.inner).release.notified().await,
        Step::Pause(time) => tokio::time::sleep(time).await,
        Step::Echo => {
            let answer = wire.echo(index);
            wire.write(&answer).await?;
        }
        Step::Tunnel => loop {
            let piece: Vec<u8> = wire.buffer.drain(..).collect();
            wire.write(&piece).await?;
            wire.more().await?;
        },
        Step::Hold => return Err(wire.gone().await),
        Step::Close => return Ok(Some(After::Close)),
        Step::Reset => return Ok(Some(After::Reset)),
    }
    Ok(None)
}

async fn read_body(wire: &mut Wire, body: &mut Body, index: usize) -> Result<(), Gone> {
    let got = loop {
        if let Some(got) = body.take(&mut wire.buffer) {
            break got;
        }
        wire.more().await?;
    };
    let mut records = wire.inner.records.lock().unwrap();
    let seen = &mut records.seen[index];
    match got {
        Got::Bytes(bytes) => seen.body.extend(bytes),
        Got::Trailers(fields) => seen.trailers = fields,
        Got::Nothing => (),
    }
    seen.complete = body.is_over();
    Ok(())
}

impl Wire {
    async fn more(&mut self) -> Result<(), Gone> {
        let mut piece = vec![0; 64 * 1024];
        match self.io.read(&mut piece).await {
            Ok(n @ 1..) => {
                let bytes = piece.get(..n).unwrap();
                self.buffer.extend(bytes);
                let mut records = self.inner.records.lock().unwrap();
                let all = &mut records.bytes[self.number];
                if all.len() < 16 * 1024 * 1024 {
                    all.extend_from_slice(bytes);
                }
                Ok(())
            }
            _ => Err(Gone),
        }
    }

    /// Returns when the peer has closed.
    async fn gone(&mut self) -> Gone {
        while self.more().await.is_ok() {}
        Gone
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.io.write_all(bytes).await.map_err(|_closed| Gone)?;
        self.io.flush().await.map_err(|_closed| Gone)
    }

    async fn head(&mut self) -> Result<Vec<u8>, Gone> {
        loop {
            if let Some(at) = find(self.buffer.make_contiguous(), b"\r\n\r\n") {
                return Ok(self.buffer.drain(..at + 4).collect());
            }
            self.more().await?;
        }
    }

    fn echo(&self, index: usize) -> Vec<u8> {
        let records = self.inner.records.lock().unwrap();
        let seen = &records.seen[index];
        let text = json!({
            "method": seen.method, "target": seen.target, "headers": seen.fields, "bodyLength": seen.body.len() + seen.counted,
            "sha256": sha256(&seen.body), "trailers": seen.trailers, "count": records.seen.len(),
            "connection": seen.connection,
        })
        .to_string();
        let text = if seen.method == "HEAD" { String::new() } else { text };
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}", text.len())
            .into_bytes()
    }
}

fn parse(head: &[u8]) -> Option<Seen> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.strip_suffix("\r\n\r\n")?.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    if words.next()? != "HTTP/1.1" || words.next().is_some() {
        return None;
    }
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
    });
    let fields = fields.collect::<Option<Vec<_>>>()?;
    Some(Seen { method, target, fields, head: head.to_vec(), ..Seen::default() })
}

/// How much of a body is still to come.
enum Body {
    Over,
    Length(usize),
    ChunkSize,
    Chunk(usize),
    Trailers(Vec<(String, String)>),
}

enum Got {
    Bytes(Vec<u8>),
    Trailers(Vec<(String, String)>),
    Nothing,
}

impl Body {
    fn of(seen: &Seen) -> Self {
        if seen.field("transfer-encoding").is_some() {
            return Self::ChunkSize;
        }
        match seen.field("content-length").map_or(0, |length| length.parse().unwrap_or(0)) {
            0 => Self::Over,
            length => Self::Length(length),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Takes what `buffer` has; none if more must come first.
    fn take(&mut self, buffer: &mut VecDeque<u8>) -> Option<Got> {
        match self {
            Self::Over => Some(Got::Nothing),
            Self::Length(left) => {
                let n = (*left).min(buffer.len());
                *left -= n;
                let over = *left == 0;
                if over {
                    *self = Self::Over;
                }
                (n > 0).then(|| Got::Bytes(buffer.drain(..n).collect()))
            }
            Self::ChunkSize => {
                let line = take_line(buffer)?;
                let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
                *self = if size == 0 { Self::Trailers(Vec::new()) } else { Self::Chunk(size + 2) };
                Some(Got::Nothing)
            }
            Self::Chunk(left) => {
                let n = (*left).min(buffer.len());
                if n == 0 {
                    return None;
                }
                let content = left.saturating_sub(2).min(n);
                let mut bytes: Vec<u8> = buffer.drain(..n).collect();
                bytes.truncate(content);
                *left -= n;
                if *left == 0 {
                    *self = Self::ChunkSize;
                }
                Some(Got::Bytes(bytes))
            }
            Self::Trailers(fields) => {
                let line = take_line(buffer)?;
                if let Some((name, value)) = line.split_once(':') {
                    fields.push((name.to_owned(), value.trim().to_owned()));
                    return Some(Got::Nothing);
                }
                let fields = std::mem::take(fields);
                *self = Self::Over;
                Some(Got::Trailers(fields))
            }
        }
    }
}

fn take_line(buffer: &mut VecDeque<u8>) -> Option<String> {
    let at = find(buffer.make_contiguous(), b"\r\n")?;
    let line: Vec<u8> = buffer.drain(..at + 2).collect();
    Some(line.iter().take(at).map(|byte| char::from(*byte)).collect())
}

/// A 200 with this body and its length.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
