//! Answers that go on to where the caller asked.

use std::time::Duration;

use actord::engine::Mode;
use actord::function::SpecDraft;
use actord::queue::fake::Step;
use actord::queue::head::Head;
use actord::queue::retry::Came;
use actord::queue::seam::{Delivered, Post};
use actord::queue::{New, NewCallback, Settings, State};
use tokio::time::{Instant, sleep};

use crate::house::{House, MINUTE, SECOND, call, called_back, usual};
use crate::platform::{draft, id, simulate};

const HOOK: &str = "https://hook.example/x?y";

fn came(status: u16) -> Delivered {
    Delivered::Came { came: Came::Answered { status, retry_after: None }, took: Duration::ZERO }
}

fn header(post: &Post, name: &str) -> Option<String> {
    Head(post.head.clone()).get(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn the_answer_goes_on_with_what_is_known_of_the_call() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.script("f", [Step::answers(500), Step::answers(201).with(b"made").after(SECOND * 3 / 2)]);
        let one = house.queue.accept(called_back("f", HOOK)).await.unwrap();
        let done = house.until_state(one, State::Done).await;
        assert_eq!(done.answer.unwrap().status, 201);
        let (_, post) = house.functions.posted().remove(0);
        assert_eq!((post.url.as_str(), &post.body[..]), (HOOK, &b"made"[..]));
        let own = one.to_string();
        for (name, value) in [
            ("x-call-id", Some("callers")),
            ("x-actord-call", Some(own.as_str())),
            ("x-function-name", Some("f.openfaas-fn")),
            ("x-function-status", Some("201")),
            ("x-duration-seconds", Some("1.500000")),
            ("x-retry", Some("2")),
            ("x-retry-max", Some("10")),
            ("content-type", Some("text/plain")),
            ("set-cookie", None),
            ("x-actord-answer-cut", None),
        ] {
            assert_eq!(header(&post, name).as_deref(), value, "{name}");
        }
        assert_eq!(house.functions.posted().len(), 1);
    });
}

#[test]
fn who_asked_is_told_of_a_dead_letter_too() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[("com.openfaas.retry.attempts", "1")]).await;
        house.script("f", [Step::answers(418).with(b"tea"), Step::internal(504)]);
        for (status, body) in [("418", &b"tea"[..]), ("504", b"no answer at the only try: as the script says\n")] {
            let one = house.queue.accept(called_back("f", HOOK)).await.unwrap();
            house.until_state(one, State::Dead).await;
            let (_, post) = house.functions.posted().pop().unwrap();
            assert_eq!((header(&post, "x-function-status").as_deref(), &post.body[..]), (Some(status), body));
        }
    });
}

#[test]
fn a_callback_is_tried_again_by_the_same_rules_and_the_function_is_not_called_for_it() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.functions.script_posts([came(503), came(500), came(200)]);
        let since = Instant::now();
        let one = house.queue.accept(called_back("f", HOOK)).await.unwrap();
        house.until_state(one, State::Done).await;
        let seconds: Vec<_> = house.functions.posted().iter().map(|(at, _)| (*at - since).as_secs()).collect();
        assert_eq!((seconds, house.began("f").len()), (vec![0, 10, 30], 1));
    });
}

#[test]
fn what_is_no_success_or_may_not_be_called_is_a_dead_letter_with_all_of_the_answer() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.always("f", Step::answers(200).with(b"answer"));
        let refused = Delivered::Refused { reason: "it is loopback".to_owned() };
        house.functions.script_posts([came(302), came(404), refused]);
        for why in
            ["answered 302, and redirects are not followed", "answered 404, which is not retried", "it is loopback"]
        {
            let one = house.queue.accept(called_back("f", HOOK)).await.unwrap();
            let dead = house.until_state(one, State::Dead).await;
            assert_eq!(dead.call.reason, Some(format!("its callback failed: {why}")));
            assert_eq!(&dead.answer.unwrap().body[..], b"answer");
        }
        assert_eq!(house.metric("actord_queue_dead_total{reason=\"callback\"}"), Some(3.0));
    });
}

#[test]
fn functions_of_our_own_are_called_in_a_chain_by_no_socket() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.serve("g", &[]).await;
        house.always("f", Step::answers(200).with(b"of f"));
        for url in ["http://gateway:8080/function/g/a?b", "http://127.0.0.1:8080/async-function/g/a?b"] {
            let one = house.queue.accept(called_back("f", url)).await.unwrap();
            house.until_state(one, State::Done).await;
            house
                .when("g has it", async |house| {
                    house.functions.in_flight(&id("g")) == 0 && !house.began("g").is_empty()
                })
                .await;
            let sent = house.began("g").pop().unwrap().sent;
            assert_eq!(
                (sent.method.as_str(), sent.path_and_query.as_str(), &sent.body[..]),
                ("POST", "/a?b", &b"of f"[..])
            );
            let head = Head::decode(&sent.head).unwrap();
            assert_eq!(head.get("x-function-name"), Some(&b"f.openfaas-fn"[..]));
            assert_eq!(head.get("x-actord-chain"), Some(&b"1"[..]));
        }
        house.when("both chains", async |house| house.began("g").len() == 2).await;
        assert_eq!(house.functions.posted().len(), 0);
    });
}

#[test]
fn an_answer_may_say_where_the_answer_of_the_next_link_goes() {
    simulate(async {
        let house = House::start().await;
        for function in ["f", "g", "h"] {
            house.serve(function, &[]).await;
        }
        let next = "http://gateway:8080/async-function/g";
        house.always("f", Step::answers(200).with(b"of f").leads_to("http://gateway:8080/async-function/h"));
        house.always("g", Step::answers(200).with(b"of g").leads_to(HOOK));
        house.always("h", Step::answers(200).with(b"of h"));
        let one = house.queue.accept(called_back("f", next)).await.unwrap();
        house.until_state(one, State::Done).await;
        house.when("the last answer is sent on", async |house| !house.functions.posted().is_empty()).await;
        assert_eq!(&house.began("g")[0].sent.body[..], b"of f");
        assert_eq!(&house.began("h")[0].sent.body[..], b"of g");
        let (_, post) = house.functions.posted().pop().unwrap();
        assert_eq!((post.url.as_str(), &post.body[..]), (HOOK, &b"of h"[..]));
        // What f says of the next link is not sent to g.
        let head = Head::decode(&house.began("g")[0].sent.head).unwrap();
        assert_eq!(head.get("x-callback-url"), None);
    });
}

#[test]
fn a_circle_of_calls_ends() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let around = "http://gateway:8080/async-function/f";
        house.always("f", Step::answers(200).leads_to(around));
        let one = house.queue.accept(called_back("f", around)).await.unwrap();
        house.until_state(one, State::Done).await;
        sleep(MINUTE).await;
        assert_eq!(house.began("f").len(), 17);
        let last = house.began("f").pop().unwrap().sent.id;
        let dead = house.until_state(last, State::Dead).await;
        assert!(dead.call.reason.as_deref().unwrap().contains("go in a circle"), "{:?}", dead.call.reason);
    });
}

#[test]
fn what_an_answer_says_of_the_next_link_is_held_to_the_rules_of_callbacks() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.serve("g", &[]).await;
        let annotations = [("actord.auth".to_owned(), "token".to_owned())].into();
        let spec = SpecDraft { annotations, ..draft("good:1") }.try_into().unwrap();
        house.apply(Mode::Create, "guarded", spec).await.unwrap();
        house.script("f", [Step::answers(200).leads_to("http://169.254.169.254/latest")]);
        let one = house.queue.accept(called_back("f", "http://gateway:8080/async-function/g")).await.unwrap();
        let dead = house.until_state(one, State::Dead).await;
        let reason = dead.call.reason.unwrap();
        assert!(reason.contains("the X-Callback-Url of the answer") && reason.contains("169.254"), "{reason}");
        assert_eq!(house.began("g").len(), 0);

        house.script("f", [Step::answers(200).leads_to("http://gateway:8080/function/guarded")]);
        let two = house.queue.accept(called_back("f", "http://gateway:8080/async-function/g")).await.unwrap();
        house.until_state(two, State::Done).await;
        house.when("g is called", async |house| house.began("g").len() == 1).await;
        let called = house.began("g").pop().unwrap().sent.id;
        let dead = house.until_state(called, State::Dead).await;
        assert!(dead.call.reason.as_deref().unwrap().contains("asks for a token"), "{:?}", dead.call.reason);
        assert_eq!(house.began("guarded").len(), 0);
    });
}

#[test]
fn a_function_that_asks_for_a_token_is_called_back_only_where_the_caller_had_one() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let annotations = [("actord.auth".to_owned(), "token".to_owned())].into();
        let spec = SpecDraft { annotations, ..draft("good:1") }.try_into().unwrap();
        house.apply(Mode::Create, "guarded", spec).await.unwrap();
        let url = "http://gateway:8080/function/guarded";
        let one = house.queue.accept(called_back("f", url)).await.unwrap();
        let dead = house.until_state(one, State::Dead).await;
        assert!(dead.call.reason.as_deref().unwrap().contains("asks for a token"), "{:?}", dead.call.reason);
        assert_eq!(house.began("guarded").len(), 0);
        let checked = NewCallback { url: url.to_owned(), checked: true };
        let two = house.queue.accept(New { callback: Some(checked), ..call("f") }).await.unwrap();
        house.until_state(two, State::Done).await;
        assert_eq!(house.began("guarded").len(), 1);
    });
}

#[test]
fn one_host_that_is_slow_holds_up_no_other() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.serve("slow", &[]).await;
        house.always("slow", Step::answers(200).after(100 * SECOND));
        for _ in 0..30 {
            house.queue.accept(called_back("f", "http://gateway:8080/function/slow")).await.unwrap();
        }
        house.when("eight are under way", async |house| house.functions.in_flight(&id("slow")) == 8).await;
        let since = Instant::now();
        let one = house.queue.accept(called_back("f", HOOK)).await.unwrap();
        house.until_state(one, State::Done).await;
        assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
        assert_eq!(house.functions.most_in_flight(&id("slow")), 8);
    });
}

#[test]
fn no_path_makes_more_callbacks_to_one_host_than_eight_at_a_time() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let slow = Delivered::Came { came: Came::Answered { status: 200, retry_after: None }, took: 10 * SECOND };
        house.functions.always_posts(Some(slow));
        for n in 0..60 {
            house.queue.accept(called_back("f", &format!("http://hook.example/function/f{n}"))).await.unwrap();
        }
        house.when("all are called back", async |house| house.functions.posted().len() == 60).await;
        assert_eq!(house.functions.most_posting(), 8);
    });
}

#[test]
fn callbacks_to_hosts_that_are_made_up_leave_half_of_all_places_to_functions() {
    simulate(async {
        let house = House::start_with(Settings { parallel: 16, ..usual() }).await;
        house.serve("f", &[]).await;
        let hangs = Delivered::Came { came: Came::Answered { status: 200, retry_after: None }, took: 600 * SECOND };
        house.functions.always_posts(Some(hangs));
        for n in 0..300 {
            house.queue.accept(called_back("f", &format!("http://h{n}.example/"))).await.unwrap();
        }
        house.when("they are all answered", async |house| house.functions.answered().len() == 300).await;
        assert!(house.functions.most_posting() <= 64 + 8, "{}", house.functions.most_posting());
        house.always("f", Step::answers(200).after(SECOND));
        let since = Instant::now();
        for one in house.accept_many("f", 10).await {
            house.until_state(one, State::Done).await;
        }
        assert!(since.elapsed() < 15 * SECOND, "{:?}", since.elapsed());
    });
}

#[test]
fn a_callback_to_a_function_that_is_not_there_is_tried_again_until_it_is() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let one = house.queue.accept(called_back("f", "http://gateway/async-function/g")).await.unwrap();
        sleep(MINUTE).await;
        assert_eq!(house.state(one).await, State::Waiting);
        house.serve("g", &[]).await;
        house.until_state(one, State::Done).await;
        house.when("g is called", async |house| house.began("g").len() == 1).await;
    });
}

#[test]
fn a_link_of_a_chain_that_a_kill_cut_off_is_made_once() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.serve("g", &[]).await;
        house.always("g", Step::answers(200).after(MINUTE));
        let one = house.queue.accept(called_back("f", "http://gateway:8080/async-function/g")).await.unwrap();
        house.when("the next link is on the disk", async |house| house.calls.lanes().len() == 3).await;
        let made = house.until_state(one, State::Done).await;
        let next = house.began("g")[0].sent.id;
        assert_eq!(made.call.id.following(&[1, 0, 1, made.attempts[0].started.cast_unsigned()]), next);
    });
}
