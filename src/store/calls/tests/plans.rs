//! Statements that are run often look at no more rows than they need: each takes its index.

use rusqlite::Connection;

use super::super::{open, pages, read, schema, upkeep};
use super::*;

fn plan(db: &Connection, sql: &str) -> String {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    let values = vec![1_i64; count];
    let lines = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn each_statement_takes_its_index_and_sorts_nothing() {
    let mut db = Connection::open_in_memory().unwrap();
    open::prepare(&mut db, open::SYNCED).unwrap();
    assert_eq!(schema::version(&db).unwrap(), schema::KNOWN);
    let of = |wanted, function| pages::Order::of(wanted, function).sql();
    let lane = Some(LaneId(1));
    let statements = [
        (read::DUE.to_owned(), "calls_due (lane=? AND due>? AND due<?)"),
        (read::NEXT.to_owned(), "calls_due (lane=? AND due>?)"),
        (read::SOONEST.to_owned(), "calls_deadline"),
        (read::OVER.to_owned(), "calls_deadline (deadline>? AND deadline<?)"),
        (read::CALLERS.to_owned(), "calls_caller (caller_id=?)"),
        (upkeep::DONE_BEFORE.to_owned(), "calls_ended (state=? AND due<?)"),
        (upkeep::DEAD_BEFORE.to_owned(), "calls_ended (state=? AND due<?)"),
        (upkeep::CANCELLED_BEFORE.to_owned(), "calls_ended (state=? AND due<?)"),
        (upkeep::OLDEST_DONE.to_owned(), "calls_ended (state=?)"),
        (upkeep::OLDEST_CANCELLED.to_owned(), "calls_ended (state=?)"),
        (super::super::dead::OLDEST.to_owned(), "calls_dead (function=?)"),
        (of(Wanted::Dead, lane), "calls_dead (function=? AND due<?)"),
        (of(Wanted::Waiting, lane), "calls_due (lane=? AND due<?)"),
        (of(Wanted::Done, lane), "calls_ended (state=? AND due<?)"),
        (of(Wanted::Dead, None), "calls_ended (state=? AND due<?)"),
        (of(Wanted::Cancelled, None), "calls_ended (state=? AND due<?)"),
        (of(Wanted::Any, None), "PRIMARY KEY (rowid<?)"),
    ];
    for (sql, expected) in statements {
        let plan = plan(&db, &sql);
        assert!(plan.contains(expected) && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        let scans = plan.contains("SCAN");
        assert!(!scans || expected == "calls_deadline", "{sql}\n{plan}");
    }
}

#[test]
fn a_statement_is_made_once_however_often_it_runs() {
    let mut db = Connection::open_in_memory().unwrap();
    open::prepare(&mut db, open::SYNCED).unwrap();
    let settles = "UPDATE calls SET state = 1 WHERE seq = ?1 AND state = 0";
    for sql in [read::whole(read::WAITS), read::DUE.to_owned(), read::NEXT.to_owned(), settles.to_owned()] {
        let mut statement = db.prepare(&sql).unwrap();
        let count = statement.parameter_count();
        for value in 1..4_i64 {
            let values = rusqlite::params_from_iter(vec![value; count]);
            statement.query(values).unwrap().next().unwrap();
        }
        assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0, "{sql}");
    }
}
