//! What monday does with an answer: takes it, gives up, or sends the request again for half an hour. For `send` and its
//! tests; the gateway's own answers are chosen elsewhere. monday's pages: "Error handling", "Actions", "Webhooks".

use crate::monday::kinds::Kind;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// monday is satisfied.
    Done,
    /// It failed, and monday does not try again.
    Final,
    /// It failed, and severity code 6000 disables the automation.
    Disabled,
    /// monday sends it again every minute for half an hour.
    Retried,
    /// A person or the app's own front end reads the answer.
    Shown,
}

impl Verdict {
    /// For `--json`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Final => "final",
            Self::Disabled => "disabled",
            Self::Retried => "retried",
            Self::Shown => "shown",
        }
    }

    /// In a sentence.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Done => "done: monday is satisfied",
            Self::Final => "final: this run has failed, and monday does not send it again",
            Self::Disabled => "final, and worse: severity code 6000 makes monday disable the automation",
            Self::Retried => "retried: monday sends it again, once a minute for 30 minutes",
            Self::Shown => "shown: whoever called reads this answer; monday does not send it again",
        }
    }
}

/// What monday does with this answer to a request of this kind. A severity code counts only in an error, as monday reads it.
pub(crate) fn verdict(kind: Kind, status: u16, body: &[u8]) -> Verdict {
    let severity = severity_code(body);
    match kind {
        Kind::View | Kind::Authorization | Kind::Jwt | Kind::Public => Verdict::Shown,
        _ if (200..300).contains(&status) => Verdict::Done,
        Kind::Action if status >= 400 && severity == Some(6000) => Verdict::Disabled,
        Kind::Action if (400..500).contains(&status) || (status >= 500 && severity.is_some()) => Verdict::Final,
        Kind::BoardWebhook | Kind::AppLifecycle if (400..500).contains(&status) => Verdict::Final,
        // For the webhooks monday's pages disagree; an app must be ready for the retry.
        Kind::Action | Kind::BoardWebhook | Kind::AppLifecycle => Verdict::Retried,
        Kind::Subscribe
        | Kind::Unsubscribe
        | Kind::RemoteOptions
        | Kind::FieldDefinitions
        | Kind::Credentials
        | Kind::FeatureLifecycle => Verdict::Final,
    }
}

/// The number in the answer's `severityCode`.
pub(crate) fn severity_code(body: &[u8]) -> Option<u64> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?.get("severityCode")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monday::kinds::KINDS;

    #[test]
    fn a_failed_action_is_final_with_4xx_or_a_severity_code_and_retried_otherwise() {
        let coded = br#"{"severityCode":4000,"notificationErrorTitle":"x"}"#;
        for (status, body, expected) in [
            (200, &b"{}"[..], Verdict::Done),
            (200, coded, Verdict::Done),
            (202, b"", Verdict::Done),
            (302, b"", Verdict::Retried),
            (401, b"", Verdict::Final),
            (404, coded, Verdict::Final),
            (422, br#"{"severityCode":6000}"#, Verdict::Disabled),
            (500, br#"{"severityCode":6000}"#, Verdict::Disabled),
            (500, coded, Verdict::Final),
            (500, br#"{"severityCode":"4000"}"#, Verdict::Retried),
            (500, b"", Verdict::Retried),
            (503, b"<html>", Verdict::Retried),
            (504, b"{}", Verdict::Retried),
        ] {
            assert_eq!(verdict(Kind::Action, status, body), expected, "{status}");
        }
    }

    #[test]
    fn only_what_monday_retries_is_called_retried() {
        for row in &KINDS {
            let retried = verdict(row.kind, 503, b"") == Verdict::Retried;
            let may_be = matches!(row.kind, Kind::Action | Kind::BoardWebhook | Kind::AppLifecycle);
            assert_eq!(retried, may_be, "{:?}", row.kind);
        }
    }

    #[test]
    fn a_browser_reads_its_answer() {
        assert_eq!(verdict(Kind::View, 500, b""), Verdict::Shown);
        assert_eq!(verdict(Kind::Authorization, 303, b""), Verdict::Shown);
    }
}
