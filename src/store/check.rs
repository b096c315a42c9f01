//! Whether a file is a sound store: SQLite's own check of its pages, then every record read.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::record::{self, Record};
use super::{StoreError, schema};

/// How long a connection waits for another's short locks.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// A record that can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) rowid: i64,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) why: String,
}

/// Opens a store to read from, without changing it.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// Checks the pages and the indexes.
pub(super) fn pages(db: &Connection) -> Result<(), StoreError> {
    let mut check = db.prepare("PRAGMA integrity_check(3)")?;
    let found = check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    if found == ["ok"] {
        return Ok(());
    }
    // SQLite indents what it says of one table under the name of the database.
    let found: Vec<&str> = found.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with("***")).collect();
    Err(StoreError::Damaged(found.join("; ")))
}

/// The records that can't be read, of a store of this program's version.
pub(super) fn unreadable(db: &Connection) -> Result<Vec<Unreadable>, StoreError> {
    // Neither a missing table nor a missing column comes of anything but damage.
    let damaged = |error: rusqlite::Error| StoreError::Damaged(error.to_string());
    let mut statement = db.prepare(record::SELECT_ROWS).map_err(damaged)?;
    let mut rows = statement.query([]).map_err(damaged)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let read = Record::read(row).map_err(|error| StoreError::Damaged(error.to_string())).and_then(Record::decode);
        if let Err(why) = read {
            let text = |column| {
                Ok::<_, rusqlite::Error>(
                    String::from_utf8_lossy(row.get_ref(column)?.as_bytes().unwrap_or(b"?")).into_owned(),
                )
            };
            let (rowid, namespace, name) = (row.get("rowid")?, text("namespace")?, text("name")?);
            found.push(Unreadable { rowid, namespace, name, why: why.to_string() });
        }
    }
    Ok(found)
}

/// Checks a copy: it must be sound to the last record. Older versions' records are read when they are migrated.
pub(super) fn copy(path: &Path) -> Result<Connection, StoreError> {
    let db = reader(path)?;
    pages(&db)?;
    match schema::version(&db)? {
        0 => return Err(StoreError::Damaged("it is empty".into())),
        found if found == schema::known() => {}
        _ => return Ok(db),
    }
    match unreadable(&db)?.first() {
        None => Ok(db),
        Some(first) => Err(StoreError::Damaged(first.why.clone())),
    }
}
