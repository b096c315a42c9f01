//! Every call of the host that actord makes, wrong in every way, in every situation in which it is made.

use std::collections::BTreeMap;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use actord::actors::Settings;
use actord::host::fake::Method;
use actord::store::Store;

use crate::cell::{Blow, Cell, Made, When, rehearse};
use crate::life::World;
use crate::situation::Situation;

/// Whether a situation makes calls of a method: a method that has no line here does not compile, and one whose line is
/// not true fails the test.
fn is_called(method: Method, situation: Situation, warm: bool) -> bool {
    use Situation::{
        CrashRepair, Delete, Deploy, EarlyExit, Idle, Measure, Recovery, Rest, Rollback, ScaleDown, ScaleUp,
        SecretChange, Stop, Thaw, Update, Wake,
    };
    let starts = matches!(situation, Deploy | EarlyExit | Update | Rollback | CrashRepair | ScaleUp | Wake | Recovery);
    let ends = matches!(situation, EarlyExit | Update | Rollback | CrashRepair | ScaleDown | Stop | Delete | Recovery);
    match method {
        Method::ImagesEnsure | Method::NetworkAttach => starts,
        Method::RuntimePrepare | Method::RuntimeCreate | Method::RuntimeStart => starts,
        Method::ProbeAsk | Method::RuntimeListening => starts,
        Method::RuntimeTermination | Method::RuntimeKill | Method::RuntimeRemove | Method::NetworkDetach => ends,
        Method::RuntimeWait => starts || ends,
        Method::NetworkClaim | Method::NetworkWarm => warm && starts,
        Method::NetworkDiscard => warm && situation == Recovery,
        Method::NetworkListWarm => situation == Recovery,
        Method::NetworkLookup | Method::NetworkList => situation == Recovery,
        Method::RuntimeList => matches!(situation, Idle | Recovery),
        Method::RuntimeLogTail => situation == EarlyExit,
        Method::RuntimeUpdateSecrets => matches!(situation, SecretChange | Recovery),
        Method::RuntimeUsage => situation == Measure,
        // Only where there is a bound: see `tests/lifecycle/storage.rs`.
        Method::RuntimeWritten => false,
        Method::RuntimeFreeze => situation == Rest,
        // What is adopted may have been frozen.
        Method::RuntimeThaw => matches!(situation, Thaw | Recovery),
        // For functions that ask for it: see `tests/lifecycle/outbound.rs`.
        Method::NetworkRestrict => false,
        // Not by actors: see `imports`.
        Method::ImagesImport => false,
        // By housekeeping, where it is switched on: see `tests/lifecycle/images.rs`.
        Method::ImagesPulled | Method::ImagesNoteUnneeded | Method::ImagesRemove | Method::DisksUsedPercent => false,
        // Where load is shed: see `tests/lifecycle/pressure.rs`.
        Method::MemoryLook => false,
        // Not by actors: see `tests/http/logs.rs`.
        Method::LogsKept | Method::LogsRead | Method::LogsChanged => false,
        Method::DisksRoom => matches!(situation, Deploy | EarlyExit | Update | Rollback),
        Method::LogsForget => situation == Delete,
        Method::LogsSweep => situation == Recovery,
    }
}

fn blows(method: Method) -> Vec<(Blow, When)> {
    let mut blows = Vec::new();
    for blow in [Blow::Error, Blow::Hang, Blow::Panic, Blow::Kill] {
        blows.extend([(blow, When::Before), (blow, When::After)]);
        if method.has_half() {
            blows.push((blow, When::Halfway));
        }
    }
    if matches!(method, Method::ImagesEnsure | Method::RuntimePrepare | Method::RuntimeCreate | Method::RuntimeStart) {
        blows.push((Blow::Refusal, When::Before));
    }
    let writes = [
        Method::ImagesEnsure,
        Method::NetworkAttach,
        Method::RuntimePrepare,
        Method::RuntimeCreate,
        Method::RuntimeStart,
        Method::RuntimeUpdateSecrets,
    ];
    if writes.contains(&method) {
        blows.push((Blow::Full, When::Before));
    }
    blows
}

/// Those that are made otherwise, or only, where attachments are kept warm.
const WARM: &[Method] = &[Method::NetworkClaim, Method::NetworkWarm, Method::NetworkDiscard, Method::NetworkListWarm];

fn cells() -> Vec<Cell> {
    [cells_with(0, Method::ALL), cells_with(2, WARM)].concat()
}

fn cells_with(warm: usize, methods: &[Method]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for situation in Situation::ALL {
        let mut made: BTreeMap<Method, Vec<Made>> = BTreeMap::new();
        for call in rehearse(situation, warm) {
            made.entry(call.method).or_default().push(call);
        }
        for &method in methods {
            let calls = made.remove(&method).unwrap_or_default();
            let expected = is_called(method, situation, warm > 0);
            assert_eq!(!calls.is_empty(), expected, "{method:?} in {situation:?} with {warm} warm");
            for (number, call) in calls.iter().enumerate() {
                // A call that does not end while all is well (a process is waited for) is no place to be killed after;
                // and which process is waited for first in a recovery is a matter of chance.
                let ends = call.ends && (method, situation) != (Method::RuntimeWait, Situation::Recovery);
                let possible = |(blow, when): &(Blow, When)| ends || (*blow, *when) != (Blow::Kill, When::After);
                let blows = blows(method).into_iter().filter(possible);
                cells.extend(blows.map(|(blow, when)| Cell { situation, warm, method, number, blow, when }));
            }
        }
    }
    cells
}

/// The panics that the script asks for are not worth a word.
pub fn hush() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"a scripted panic") {
            loud(info);
        }
    }));
}

#[test]
fn whatever_goes_wrong_at_whichever_call_what_is_desired_is_reached_and_nothing_is_left() {
    hush();
    let mut cells = cells();
    if let Ok(only) = std::env::var("CELL") {
        cells.retain(|cell| cell.to_string().contains(&only));
    }
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(wrong) = cell.run() {
                        failures.lock().unwrap().push(format!("{cell}\n    {wrong}"));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    println!("fault matrix: {} cells, {} passed", cells.len(), cells.len() - failures.len());
    assert!(failures.is_empty(), "{} cells failed:\n{}", failures.len(), failures.join("\n"));
}

/// What one actord still had to write is written, or lost with it, before the next one finds the machine: else a function
/// that is unwanted would at times be wanted again.
#[test]
fn however_slow_the_disk_is_a_recovery_finds_in_the_store_what_was_prepared() {
    for round in 0..40 {
        let world = World::new(Settings::default());
        slowly(&world.store, || Situation::Recovery.prepare_world(&world));
        let kept: Vec<_> =
            world.at_rest(world.store.all()).unwrap().into_iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(kept, ["b.openfaas-fn", "f.openfaas-fn"], "in round {round}");
    }
}

/// Lets writes, which come at once otherwise, wait for each other and overtake each other.
fn slowly<T>(store: &Store, act: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (_ends_with_it, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            let goes_on = || ended.recv_timeout(Duration::from_millis(1)) == Err(mpsc::RecvTimeoutError::Timeout);
            while goes_on() {
                let _held = store.hold();
                if !goes_on() {
                    break;
                }
            }
        });
        act()
    })
}
