//! The classified requests of AWS' `http_desync_guardian` 0.1.3 (Apache-2.0; `tests/data/http_desync_guardian.json` holds its test
//! cases): everything it calls Severe or Ambiguous is refused, everything it calls Compliant passes, but for what this gateway
//! refuses by rules of its own.

use serde::Deserialize;

use crate::pipeline::guard::head::{self, HeadLimits};

#[derive(Deserialize)]
struct Case {
    tier: String,
    name: String,
    method: String,
    uri: String,
    version: String,
    headers: Vec<(String, String)>,
}

/// Compliant for any server, refused here: a list of transfer codings, which no monday request has, and a target that is not
/// visible ASCII, has a fragment, or is no path.
const REFUSED_BY_OWN_RULES: [&str; 10] = [
    "Correct TE OK",
    "Transfer-Encoding: identity and chunked OK",
    "Multiple transfer encoding headers in a single request OK",
    "TE with custom parameters OK",
    "Different Transfer-Encoding headers",
    "Different Transfer-Encoding headers combined",
    "Transfer-Encoding with a param: chunked;custom_param",
    "Compliant URL",
    "International in URI",
    "Empty URI",
];

impl Case {
    /// The request on the wire: characters up to 255 are bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.uri, self.version);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str("Host: example.com\r\n");
        }
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        let mut bytes = Vec::new();
        for character in text.chars() {
            match u8::try_from(character) {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend_from_slice(character.to_string().as_bytes()),
            }
        }
        bytes
    }
}

#[test]
fn the_desync_corpus_is_judged_as_its_authors_do_or_more_strictly() {
    let text = include_str!("../../../tests/data/http_desync_guardian.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    let limits = HeadLimits { bytes: 32 * 1024, fields: 100 };
    let (mut refused, mut accepted) = (0, 0);
    for case in &cases {
        let passes = matches!(head::judge(&case.bytes(), limits), Ok(Some(_)));
        match case.tier.as_str() {
            "Severe" | "Ambiguous" => {
                assert!(!passes, "{} case passes: {}", case.tier, case.name);
                refused += 1;
            }
            "Compliant" => {
                let own_rule = REFUSED_BY_OWN_RULES.contains(&case.name.as_str());
                assert_eq!(passes, !own_rule, "compliant case: {}", case.name);
                accepted += usize::from(passes);
            }
            _ => {}
        }
    }
    assert_eq!((cases.len(), refused, accepted), (159, 116, 18));
}
