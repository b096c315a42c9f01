use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::*;

const EVERY_MINUTE: Job = Job {
    name: "test",
    period: Duration::from_secs(60),
    at_once: false,
    purpose: "shows the idiom",
    when_it_fails: "nothing is shown",
    decides_readiness: false,
};
static AFTER_A_PERIOD: Job = EVERY_MINUTE;
static AT_ONCE: Job = Job { at_once: true, ..EVERY_MINUTE };
static DECIDES: Job = Job { name: "decides", at_once: true, decides_readiness: true, ..EVERY_MINUTE };
static DECIDES_LATER: Job = Job { name: "later", decides_readiness: true, ..EVERY_MINUTE };

fn housekeeping() -> Housekeeping {
    Housekeeping::new(Handle::current())
}

/// A job that counts its rounds and does with each what it is told.
fn counted(keeping: &Housekeeping, job: &'static Job, round: fn(u32) -> Result<(), &'static str>) -> Arc<AtomicU32> {
    let seen = Arc::new(AtomicU32::new(0));
    let counter = seen.clone();
    keeping.every(job, move || {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        async move { round(number) }
    });
    seen
}

/// Just before the rounds of the minute that comes.
async fn minutes(count: u32) {
    sleep(EVERY_MINUTE.period * count - Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_again_and_again_from_the_first_period_on() {
    let keeping = housekeeping();
    let (later, now) = (counted(&keeping, &AFTER_A_PERIOD, |_| Ok(())), counted(&keeping, &AT_ONCE, |_| Ok(())));
    minutes(1).await;
    assert_eq!((later.load(Ordering::SeqCst), now.load(Ordering::SeqCst)), (0, 1));
    sleep(EVERY_MINUTE.period * 10).await;
    assert_eq!((later.load(Ordering::SeqCst), now.load(Ordering::SeqCst)), (10, 11));
}

#[tokio::test(start_paused = true)]
async fn failures_and_panics_are_counted_and_do_not_end_the_job() {
    let (keeping, registry) = (housekeeping(), prometheus::Registry::new());
    keeping.measure(&registry).unwrap();
    let seen = counted(&keeping, &AT_ONCE, |number| match number {
        0 => Ok(()),
        1 | 2 => Err("the disk is full"),
        3 => panic!("a fault in the job"),
        _ => Ok(()),
    });
    minutes(6).await;
    assert_eq!(seen.load(Ordering::SeqCst), 6);
    let page = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for (outcome, count) in [("ok", 3), ("failed", 2), ("panicked", 1)] {
        let line = format!("actord_housekeeping_runs_total{{job=\"test\",outcome=\"{outcome}\"}} {count}\n");
        assert!(page.contains(&line), "{line}{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_job_of_the_table_is_measured_before_its_first_round() {
    let registry = prometheus::Registry::new();
    housekeeping().measure(&registry).unwrap();
    let page = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for job in table::ALL {
        let line = format!("actord_housekeeping_runs_total{{job=\"{}\",outcome=\"failed\"}} 0\n", job.name);
        assert!(page.contains(&line), "{line}{page}");
        assert!(!job.period.is_zero() && !job.purpose.is_empty() && !job.when_it_fails.is_empty(), "{job:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_round_in_the_middle_and_a_drop_ends_the_job() {
    let stopped = housekeeping();
    stopped.every(&AT_ONCE, std::future::pending::<Result<(), String>>);
    sleep(EVERY_MINUTE.period).await;
    stopped.stop().await;

    let dropped = housekeeping();
    let seen = counted(&dropped, &AT_ONCE, |_| Ok(()));
    minutes(2).await;
    drop(dropped);
    minutes(5).await;
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

/// What is logged while this lives, on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_logged_once_and_so_is_its_end() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let keeping = housekeeping();
    counted(&keeping, &AT_ONCE, |number| if (1..=5).contains(&number) { Err("no route") } else { Ok(()) });
    minutes(10).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains("nothing is shown") && lines[0].contains("no route") && lines[0].contains("test"),
        "{text}"
    );
    assert!(lines[1].contains("succeeds again"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_decides_readiness_is_told_from_before_its_first_round_until_a_round_is_good() {
    let keeping = housekeeping();
    assert_eq!(keeping.faults(), Vec::<String>::new());
    counted(&keeping, &AT_ONCE, |_| Err("no matter"));
    counted(&keeping, &DECIDES, |number| match number {
        0 | 3 => Ok(()),
        1 => Err("no\nanswer"),
        _ => panic!("a fault in the job"),
    });
    counted(&keeping, &DECIDES_LATER, |_| Ok(()));
    assert_eq!(keeping.faults(), ["decides: not looked at yet"]);
    for expected in [None, Some("decides: no answer"), Some("decides: it panicked"), None] {
        minutes(1).await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(keeping.faults().first().map(String::as_str), expected);
        sleep(Duration::from_secs(1) - Duration::from_millis(1)).await;
    }
}
