//! `monday-gateway send`: one request as monday would send it, and what monday would do with the answer.
//! The token is made with the secrets of gateway.toml, or given. Follows no redirect and retries nothing.

pub(in crate::commands) mod http;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ::http::{Method, Request, Uri};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::commands::minting::{self, MintArgs, MintFault};
use crate::config::resolved::Config;
use crate::monday::kinds::Kind;
use crate::monday::sample;
use crate::monday::verdict::{Verdict, severity_code, verdict};

use self::http::{Answer, SendFault, Trust};

/// Send a request as monday.com would.
///
/// Makes a token and a body of the kind, sends them, prints the answer, and says what monday would do with it: whether it is
/// done, has failed for good, or is sent again for 30 minutes.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[command(after_long_help = "Examples:
  monday-gateway send --ca certs/ca.pem https://localhost:8443/planner/actions/create
      An action.

  monday-gateway send --kind board-webhook --body '{\"challenge\":\"abc\"}' --no-token https://localhost:8443/planner/webhook
      The handshake of a board webhook.

  monday-gateway send --expired https://localhost:8443/planner/actions/create
      What monday reads when its token has expired.")]
pub(crate) struct SendArgs {
    /// The whole URL, as registered with monday.
    url: Uri,
    #[command(flatten)]
    mint: MintArgs,
    /// Send this token instead of making one.
    #[arg(long, conflicts_with = "no_token")]
    token: Option<String>,
    /// Send no token.
    #[arg(long)]
    no_token: bool,
    /// The method; by default POST, and GET for view and authorization.
    #[arg(long)]
    method: Option<Method>,
    /// The body; by default one as monday sends it. `@FILE` reads a file.
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// A PEM file of the authorities that are believed, instead of the machine's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Believe every certificate.
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// Seconds to wait for the answer; by default as long as monday does.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    /// No token could be made.
    #[error(transparent)]
    Mint(#[from] MintFault),
    /// The file of `--body @FILE`.
    #[error("{0}: {1}")]
    Body(String, std::io::Error),
    /// The token or the URL does not fit a request.
    #[error("this is no request: {0}")]
    Request(#[from] ::http::Error),
    /// The query with the token in it.
    #[error("this is no URL: {0}")]
    Url(#[from] ::http::uri::InvalidUri),
    /// The runtime.
    #[error("{0}")]
    Machine(std::io::Error),
}

/// Runs the command; 0 when monday would be satisfied.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a person")]
pub(crate) fn run(args: &SendArgs, config: &Config) -> ExitCode {
    let sent = request(args, config, &Clock::system()).and_then(|request| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Unsent::Machine)?;
        let trust = match (&args.ca, args.insecure) {
            (Some(file), _) => Trust::File(file),
            (None, true) => Trust::Everybody,
            (None, false) => Trust::Machine,
        };
        let start = Instant::now();
        let answer = runtime.block_on(http::send(request, &trust, Duration::from_secs(args.timeout)));
        Ok((answer, start.elapsed()))
    });
    match sent {
        Ok((answer, elapsed)) => {
            let outcome = Outcome { kind: args.mint.kind, answer, elapsed };
            println!("{}", if args.json { outcome.to_json().to_string() } else { outcome.to_text() });
            if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::from(2)
        }
    }
}

fn request(args: &SendArgs, config: &Config, clock: &Clock) -> Result<Request<Full<Bytes>>, Unsent> {
    let kind = args.mint.kind;
    let token = match &args.token {
        Some(token) => Some(token.clone()),
        None if args.no_token || kind == Kind::Public => None,
        None => Some(minting::mint(&args.mint, config, Some(&args.url), clock.unix_seconds())?.token),
    };
    let body = match &args.body {
        Some(text) => Some(match text.strip_prefix('@') {
            Some(file) => std::fs::read(file).map_err(|fault| Unsent::Body(file.to_owned(), fault))?,
            None => text.clone().into_bytes(),
        }),
        None => sample::body(kind, args.mint.account, args.mint.user).map(|body| body.to_string().into_bytes()),
    };
    let method = args.method.clone().unwrap_or_else(|| if body.is_some() { Method::POST } else { Method::GET });
    let mut request = Request::builder().method(method);
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let mut url = args.url.clone();
    match (token, minting::query_place(kind)) {
        (Some(token), Some(name)) => {
            let joint = if url.query().is_some() { '&' } else { '?' };
            url = format!("{url}{joint}{name}={token}").parse()?;
        }
        // As monday does: the token alone, without a scheme.
        (Some(token), None) => request = request.header("authorization", token),
        (None, _) => {}
    }
    Ok(request.uri(url).body(Full::new(Bytes::from(body.unwrap_or_default())))?)
}

/// What came of it.
struct Outcome {
    kind: Kind,
    answer: Result<Answer, SendFault>,
    elapsed: Duration,
}

impl Outcome {
    fn verdict(&self) -> Verdict {
        match &self.answer {
            Ok(answer) => verdict(self.kind, answer.status.as_u16(), &answer.body),
            // No answer is to monday what a gateway's 504 is.
            Err(_) => verdict(self.kind, 504, b""),
        }
    }

    fn is_good(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.status.as_u16() < 400) && self.verdict() != Verdict::Retried
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        match &self.answer {
            Ok(answer) => {
                let _written = writeln!(text, "{} in {} ms", answer.status, self.elapsed.as_millis());
                for (name, value) in &answer.headers {
                    let _written = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
                }
                let body: String = String::from_utf8_lossy(&answer.body)
                    .chars()
                    .map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c })
                    .collect();
                let _written = writeln!(text, "\n{body}\n");
            }
            Err(fault) => {
                let _written = writeln!(text, "no answer: {fault}\n");
            }
        }
        text.push_str(self.verdict().sentence());
        text
    }

    fn to_json(&self) -> Value {
        let verdict = self.verdict();
        let mut object = json!({
            "kind": self.kind.name(),
            "verdict": verdict.name(),
            "says": verdict.sentence(),
            "milliseconds": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
        });
        let Some(members) = object.as_object_mut() else { return object };
        match &self.answer {
            Ok(answer) => {
                let headers: Vec<_> = answer
                    .headers
                    .iter()
                    .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
                    .collect();
                members.insert("status".to_owned(), answer.status.as_u16().into());
                members.insert("severity_code".to_owned(), json!(severity_code(&answer.body)));
                members.insert("headers".to_owned(), headers.into());
                members.insert("body".to_owned(), String::from_utf8_lossy(&answer.body).into());
            }
            Err(fault) => {
                members.insert("fault".to_owned(), fault.to_string().into());
            }
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use crate::commands::minting::tests as minted;

    #[derive(clap::Parser)]
    struct Words {
        #[command(flatten)]
        send: SendArgs,
    }

    fn args(words: &[&str]) -> SendArgs {
        let words: Words = clap::Parser::try_parse_from(std::iter::once(&"x").chain(words)).unwrap();
        words.send
    }

    fn requested(words: &[&str]) -> Request<Full<Bytes>> {
        request(&args(words), &minted::config(), &Clock::standing_at(1000)).unwrap()
    }

    #[test]
    fn the_token_goes_where_monday_puts_it() {
        let action = requested(&["https://gw.example.com/a"]);
        assert_eq!((action.method(), action.uri().query()), (&Method::POST, None));
        assert!(action.headers()["authorization"].to_str().unwrap().starts_with("eyJ"));
        let authorization = requested(&["--kind", "authorization", "https://gw.example.com/a?x=1"]);
        assert_eq!(authorization.method(), &Method::GET);
        assert!(authorization.uri().query().unwrap().starts_with("x=1&token=eyJ"));
        assert!(!authorization.headers().contains_key("authorization"));
        assert!(!requested(&["--no-token", "https://gw.example.com/a"]).headers().contains_key("authorization"));
    }

    #[test]
    fn an_answer_is_read_and_judged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a?b", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let body = r#"{"severityCode":4000}"#;
            write!(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(http::send(requested(&[&url]), &Trust::Machine, Duration::from_secs(10)));
        assert!(server.join().unwrap().starts_with("POST /a?b HTTP/1.1\r\n"));
        let outcome = Outcome { kind: Kind::Action, answer, elapsed: Duration::ZERO };
        assert_eq!(outcome.verdict(), Verdict::Final);
        assert!(outcome.to_text().contains("401 Unauthorized") && outcome.to_text().contains("final"));
        assert_eq!(outcome.to_json()["severity_code"], 4000);
    }

    #[test]
    fn no_answer_to_an_action_is_retried() {
        let answer = Err(SendFault::Slow(Duration::from_mins(1)));
        let outcome = Outcome { kind: Kind::Action, answer, elapsed: Duration::ZERO };
        assert_eq!(outcome.verdict(), Verdict::Retried);
        assert!(!outcome.is_good());
    }
}
