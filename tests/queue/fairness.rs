//! Nobody's flood holds up another's first call.

use actord::queue::fake::Step;
use actord::queue::{Settings, State};
use tokio::time::Instant;

use crate::house::{House, SECOND, usual};
use crate::platform::{id, simulate};

#[test]
fn a_flood_of_long_calls_does_not_hold_up_anothers_first() {
    simulate(async {
        let house = House::start_with(Settings { parallel: 8, ..usual() }).await;
        house.serve("flood", &[]).await;
        house.serve("other", &[]).await;
        house.always("flood", Step::answers(200).after(100 * SECOND));
        house.accept_many("flood", 200).await;
        house.when("all places are taken", async |house| house.functions.in_flight(&id("flood")) == 8).await;
        let since = Instant::now();
        let one = house.accept("other").await;
        house.until_state(one, State::Done).await;
        assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
        assert_eq!(house.functions.in_flight(&id("flood")), 8);
    });
}

#[test]
fn functions_with_calls_take_turns() {
    simulate(async {
        let house = House::start_with(Settings { parallel: 1, ..usual() }).await;
        for name in ["a", "b", "c"] {
            house.serve(name, &[]).await;
            house.keep_down(name, true).await.unwrap();
            house.accept_many(name, 20).await;
            house.always(name, Step::answers(200).after(SECOND));
        }
        for name in ["a", "b", "c"] {
            house.keep_down(name, false).await.unwrap();
        }
        house.when("all are sent", async |house| house.functions.answered().len() == 60).await;
        let began: Vec<_> = house.functions.began().into_iter().map(|began| began.sent.function).collect();
        for name in ["a", "b", "c"] {
            let turns = began[..30].iter().filter(|function| **function == id(name)).count();
            assert!((8..=12).contains(&turns), "{name} had {turns} of the first 30 turns");
        }
    });
}
