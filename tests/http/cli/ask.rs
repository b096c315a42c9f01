//! Which gateway is asked, as whom, and what is said when that does not work.

use super::Person;
use crate::support::{House, answering, nobody};

#[actix_web::test]
async fn the_flag_beats_the_environment() {
    let house = House::public().await;
    let person = Person::root(nobody());
    let told = person.actord(&["ls", "--gateway", &format!("http://{}/", house.address)]).await;
    assert_eq!((told.code, told.err.as_str()), (0, "no functions in openfaas-fn\n"));
}

#[actix_web::test]
async fn what_faas_cli_saved_opens_the_gateway() {
    let house = House::public().await;
    let person = Person::stranger(house.address);
    let directory = person.home().join(".openfaas");
    std::fs::create_dir(&directory).unwrap();
    let saved = format!("auths:\n- gateway: {}\n  auth: basic\n  token: YWRtaW46c2VjcmV0LXB3\n", person.gateway());
    std::fs::write(directory.join("config.yml"), saved).unwrap();
    let told = person.actord(&["ls", "-o", "json"]).await;
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "[]\n", ""));
}

#[actix_web::test]
async fn without_credentials_it_says_where_the_password_is() {
    let house = House::public().await;
    let told = Person::stranger(house.address).actord(&["ls"]).await;
    assert_eq!((told.code, told.out.as_str()), (4, ""));
    for part in ["wants credentials", "basic-auth-password", "faas-cli login --gateway http://127.0.0.1:"] {
        assert!(told.err.contains(part), "{part}: {}", told.err);
    }
    let person = Person::root(house.address);
    std::fs::write(person.home().join("data/auth/basic-auth-password"), "stale").unwrap();
    let told = person.actord(&["ls"]).await;
    assert_eq!(told.code, 4);
    assert!(told.err.contains("refused the credentials from") && told.err.contains("data/auth"), "{}", told.err);
}

#[actix_web::test]
async fn a_gateway_that_is_not_there_is_named_with_the_flag_that_names_another() {
    let person = Person::root(nobody());
    let told = person.actord(&["ls"]).await;
    assert_eq!(told.code, 3, "{told:?}");
    let expected = format!("can't reach the gateway at {}", person.gateway());
    assert!(told.err.contains(&expected) && told.err.contains("--gateway"), "{}", told.err);
}

#[actix_web::test]
async fn a_redirect_is_told_and_not_followed() {
    let head = "HTTP/1.1 301 Moved\r\nLocation: https://new.example.com/\r\nContent-Length: 0\r\n\r\n";
    let told = Person::root(answering(|_| head.to_owned()).await).actord(&["ls"]).await;
    assert_eq!(told.code, 1);
    assert!(told.err.contains("redirects to https://new.example.com/"), "{}", told.err);
}

#[actix_web::test]
async fn something_else_than_a_gateway_is_not_believed() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>";
    let told = Person::root(answering(|_| page.to_owned()).await).actord(&["ls"]).await;
    assert_eq!(told.code, 3);
    assert!(told.err.contains("/system/functions") && told.err.contains("something else"), "{}", told.err);
}

#[actix_web::test]
async fn wrong_arguments_end_with_2_before_anything_is_asked() {
    let house = House::public().await;
    let person = Person::root(house.address);
    for (arguments, reason) in [
        (&["ls", "--gateway", "127.0.0.1:8080"][..], "http://127.0.0.1:8080"),
        (&["rm"], "NAME"),
        (&["rm", "UPPER"], "DNS label"),
        (&["rm", "a.dev", "-n", "prod"], "another namespace"),
        (&["scale", "a", "-1"], "unexpected argument"),
        (&["invoke", "a", "--query", "x"], "KEY=VALUE"),
        (&["invoke", "a", "--header", "x"], "NAME: VALUE"),
        (&["ls", "-A", "-n", "dev"], "cannot be used with"),
    ] {
        let told = person.actord(arguments).await;
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{arguments:?}: {told:?}");
        assert!(told.err.contains(reason), "{arguments:?}: {}", told.err);
    }
    assert!(house.seen().is_empty());
}
