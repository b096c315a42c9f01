use super::*;

fn head(head: &str) -> Head {
    read(head.as_bytes()).unwrap().unwrap_or_else(|| panic!("not whole: {head:?}"))
}

#[test]
fn a_head_ends_with_its_empty_line_and_says_what_follows() {
    for (text, framing) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", Framing::Length(0)),
        ("GET / HTTP/1.0\r\n\r\n", Framing::Length(0)),
        ("GET / HTTP/1.1\nHost: h\n\n", Framing::Length(0)),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n", Framing::Length(12)),
        ("POST / HTTP/1.0\r\ncontent-length:0\r\n\r\n", Framing::Length(0)),
        ("DELETE / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n", Framing::CHUNKED),
        ("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n\r\n", Framing::Endless),
        ("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n", Framing::Length(0)),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", Framing::Endless),
    ] {
        let stream = format!("{text}what follows");
        assert_eq!(head(&stream), Head { length: text.len(), framing, encoded: None }, "{text:?}");
        for cut in 0..text.len() {
            assert_eq!(read(&text.as_bytes()[..cut]), Ok(None), "{:?}", &text[..cut]);
        }
    }
}

#[test]
fn raw_utf8_is_percent_encoded_for_actix_and_kept_as_it_was_sent() {
    for (target, sent, encoded) in [
        ("/function/f/ä?q=€", "/function/f/ä?q=€", "/function/f/%C3%A4?q=%E2%82%AC"),
        ("http://h/f/ü", "/f/ü", "http://h/f/%C3%BC"),
        ("http://h?ü", "?ü", "http://h?%C3%BC"),
        ("/a//b/://c/ü", "/a//b/://c/ü", "/a//b/://c/%C3%BC"),
    ] {
        let line = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\nX: ö\r\n\r\n");
        let (came, rewritten) = head(&line(target)).encoded.unwrap();
        assert_eq!((&*came, String::from_utf8(rewritten).unwrap()), (sent, line(encoded)), "{target}");
    }
    for target in ["/", "/%C3%A4?a=b", "*", "http://h/", "/{\"a\"}|^[]~!$&'()*+,;=:@"] {
        assert_eq!(head(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).encoded, None, "{target}");
    }
}

#[test]
fn a_head_that_grows_without_end_is_refused_at_its_limit() {
    let line = [b"GET /".as_slice(), &vec![b'a'; HEAD_MAX]].concat();
    let header = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; HEAD_MAX]].concat();
    for (bytes, status) in [(line, 414), (header, 431)] {
        assert_eq!(read(&bytes[..HEAD_MAX - 1]), Ok(None));
        assert_eq!(read(&bytes[..HEAD_MAX]).map_err(|refusal| refusal.status.as_u16()), Err(status));
    }
}
