//! Who is known by what is sent, and until when.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn access() -> Access {
    Credentials { user: "admin".into(), password: "secret-pw".into() }.into()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn dev() -> Reach {
    Reach::try_from(vec!["dev".to_owned()]).unwrap()
}

#[test]
fn the_right_user_and_password_pass_whatever_the_case_of_the_scheme() {
    let token = STANDARD.encode("admin:secret-pw");
    for header in [format!("Basic {token}"), format!("basic  {token} ")] {
        assert_eq!(access().caller(header.as_bytes()), Ok(Caller::Admin("admin".into())), "{header}");
    }
}

#[test]
fn anything_else_does_not() {
    let caller = |header: &str| access().caller(header.as_bytes());
    for pair in ["admin:secret-p", "admin:secret-pw ", "Admin:secret-pw", ":", "token:", "token:secret-pw", "token"] {
        assert_eq!(caller(&basic(pair)), Err(Denied::Wrong), "{pair:?}");
    }
    let token = STANDARD.encode("admin:secret-pw");
    for bearer in ["actord_guessed", "a.jwt.perhaps", "secret-pw", &token] {
        assert_eq!(caller(&format!("Bearer {bearer}")), Err(Denied::Wrong), "{bearer}");
    }
    // What could be no credentials is no guess.
    let odd = [format!("Basic{token}"), format!("Digest {token}")];
    let known = ["", "Basic", "Basic ", "Bearer", "Bearer ", "Basic %%%", "ÄÄÄ"];
    for header in odd.iter().map(String::as_str).chain(known) {
        assert_eq!(caller(header), Err(Denied::Nothing), "{header:?}");
    }
}

#[test]
fn a_token_is_known_as_bearer_and_as_the_password_of_the_user_token_until_it_is_revoked() {
    let access = access();
    let (token, text) = access.create(dev(), [Scope::Read].into(), None, "CI".into()).unwrap();
    let headers = [format!("Bearer {text}"), format!("bearer  {text} "), basic(&format!("token:{text}"))];
    for header in &headers {
        assert_eq!(access.caller(header.as_bytes()), Ok(Caller::Token(token.clone())), "{header}");
    }
    assert_eq!(access.caller(basic(&format!("admin:{text}")).as_bytes()), Err(Denied::Wrong));
    assert_eq!(access.tokens(), std::slice::from_ref(&token));
    access.revoke(&token.id).unwrap();
    for header in headers {
        assert_eq!(access.caller(header.as_bytes()), Err(Denied::Wrong));
    }
    assert!(matches!(access.revoke(&token.id), Err(ChangeError::NotFound(_))));
}

#[test]
fn of_a_token_that_was_rotated_only_the_new_text_is_known() {
    let access = access();
    let (old, old_text) = access.create(dev(), [Scope::Read].into(), None, String::new()).unwrap();
    let (new, text) = access.rotate(&old.id).unwrap();
    assert_eq!(new.id, old.id);
    assert_eq!(access.caller(format!("Bearer {old_text}").as_bytes()), Err(Denied::Wrong));
    assert_eq!(access.caller(format!("Bearer {text}").as_bytes()), Ok(Caller::Token(new)));
    assert_eq!(access.tokens().len(), 1);
}

#[test]
fn a_token_whose_time_is_over_is_told_from_one_that_never_was() {
    let access = access();
    let (token, text) =
        access.create(dev(), [Scope::Read].into(), Some(Duration::from_nanos(1)), String::new()).unwrap();
    assert_eq!(access.caller(format!("Bearer {text}").as_bytes()), Err(Denied::Expired(token)));
}

#[test]
fn what_was_changed_is_there_after_a_restart_and_what_can_not_be_kept_is_not_changed() {
    let home = tempfile::tempdir().unwrap();
    let auth = home.path().join("auth");
    let access = Access::open(&auth).unwrap();
    let (one, text) = access.create(dev(), [Scope::Write].into(), None, "CI".into()).unwrap();
    let (two, _) = access.create(Reach::All, [Scope::Invoke].into(), None, String::new()).unwrap();
    access.revoke(&two.id).unwrap();
    let again = Access::open(&auth).unwrap();
    assert_eq!(again.caller(format!("Bearer {text}").as_bytes()), Ok(Caller::Token(one.clone())));
    assert_eq!(again.tokens(), [one]);
    std::fs::remove_dir_all(&auth).unwrap();
    let refused = again.create(Reach::All, [Scope::Invoke].into(), None, String::new());
    assert!(matches!(refused, Err(ChangeError::Failed(_))), "{refused:?}");
    assert_eq!(again.tokens().len(), 1);
}

#[test]
fn a_session_is_who_began_it_until_it_ends_and_opens_no_function() {
    let access = access();
    let (token, text) = access.create(dev(), [Scope::Invoke].into(), None, String::new()).unwrap();
    let begun_by = [
        (basic("admin:secret-pw"), Caller::Admin("admin".into())),
        (format!("Bearer {text}"), Caller::Token(token.clone())),
    ];
    for (by, caller) in begun_by {
        let (session, text) = access.begin_session(by.as_bytes()).unwrap();
        let bearer = format!("Bearer {text}");
        assert_eq!(access.caller(bearer.as_bytes()), Ok(caller.clone()));
        assert_eq!(access.caller(basic(&format!("token:{text}")).as_bytes()), Ok(caller));
        assert_eq!(access.session(bearer.as_bytes()), Some(session));
        assert_eq!(access.token(bearer.as_bytes()), Err(Denied::Wrong), "it opens no function");
        let none = access.begin_session(bearer.as_bytes());
        assert!(matches!(none, Err(ChangeError::Denied(_))), "none prolongs itself");
        assert_eq!(access.session(by.as_bytes()), None);
        assert!(!access.end_session(by.as_bytes()).unwrap());
        assert!(access.end_session(bearer.as_bytes()).unwrap());
        assert_eq!(access.caller(bearer.as_bytes()), Err(Denied::Wrong));
        assert!(!access.end_session(bearer.as_bytes()).unwrap());
    }
    assert_eq!(access.sessions(), 0);
}

#[test]
fn a_session_ends_with_the_password_or_token_that_began_it() {
    let access = access();
    let begin = |by: &str| access.begin_session(by.as_bytes()).unwrap();
    let refused = |text: &str| access.caller(format!("Bearer {text}").as_bytes());
    let token = || access.create(dev(), [Scope::Read].into(), None, String::new()).unwrap();
    let ((rotated, rotated_text), (revoked, revoked_text)) = (token(), token());
    let (_, by_rotated) = begin(&format!("Bearer {rotated_text}"));
    let (_, by_revoked) = begin(&format!("Bearer {revoked_text}"));
    let (session, by_password) = begin(&basic("admin:secret-pw"));
    assert_eq!(access.sessions(), 3);
    access.rotate(&rotated.id).unwrap();
    access.revoke(&revoked.id).unwrap();
    assert!(matches!(refused(&by_rotated), Err(Denied::Ended(_))));
    assert!(matches!(refused(&by_revoked), Err(Denied::Ended(_))));
    assert_eq!(refused(&by_password), Ok(Caller::Admin("admin".into())));
    let new = access.rotate_password().unwrap();
    assert_eq!(refused(&by_password), Err(Denied::Ended(session.id.clone())));
    assert_eq!(access.session(format!("Bearer {by_password}").as_bytes()), None);
    assert_eq!(access.sessions(), 0);
    begin(&basic(&format!("{}:{}", new.user, new.password)));
    assert_eq!(refused(&by_password), Err(Denied::Wrong), "what has ended goes when another begins");
}

#[test]
fn sessions_hold_over_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let access = Access::open(home.path()).unwrap();
    let who = Credentials::read(home.path()).unwrap();
    let (session, text) = access.begin_session(basic(&format!("admin:{}", who.password)).as_bytes()).unwrap();
    let bearer = format!("Bearer {text}");
    let again = Access::open(home.path()).unwrap();
    assert_eq!(again.session(bearer.as_bytes()), Some(session));
    assert!(again.end_session(bearer.as_bytes()).unwrap());
    assert_eq!(Access::open(home.path()).unwrap().caller(bearer.as_bytes()), Err(Denied::Wrong));
}

#[test]
fn where_nothing_can_be_written_one_signs_in_and_out_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let access = Access::open(home.path()).unwrap();
    let who = basic(&format!("admin:{}", Credentials::read(home.path()).unwrap().password));
    let file = home.path().join("sessions.json");
    // A directory is in the way of the file.
    std::fs::create_dir_all(file.join("x")).unwrap();
    let (session, text) = access.begin_session(who.as_bytes()).unwrap();
    let (stays, other) = access.begin_session(who.as_bytes()).unwrap();
    let (bearer, other) = (format!("Bearer {text}"), format!("Bearer {other}"));
    assert_eq!(access.session(bearer.as_bytes()), Some(session));
    assert!(access.end_session(bearer.as_bytes()).unwrap());
    assert_eq!(access.caller(bearer.as_bytes()), Err(Denied::Wrong), "what has ended is refused at once");
    std::fs::remove_dir_all(&file).unwrap();
    access.begin_session(who.as_bytes()).unwrap();
    let again = Access::open(home.path()).unwrap();
    assert_eq!((again.session(other.as_bytes()), again.sessions()), (Some(stays), 2), "the next change keeps all");
}

#[test]
fn a_password_that_was_rotated_is_refused_at_once_and_the_new_one_lies_where_it_was() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let access = Access::open(home.path()).unwrap();
    let (token, text) = access.create(dev(), [Scope::Read].into(), None, String::new()).unwrap();
    let old = Credentials::read(home.path()).unwrap();
    let new = access.rotate_password().unwrap();
    assert_eq!((new.user.as_str(), new.password.len()), ("admin", 40));
    assert_ne!(new.password, old.password);
    let caller =
        |access: &Access, who: &Credentials| access.caller(basic(&format!("{}:{}", who.user, who.password)).as_bytes());
    for access in [&access, &Access::open(home.path()).unwrap()] {
        assert_eq!(caller(access, &old), Err(Denied::Wrong));
        assert_eq!(caller(access, &new), Ok(Caller::Admin("admin".into())));
        assert_eq!(access.caller(format!("Bearer {text}").as_bytes()), Ok(Caller::Token(token.clone())));
    }
    let file = home.path().join(password::PASSWORD_FILE);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_dir_all(home.path()).unwrap();
    access.rotate_password().unwrap_err();
    assert_eq!(caller(&access, &new), Ok(Caller::Admin("admin".into())), "what can't be kept is not changed");
}

#[test]
fn tokens_are_so_many_and_no_more() {
    let access = access();
    for _ in 0..TOKENS_MAX {
        access.create(dev(), [Scope::Read].into(), None, String::new()).unwrap();
    }
    assert!(matches!(access.create(dev(), [Scope::Read].into(), None, String::new()), Err(ChangeError::TooMany)));
}
