//! Callbacks' queries: what is read, what is refused, and whose answer it is.

use proptest::prelude::*;

use super::*;

fn outcome(query: &str) -> Result<Outcome, CallbackFlaw> {
    parse(query).map(|callback| callback.outcome)
}

#[test]
fn a_code_a_denial_and_an_error_are_told_apart() {
    assert_eq!(outcome("code=a%2Bb&state=s&scope=x+y"), Ok(Outcome::Code("a+b".to_owned())));
    assert_eq!(outcome("error=access_denied&state=s"), Ok(Outcome::Denied));
    assert_eq!(outcome("status=denied&state=s"), Ok(Outcome::Denied));
    let error = ProviderError("invalid_scope", Some("no such scope"));
    assert_eq!(outcome("error=invalid_scope&error_description=no+such%0d%0ascope&state=s"), Ok(error));
    assert_eq!(outcome("error=%3Cscript%3E&state=s"), Ok(ProviderError("an error without a name", None)));
}

#[expect(non_snake_case, reason = "stands for the variant")]
fn ProviderError(code: &str, words: Option<&str>) -> Outcome {
    Outcome::ProviderError { code: code.to_owned(), words: words.map(str::to_owned) }
}

#[test]
fn what_is_malformed_is_refused() {
    for (query, flaw) in [
        ("", CallbackFlaw::NoState),
        ("code=a", CallbackFlaw::NoState),
        ("code=a&state=", CallbackFlaw::NoState),
        ("state=s", CallbackFlaw::NoOutcome),
        ("state=s&code=", CallbackFlaw::NoOutcome),
        ("state=s&status=success", CallbackFlaw::NoOutcome),
        ("state=s&code=a&error=access_denied", CallbackFlaw::NoOutcome),
        ("state=s&state=s&code=a", CallbackFlaw::Twice),
        ("state=s&code=a&code=b", CallbackFlaw::Twice),
        ("state=s&code=a&c%6fde=b", CallbackFlaw::Twice),
        ("state=s&code=a&x&x", CallbackFlaw::Twice),
        ("state=s&code=%", CallbackFlaw::Malformed),
        ("state=s&code=%4", CallbackFlaw::Malformed),
        ("state=s&code=%zz", CallbackFlaw::Malformed),
        ("state=s&code=%ff", CallbackFlaw::Malformed),
        ("state=s&code=a%00", CallbackFlaw::Malformed),
        ("state=s%0d%0a&code=a", CallbackFlaw::Malformed),
        ("state=s&code=a&iss=%c3%a9", CallbackFlaw::Malformed),
    ] {
        assert_eq!(outcome(query), Err(flaw), "{query}");
    }
    let many = (0..40).fold(String::new(), |many, i| format!("{many}&p{i}=1"));
    assert_eq!(outcome(&format!("state=s&code=a{many}")), Err(CallbackFlaw::TooLong));
    assert_eq!(outcome(&format!("state=s&code={}", "a".repeat(limits::CALLBACK_QUERY))), Err(CallbackFlaw::TooLong));
}

#[test]
fn another_issuers_answer_is_refused_and_so_is_none_where_it_always_comes() {
    let asked = |name, is_always_named| AskedIssuer { name, is_always_named };
    let judge = |query: &str, asked| parse(query).unwrap().judge_issuer(asked);
    let (own, other, none) =
        ("state=s&code=a&iss=https%3A%2F%2Fa.example", "state=s&code=a&iss=https%3A%2F%2Fb.example", "state=s&code=a");
    let known = Some("https://a.example");
    assert_eq!(judge(own, asked(known, true)), Ok(()));
    assert_eq!(judge(other, asked(known, true)), Err(CallbackFlaw::OtherIssuer));
    assert_eq!(judge(other, asked(known, false)), Err(CallbackFlaw::OtherIssuer));
    assert_eq!(judge(none, asked(known, true)), Err(CallbackFlaw::NoIssuer));
    assert_eq!(judge(none, asked(known, false)), Ok(()));
    assert_eq!(judge(other, asked(None, false)), Ok(()));
    assert_eq!(judge("state=s&error=access_denied", asked(known, true)), Err(CallbackFlaw::NoIssuer));
}

proptest! {
    #[test]
    fn no_query_panics(query in ".{0,300}") {
        drop(parse(&query));
    }

    #[test]
    fn what_is_sent_comes_back_as_it_was(code in "[ -~]{1,40}", state in "[ -~]{1,40}") {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("code", &code).append_pair("state", &state).finish();
        let callback = parse(&query).unwrap();
        prop_assert_eq!(callback.state, state);
        prop_assert_eq!(callback.outcome, Outcome::Code(code));
    }
}
