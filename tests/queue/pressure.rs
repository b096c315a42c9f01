//! While memory is short calls wait, and nothing is lost.

use actord::function::{Memory, Resting};
use actord::queue::State;
use tokio::time::sleep;

use crate::house::{House, MINUTE, called_back};
use crate::platform::simulate;

#[test]
fn while_memory_is_short_calls_are_accepted_and_wait_and_callbacks_go_out() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.engine.shed_load(20, Resting::default());
        house.host.set_memory(Memory::Waited(5000));
        sleep(MINUTE / 3).await;
        let ids = house.accept_many("f", 20).await;
        sleep(10 * MINUTE).await;
        assert_eq!((house.began("f").len(), house.metric("actord_queue_paused ")), (0, Some(1.0)));
        house.host.set_memory(Memory::Waited(0));
        for one in ids {
            house.until_state(one, State::Done).await;
        }
        assert_eq!(house.metric("actord_queue_paused "), Some(0.0));
        let one = house.queue.accept(called_back("f", "http://hook.example/x")).await.unwrap();
        house.until_state(one, State::Done).await;
    });
}
