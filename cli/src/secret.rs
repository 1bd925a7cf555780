//! No password leaves this process: not in a message, not in a log line.

use std::borrow::Cow;
use std::sync::RwLock;

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// Shorter ones are only hidden in URLs.
const SECRET_BYTES_MIN: usize = 5;

/// What everybody's first password is, and also a word of our messages.
const NO_SECRETS: [&str; 6] = ["ledger", "mongodb", "password", "postfold", "postgres", "postgresql"];

/// The secrets of this process's URLs, as written there and as they are meant.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Learns the secrets in these URLs.
pub(crate) fn learn<'a>(urls: impl IntoIterator<Item = &'a Option<String>>) {
    let mut found: Vec<String> = urls.into_iter().flatten().flat_map(|url| secrets(url)).collect();
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    *SECRETS.write().unwrap_or_else(std::sync::PoisonError::into_inner) = found;
}

/// The text without the secrets that were learnt, and without a password in anything like a URL.
pub(crate) fn hide(text: &str) -> Cow<'_, str> {
    let mut text = without_passwords(text);
    for secret in SECRETS.read().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), HIDDEN).into();
        }
    }
    text
}

/// The password before the `@`, and the values of parameters that are named like one.
fn secrets(url: &str) -> Vec<String> {
    let mut secrets: Vec<String> = password(url).map(|(start, end)| url[start..end].to_owned()).into_iter().collect();
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    for (name, value) in parameters.split('&').filter_map(|parameter| parameter.split_once('=')) {
        if name.to_ascii_lowercase().contains("pass") {
            secrets.push(value.to_owned());
        }
    }
    let decoded: Vec<String> = secrets.iter().map(|secret| decode(secret)).collect();
    secrets.extend(decoded);
    // These would tear ordinary messages apart; in a URL, `without_passwords` still hides them.
    secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN && !NO_SECRETS.contains(&secret.as_str()));
    secrets.dedup();
    secrets
}

/// Where the password of `scheme://user:password@host` stands. A password may hold an unescaped `@`,
/// so the last one counts.
fn password(text: &str) -> Option<(usize, usize)> {
    let authority = text.find("://")? + 3;
    let rest = &text[authority..];
    let end = rest.find(|character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '`'));
    let rest = &rest[..end.unwrap_or(rest.len())];
    let at = rest.rfind('@')?;
    let colon = rest[..at].find(':')?;
    Some((authority + colon + 1, authority + at))
}

fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (start, end) = password(rest).filter(|(start, _)| *start > scheme).unwrap_or((scheme + 3, scheme + 3));
        clean.push_str(&rest[..start]);
        if end > start {
            clean.push_str(HIDDEN);
        }
        rest = &rest[end..];
    }
    if clean.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(clean + rest) }
}

/// The text with its `%xx` read.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hidden_wherever_its_url_stands() {
        for (text, clean) in [
            ("nothing to hide", "nothing to hide"),
            ("postgres://h/db", "postgres://h/db"),
            ("postgres://me@h:5432/db", "postgres://me@h:5432/db"),
            ("at postgres://me:pw@h/db, at b://u:x@i", "at postgres://me:***@h/db, at b://u:***@i"),
            ("'mongodb://me:p@w:d@h' failed", "'mongodb://me:***@h' failed"),
            ("see https://host:1 and mail a@b", "see https://host:1 and mail a@b"),
        ] {
            assert_eq!(without_passwords(text), clean);
        }
    }

    #[test]
    fn a_secret_is_known_as_written_and_as_meant() {
        let found = secrets("postgres://me:p%40ssy@h/db?sslpassword=key-word&x=1");
        assert_eq!(found, ["p%40ssy", "key-word", "p@ssy", "key-word"]);
        for url in ["postgres://me:pw@h", "postgres://postfold:postfold@h", "postgres://h"] {
            assert_eq!(secrets(url), Vec::<String>::new(), "{url}");
        }
    }
}
