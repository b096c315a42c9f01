//! `apply`: what it asks for, what it waits for, what it tells and what it leaves alone.

use actord::engine::{Mode, Refused, View};
use actord::function::{Failure, FunctionId, Generation, Phase, Step, Uptime};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Child;

use super::{PATIENCE, Person};
use crate::support::{House, Seen};

fn stack(functions: &[(&str, &str)]) -> String {
    let functions = functions.iter().map(|(name, more)| format!("  {name}:\n    image: me/{name}:1\n{more}"));
    format!("version: 1.0\nprovider:\n  name: openfaas\nfunctions:\n{}", functions.collect::<String>())
}

/// What the registry was asked to apply, in the order of the names: the mode, the function and its image.
fn applied(house: &House) -> Vec<(Mode, String, String)> {
    let mut all: Vec<_> = house
        .seen()
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Applied(mode, id, spec) => Some((mode, id.to_string(), spec.image.clone())),
            _ => None,
        })
        .collect();
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all
}

fn id(name: &str) -> FunctionId {
    name.parse().unwrap()
}

/// Lets a known function be in the middle of a start.
fn starting(house: &House, name: &str, step: Step) {
    house.show(name, |view| (view.status.phase, view.status.ready, view.step) = (Phase::Starting, 0, Some(step)));
}

fn ready(house: &House, name: &str) {
    house.show(name, |view| (view.status.phase, view.status.ready, view.step) = (Phase::Ready, 1, None));
}

/// Reads standard error up to and with the line that ends so.
async fn until_line(child: &mut Child, end: &str) -> BufReader<tokio::process::ChildStderr> {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let reading = async {
        let mut line = String::new();
        while !line.trim_end().ends_with(end) {
            line.clear();
            assert!(lines.read_line(&mut line).await.unwrap() > 0, "it ended without {end:?}");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the line does not come");
    lines
}

#[actix_web::test]
async fn a_stack_is_created_and_applied_again_it_is_unchanged() {
    let house = House::public().await;
    let person = Person::root(house.address);
    let more = "    namespace: dev\n    environment:\n      TAG: ${TAG:-none}\n      PORT: 8080\n    environment_file: [env]\n    \
                labels: {a: b}\n    limits: {memory: 64Mi}\n    fprocess: cat\n    readonly_root_filesystem: true\n    \
                lang: go\n    handler: ./x\n";
    std::fs::write(person.home().join("env"), "environment:\n  PORT: 9090\n").unwrap();
    std::fs::write(person.home().join("stack.yaml"), stack(&[("one", ""), ("two", more)])).unwrap();

    let told = person.actord(&["apply"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let lines: Vec<Vec<&str>> = told.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "RESULT", "TIME", "REASON"]);
    assert_eq!((lines[1][0], lines[1][1]), ("two.dev", "created"));
    assert_eq!((lines[2][0], lines[2][1], lines.len()), ("one.openfaas-fn", "created", 3));
    assert!(told.err.contains("one.openfaas-fn: created in ") && told.err.contains("2 of 2 done in "), "{}", told.err);

    let function = house.engine.view(&id("two.dev")).unwrap();
    let spec = function.status.desired.unwrap().spec;
    let environment: Vec<_> = spec.env_vars.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(environment, [("PORT", "9090"), ("TAG", "none")]);
    assert_eq!((spec.env_process.as_str(), spec.labels["a"].as_str()), ("cat", "b"));
    assert_eq!(spec.annotations["actord.apply/set"], "default");
    assert!(spec.read_only_root_filesystem && spec.memory_limit_bytes() == Some(64 << 20));

    // Again: asked for, so that what failed would be tried again, and unchanged.
    let told = person.actord(&["apply", "-f", "stack.yaml", "--output", "json"]).await;
    let shown = told.json();
    let first = &shown["functions"][0];
    assert_eq!((told.code, &first["result"], &first["ready"]), (0, &json!("unchanged"), &json!(true)));
    let modes: Vec<Mode> = applied(&house).into_iter().map(|(mode, ..)| mode).collect();
    assert_eq!(modes, [Mode::Create, Mode::Update, Mode::Create, Mode::Update]);
}

#[actix_web::test]
async fn a_function_that_is_stopped_by_hand_is_applied_and_not_waited_for() {
    let house = House::public().await;
    let person = Person::root(house.address);
    house.add("one", "i:0");
    assert_eq!(person.actord(&["stop", "one"]).await.code, 0);
    std::fs::write(person.home().join("stack.yaml"), stack(&[("one", "")])).unwrap();
    let told = person.actord(&["apply", "--output", "json"]).await;
    let first = &told.json()["functions"][0];
    assert_eq!((told.code, &first["result"], &first["ready"]), (0, &json!("updated"), &json!(false)));
    assert!(first["reason"].as_str().unwrap().contains("`actord start one.openfaas-fn`"), "{first}");
    assert!(house.engine.view(&id("one")).unwrap().status.desired.unwrap().kept_down);
}

#[actix_web::test]
async fn one_that_fails_stops_none_of_the_others() {
    let house = House::public().await;
    house.add("old", "me/old:0");
    house.script.lock().unwrap().unrunnable.insert(id("bad"), "image me/bad:1: no such tag".into());
    house.show("old", |view| {
        view.status.phase = Phase::Failed;
        view.status.failure = Some(Failure { generation: Generation(2), reason: "exited with code 7".into() });
    });
    let person = Person::root(house.address);
    let stack = stack(&[("bad", ""), ("good", ""), ("old", "")]);
    let told = person.types(&["apply", "-f", "-", "-o", "json"], stack.as_bytes()).await;
    assert_eq!(told.code, 1, "{told:?}");
    let results: Vec<_> = told.json()["functions"].as_array().unwrap().clone();
    let seen: Vec<_> = results.iter().map(|one| (one["result"].as_str(), one["reason"].as_str())).collect();
    let expected = [
        (Some("failed"), Some("image me/bad:1: no such tag")),
        (Some("created"), Some("")),
        (Some("failed"), Some("exited with code 7")),
    ];
    assert_eq!(seen, expected);
    assert!(told.err.contains("1 of 3 done"), "{}", told.err);
}

#[actix_web::test]
async fn each_step_of_a_start_is_told_once_until_the_function_is_ready() {
    let house = House::public().await;
    house.add("slow", "me/slow:0");
    starting(&house, "slow", Step::Pulling);
    let person = Person::root(house.address);
    std::fs::write(person.home().join("stack.yaml"), stack(&[("slow", "")])).unwrap();
    let mut child = person.start(&["apply"]);
    let mut lines = until_line(&mut child, "slow.openfaas-fn: pulling").await;
    starting(&house, "slow", Step::WaitingUntilReady);
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, lines.read_line(&mut line)).await.unwrap().unwrap();
    assert_eq!(line, "slow.openfaas-fn: waiting until ready\n");
    house.show("slow", |view| view.waits_for = Some("nothing listens on port 8080".into()));
    line.clear();
    tokio::time::timeout(PATIENCE, lines.read_line(&mut line)).await.unwrap().unwrap();
    assert_eq!(line, "slow.openfaas-fn: waiting until ready: nothing listens on port 8080\n");
    ready(&house, "slow");
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, lines.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert!(rest.starts_with("slow.openfaas-fn: updated in ") && rest.contains("\n1 of 1 done in "), "{rest}");
    assert_eq!(super::told(child).await.code, 0);
}

#[actix_web::test]
async fn what_backs_off_is_told_with_the_last_words_of_its_process_while_and_after_it_is_waited_for() {
    let house = House::public().await;
    house.add("broken", "me/broken:0");
    house.show("broken", |View { status, .. }| {
        status.phase = Phase::BackingOff { until: Uptime::default() };
        let reason = "the process exited with code 3 before it was ready: reading config\nno such key".to_owned();
        status.failure = Some(Failure { generation: Generation(1), reason });
    });
    let person = Person::root(house.address);
    let told = person.types(&["apply", "-f", "-", "--timeout", "2s"], stack(&[("broken", "")]).as_bytes()).await;
    let why = "the process exited with code 3 before it was ready: reading config";
    assert!(told.err.contains(&format!("broken.openfaas-fn: backing off: {why}")), "{}", told.err);
    assert!(told.out.contains(why) && told.out.contains("no such key") && told.code == 1, "{told:?}");
    let shown = person.types(&["describe", "broken"], b"").await;
    assert!(shown.out.contains("State:       backing off\n") && shown.out.contains(why), "{}", shown.out);
}

#[actix_web::test]
async fn what_is_not_ready_in_time_is_told_with_where_it_stands() {
    let house = House::public().await;
    house.add("slow", "me/slow:0");
    starting(&house, "slow", Step::Pulling);
    let person = Person::root(house.address);
    let stack = stack(&[("quick", ""), ("slow", "")]);
    let told = person.types(&["apply", "-f", "-", "--timeout", "3s"], stack.as_bytes()).await;
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.out.contains("quick.openfaas-fn  created"), "{}", told.out);
    assert!(told.out.contains("slow.openfaas-fn   not ready") && told.out.contains("pulling after 3s"), "{}", told.out);
}

#[actix_web::test]
async fn a_gateway_that_says_not_now_is_asked_again() {
    let house = House::public().await;
    house.script.lock().unwrap().refuse = Some(Refused::Busy("try again".into()));
    let person = Person::root(house.address);
    std::fs::write(person.home().join("stack.yaml"), stack(&[("a", "")])).unwrap();
    let child = person.start(&["apply"]);
    let asked = async {
        while house.seen().len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it is not asked again");
    house.script.lock().unwrap().refuse = None;
    assert_eq!(super::told(child).await.code, 0);
}

#[actix_web::test]
async fn after_ctrl_c_the_gateway_goes_on_with_what_it_has_and_it_is_told() {
    let house = House::public().await;
    for name in ["done", "slow"] {
        house.add(name, "i");
    }
    starting(&house, "slow", Step::Attaching);
    let person = Person::root(house.address);
    std::fs::write(person.home().join("stack.yaml"), stack(&[("done", ""), ("slow", "")])).unwrap();
    let mut child = person.start(&["apply", "--output", "json"]);
    let lines = until_line(&mut child, "slow.openfaas-fn: attaching").await;
    let asked = async {
        while house.seen().len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("both are asked for");
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let told = super::told(child).await;
    assert_eq!(told.code, 130, "{told:?}");
    let shown = told.json();
    assert_eq!(shown["interrupted"], true);
    assert_eq!(shown["functions"][1]["result"], "not ready");
    assert!(shown["functions"][1]["reason"].as_str().unwrap().contains("goes on without this"), "{shown}");
    drop(lines);
}

#[actix_web::test]
async fn a_dry_run_shows_each_difference_and_asks_for_none() {
    let house = House::public().await;
    house.add("old", "me/old:0");
    let person = Person::root(house.address);
    let stack = stack(&[("new", "    secrets: [db]\n"), ("old", "")]);
    let told = person.types(&["apply", "-f", "-", "--dry-run", "--set", "shop"], stack.as_bytes()).await;
    let expected = "+ new.openfaas-fn\n    + annotation actord.apply/set: shop\n    + image: me/new:1\n    + secret db\n\
                    ~ old.openfaas-fn\n    + annotation actord.apply/set: shop\n    ~ image: me/old:0 -> me/old:1\n";
    assert_eq!((told.code, told.out.as_str()), (0, expected));
    assert_eq!(told.err, "1 to create, 1 to update, 0 to remove, 0 unchanged; nothing was done\n");
    let told = person.types(&["apply", "-f", "-", "--dry-run", "-o", "json"], stack.as_bytes()).await.json();
    let old = json!({"function": "old.openfaas-fn", "change": "update", "differences": [
        {"field": "annotation actord.apply/set", "before": null, "after": "default"},
        {"field": "image", "before": "me/old:0", "after": "me/old:1"}]});
    assert_eq!(told["changes"][1], old);
    assert!(house.seen().is_empty());
}

#[actix_web::test]
async fn prune_removes_what_an_earlier_apply_of_the_set_made_and_nothing_else() {
    let house = House::public().await;
    house.add("by-hand", "i");
    let person = Person::root(house.address);
    let apply = async |stack: String, arguments: &[&str]| {
        let told = person.types(&[&["apply", "-f", "-"], arguments].concat(), stack.as_bytes()).await;
        assert_eq!(told.code, 0, "{told:?}");
        told
    };
    apply(stack(&[("a", ""), ("b", "")]), &[]).await;
    apply(stack(&[("c", "")]), &["--set", "other"]).await;
    apply(stack(&[("a", "")]), &[]).await;
    assert!(!house.seen().iter().any(|seen| matches!(seen, Seen::Deleted(_))), "only --prune removes");

    let told = apply(stack(&[("a", "")]), &["--prune", "--dry-run"]).await;
    assert_eq!(told.out, "= a.openfaas-fn\n- b.openfaas-fn\n");
    let told = apply(stack(&[("a", "")]), &["--prune"]).await;
    assert!(told.out.contains("b.openfaas-fn  removed"), "{}", told.out);
    let deleted: Vec<Seen> = house.seen().into_iter().filter(|seen| matches!(seen, Seen::Deleted(_))).collect();
    assert_eq!(deleted, [Seen::Deleted(id("b"))]);
    let left: Vec<String> = house.engine.functions().iter().map(ToString::to_string).collect();
    assert_eq!(left, ["a.openfaas-fn", "by-hand.openfaas-fn", "c.openfaas-fn"]);
    let told = person.actord(&["apply", "--prune", "--filter", "a*"]).await;
    assert_eq!(told.code, 2, "what is filtered out would look as if it had gone: {told:?}");
}

#[actix_web::test]
async fn only_what_matches_is_applied_and_a_flag_says_where() {
    let house = House::public().await;
    let person = Person::root(house.address);
    let stack = stack(&[("web-a", ""), ("web-b", ""), ("job", "")]);
    for (arguments, expected) in [
        (&["--filter", "web*"][..], &["web-a.openfaas-fn", "web-b.openfaas-fn"][..]),
        (&["--regex", "^(job|web-b)$"], &["job.openfaas-fn", "web-b.openfaas-fn"]),
        (&["--filter", "job", "--namespace", "dev"], &["job.dev"]),
    ] {
        house.script.lock().unwrap().seen.clear();
        let told = person.types(&[&["apply", "-f", "-"], arguments].concat(), stack.as_bytes()).await;
        assert_eq!(told.code, 0, "{told:?}");
        let names: Vec<String> = applied(&house).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, expected);
    }
    let told = person.types(&["apply", "-f", "-", "--filter", "x*"], stack.as_bytes()).await;
    assert_eq!(told.code, 2);
    assert!(told.err.contains("none of the 3 functions"), "{}", told.err);
}

#[actix_web::test]
async fn what_is_wrong_with_a_file_is_told_with_its_line_before_anything_is_asked() {
    let house = House::public().await;
    let person = Person::root(house.address);
    for (text, reason) in [
        ("functions:\n  a:\n    image: i\n    enviroment: {}\n", "stack.yaml: "),
        ("functions:\n  a:\n    image: i\n    enviroment: {}\n", "line 4"),
        ("functions:\n  a:\n    image: ${A\n", "line 3: ${A"),
        ("functions:\n  A_B:\n    image: i\n", "functions.A_B: invalid function name"),
        ("functions:\n  a:\n    image: ${NONE}\n", "functions.a: no image"),
    ] {
        std::fs::write(person.home().join("stack.yaml"), text).unwrap();
        let told = person.actord(&["apply"]).await;
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{text}: {told:?}");
        assert!(told.err.contains(reason), "{text}: {}", told.err);
    }
    let told = person.actord(&["apply", "-f", "gone.yaml"]).await;
    assert_eq!(told.code, 2);
    assert!(told.err.contains("gone.yaml"), "{}", told.err);
    assert!(house.seen().is_empty());
}

#[actix_web::test]
async fn a_namespace_that_is_not_there_is_told_with_what_makes_it() {
    let house = House::public().await;
    let person = Person::root(house.address);
    let told = person.types(&["apply", "-f", "-", "-n", "nope"], stack(&[("a", "")]).as_bytes()).await;
    assert_eq!(told.code, 4, "{told:?}");
    assert!(told.err.contains("actord namespace create nope"), "{}", told.err);
}

#[actix_web::test]
async fn the_stack_files_gateway_is_asked_unless_a_flag_names_another() {
    let house = House::public().await;
    let person = Person::root(crate::support::nobody());
    let with = |gateway: &str| stack(&[("a", "")]).replace("openfaas\n", &format!("openfaas\n  gateway: {gateway}\n"));
    std::fs::write(person.home().join("one.yml"), with(&format!("http://{}", house.address))).unwrap();
    assert_eq!(person.actord(&["apply", "-f", "one.yml"]).await.code, 0);
    let other = with("http://127.0.0.1:1").replace("  a:", "  b:");
    std::fs::write(person.home().join("two.yml"), other).unwrap();
    let told = person.actord(&["apply", "-f", "."]).await;
    assert_eq!(told.code, 2);
    assert!(told.err.contains("different gateways"), "{}", told.err);
    let told = person.actord(&["apply", "-f", ".", "--gateway", &format!("http://{}", house.address)]).await;
    assert_eq!(told.code, 0, "{told:?}");
}

#[actix_web::test]
async fn the_functions_of_a_stack_file_are_removed_and_those_gone_already_are_no_error() {
    let house = House::public().await;
    house.add("a", "i");
    let person = Person::root(house.address);
    let told = person.types(&["rm", "-f", "-"], stack(&[("a", ""), ("gone", "")]).as_bytes()).await;
    assert_eq!((told.code, told.out.as_str()), (0, "a.openfaas-fn removed\n"));
    assert_eq!(told.err, "gone.openfaas-fn was not there\n");
    assert_eq!(person.actord(&["rm", "a", "-f", "x"]).await.code, 2);
}
