//! Ways back where something is in the way: on a real directory, by a watcher that has nothing but the marker.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::time::timeout;

use super::*;
use crate::upgrade::machine::Machine;
use crate::upgrade::marker::testing::marker;
use crate::upgrade::{Home, Outcome, watch};

const OLD: &str = "the old program";
const NEW: &str = "the new program";

struct Nothing;

impl Machine for Nothing {
    fn thaw(&self, _: &str) -> Result<usize, String> {
        Ok(0)
    }

    fn processes(&self, _: &str) -> Result<BTreeMap<String, i32>, String> {
        Ok(BTreeMap::new())
    }

    fn authorization(&self, _: &Path) -> Option<String> {
        None
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok("boot".to_owned())
    }
}

/// An upgrade to another schema, with what its programs keep.
struct Place {
    _dir: tempfile::TempDir,
    home: Home,
    marker: Marker,
    program: PathBuf,
}

impl Place {
    /// At this step, with this in the place of the program.
    fn new(step: Step, there: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (home, data, program) = (dir.path().join("home"), dir.path().join("data"), dir.path().join("actord"));
        for made in [&home, &data] {
            fs::create_dir(made).unwrap();
        }
        let home = Home::new(&home);
        for (path, text) in [(&home.kept(), OLD), (&home.next("actord"), NEW), (&program, OLD)] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(data.join("actord.db"), "old").unwrap();
        let mut marker = Marker { program: program.clone(), data_dir: data.clone(), ..marker(step, true) };
        marker.from.sha256 = kept::sum(&program).unwrap();
        marker.to.sha256 = kept::sum(&home.next("actord")).unwrap();
        marker.copies = kept::copy_data(&data, &home.databases()).unwrap();
        fs::write(&program, there).unwrap();
        fs::write(data.join("actord.db"), "newer").unwrap();
        home.mark(&marker).unwrap();
        Self { _dir: dir, home, marker, program }
    }

    fn copy(&self) -> PathBuf {
        self.home.databases().join("actord.db")
    }

    /// Watches it to its end. What came of it, and why.
    async fn ends(&self) -> (Outcome, String) {
        watch(&self.home, &Nothing).await.unwrap();
        assert_eq!(self.home.marker().unwrap(), None);
        assert!(!self.home.next("actord").exists());
        let last = Last::read(&self.home).unwrap().unwrap();
        (last.outcome, last.reason.unwrap_or_default())
    }

    /// The program that is there, and what is kept.
    fn there(&self) -> (String, String) {
        let kept = fs::read_to_string(self.marker.data_dir.join("actord.db"));
        (fs::read_to_string(&self.program).unwrap(), kept.unwrap())
    }
}

fn trial() -> Step {
    Step::Trial { since_boot: Duration::ZERO, pid: None }
}

const BACK: Step = Step::GoingBack { restored: false };

fn words(program: &str, kept: &str) -> (String, String) {
    (program.to_owned(), kept.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_program_that_nobody_starts_is_gone_back_from_with_what_was_kept() {
    let place = Place::new(trial(), NEW);
    let (outcome, reason) = place.ends().await;
    assert_eq!(outcome, Outcome::WentBack);
    assert!(reason.contains("data directory"), "{reason}");
    assert_eq!(place.there(), words(OLD, "old"));
    assert!(!place.home.databases().exists());
}

#[tokio::test(start_paused = true)]
async fn where_the_copies_are_not_whole_the_new_program_stays_and_it_is_said_why() {
    for lost in [false, true] {
        let place = Place::new(trial(), NEW);
        if lost {
            fs::remove_file(place.copy()).unwrap();
        } else {
            fs::write(place.copy(), "odd").unwrap();
        }
        let (outcome, reason) = place.ends().await;
        assert_eq!(outcome, Outcome::Stays, "{reason}");
        for word in ["not healthy", "there is no way back", "databases/actord.db"] {
            assert!(reason.contains(word), "{word}: {reason}");
        }
        assert_eq!(place.there(), words(NEW, "newer"), "nothing was touched");
        assert!(place.home.databases().exists(), "what is left of them a person may look at");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_was_let_into_needs_no_copies() {
    let place = Place::new(Step::Switched, "half a program");
    fs::write(place.copy(), "odd").unwrap();
    fs::write(place.marker.data_dir.join("actord.db"), "old").unwrap();
    assert_eq!(place.ends().await.0, Outcome::WentBack);
    assert_eq!(place.there(), words(OLD, "old"));
}

#[tokio::test(start_paused = true)]
async fn it_ends_also_where_that_can_not_be_noted() {
    for step in [Step::Stopping, Step::Passed, Step::Back] {
        let place = Place::new(step, OLD);
        fs::create_dir_all(place.home.path().join("last.json/in-the-way")).unwrap();
        watch(&place.home, &Nothing).await.unwrap();
        assert_eq!(place.home.marker().unwrap(), None, "{:?}", place.marker.step);
        assert!(!place.home.databases().exists(), "room is made first");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_put_back_while_another_verb_has_the_data_directory_and_that_is_not_ended() {
    let place = Place::new(BACK, OLD);
    let lock = fs::File::create(place.marker.data_dir.join("lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(timeout(Duration::from_secs(60), watch(&place.home, &Nothing)).await.is_err());
    assert_eq!(place.there(), words(OLD, "newer"));
    drop(lock);
    assert_eq!(place.ends().await.0, Outcome::WentBack);
    assert_eq!(place.there(), words(OLD, "old"));
}

#[tokio::test(start_paused = true)]
async fn where_the_old_program_can_not_be_put_in_its_place_the_new_one_goes_on() {
    let place = Place::new(BACK, NEW);
    fs::remove_file(place.home.kept()).unwrap();
    let (outcome, reason) = place.ends().await;
    assert_eq!(outcome, Outcome::Stays, "{reason}");
    assert!(reason.contains("can't be put in its place"), "{reason}");
    assert_eq!(place.there(), words(NEW, "newer"));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_is_said_to_whoever_waits_and_it_goes_on_once_that_is_mended() {
    let place = Place::new(BACK, OLD);
    let in_the_way = place.marker.data_dir.join("actord.db");
    fs::remove_file(&in_the_way).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    assert!(timeout(Duration::from_secs(600), watch(&place.home, &Nothing)).await.is_err());
    let reason = place.home.marker().unwrap().unwrap().reason.unwrap();
    assert!(reason.contains("mend what is in it") && reason.contains("actord.db"), "{reason}");
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(place.ends().await.0, Outcome::WentBack);
    assert_eq!(place.there(), words(OLD, "old"));
}

#[test]
fn what_came_of_it_says_once_that_a_package_was_not_put_back_and_how_it_is() {
    let mut marker = marker(Step::GoingBack { restored: false }, false);
    marker.reason = Some("it ended (pid 7)".into());
    for _ in 0..2 {
        note(&mut marker, Path::new("/kept/actord.deb"));
        let expected = "it ended (pid 7); the program is put back, its package is not: dpkg --install /kept/actord.deb";
        assert_eq!(marker.reason.as_deref(), Some(expected));
    }
}
