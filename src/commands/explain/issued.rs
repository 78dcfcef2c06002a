//! `monday-gateway explain token` for tokens of issuers: what one says, and why each issuer's table accepts it or not. Fetches the keys as a
//! gateway does; the token stays here. The verdict is that of `issuers` itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::commands::explain::token::{Explanation, Step, Verdict, explain_times, words};
use crate::config::resolved::grants::Issuer as Rules;
use crate::config::resolved::{App, Config};
use crate::issuers::claims::{self, Issued, When};
use crate::issuers::fetch::{Fetch, FetchFault, fetch};
use crate::issuers::key_set::KeySet;
use crate::issuers::token::{self, Token};
use crate::jwt::{Flaw, Parts};
use crate::limits::KEYS_FETCH_TIME;
use crate::monday::kinds::Kind;
use crate::oauth::web::Web;
use crate::pipeline::refusal::{Refusal, Unauthorized};
use crate::pipeline::reply::facts::facts;

/// Whether it has a form that only tokens of issuers have.
pub(super) fn is_issued(token: &str, config: &Config) -> bool {
    !config.issuers.is_empty() && Token::read(token).is_ok()
}

/// Explains it with the keys that the issuers have now.
pub(super) fn explain(token: &str, config: &Config, app: &App, now: i64) -> Result<Explanation, String> {
    let web = Web::new(None).map_err(|fault| fault.to_string())?;
    explain_with(&web, (token, now), &config.issuers, app)
}

fn explain_with(
    web: &impl Fetch,
    (token, now): (&str, i64),
    issuers: &[Rules],
    app: &App,
) -> Result<Explanation, String> {
    if issuers.is_empty() {
        return Err("gateway.toml has no [issuers.NAME] whose keys could judge the token".to_owned());
    }
    let mut steps = Vec::new();
    let read = Token::read(token);
    steps.push(match &read {
        Ok(Token { header, .. }) => {
            let kid = header.kid.as_deref().map_or_else(|| "no kid".to_owned(), |kid| format!("kid {kid}"));
            Step { what: "form", good: true, says: format!("a compact token with alg {} and {kid}", header.alg) }
        }
        Err(flaw) => Step { what: "form", good: false, says: words(&Unauthorized::Token(*flaw)) },
    });
    if let Some(claims) = decoded(token) {
        explain_claims(&claims, issuers, &mut steps);
        explain_times(&claims, app, now, &mut steps);
    }
    let leeway = i64::try_from(app.leeway.as_secs()).unwrap_or(i64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|fault| fault.to_string())?;
    let judged = |rules: &Rules| match &read {
        Ok(token) => runtime.block_on(judge(token, rules, When { now, leeway }, web)),
        Err(flaw) => Verdict::new(Kind::Jwt.name(), Err(Unauthorized::Token(*flaw))),
    };
    let verdicts = issuers.iter().map(|rules| Verdict { issuer: Some(rules.name.clone()), ..judged(rules) }).collect();
    Ok(Explanation { steps, verdicts })
}

/// What this issuer's keys and table say.
async fn judge(token: &Token<'_>, rules: &Rules, when: When, web: &impl Fetch) -> Verdict {
    let kind = Kind::Jwt.name();
    let fetched = within(KEYS_FETCH_TIME, fetch(web, rules, &mut None)).await;
    let set = fetched.and_then(|text| KeySet::parse(&text, i64::MAX).map_err(FetchFault::Flaw));
    let set = match set {
        Ok(set) => set,
        Err(fault) => {
            let refused = Some(format!("its keys cannot be had, so that a gateway answers 503: {fault}"));
            return Verdict { kind, issuer: None, result: facts(&Refusal::KeysDown).reason, refused };
        }
    };
    let judged = match token.judge(&set) {
        token::Verdict::Signed(payload) => Issued::parse(payload, rules, when).map(|_| ()).map_err(Unauthorized::from),
        token::Verdict::Refused(flaw) => Err(Unauthorized::Token(flaw)),
        token::Verdict::UnknownKey => Err(Unauthorized::Token(Flaw::Signature)),
    };
    Verdict::new(kind, judged)
}

async fn within<T>(time: Duration, fetching: impl Future<Output = Result<T, FetchFault>>) -> Result<T, FetchFault> {
    tokio::time::timeout(time, fetching).await.unwrap_or(Err(FetchFault::Late))
}

/// The claims, trusted or not.
fn decoded(token: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(Parts::cut(token).ok()?.payload).ok()?;
    serde_json::from_slice::<Value>(&payload).ok().filter(Value::is_object)
}

/// What the claims say, beside what the tables of gateway.toml want.
fn explain_claims(claims: &Value, issuers: &[Rules], steps: &mut Vec<Step>) {
    let said = |name: &str| claims.get(name).map_or_else(|| "absent".to_owned(), Value::to_string);
    let iss = claims.get("iss").and_then(Value::as_str);
    let own: Vec<&Rules> = issuers.iter().filter(|rules| iss == Some(rules.issuer.as_str())).collect();
    let known: Vec<_> = issuers.iter().map(|rules| format!("[issuers.{}] {}", rules.name, rules.issuer)).collect();
    let says = format!("{}; gateway.toml has {}", said("iss"), known.join(", "));
    steps.push(Step { what: "iss", good: !own.is_empty(), says });
    for rules in own {
        let good = rules.audience.iter().any(|own| claims::has(claims, "aud", Some(own)));
        let says = format!("{}; one of: {}", said("aud"), rules.audience.join(", "));
        steps.push(Step { what: "aud", good, says });
        for (name, wanted) in &rules.required {
            let good = claims::has(claims, name, wanted.as_deref());
            let says = format!("{name} {}; must be: {}", said(name), wanted.as_deref().unwrap_or("there"));
            steps.push(Step { what: "required", good, says });
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm;
    use serde_json::json;

    use super::*;
    use crate::commands::minting::tests as minted;
    use crate::issuers::minter::{ISSUER, NOW, Pair, Site, claims, rules};

    fn explained(site: &Site, token: &str) -> Explanation {
        explain_with(site, (token, NOW), &[rules()], &minted::config().apps[0]).unwrap()
    }

    #[test]
    fn a_token_of_an_issuer_is_judged_with_its_keys() {
        let pair = Pair::new("k1", Algorithm::RS256);
        let site = Site::new(&[&pair]);
        let token = pair.sign(&claims());
        let text = explained(&site, &token).to_text();
        for words in
            ["alg RS256 and kid k1", &format!("[issuers.own] {ISSUER}"), "must be: pro", "jwt, own           accepted"]
        {
            assert!(text.contains(words) && !text.contains("NO "), "{words}:\n{text}");
        }
        assert!(!text.contains(token.rsplit('.').next().unwrap()), "{text}");
        assert!(explained(&site, &token).to_json().contains(r#""issuer":"own""#));
    }

    #[test]
    fn a_token_that_an_issuer_would_not_give_is_told_why() {
        let (pair, other) = (Pair::new("k1", Algorithm::ES256), Pair::new("k1", Algorithm::ES256));
        let site = Site::new(&[&pair]);
        for (claim, value, words) in [
            ("iss", json!("https://other.example.com"), "NO  iss"),
            ("aud", json!(["x"]), "NO  aud"),
            ("exp", json!(NOW - 3600), "NO  exp"),
            ("plan", json!("free"), "NO  required"),
        ] {
            let mut claims = claims();
            claims[claim] = value;
            let text = explained(&site, &pair.sign(&claims)).to_text();
            assert!(text.contains(words) && text.contains("refused"), "{words}:\n{text}");
        }
        assert!(explained(&site, &other.sign(&claims())).to_json().contains(r#""result":"signature""#));
        assert!(explained(&site, "a.b.c").to_text().contains("NO  form"));
        site.goes_down();
        assert!(explained(&site, &pair.sign(&claims())).to_text().contains("keys cannot be had"));
        assert!(explain_with(&site, ("a.b.c", NOW), &[], &minted::config().apps[0]).is_err());
    }
}
