use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::*;
use crate::queue::head::Head;
use crate::store::calls::{Attempt, Bounds, CallId, Callback, Kept, NewCall, Settled, Verdict};

const LONGEST: usize = 1 << 20;

fn call(function: &str, headers: &[(&str, &str)]) -> NewCall {
    let headers = headers.iter().chain(&[("content-length", "7")]);
    let headers = headers.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    NewCall {
        id: CallId::new(1_000),
        caller_id: Some("mine".into()),
        function: function.parse().unwrap(),
        accepted: 1_000,
        deadline: Some(i64::MAX),
        guarded: true,
        callback: None,
        method: "PUT".into(),
        path: "/a?b=c".into(),
        schedule: Some("@hourly".into()),
        head: Head(headers.collect()).encode(),
        body: bytes::Bytes::from_static(b"\x00\xff body"),
    }
}

fn attempt(status: u16) -> Attempt {
    Attempt { started: 1_000, took: 7, status: Some(status), error: None, callback: false }
}

/// A database with a call that waits, a dead letter, one whose callback is to be sent, and one that is done.
async fn database(dir: &Path) -> (Calls, [CallId; 3]) {
    let calls = Calls::open(&dir.join("calls.db"), Bounds::default(), 0).unwrap();
    let secrets = [("authorization", "Basic aaaa"), ("x-plain", "1"), ("x-plain", "2")];
    let (waits, letter, done) = (call("a.dev", &secrets), call("b", &[]), call("b", &[]));
    let called_back = Callback { url: "https://hook.example/x".into(), checked: false };
    let back = NewCall { callback: Some(called_back), ..call("c", &secrets) };
    calls.accept(waits.clone()).await.unwrap();
    let seq = calls.accept(letter.clone()).await.unwrap().head.seq;
    let answer = Kept { status: 500, head: vec![("set-cookie".into(), b"s".to_vec())], body: "no".into(), total: 2 };
    let dead = Settled::Dead { attempt: Some(attempt(500)), reason: "no".into(), answer: Some(answer.clone()) };
    calls.settle(seq, dead).await.unwrap();
    let seq = calls.accept(back.clone()).await.unwrap().head.seq;
    let (lane, answer) = (crate::queue::callback_lane("https://hook.example/x"), Some(answer));
    let next = Settled::ToCallback { lane, verdict: Verdict::Done, attempt: Some(attempt(200)), answer };
    calls.settle(seq, next).await.unwrap();
    let seq = calls.accept(done).await.unwrap().head.seq;
    calls.settle(seq, Settled::Done { attempt: attempt(200), answer: Kept::default() }).await.unwrap();
    (calls, [waits.id, letter.id, back.id])
}

fn read_all(path: &Path) -> Result<Vec<(LaneKey, Loaded)>, CallsFileError> {
    let mut all = Vec::new();
    read(path, LONGEST, |calls| {
        all.extend(calls);
        Ok(())
    })?;
    Ok(all)
}

#[tokio::test]
async fn what_waits_and_what_failed_is_written_beside_a_running_actord_and_taken_over_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (from, ids) = database(dir.path()).await;
    let path = dir.path().join(NAME);
    let written = write(&dir.path().join("calls.db"), &path, true).unwrap();
    assert_eq!(written, Written { waiting: 2, dead: 1, damaged: 0 });
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    let to = Calls::in_memory().unwrap();
    assert_eq!(to.import(read_all(&path).unwrap().into(), 0).await.unwrap(), 3);
    assert_eq!(to.import(read_all(&path).unwrap().into(), 0).await.unwrap(), 0, "twice is once");
    for id in ids {
        let (there, here) = (from.by_id(id).await.unwrap().unwrap(), to.by_id(id).await.unwrap().unwrap());
        assert!(here.sound);
        assert_eq!((&there.request, &there.answer, &there.attempts), (&here.request, &here.answer, &here.attempts));
        let same = |loaded: &Loaded| {
            let call = loaded.call.clone();
            let times = (call.accepted, call.deadline, call.tries, call.called, call.status);
            let is = (call.state, call.phase, call.verdict, call.reason, call.guarded, call.callback);
            (times, is, call.caller_id, call.function, call.method, call.path, call.schedule, call.bytes)
        };
        assert_eq!(same(&there), same(&here));
    }
    let again = write(&dir.path().join("calls.db"), &path, true).unwrap_err();
    assert!(again.to_string().contains(NAME), "{again}: it is not written over");
}

#[tokio::test]
async fn values_that_may_be_secrets_are_in_it_only_if_they_are_wanted() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path()).await;
    for with_secrets in [false, true] {
        let path = dir.path().join(format!("{with_secrets}"));
        write(&dir.path().join("calls.db"), &path, with_secrets).unwrap();
        let all = read_all(&path).unwrap();
        let head = Head::decode(&all[0].1.request.as_ref().unwrap().head).unwrap();
        let names: Vec<_> = head.0.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "x-plain").collect();
        assert_eq!((names.contains(&"authorization"), head.0.len() - names.len()), (with_secrets, 2));
        let answer = all[1].1.answer.as_ref().unwrap();
        assert_eq!((answer.head.is_empty(), &answer.body[..]), (!with_secrets, &b"no"[..]));
    }
}

#[test]
fn where_there_are_no_calls_there_are_no_lines_and_a_file_that_is_missing_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    assert!(read_all(&path).unwrap().is_empty());
    assert_eq!(write(&dir.path().join("calls.db"), &path, false).unwrap(), Written::default());
    assert!(read_all(&path).unwrap().is_empty());
    fs::write(&path, "\n\n").unwrap();
    assert!(read_all(&path).unwrap().is_empty());
    // actord was ended before the first write to it.
    let (db, path) = (dir.path().join("calls.db"), dir.path().join("of an empty one"));
    fs::write(&db, "").unwrap();
    assert_eq!(write(&db, &path, false).unwrap(), Written::default());
}

/// The least that is a line.
fn least() -> Value {
    json!({
        "id": CallId::new(1).to_string(), "function": "f.dev", "state": "waiting", "accepted": 1, "tries": 0, "called": 0,
        "guarded": false, "method": "POST", "path": "", "head": BASE64.encode(Head::default().encode()), "body": "",
    })
}

fn encoded(name: &str, value: &[u8]) -> Value {
    BASE64.encode(Head(vec![(name.to_owned(), value.to_owned())]).encode()).into()
}

#[test]
fn a_line_that_is_none_is_told_with_its_number_and_its_field() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let long = BASE64.encode(vec![b'x'; LONGEST + 1]);
    let answer =
        |body: &str, status: u16, head: Value| json!({ "status": status, "head": head, "body": body, "total": 1 });
    for (field, value, why) in [
        ("id", json!("1"), "id: not the id of a call"),
        ("id", json!("../../etc/passwd"), "id: not"),
        ("function", json!("../../etc/passwd"), "function: "),
        ("function", json!("Not A Name"), "function: "),
        ("function", json!("a.b.c"), "function: "),
        ("state", json!("done"), "unknown variant"),
        ("state", json!(null), "expected value"),
        ("tries", json!(-1), "invalid value"),
        ("callerId", json!("a b"), "callerId: "),
        ("callerId", json!("x".repeat(129)), "callerId: "),
        ("method", json!("PO ST"), "method: "),
        ("method", json!("CONNECT"), "method: "),
        ("path", json!("x"), "path: "),
        ("path", json!("/x HTTP/1.1\r\nHost: evil\r\n\r\n"), "path: "),
        ("path", json!("//evil#x"), "path: "),
        ("path", json!(format!("/{}", "x".repeat(64 << 10))), "path: 65537 characters"),
        ("schedule", json!("x".repeat(1_025)), "schedule: "),
        ("head", json!("%%%"), "head: no base64"),
        ("head", json!("aGVsbG8="), "head: these bytes are no headers"),
        ("head", encoded("x y", b""), "head: no header of HTTP"),
        ("head", encoded("x", b"1\r\nEvil: 1"), "head: no header of HTTP"),
        ("body", json!("aGVsbG8"), "body: no base64"),
        ("body", json!(long), "body: 1048577 bytes"),
        ("attempts", json!(vec![attempt(500); 21]), "attempts: "),
        ("answer", answer("", 99, json!([])), "answer.status"),
        ("answer", answer("!", 200, json!([])), "answer.body: no base64"),
        ("answer", answer("", 200, json!([["x\n", ""]])), "answer.head"),
        ("answer", answer("", 200, json!([["x", "!"]])), "answer.head"),
        ("callback", json!({ "url": "", "checked": true }), "callback.url"),
        ("callback", json!({ "url": "http://a/\r\nX: 1", "checked": true }), "callback.url"),
        ("next", json!("callback"), "next: there is no callback"),
        ("evil", json!(1), "unknown field"),
    ] {
        let mut wrong = least();
        wrong[field] = value.clone();
        fs::write(&path, format!("{}\n\n{wrong}\n{}\n", least(), least())).unwrap();
        let told = read_all(&path).unwrap_err().to_string();
        let expected = format!("{}: line 3: ", path.display());
        assert!(told.starts_with(&expected) && told[expected.len()..].contains(why), "{field}: {told}");
        assert!(told.len() < 1_000, "{field}: not all of it is told again");
    }
    for (text, why) in [("{", "EOF"), ("[]", "invalid"), ("\u{0}", "expected value"), ("{}{}", "missing field")] {
        fs::write(&path, text).unwrap();
        let told = read_all(&path).unwrap_err().to_string();
        assert!(told.contains("line 1: ") && told.contains(why), "{told}");
    }
}

/// The only call of a file with this line.
fn taken(line: &Value) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    fs::write(&path, line.to_string()).unwrap();
    read_all(&path).unwrap().remove(0).1
}

#[test]
fn what_a_file_says_of_who_called_is_not_believed() {
    let mut line = least();
    line["guarded"] = false.into();
    line["callback"] = json!({ "url": "http://127.0.0.1:8080/function/secret", "checked": true });
    let call = taken(&line).call;
    assert!(call.guarded && !call.callback.unwrap().checked);
}

#[test]
fn what_frames_a_request_is_made_of_its_body() {
    let mut line = least();
    line["head"] = encoded("content-length", b"0");
    line["body"] = BASE64.encode("GET /x HTTP/1.1\r\n\r\n").into();
    line["answer"] = json!({ "status": 200, "head": [["Content-Length", "MA=="]], "body": "aGk=", "total": 2 });
    let call = taken(&line);
    let head = Head::decode(&call.request.unwrap().head).unwrap();
    assert_eq!(head.0, [("content-length".to_owned(), b"19".to_vec())]);
    assert!(call.answer.unwrap().head.is_empty());
}

#[test]
fn what_is_counted_on_is_bounded() {
    let mut line = least();
    (line["tries"], line["called"]) = (u32::MAX.into(), u32::MAX.into());
    let call = taken(&line).call;
    assert_eq!((call.tries, call.called), (1_000_000, 1_000_000));
}

#[test]
fn calls_that_the_disk_has_no_room_for_are_refused_before_anything_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let mut line = least();
    line["body"] = BASE64.encode(vec![b'x'; LONGEST]).into();
    fs::write(&path, line.to_string()).unwrap();
    let check = |free, there| room::check(&path, LONGEST, free, |_| Ok(there));
    assert!(check(u64::MAX, false).is_ok());
    let refused = check(64 << 20, false).unwrap_err().to_string();
    assert!(refused.contains(NAME) && refused.contains("67108864 are free: make room first"), "{refused}");
    assert!(check(0, true).is_ok(), "what is there already takes no more");
}

#[test]
fn a_line_without_an_end_is_not_read_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let huge = File::create(&path).unwrap();
    // A hole of a TiB: it takes no room, and would take all memory.
    huge.set_len(1 << 40).unwrap();
    let told = read_all(&path).unwrap_err().to_string();
    assert!(
        told.contains("line 1: it is longer than any call with bodies of 1048576 bytes (queue-max-body)"),
        "{told}"
    );
    // A call and its answer with the longest bodies are taken.
    let mut most = least();
    let body = BASE64.encode(vec![b'x'; LONGEST]);
    most["body"] = body.clone().into();
    most["answer"] = json!({ "status": 200, "head": [], "body": body, "total": LONGEST });
    fs::write(&path, most.to_string()).unwrap();
    assert_eq!(read_all(&path).unwrap()[0].1.request.as_ref().unwrap().body.len(), LONGEST);
}

#[test]
fn calls_come_in_parts_that_a_transaction_takes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let lines: String = (0..2_500)
        .map(|_| {
            let mut line = least();
            line["id"] = CallId::new(1).to_string().into();
            format!("{line}\n")
        })
        .collect();
    fs::write(&path, lines).unwrap();
    let mut parts = Vec::new();
    read(&path, LONGEST, |calls| {
        parts.push(calls.len());
        Ok(())
    })
    .unwrap();
    assert_eq!(parts, [1_000, 1_000, 500]);
}
