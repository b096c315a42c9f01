//! What one decision costs: nanoseconds an event, whole lives and idle looks.

#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use actord::function::{Effect, Event, InstanceId, Lifecycle, Spec, SpecDraft, Uptime};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

fn spec(image: &str) -> Spec {
    Spec::try_from(SpecDraft { image: image.to_owned(), ..SpecDraft::default() })
        .expect("a spec with an image is valid")
}

/// A function that lives through events, and counts them.
struct Driver {
    life: Lifecycle,
    now: Uptime,
    events: usize,
}

impl Driver {
    fn new() -> Self {
        let name = "bench".parse().expect("a DNS label");
        Self { life: Lifecycle::new(&name, 1), now: Uptime::default(), events: 0 }
    }

    /// Tells an event, and does everything that follows from it at once and well.
    fn tell(&mut self, event: Event) {
        let address = SocketAddr::from(([10, 62, 0, 2], 8080));
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.events += 1;
            self.now = self.now.after(Duration::from_millis(1));
            events.extend(black_box(self.life.on(event, self.now)).into_iter().filter_map(|effect| match effect {
                Effect::BringUp(id, ..) => Some(Event::Started(id, address)),
                Effect::Drain(id) => Some(Event::Drained(id)),
                Effect::TearDown(id) => Some(Event::Removed(id)),
                _ => None,
            }));
        }
    }

    fn apply(&mut self, image: &str) {
        let next = self.life.accept(spec(image), "2026-01-01T00:00:00Z");
        self.tell(Event::Apply(next));
    }

    fn serving(replicas: u32) -> Self {
        let mut driver = Self::new();
        driver.apply("a");
        driver.tell(Event::Scale(replicas));
        driver
    }

    fn whole_life(replicas: u32) -> Self {
        let mut driver = Self::serving(replicas);
        driver.apply("b");
        driver.tell(Event::Delete);
        driver
    }
}

/// Deploy, scale, roll an update through and delete; the unit is an event.
#[divan::bench(args = [1, 3, 20])]
fn whole_life(bencher: Bencher<'_, '_>, replicas: u32) {
    let events = Driver::whole_life(replicas).events;
    bencher.counter(ItemsCount::new(events)).bench(|| Driver::whole_life(black_box(replicas)).events);
}

/// A look that finds everything as it should be.
#[divan::bench(args = [1, 3, 20])]
fn idle_look(bencher: Bencher<'_, '_>, replicas: u32) {
    let mut driver = Driver::serving(replicas);
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| driver.tell(Event::RetryDue));
}

/// A crash that is answered: retract, tear down, start, publish: three events.
#[divan::bench(args = [1, 3, 20])]
fn crash(bencher: Bencher<'_, '_>, replicas: u32) {
    let mut driver = Driver::serving(replicas);
    bencher.counter(ItemsCount::new(3usize)).bench_local(|| {
        driver.now = driver.now.after(Duration::from_secs(60));
        let id: InstanceId = driver.life.instances().next().map(|(id, ..)| id.clone()).expect("one serves");
        driver.tell(Event::Exited(id, actord::function::Exit::OutOfMemory));
    });
}
