//! monday's error body, which makes a failed run show a person a sentence instead of a number.
//! Made by `reply` for 401 and 403 only: with a severity code monday does not retry, so no 5xx may carry one.
//! monday's page "Error handling" ("Severity codes").

use serde::{Serialize, Serializer};

/// How bad monday should take it. There is no 6000 here on purpose: it disables the automation for its owner, and a secret
/// mistyped in gateway.toml would disable every customer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// 4000: this run fails and its owner is told; the automation stays on.
    Medium,
}

impl Severity {
    /// monday's number.
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Medium => 4000,
        }
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.code())
    }
}

/// The body, to be flattened into an answer's JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification<'a> {
    /// What monday does with the run.
    pub(crate) severity_code: Severity,
    /// Title of the notification to the automation's owner.
    pub(crate) notification_error_title: &'a str,
    /// Its text.
    pub(crate) notification_error_description: &'a str,
    /// The line in the automation's activity log.
    pub(crate) runtime_error_description: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_are_spelled_as_monday_reads_them() {
        let body = Notification {
            severity_code: Severity::Medium,
            notification_error_title: "t",
            notification_error_description: "d",
            runtime_error_description: "r",
        };
        assert_eq!(
            serde_json::to_string(&body).expect("JSON"),
            r#"{"severityCode":4000,"notificationErrorTitle":"t","notificationErrorDescription":"d","runtimeErrorDescription":"r"}"#
        );
    }
}
