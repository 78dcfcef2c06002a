//! A client of plain bytes over TCP or TLS: it sends exactly what it is given and reads answers strictly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::SOON;
use super::answer::Answer;

/// What a connection is made of.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection, and what came in and was not looked at yet.
pub(crate) struct Raw {
    pub(crate) io: Box<dyn Io>,
    pub(crate) buffer: Vec<u8>,
    /// How long one read may take.
    pub(crate) patience: Duration,
}

/// A request with Host, the lines given (each with CR LF) and, if there is a body, its length.
pub(crate) fn request(method: &str, target: &str, lines: &str, body: &str) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {target} HTTP/1.1\r\nHost: gw.test\r\n{lines}{length}\r\n{body}").into_bytes()
}

/// GET over plain HTTP, on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let mut connection = Raw::plain(address).await;
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).await;
    connection.answer().await
}

impl Raw {
    /// Over TCP.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        Self { io: Box::new(tcp), buffer: Vec::new(), patience: SOON }
    }

    /// Over TLS.
    pub(crate) async fn tls(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(Self { io: Box::new(tls), buffer: Vec::new(), patience: SOON })
    }

    /// Over TLS; when it is dropped, the other side reads RST.
    pub(crate) async fn tls_that_resets(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        Self { io: Box::new(tls), buffer: Vec::new(), patience: SOON }
    }

    /// Writes all of it; the gateway may have gone, which the test sees when it reads.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.ok();
    }

    /// Writes all of it, or says that this is not possible any more.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Says that nothing more will be sent (TLS `close_notify`, or FIN).
    pub(crate) async fn finish_sending(&mut self) {
        self.io.shutdown().await.ok();
    }

    /// Reads once; false at the end.
    pub(crate) async fn read_more(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        let read = tokio::time::timeout(self.patience, self.io.read(&mut piece)).await;
        match read.unwrap_or_else(|_| panic!("nothing came within {:?}; so far {:?}", self.patience, self.text())) {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                true
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).chars().take(2000).collect()
    }

    /// The next answer and its body, as an answer to anything but HEAD.
    pub(crate) async fn answer(&mut self) -> Answer {
        let answer = self.maybe_answer().await;
        answer.unwrap_or_else(|| panic!("closed instead of an answer; {:?}", self.text()))
    }

    /// The next answer, or none if the connection ends before one.
    pub(crate) async fn maybe_answer(&mut self) -> Option<Answer> {
        let mut answer = self.maybe_head().await?;
        self.body_of(&mut answer).await;
        Some(answer)
    }

    /// The head of the next answer that is not 1xx.
    pub(crate) async fn head(&mut self) -> Answer {
        let answer = self.maybe_head().await;
        answer.unwrap_or_else(|| panic!("closed instead of a head; {:?}", self.text()))
    }

    /// As `head`, or none if the connection ends before one.
    pub(crate) async fn maybe_head(&mut self) -> Option<Answer> {
        let mut interim = Vec::new();
        loop {
            let mut answer = self.one_head().await?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                interim.push(answer.status);
                continue;
            }
            answer.interim = interim;
            return Some(answer);
        }
    }

    /// The next head, of 1xx answers too.
    pub(crate) async fn one_head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_more().await {
                return None;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        Some(parse_head(&head))
    }

    /// Reads the body that `answer` announces.
    pub(crate) async fn body_of(&mut self, answer: &mut Answer) {
        if matches!(answer.status, 101 | 204 | 304) {
            return;
        }
        let chunked = answer.field("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        if chunked {
            assert!(answer.field("content-length").is_none(), "both lengths: {answer:?}");
            while let Some(piece) = self.chunk().await {
                if piece.is_empty() {
                    answer.trailers = self.trailers().await;
                    return;
                }
                answer.body.extend(piece);
            }
            panic!("the chunked body was cut: {answer:?}");
        } else if let Some(length) = answer.field("content-length") {
            let length: usize = length.parse().unwrap();
            answer.body = self.exactly(length).await;
        } else {
            while self.read_more().await {}
            answer.body = std::mem::take(&mut self.buffer);
        }
    }

    /// That many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.read_more().await, "{} of {length} bytes came", self.buffer.len());
        }
        self.buffer.drain(..length).collect()
    }

    /// One chunk; empty for the last; none if the connection ended.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size_line = self.line().await?;
        let size = usize::from_str_radix(size_line.split(';').next().unwrap().trim(), 16).unwrap();
        if size == 0 {
            return Some(Vec::new());
        }
        while self.buffer.len() < size + 2 {
            if !self.read_more().await {
                return None;
            }
        }
        let piece = self.buffer.drain(..size).collect();
        let end: Vec<u8> = self.buffer.drain(..2).collect();
        assert_eq!(end, b"\r\n");
        Some(piece)
    }

    async fn trailers(&mut self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while let Some(line) = self.line().await {
            let Some((name, value)) = line.split_once(':') else { break };
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        fields
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.buffer.drain(..at + 2).take(at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// Everything until the end of the connection; panics when it does not end within `limit`.
    pub(crate) async fn rest(&mut self, limit: Duration) -> Vec<u8> {
        let all = tokio::time::timeout(limit, async { while self.read_more().await {} }).await;
        assert!(all.is_ok(), "still open after {limit:?}; {:?}", self.text());
        std::mem::take(&mut self.buffer)
    }

    /// All answers until the connection ends.
    pub(crate) async fn answers_to_the_end(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.maybe_answer().await {
            answers.push(answer);
        }
        answers
    }

    /// Whether it ends within `limit`; what comes in is kept.
    pub(crate) async fn ends_within(&mut self, limit: Duration) -> bool {
        let patience = std::mem::replace(&mut self.patience, limit * 2);
        let ended = tokio::time::timeout(limit, async { while self.read_more().await {} }).await.is_ok();
        self.patience = patience;
        ended
    }
}

fn parse_head(head: &[u8]) -> Answer {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().unwrap();
    assert!(
        status_line.starts_with("HTTP/1.1 ") || status_line.starts_with("HTTP/1.0 "),
        "no status line: {status_line:?}"
    );
    let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
        (name.to_owned(), value.trim().to_owned())
    });
    Answer { status, fields: fields.collect(), ..Answer::default() }
}

/// Where `needle` begins.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}
