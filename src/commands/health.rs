//! `health`: asks a running gateway's admin listener how it is; for containers, whose images have no curl.
//! Takes the address from `[admin] listen`; prints one line; the exit code says it all. HTTP/1.0 by hand: a status line is
//! all that is needed.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// For connecting, asking and reading together. Docker's own limit is 30 s, Kubernetes' 1 s by default.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of the answer that are read: the body is a list of servers at most.
const ANSWER_BYTES: usize = 64 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Should requests be sent here?
    Ready,
    /// Does the process answer at all?
    Live,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The socket.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// Something else listens there.
    #[error("no HTTP answer: is this the address of [admin] listen?")]
    NotHttp,
}

/// Asks, prints one line, and tells the exit code: 0 when the answer is yes.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) fn run(listen: SocketAddr, question: Question) -> ExitCode {
    let address = reachable(listen);
    match ask(address, question) {
        Ok(answer) => {
            println!("{}: {}", answer.status, answer.body.trim());
            if answer.status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(reason) => {
            println!("no answer from {address}: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Where to connect to reach a listener: one on all addresses is also on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// As text; for people.
    body: String,
}

/// One question.
fn ask(address: SocketAddr, question: Question) -> Result<Answer, NoAnswer> {
    let deadline = Instant::now() + WITHIN;
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_write_timeout(Some(WITHIN))?;
    let path = match question {
        Question::Ready => "/readyz",
        Question::Live => "/livez",
    };
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;

    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while answer.len() < ANSWER_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NoAnswer::Socket(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left))?;
        let number = stream.read(&mut chunk)?;
        if number == 0 {
            break;
        }
        answer.extend_from_slice(chunk.get(..number).unwrap_or_default());
    }
    parse(&String::from_utf8_lossy(&answer)).ok_or(NoAnswer::NotHttp)
}

/// Status and body of an answer.
fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// The address of a listener that reads one request and says `answer`.
    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let number = stream.read(&mut request).unwrap();
            assert!(request[..number].starts_with(b"GET /"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn status_and_body_come_from_the_answer() {
        let address = answering("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\n{\"status\":\"draining\"}\n");
        let answer = ask(address, Question::Ready).unwrap();
        assert_eq!(answer, Answer { status: 503, body: "{\"status\":\"draining\"}\n".to_owned() });
    }

    #[test]
    fn only_a_200_is_success() {
        let code = |answer| format!("{:?}", run(answering(answer), Question::Live));
        assert_eq!(code("HTTP/1.1 200 OK\r\n\r\nok\n"), format!("{:?}", ExitCode::SUCCESS));
        for answer in ["HTTP/1.1 503 No\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "SSH-2.0-x\r\n", ""] {
            assert_eq!(code(answer), format!("{:?}", ExitCode::FAILURE), "{answer}");
        }
    }

    #[test]
    fn nobody_there_is_a_failure_with_words() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(ask(address, Question::Ready), Err(NoAnswer::Socket(_))));
    }

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        for (listen, expected) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.7:1", "10.0.0.7:1")] {
            assert_eq!(reachable(listen.parse().unwrap()), expected.parse().unwrap());
        }
    }
}
