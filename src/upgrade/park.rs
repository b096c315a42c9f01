//! An `actord up` that starts while an upgrade goes on waits until it is clear who it is to be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep};

use super::home::{self, Home, named};
use super::marker::{Marker, Step};

/// How often it looks at the marker.
const OFTEN: Duration = Duration::from_millis(50);
/// How often a watcher is started where none is.
const WATCHER_WITHIN: Duration = Duration::from_secs(2);
/// How long it waits without any progress.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// What an `up` is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parked {
    /// No upgrade of this actord is under way.
    No,
    /// Go on as what it is.
    GoOn,
    /// Become this program, with the same command line, environment and descriptors.
    Exec(PathBuf),
}

/// Waits while the program of this data directory, or its store, is not the one that it will be. To be called before anything
/// of the data directory is opened, and before descriptors are taken: another program may be executed then. `say` tells the
/// service manager; `start` starts a watcher where none is.
///
/// # Errors
/// When another one waits already, the marker can't be read, or nothing went on for half an hour. Only where nobody wrote what is
/// in the marker, [`io::ErrorKind::InvalidData`], there is nothing to wait for.
pub async fn park(
    home: &Home,
    data_dir: &Path,
    say: impl Fn(&str),
    start: impl Fn(&Home) -> io::Result<()>,
) -> io::Result<Parked> {
    let Some(first) = home.marker_of(data_dir)? else { return Ok(Parked::No) };
    let program = first.program.clone();
    let mut marker = first;
    let (mut lock, mut step, mut since) = (None, marker.step.clone(), Instant::now());
    let mut tried: Option<Instant> = None;
    let mut said = None;
    while marker.step.has_up_wait() {
        if lock.is_none() {
            lock = one_of_a_kind(home, &marker, said.is_none())?;
        }
        let words = words(&marker);
        if said.as_ref() != Some(&words) {
            say(&words);
            tracing::info!(step = ?marker.step, "waiting: {words}");
            said = Some(words);
        }
        if home.watcher().is_none() && tried.is_none_or(|tried| tried.elapsed() >= WATCHER_WITHIN) {
            tried = Some(Instant::now());
            if let Err(error) = start(home) {
                tracing::error!(%error, "no watcher of the upgrade can be started; it is tried again");
            }
        }
        if marker.step != step {
            (step, since) = (marker.step.clone(), Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "the upgrade in {} has not gone on for half an hour; look at {}",
                    home.path().display(),
                    home.log().display()
                ),
            ));
        }
        sleep(OFTEN).await;
        match home.marker_of(data_dir) {
            Ok(Some(next)) => marker = next,
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error),
            // It was there a moment ago, and may well be there yet.
            Err(error) => {
                tracing::warn!(%error, "waiting on");
                sleep(WATCHER_WITHIN).await;
            }
        }
    }
    Ok(if is_this_program(&program)? { Parked::GoOn } else { Parked::Exec(program) })
}

/// What the service manager is told.
fn words(marker: &Marker) -> String {
    let words = format!("an upgrade from {} to {} is under way", marker.from.version, marker.to.version);
    match (&marker.step, &marker.reason) {
        (Step::GoingBack { .. }, Some(reason)) => format!("{words}, and goes back: {reason}"),
        _ => words,
    }
}

/// The lock of the one that waits. None where the system has no such lock just now: it is the step that says for how long it is
/// waited, not the lock.
fn one_of_a_kind(home: &Home, marker: &Marker, is_first: bool) -> io::Result<Option<File>> {
    match locked(&home.parked()) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let waits = home::holder(&home.parked()).map_or("another process".to_owned(), |pid| format!("pid {pid}"));
            Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!(
                    "an upgrade of {} from {} to {} is under way, and {waits} waits to serve in the end: do not start a second                      one",
                    marker.data_dir.display(),
                    marker.from.version,
                    marker.to.version
                ),
            ))
        }
        Err(error) => {
            if is_first {
                tracing::warn!(%error, "waiting all the same");
            }
            Ok(None)
        }
    }
}

/// Whether this process runs the file that lies there, and not one that was there before.
fn is_this_program(program: &Path) -> io::Result<bool> {
    let which = |path: &Path| fs::metadata(path).map(|about| (about.dev(), about.ino()));
    Ok(which(Path::new("/proc/self/exe"))? == which(program).map_err(|error| named(program, &error))?)
}

/// Makes the file, locks it and writes the pid into it, for people: a disk without room for that is no reason not to lock.
pub(super) fn locked(path: &Path) -> io::Result<File> {
    let open = || {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let _ = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(file)
    };
    open().map_err(|error: io::Error| named(path, &error))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::timeout;

    use super::*;
    use crate::upgrade::marker::testing::marker;

    struct Place {
        _dir: tempfile::TempDir,
        home: Home,
        data: PathBuf,
        started: Cell<u32>,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (home, data) = (dir.path().join("home"), dir.path().join("data"));
            fs::create_dir(&home).unwrap();
            fs::create_dir(&data).unwrap();
            Self { home: Home::new(&home), data, _dir: dir, started: Cell::new(0) }
        }

        fn mark(&self, step: Step, program: &Path) {
            let marker = Marker { data_dir: self.data.clone(), program: program.to_owned(), ..marker(step, false) };
            self.home.mark(&marker).unwrap();
        }

        async fn park(&self) -> io::Result<Parked> {
            let start = |_: &Home| {
                self.started.set(self.started.get() + 1);
                Ok(())
            };
            park(&self.home, &self.data, |_| {}, start).await
        }
    }

    fn trial() -> Step {
        Step::Trial { since_boot: Duration::ZERO, pid: None }
    }

    fn this_program() -> PathBuf {
        std::env::current_exe().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_is_under_way_or_another_actord_s_is_nothing_is_waited_for() {
        let place = Place::new();
        assert_eq!(place.park().await.unwrap(), Parked::No);
        place.home.mark(&marker(Step::Stopping, false)).unwrap();
        assert_eq!(place.park().await.unwrap(), Parked::No, "that of /var/lib/actord");
        assert_eq!(place.started.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_its_turn_and_is_then_the_program_that_is_there() {
        let place = Place::new();
        let other = place.data.join("other");
        fs::write(&other, "").unwrap();
        for waits in [Step::Stopping, Step::Copied, Step::Switched, Step::GoingBack { restored: true }] {
            for (program, expected) in [(this_program(), Parked::GoOn), (other.clone(), Parked::Exec(other.clone()))] {
                for turn in [Some(trial()), Some(Step::Passed), Some(Step::Back), None] {
                    place.mark(waits.clone(), &program);
                    assert!(
                        timeout(Duration::from_secs(60), place.park()).await.is_err(),
                        "{waits:?} is nobody's turn"
                    );
                    let end = async {
                        sleep(Duration::from_secs(1)).await;
                        assert_eq!(
                            super::super::home::holder(&place.home.parked()),
                            std::process::id().try_into().ok()
                        );
                        match &turn {
                            Some(step) => place.mark(step.clone(), &program),
                            None => place.home.unmark().unwrap(),
                        }
                    };
                    let (parked, ()) = tokio::join!(place.park(), end);
                    assert_eq!(parked.unwrap(), expected, "{waits:?} {turn:?}");
                    assert_eq!(super::super::home::holder(&place.home.parked()), None, "nobody waits any more");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_has_somebody_watch_now_and_then_and_gives_up_where_nothing_goes_on() {
        let place = Place::new();
        place.mark(Step::Stopping, &this_program());
        let given_up = place.park().await.unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        assert!(given_up.to_string().contains("watch.log"), "{given_up}");
        assert!(place.started.get() > 100, "{}", place.started.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_one_is_refused_and_does_not_go_on() {
        let place = Place::new();
        place.mark(Step::GoingBack { restored: false }, &this_program());
        let _waits = locked(&place.home.parked()).unwrap();
        let refused = place.park().await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        for word in ["under way", &format!("pid {}", std::process::id()), "second"] {
            assert!(refused.to_string().contains(word), "{word}: {refused}");
        }
        place.mark(Step::Back, &this_program());
        assert_eq!(place.park().await.unwrap(), Parked::GoOn, "it is its turn");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_lock_it_waits_all_the_same() {
        let place = Place::new();
        place.mark(Step::Copied, &this_program());
        fs::create_dir(place.home.parked()).unwrap();
        assert!(timeout(Duration::from_secs(60), place.park()).await.is_err());
        let end = async {
            sleep(Duration::from_secs(1)).await;
            place.home.unmark().unwrap();
        };
        let (parked, ()) = tokio::join!(place.park(), end);
        assert_eq!(parked.unwrap(), Parked::GoOn);
    }

    #[test]
    fn a_lock_is_one_also_where_there_is_no_room_to_say_whose() {
        let _lock = locked(Path::new("/dev/full")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_marker_that_can_not_be_read_for_a_while_is_waited_for() {
        let place = Place::new();
        place.mark(Step::Copied, &this_program());
        let marker = place.home.path().join("trial.json");
        let end = async {
            sleep(Duration::from_secs(1)).await;
            let bytes = fs::read(&marker).unwrap();
            fs::remove_file(&marker).unwrap();
            fs::create_dir(&marker).unwrap();
            sleep(Duration::from_secs(60)).await;
            fs::remove_dir(&marker).unwrap();
            fs::write(&marker, bytes).unwrap();
            sleep(Duration::from_secs(60)).await;
            place.mark(Step::Back, &this_program());
        };
        let begun = Instant::now();
        let (parked, ()) = tokio::join!(place.park(), end);
        assert_eq!(parked.unwrap(), Parked::GoOn);
        assert!(begun.elapsed() > Duration::from_secs(120));
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_wrong_on_the_way_back_is_said() {
        let place = Place::new();
        let back = Step::GoingBack { restored: false };
        let marker = Marker {
            data_dir: place.data.clone(),
            program: this_program(),
            reason: Some("no room".into()),
            ..marker(back, true)
        };
        place.home.mark(&marker).unwrap();
        let said = std::cell::RefCell::new(Vec::new());
        let say = |words: &str| said.borrow_mut().push(words.to_owned());
        assert!(timeout(Duration::from_secs(60), park(&place.home, &place.data, say, |_| Ok(()))).await.is_err());
        let said = said.into_inner();
        assert!(said.len() == 1 && said[0].contains("no room"), "once: {said:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_watches_is_left_alone() {
        let place = Place::new();
        place.mark(Step::Stopping, &this_program());
        let _watches = locked(&place.home.lock()).unwrap();
        assert!(timeout(Duration::from_secs(60), place.park()).await.is_err());
        assert_eq!(place.started.get(), 0);
    }
}
