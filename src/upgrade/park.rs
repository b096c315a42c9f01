//! An `actord up` that starts while an upgrade goes on waits until it is clear who it is to be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep};

use super::home::{Home, named};

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
/// When the home can't be read or written, or nothing went on for half an hour.
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
    while marker.step.has_up_wait() {
        if lock.is_none() {
            lock = Some(locked(&home.parked())?);
            say(&format!("an upgrade from {} to {} is under way", marker.from.version, marker.to.version));
            tracing::info!(step = ?marker.step, "waiting: an upgrade is under way");
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
        match home.marker_of(data_dir)? {
            Some(next) => marker = next,
            None => break,
        }
    }
    Ok(if is_this_program(&program)? { Parked::GoOn } else { Parked::Exec(program) })
}

/// Whether this process runs the file that lies there, and not one that was there before.
fn is_this_program(program: &Path) -> io::Result<bool> {
    let which = |path: &Path| fs::metadata(path).map(|about| (about.dev(), about.ino()));
    Ok(which(Path::new("/proc/self/exe"))? == which(program).map_err(|error| named(program, &error))?)
}

/// Makes the file, locks it and writes the pid into it.
pub(super) fn locked(path: &Path) -> io::Result<File> {
    let open = || {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
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
    use crate::upgrade::marker::{Marker, Step};

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
    async fn somebody_who_watches_is_left_alone() {
        let place = Place::new();
        place.mark(Step::Stopping, &this_program());
        let _watches = locked(&place.home.lock()).unwrap();
        assert!(timeout(Duration::from_secs(60), place.park()).await.is_err());
        assert_eq!(place.started.get(), 0);
    }
}
