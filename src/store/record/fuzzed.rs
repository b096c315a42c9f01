//! Rows of the store as a fuzz target: a row is damaged in so many words, or the same after it was written again.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use rusqlite::Connection;

use super::{Record, all};
use crate::function::{Desired, FunctionId};
use crate::store::{StoreError, open};

thread_local! {
    /// A store in memory: a migration costs more than all that is asked of it.
    static STORE: Connection = {
        let mut store = Connection::open_in_memory().expect("memory");
        open::prepare(&mut store, open::SYNCED).expect("an empty store has no fault");
        store
    };
}

/// One column a line, in the order of [`Record`]; what is missing is NULL where that may be.
pub(crate) fn rows(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let mut some = || lines.next().filter(|line| *line != "NULL").map(str::to_owned);
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let record = Record {
        namespace: some().unwrap_or_default(),
        name: some().unwrap_or_default(),
        generation: number(some()).unwrap_or_default(),
        replicas: some().and_then(|text| text.parse().ok()).unwrap_or_default(),
        kept_down: some().is_some_and(|text| text == "1"),
        idle: some().is_some_and(|text| text == "1"),
        adjusted: some(),
        spec: some().unwrap_or_default(),
        proven: some().is_some_and(|text| text == "1"),
        failed: some(),
        good_generation: number(some()),
        good_spec: some(),
        created_at: some().unwrap_or_default(),
        refused: some(),
        accepted_at: some(),
        good_accepted_at: some(),
        earlier: some(),
        checksum: some().unwrap_or_default(),
    };
    // As a bad disk would leave it: no word of it is believed.
    assert!(
        record.checksum == record.sum() || through_sql(&record).is_err(),
        "a row was believed against its checksum"
    );
    let sealed = record.sealed();
    let (id, desired) = match through_sql(&sealed) {
        Ok(kept) => kept,
        Err(StoreError::Damaged(why)) => {
            assert!(why.contains("can't be read"), "{why}");
            return false;
        }
        Err(error) => unreachable!("a row of a sound store: {error}"),
    };
    // Of what is written here no number is larger; what is read may be, in the generations before.
    if desired.history.iter().any(|good| i64::try_from(good.generation.0).is_err()) {
        return false;
    }
    let again = Record::encode(&id, &desired).expect("what was read can be written");
    assert_eq!(again.decode().ok(), Some((id.clone(), desired.clone())), "written and read as another");
    true
}

/// Written and read by SQLite, as the only row.
fn through_sql(record: &Record) -> Result<(FunctionId, Desired), StoreError> {
    STORE.with(|store| {
        store.execute("DELETE FROM functions", []).expect("memory");
        record.write(store).expect("memory");
        let rows = all(store)?;
        Ok(rows.into_iter().next().expect("it was written"))
    })
}
