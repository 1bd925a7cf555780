//! The bounds of a [`MongoStore`](super::MongoStore), and how it writes.

use std::time::Duration;

use bson::Document;

/// The bounds of a [`MongoStore`](crate::MongoStore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongoSettings {
    /// How long a connection, and the choice of a server, may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long one command may take that reads or writes documents. Default 30 s.
    pub command_timeout: Duration,
    /// How long one command may take that goes through a whole collection: building an index, counting,
    /// sweeping, renaming. Default 1 h.
    pub collection_timeout: Duration,
    /// How documents are replaced. Default [`WriteForm::Auto`].
    pub write_form: WriteForm,
}

impl Default for MongoSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(30),
            collection_timeout: Duration::from_hours(1),
            write_form: WriteForm::Auto,
        }
    }
}

/// How documents are replaced. Every form keeps the same promises on every server; they differ in speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteForm {
    /// [`Table`](Self::Table) where the server says that it is DocumentDB behind `FerretDB`, whose cost is by
    /// statement and not by document; [`Statements`](Self::Statements) on any other.
    #[default]
    Auto,
    /// A statement for each document.
    Statements,
    /// A statement for up to 50 documents, which looks each one up in a table that it carries.
    Table,
}

impl WriteForm {
    /// Whether to write by tables on a server that says this of itself (`buildInfo`).
    pub(super) fn is_table(self, server: &Document) -> bool {
        match self {
            Self::Auto => server.contains_key("ferretdb"),
            Self::Statements => false,
            Self::Table => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn tables_are_for_the_server_that_is_known_to_gain() {
        let mongodb = doc! { "version": "7.0.14", "gitVersion": "f25e", "ok": 1 };
        let compatible = doc! { "version": "7.0.77", "ferretdb": { "version": "v2.7.0" }, "ok": 1 };
        let table = |form: WriteForm| [form.is_table(&mongodb), form.is_table(&compatible)];
        assert_eq!(table(WriteForm::default()), [false, true]);
        assert_eq!(table(WriteForm::Statements), [false, false]);
        assert_eq!(table(WriteForm::Table), [true, true]);
    }
}
