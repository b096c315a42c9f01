//! Lists of calls.

use actord::queue::fake::Step;
use actord::queue::{CallId, Filter, Page, State, Wanted};

use crate::house::{House, SECOND, called_back};
use crate::platform::{id, simulate};

fn ids(page: &Page) -> Vec<CallId> {
    page.calls.iter().map(|call| call.id).collect()
}

#[test]
fn calls_under_way_are_listed_a_page_at_a_time_the_newest_first() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[("com.openfaas.queue.max-inflight", "5")]).await;
        house.serve("g", &[]).await;
        house.always("f", Step::answers(200).after(100 * SECOND));
        let mut all = house.accept_many("f", 9).await;
        let other = house.queue.accept(called_back("g", "http://gateway/function/f")).await.unwrap();
        house.when("its callback is under way", async |house| house.functions.in_flight(&id("f")) == 6).await;
        let filter = |after| Filter { wanted: Wanted::Running, limit: 2, after, ..Filter::default() };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = house.queue.list(filter(after)).await.unwrap();
            assert!(page.calls.len() <= 2);
            found.extend(ids(&page));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        all.truncate(5);
        all.reverse();
        assert_eq!(found, all, "and none that waits, for its turn or for its callback");
        let of = |name| Filter { function: Some(id(name)), limit: 100, ..filter(None) };
        assert_eq!(ids(&house.queue.list(of("f")).await.unwrap()), all);
        assert_eq!(ids(&house.queue.list(of("g")).await.unwrap()), []);
        assert!(house.queue.list(filter(Some("Zi4xLjE".to_owned()))).await.is_err(), "another list's page");
        house.until_state(other, State::Done).await;
    });
}
