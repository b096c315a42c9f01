use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::history::{Loaded, Point};

const SECOND: Duration = Duration::from_secs(1);

fn id(name: &str) -> FunctionId {
    name.parse().unwrap()
}

/// Events of which a test is the source.
struct House {
    events: Events,
    loads: watch::Sender<Loads>,
}

impl House {
    fn new() -> Self {
        let (loads, told) = watch::channel(Loads::default());
        Self { events: Events::of(told), loads }
    }

    fn delete(&self, name: &str, times: usize) {
        (0..times).for_each(|_| self.events.shared.push(Some(id(name)), What::Deleted));
    }

    fn read(&self, after: Option<EventId>) -> Reader {
        self.events.read(after, Filter::default())
    }

    fn id(&self, number: u64) -> EventId {
        EventId { boot: self.events.shared.ring.boot(), number }
    }

    fn pull(&self, name: &str, pulled: u64) {
        let progress = crate::engine::PullProgress { pulled, total: None };
        let pull = Pull { image: "i:1".into(), progress, waits_for: None };
        self.events.shared.pulls.send_modify(|pulls| {
            Arc::make_mut(pulls).insert(id(name), pull);
        });
    }

    /// One more step, in which these functions were called so often.
    fn load(&self, calls: &[(&str, u32)]) {
        self.loads.send_modify(|loads| {
            let round = loads.round + 1;
            let loaded = |calls| Loaded { point: Point { calls, ..Point::NOTHING }, since: round };
            let mut functions = (*loads.functions).clone();
            functions.extend(calls.iter().map(|(name, calls)| (id(name), loaded(*calls))));
            *loads = Loads { round, functions: Arc::new(functions) };
        });
    }
}

/// What there is by now, each in a word or two.
fn told(reader: &mut Reader) -> Vec<String> {
    let told = std::iter::from_fn(|| reader.try_next());
    let shown = told.map(|told| match told {
        Told::Event(event) => format!("{}", event.id.number),
        Told::Pulls(pulls) => {
            let pulls: BTreeMap<_, _> =
                pulls.iter().map(|(id, pull)| (id.name.as_str(), pull.progress.pulled)).collect();
            format!("pulls {pulls:?}")
        }
        Told::Loads(loads) => {
            let loads: BTreeMap<_, _> = loads.iter().map(|(id, point)| (id.name.as_str(), point.calls)).collect();
            format!("loads {loads:?}")
        }
        Told::Health(health) => format!("health {:?} {}", health.faults, health.paused),
        Told::Reset(why, id) => format!("{} {}", why.word(), id.number),
    });
    shown.collect()
}

#[tokio::test(start_paused = true)]
async fn a_reader_hears_of_what_comes_or_of_what_came_after_the_last_that_it_knows() {
    let house = House::new();
    house.delete("f", 3);
    let mut from_now = house.read(None);
    assert_eq!(told(&mut from_now), [""; 0]);
    assert_eq!(told(&mut house.read(Some(house.id(1)))), ["2", "3"]);
    assert_eq!(told(&mut house.read(Some(house.id(3)))), [""; 0]);
    let waiting = tokio::spawn(async move { from_now.next().await });
    tokio::task::yield_now().await;
    house.delete("f", 1);
    let next = timeout(SECOND, waiting).await.unwrap().unwrap();
    assert!(matches!(next, Some(Told::Event(event)) if event.id == house.id(4) && event.what == What::Deleted));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_gone_or_of_an_earlier_process_gets_one_reset_and_then_what_comes() {
    let house = House::new();
    house.delete("f", ring::KEPT + 5);
    let last = ring::KEPT as u64 + 5;
    let other = EventId { boot: house.id(0).boot ^ 1, number: 3 };
    for (after, why) in [(house.id(4), "gone"), (house.id(last + 100), "gone"), (other, "earlier")] {
        let mut reader = house.read(Some(after));
        house.delete("f", 1);
        let first = told(&mut reader);
        assert_eq!(first.len(), 2, "{first:?}");
        let newest: u64 = first[1].parse().unwrap();
        assert_eq!(first[0], format!("{why} {}", newest - 1), "and goes on from there");
    }
    assert_eq!(told(&mut house.read(Some(house.id(8)))).len(), ring::KEPT, "the oldest that is kept");
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_listen_is_told_what_is_wrong_with_the_machine_once_and_after_what_was_missed() {
    let house = House::new();
    let other = EventId { boot: house.id(0).boot ^ 1, number: 3 };
    assert_eq!(told(&mut house.read(Some(other))), ["earlier 0"], "nothing is wrong");
    let health = Health { faults: vec!["the disk is full".into()], paused: true };
    house.events.shared.health.send_replace(Arc::new(health));
    let mut reader = house.read(Some(other));
    assert_eq!(told(&mut reader), ["earlier 0", "health [\"the disk is full\"] true"]);
    house.delete("f", 1);
    assert_eq!(told(&mut reader), ["1"]);
    assert_eq!(reader.place(), house.id(1));
    let filter = Filter { name: Some("f".parse().unwrap()), ..Filter::default() };
    assert_eq!(told(&mut house.events.read(None, filter.clone())), [""; 0], "it is no function's");
    let mut of_another = house.events.read(None, filter);
    house.events.shared.push(Some(id("g")), What::Deleted);
    assert_eq!((told(&mut of_another), of_another.place()), (Vec::new(), house.id(2)), "it has passed over it");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_lags_is_cut_off_and_no_one_waits_for_it() {
    let house = House::new();
    let (mut slow, mut quick) = (house.read(None), house.read(None));
    house.delete("f", ring::KEPT);
    assert_eq!(told(&mut quick).len(), ring::KEPT);
    house.delete("f", 1);
    let last = ring::KEPT as u64 + 1;
    assert_eq!(told(&mut quick), [last.to_string()]);
    assert_eq!(told(&mut slow), [format!("lagging {last}")]);
    assert_eq!(slow.next().await, None, "it is told nothing more");
    assert_eq!(told(&mut house.read(Some(house.id(last)))), [""; 0], "and may come back");
}

#[tokio::test(start_paused = true)]
async fn a_filter_lets_through_what_is_asked_for_and_the_machine_where_all_is() {
    let house = House::new();
    let filter = |namespace: Option<&str>, name: Option<&str>| Filter {
        namespace: namespace.map(|text| text.parse().unwrap()),
        name: name.map(|text| text.parse().unwrap()),
    };
    let wanted =
        [filter(None, None), filter(Some("dev"), None), filter(None, Some("a")), filter(Some("dev"), Some("a"))];
    let mut readers = wanted.map(|filter| house.events.read(None, filter));
    for name in ["a", "b", "a.dev", "b.dev"] {
        house.delete(name, 1);
    }
    house.events.shared.push(None, What::Faults(vec!["a disk".into()]));
    house.pull("b.dev", 7);
    house.load(&[("a.dev", 1)]);
    let told = readers.each_mut().map(told);
    let expected: [&[&str]; 4] = [
        &["1", "2", "3", "4", "5", "pulls {\"b\": 7}", "loads {\"a\": 1}"],
        &["3", "4", "pulls {\"b\": 7}", "loads {\"a\": 1}"],
        &["1", "3", "loads {\"a\": 1}"],
        &["3", "loads {\"a\": 1}"],
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn of_pulls_and_loads_only_the_newest_state_is_told_and_each_once() {
    let house = House::new();
    house.pull("f", 1);
    house.load(&[("f", 9)]);
    let mut reader = house.read(None);
    assert_eq!(
        told(&mut reader),
        ["pulls {\"f\": 1}"],
        "a pull that goes on is no news of a moment; a load is one of its step"
    );
    for pulled in 2..5 {
        house.pull("f", pulled);
    }
    house.pull("g", 1);
    house.load(&[("f", 1)]);
    house.load(&[("f", 2), ("g", 3)]);
    assert_eq!(told(&mut reader), ["pulls {\"f\": 4, \"g\": 1}", "loads {\"f\": 2, \"g\": 3}"]);
    house.pull("g", 1);
    assert_eq!(told(&mut reader), [""; 0], "nothing is otherwise");
    house.load(&[("g", 0)]);
    assert_eq!(timeout(SECOND, reader.next()).await.unwrap().map(|_| ()), Some(()), "it was waited for");
}

#[tokio::test(start_paused = true)]
async fn those_of_nothing_are_waited_for_without_end() {
    let mut reader = Events::none().read(None, Filter::default());
    assert!(timeout(60 * SECOND, reader.next()).await.is_err());
}
