//! Sends the cases, one after the other, and joins three accounts of each: the answer, what the backend saw, and what the access
//! log says. Returns a judged row a case.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::commands::demo::backend::Seen;
use crate::commands::demo::cases::Case;
use crate::commands::demo::expected::Outcome;
use crate::commands::demo::scene::Scene;
use crate::commands::send::http::{Answer, Trust, send};
use crate::monday::verdict::{severity_code, verdict};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the access log: it is written off the requests' path.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// A case, what came of it, and what is wrong with that.
#[derive(Debug)]
pub(super) struct Row {
    /// What was sent.
    pub(super) case: Case,
    /// What came of it.
    pub(super) outcome: Outcome,
    /// In words; empty if nothing.
    pub(super) wrong: Vec<String>,
}

impl Row {
    /// Whether all was as it should be.
    pub(super) fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Plays all cases.
pub(super) async fn play(scene: &Scene, cases: Vec<Case>, seen: &Seen) -> Vec<Row> {
    let authority = scene.file("ca.pem");
    let mut rows = Vec::with_capacity(cases.len());
    for case in cases {
        let answered = ask(scene, &case, &authority).await;
        let received = seen.at(case.path());
        let mut outcome = Outcome {
            status: None,
            fault: None,
            severity: None,
            verdict: verdict(case.kind, 504, b""),
            received,
            reason: None,
        };
        match answered {
            Ok(answer) => {
                outcome.status = Some(answer.status.as_u16());
                outcome.severity = severity_code(&answer.body);
                outcome.verdict = verdict(case.kind, answer.status.as_u16(), &answer.body);
            }
            Err(fault) => outcome.fault = Some(fault),
        }
        rows.push(Row { case, outcome, wrong: Vec::new() });
    }
    let reasons = reasons(&scene.file("access.log"), rows.len()).await;
    for row in &mut rows {
        match reasons.get(row.case.path()) {
            Some(reason) => row.outcome.reason.clone_from(reason),
            None => row.wrong.push("it is not in the access log".to_owned()),
        }
        row.wrong.extend(row.case.expected.judge(&row.outcome));
    }
    rows
}

async fn ask(scene: &Scene, case: &Case, authority: &Path) -> Result<Answer, String> {
    let mut request = Request::builder().method(case.method.clone()).uri(format!("{}{}", scene.origin, case.target));
    if case.body.is_some() {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in &case.headers {
        request = request.header(*name, value);
    }
    let body = Full::new(Bytes::from(case.body.clone().unwrap_or_default()));
    let request = request.body(body).map_err(|fault| fault.to_string())?;
    send(request, &Trust::File(authority), PATIENCE).await.map_err(|fault| fault.to_string())
}

/// What the access log says of each path, once it has as many lines.
async fn reasons(log: &Path, lines: usize) -> HashMap<String, Option<String>> {
    let began = Instant::now();
    loop {
        let read = read_log(&std::fs::read_to_string(log).unwrap_or_default());
        if read.len() >= lines || began.elapsed() > LOG_PATIENCE {
            return read;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reason by path. A line that is not whole yet is not there yet.
fn read_log(text: &str) -> HashMap<String, Option<String>> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let reason = line.get("reason").and_then(Value::as_str).map(str::to_owned);
        Some((line.get("path")?.as_str()?.to_owned(), reason))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read_up_to_its_last_whole_line() {
        let read =
            read_log("{\"path\":\"/a\",\"reason\":\"token_missing\"}\n{\"path\":\"/b\"}\n{\"path\":\"/c\",\"rea");
        assert_eq!(read.len(), 2);
        assert_eq!(read["/a"].as_deref(), Some("token_missing"));
        assert_eq!(read["/b"], None);
    }
}
