//! The name that this program was called by: `postfold`, or that of an embedder's own binary.

use std::borrow::Cow;
use std::path::Path;
use std::sync::LazyLock;

/// The name by which messages of the libraries call this program.
const STOCK: &str = "postfold";

static NAME: LazyLock<String> = LazyLock::new(|| {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_stem().map(|name| name.to_string_lossy().into_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| STOCK.to_owned())
});

/// The name.
pub(crate) fn name() -> &'static str {
    &NAME
}

/// A message with the commands in it, such as `` `postfold init` ``, as they have to be typed for this program.
pub(crate) fn commands(message: &str) -> Cow<'_, str> {
    rename(message, name())
}

fn rename<'a>(message: &'a str, name: &str) -> Cow<'a, str> {
    let quoted = format!("`{STOCK} ");
    if name == STOCK || !message.contains(&quoted) {
        return Cow::Borrowed(message);
    }
    Cow::Owned(message.replace(&quoted, &format!("`{name} ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_a_message_are_those_of_this_program() {
        let message = "a postfold ledger; run `postfold init`, then `postfold doctor`";
        assert_eq!(rename(message, "postfold"), message);
        assert_eq!(rename(message, "loyalty"), "a postfold ledger; run `loyalty init`, then `loyalty doctor`");
    }
}
