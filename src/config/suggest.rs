//! "Did you mean": the known word nearest to one that is not known.

/// The nearest of `known`, if it is near enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(&word.to_ascii_lowercase(), &other.to_ascii_lowercase()), other))
        .filter(|(distance, other)| *distance <= (other.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// `did you mean ...?`, or all that is known.
pub(crate) fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none to name".to_owned(),
        None => format!("known here: {}", known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_and_a_stranger_gets_the_list() {
        assert_eq!(suggest("sining_secret", &["client_secret", "signing_secret"]), "did you mean `signing_secret`?");
        assert_eq!(suggest("colour", &["listen", "tls"]), "known here: `listen`, `tls`");
    }
}
