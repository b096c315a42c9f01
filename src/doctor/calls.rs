//! The asynchronous calls: how many wait and failed, and whether the file that they are in is well.
//!
//! As for the desired state, a running actord is not disturbed.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::finding::Finding;
use crate::config::Config;
use crate::store::StoreError;
use crate::store::calls::{Calls as File, Glance};

const CHECK: &str = "asynchronous calls";

/// What is known of them.
#[derive(Debug)]
pub(super) struct Calls {
    path: PathBuf,
    is_there: bool,
    /// What is in the file.
    calls: Result<Glance, StoreError>,
    has_copy: bool,
    has_no_room_for_a_copy: bool,
    /// What was put aside at a start.
    damaged: Vec<String>,
    /// What dead letters of a function may take, in bytes.
    bound: u64,
}

impl Calls {
    pub(super) fn read(config: &Config) -> Self {
        let path = config.calls_path();
        Self {
            is_there: path.exists(),
            calls: File::glance(&path),
            has_copy: File::has_copy(&path),
            has_no_room_for_a_copy: File::has_no_room_for_a_copy(&path),
            damaged: damaged(&path),
            bound: config.dead_letter_max_size,
            path,
        }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let mut all = vec![self.file()];
        if let [first, more @ ..] = &self.damaged[..] {
            let beside = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            all.push(Finding::warning(
                CHECK,
                format!(
                    "the file was damaged at a start and put aside: {first}{beside}; calls in it may be in no other"
                ),
                "look into it with sqlite3, if it matters, then remove it",
            ));
        }
        let Ok(Glance { most_dead, .. }) = &self.calls else { return all };
        if self.has_no_room_for_a_copy {
            all.push(Finding::warning(
                CHECK,
                format!(
                    "there is no copy of {} as it is: it is too large for one, or its disk too full",
                    self.path.display()
                ),
                "actord calls purge removes what has ended; dead letters take room, too",
            ));
        }
        if let Some((function, bytes)) = most_dead.as_ref().filter(|(_, bytes)| *bytes >= self.bound / 10 * 9) {
            all.push(Finding::warning(
                CHECK,
                format!(
                    "the dead letters of {function} take {bytes} bytes of {} (dead-letter-max-size): beyond it the oldest go",
                    self.bound
                ),
                format!("actord calls ls --state dead --function {function}, then retry or purge them"),
            ));
        }
        all
    }

    fn file(&self) -> Finding {
        let path = self.path.display();
        match &self.calls {
            _ if !self.is_there && self.has_copy => Finding::warning(
                CHECK,
                format!("{path} is gone; its last good copy takes its place at the next start"),
                "actord up, and look for what was called last",
            ),
            _ if !self.is_there => Finding::ok(CHECK, "none yet"),
            Ok(glance) => Finding::ok(CHECK, counted(glance)),
            Err(older @ StoreError::Older { .. }) => Finding::ok(CHECK, format!("{path}: {older}")),
            Err(newer @ StoreError::Newer { .. }) => {
                Finding::failure(CHECK, format!("{path}: {newer}"), "install the newer actord again")
            }
            Err(StoreError::Damaged(why)) if self.has_copy => Finding::warning(
                CHECK,
                format!("{path} is damaged ({why}); its last good copy takes its place at the next start"),
                "systemctl restart actord, and look for what was called last",
            ),
            Err(error) => Finding::failure(
                CHECK,
                format!("{path}: {error}"),
                "put a backup of it there, or let the next start begin without any call: what is damaged is put aside",
            ),
        }
    }
}

fn counted(glance: &Glance) -> String {
    let Glance { waiting, dead, oldest, .. } = glance;
    let letters = if *dead == 1 { "1 dead letter".to_owned() } else { format!("{dead} dead letters") };
    let waits = if *waiting == 1 { "1 waits".to_owned() } else { format!("{waiting} wait") };
    match oldest.and_then(|at| Timestamp::from_millisecond(at).ok()) {
        Some(oldest) => format!("{waits}, the oldest since {}, {letters}", oldest.strftime("%FT%TZ")),
        None => format!("{waits}, {letters}"),
    }
}

/// The names of what was put aside, the newest first.
fn damaged(path: &Path) -> Vec<String> {
    let begin = format!("{}.damaged-", path.file_name().unwrap_or_default().to_string_lossy());
    let entries = fs::read_dir(path.parent().unwrap_or(path)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    // Not what SQLite has beside one.
    let mut names: Vec<_> =
        names.filter(|name| name.starts_with(&begin) && !name.ends_with("-wal") && !name.ends_with("-shm")).collect();
    names.sort_by(|a, b| b.cmp(a));
    names
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn calls() -> Calls {
        let oldest = "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap().as_millisecond();
        Calls {
            path: "/d/calls.db".into(),
            is_there: true,
            calls: Ok(Glance {
                waiting: 2,
                dead: 1,
                oldest: Some(oldest),
                most_dead: Some(("f".parse().unwrap(), 100)),
            }),
            has_copy: true,
            has_no_room_for_a_copy: false,
            damaged: Vec::new(),
            bound: 1_000,
        }
    }

    fn states(calls: &Calls) -> Vec<State> {
        calls.check().iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn calls_that_wait_and_failed_are_told_and_none_are_no_fault() {
        let [all] = &calls().check()[..] else { panic!("{:?}", calls().check()) };
        assert_eq!(
            (all.state, &*all.found),
            (State::Ok, "2 wait, the oldest since 2026-01-02T03:04:05Z, 1 dead letter")
        );
        let none =
            Calls { is_there: false, has_copy: false, calls: Err(StoreError::Failed("no file".into())), ..calls() };
        assert_eq!((states(&none), &*none.check()[0].found), (vec![State::Ok], "none yet"));
        let empty = Calls { calls: Ok(Glance::default()), ..calls() };
        assert_eq!(empty.check()[0].found, "0 wait, 0 dead letters");
    }

    #[test]
    fn a_file_is_judged_by_what_the_next_start_makes_of_it() {
        let with = |error| Calls { calls: Err(error), ..calls() };
        assert_eq!(states(&with(StoreError::Older { found: 1, known: 2 })), [State::Ok]);
        assert_eq!(states(&with(StoreError::Newer { found: 9, known: 2 })), [State::Failure]);
        assert_eq!(states(&with(StoreError::Damaged("page 2".into()))), [State::Warning]);
        assert_eq!(states(&Calls { has_copy: false, ..with(StoreError::Damaged("page 2".into())) }), [State::Failure]);
        assert_eq!(states(&with(StoreError::Failed("disk I/O error".into()))), [State::Failure]);
        assert_eq!(states(&Calls { is_there: false, ..calls() })[0], State::Warning);
    }

    #[test]
    fn what_people_should_look_at_is_warned_of_beside_the_counts() {
        let near = Glance { most_dead: Some(("f.dev".parse().unwrap(), 950)), ..Glance::default() };
        let all =
            Calls { damaged: vec!["a".into(), "b".into()], has_no_room_for_a_copy: true, calls: Ok(near), ..calls() };
        assert_eq!(states(&all), [State::Ok, State::Warning, State::Warning, State::Warning]);
        let found: Vec<_> = all.check().into_iter().map(|finding| finding.found).collect();
        assert!(found[1].contains("a and 1 more") && found[3].contains("f.dev"), "{found:?}");
    }

    #[test]
    fn what_was_put_aside_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "calls.db",
            "calls.db.good",
            "calls.db.damaged-1",
            "calls.db.damaged-2",
            "calls.db.damaged-2-wal",
            "actord.db.damaged-1",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(damaged(&dir.path().join("calls.db")), ["calls.db.damaged-2", "calls.db.damaged-1"]);
    }
}
