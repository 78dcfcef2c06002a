//! Another library judges the same tokens: what we accept it accepts, with the same claims.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use proptest::prelude::*;

use super::*;

fn oracle(token: &str) -> Option<Value> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 30;
    validation.validate_aud = false;
    validation.validate_nbf = true;
    let key = DecodingKey::from_secret(SIGNING.as_bytes());
    jsonwebtoken::decode::<Value>(token, &key, &validation).ok().map(|decoded| decoded.claims)
}

/// Ours, at the time that the oracle takes by itself.
fn ours(token: &str) -> Option<Value> {
    let verified = judge_at(Kind::Action, token, &app(), Clock::system().unix_seconds()).ok()?;
    serde_json::from_slice(&verified.claims()?.raw).ok()
}

fn oracles_token(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(SIGNING.as_bytes())).unwrap()
}

/// A token with one thing done to its text.
fn mutant(token: &str, place: usize, what: u8, with: char) -> String {
    let at = place % token.len();
    let (before, after) = token.split_at(at);
    let (_, rest) = after.split_at(1);
    match what {
        0 => format!("{before}{with}{rest}"),
        1 => format!("{before}{with}{after}"),
        2 => format!("{before}{rest}"),
        3 => before.to_owned(),
        4 => format!("{after}{before}"),
        5 => format!("{token}{with}"),
        _ => {
            let mut parts: Vec<_> = token.split('.').collect();
            parts.swap(place % 3, (place + 1) % 3);
            parts.join(".")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_token_of_another_library_is_read_as_that_library_reads_it(
        account in any::<i64>(), user in any::<i64>(), text in ".{0,200}", list in prop::collection::vec(any::<u32>(), 0..20),
    ) {
        let exp = Clock::system().unix_seconds() + 300;
        let claims = json!({ "accountId": account, "userId": user, "exp": exp, "x": text, "y": { "z": list } });
        let token = oracles_token(&claims);
        prop_assert_eq!(oracle(&token), Some(claims.clone()));
        prop_assert_eq!(ours(&token), Some(claims.clone()));
        prop_assert_eq!(oracle(&mint::token(&claims, &Secret::new(SIGNING))), Some(claims));
    }

    #[test]
    fn a_mutant_of_a_valid_token_is_refused_as_that_library_refuses_it(
        place in any::<usize>(), what in 0..7_u8, with in "[A-Za-z0-9_=+/. -]",
    ) {
        let exp = Clock::system().unix_seconds() + 300;
        let token = oracles_token(&json!({ "accountId": 1, "userId": 2, "exp": exp }));
        let mutant = mutant(&token, place, what, with.chars().next().unwrap());
        // White space around a header's value is not part of it.
        prop_assume!(mutant.trim() != token);
        prop_assert_eq!(ours(&mutant), None);
        prop_assert_eq!(oracle(&mutant), None);
    }

    #[test]
    fn what_we_accept_that_library_accepts_with_the_same_claims(
        exp in prop_oneof![Just(json!(null)), any::<i64>().prop_map(|n| json!(n)), any::<f64>().prop_map(|n| json!(n)),
            ".{0,10}".prop_map(|text| json!(text)), (100..400_i64).prop_map(|n| json!(Clock::system().unix_seconds() + n))],
        nbf in prop_oneof![Just(None), any::<u32>().prop_map(|n| Some(json!(n))), ".{0,5}".prop_map(|text| Some(json!(text)))],
    ) {
        let mut claims = json!({ "accountId": 1, "userId": 2, "exp": exp });
        if let Some(nbf) = nbf {
            claims["nbf"] = nbf;
        }
        let token = oracles_token(&claims);
        if let Some(accepted) = ours(&token) {
            prop_assert_eq!(oracle(&token), Some(accepted));
        }
    }
}
