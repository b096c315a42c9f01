//! URLs and addresses of callbacks, one line each.

use super::*;

/// This machine: actord at 8080 on all addresses and at 9091 on one, an address in a private network and a public one.
fn rules(allow: &[(&str, Option<u16>)]) -> Rules {
    let place = |text: &str| match (text.parse(), text.parse::<IpAddr>()) {
        (Ok(net), _) => Place::Net(net),
        (_, Ok(address)) => Place::Net(address.into()),
        _ => Place::Name(text.into()),
    };
    Rules {
        own: Own {
            listen: vec!["0.0.0.0:8080".parse().unwrap(), "10.1.2.3:9091".parse().unwrap()],
            names: vec!["gateway".into(), "gateway.openfaas".into(), "Faas.Example.com.".into()],
        },
        subnet: "10.62.0.0/16".parse().unwrap(),
        allow: allow.iter().map(|(text, port)| Allowed { place: place(text), port: *port }).collect(),
        local: |ip| ["10.1.2.3", "203.0.113.9", "10.62.0.1", "2001:db8::9"].contains(&&*ip.to_string()),
    }
}

/// What is read of a URL, in short.
fn said(url: &str, rules: &Rules) -> String {
    match read(url, rules) {
        Ok(Target::Function { id, path_and_query }) => format!("calls {id} {path_and_query}"),
        Ok(Target::Queued { id, path_and_query }) => format!("queues {id} {path_and_query}"),
        Ok(Target::Elsewhere { server, port, .. }) => format!("to {server} {port}"),
        Err(error) => format!("no: {error}"),
    }
}

#[test]
fn any_url_is_refused_in_words_or_read_as_the_sender_reads_it() {
    let rules = rules(&[]);
    let mut wrong = Vec::new();
    for (url, expected) in [
        // Elsewhere.
        ("http://example.com/hook", "to example.com 80"),
        ("https://example.com/hook?a=b", "to example.com 443"),
        ("https://example.com:8443/", "to example.com 8443"),
        ("HTTP://EXAMPLE.com:8080/function/f", "to example.com 8080"),
        ("http://example.com./", "to example.com. 80"),
        ("http://user:secret@example.com/", "to example.com 80"),
        ("http://gateway:8080@example.com/function/f", "to example.com 80"),
        ("http://example.com#@gateway:8080/function/f", "to example.com 80"),
        ("http://example.com\\@gateway/function/f", "to example.com 80"),
        ("http:\\\\example.com\\x", "to example.com 80"),
        ("http:example.com/x", "to example.com 80"),
        ("http:///example.com/x", "to example.com 80"),
        (" http://example.com/ ", "to example.com 80"),
        ("http://ex\tample.com/", "to example.com 80"),
        ("http://b\u{fc}cher.example/", "to xn--bcher-kva.example 80"),
        ("http://10.0.0.7/", "to 10.0.0.7 80"),
        ("http://192.168.1.7:9000/", "to 192.168.1.7 9000"),
        ("http://172.16.0.1/", "to 172.16.0.1 80"),
        ("http://203.0.113.7/", "to 203.0.113.7 80"),
        ("http://[2001:db8::7]/", "to 2001:db8::7 80"),
        ("http://[fd00::7]/", "to fd00::7 80"),
        ("http://[::ffff:192.0.2.1]/", "to ::ffff:192.0.2.1 80"),
        ("http://gateway.evil.example/function/f", "to gateway.evil.example 80"),
        ("http://gateway:9000/function/f", "to gateway 9000"),
        // Own, by a name or an address.
        ("http://gateway/function/f", "calls f.openfaas-fn "),
        ("http://gateway:8080/function/f", "calls f.openfaas-fn "),
        ("http://GATEWAY.:8080/function/f", "calls f.openfaas-fn "),
        ("http://gateway.openfaas:8080/function/f.dev/a/b?c=d#e", "calls f.dev /a/b?c=d"),
        ("https://faas.example.com/function/f?x", "calls f.openfaas-fn ?x"),
        ("http://gateway:9091/async-function/f/", "queues f.openfaas-fn /"),
        ("http://gateway:8080/async-function/f?a=%20%2F", "queues f.openfaas-fn ?a=%20%2F"),
        ("http://127.0.0.1:8080/function/f", "calls f.openfaas-fn "),
        ("http://127.9.9.9:8080/function/f", "calls f.openfaas-fn "),
        ("http://localhost:8080/function/f", "calls f.openfaas-fn "),
        ("http://[::1]:8080/function/f", "calls f.openfaas-fn "),
        ("http://[::ffff:127.0.0.1]:8080/function/f", "calls f.openfaas-fn "),
        ("http://10.1.2.3:8080/function/f", "calls f.openfaas-fn "),
        ("http://10.1.2.3:9091/function/f", "calls f.openfaas-fn "),
        ("http://203.0.113.9:8080/async-function/f", "queues f.openfaas-fn "),
        ("http://2130706433:8080/function/f", "calls f.openfaas-fn "),
        // Own, and wrong.
        ("http://gateway:8080/", "no: its path at this actord"),
        ("http://gateway:8080/system/functions", "no: its path at this actord"),
        ("http://gateway:8080/Function/f", "no: its path at this actord"),
        ("http://gateway:8080/function/../system/functions", "no: its path at this actord"),
        ("http://gateway:8080/function/%2e%2e/system/functions", "no: its path at this actord"),
        ("http://gateway:8080/function/", "no: function \"\""),
        ("http://gateway:8080/function/F", "no: function \"F\""),
        ("http://gateway:8080/function/%66", "no: function \"%66\""),
        ("http://gateway:8080/function//f", "no: function \"\""),
        ("http://me:pw@gateway:8080/function/f", "no: a callback to a function of this actord carries no user"),
        // No URL, or not HTTP.
        ("", "no: relative URL without a base"),
        ("/function/f", "no: relative URL without a base"),
        ("gateway:8080/function/f", "no: its scheme is gateway"),
        ("ftp://example.com/", "no: its scheme is ftp"),
        ("file:///etc/passwd", "no: its scheme is file"),
        ("unix:/run/x.sock", "no: its scheme is unix"),
        ("http://", "no: empty host"),
        ("http://example.com:0/", "no: it has no host, or a port of 0"),
        ("http://example.com:65536/", "no: invalid port number"),
        ("http://exa mple.com/", "no: invalid"),
        ("http://[fe80::1%25eth0]/", "no: invalid IPv6"),
        ("http://256.1.1.1/", "no: invalid IPv4"),
    ] {
        let said = said(url, &rules);
        let fits = if expected.starts_with("no: ") { said.starts_with(expected) } else { said == expected };
        if !fits {
            wrong.push(format!("{url:?}: {said}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(said(&format!("http://example.com/{}", "x".repeat(URL_MAX)), &rules).contains("longer than"));
}

#[test]
fn an_address_of_this_machine_its_link_or_a_function_is_refused_in_every_disguise() {
    let rules = rules(&[]);
    for (url, why) in [
        ("http://127.0.0.1/", "loopback"),
        ("http://127.0.0.1:9000/", "loopback"),
        ("http://127.255.255.254/", "loopback"),
        ("http://127.1/", "loopback"),
        ("http://2130706433/", "loopback"),
        ("http://0x7f000001/", "loopback"),
        ("http://0x7f.1/", "loopback"),
        ("http://017700000001/", "loopback"),
        ("http://0177.0.0.1/", "loopback"),
        ("http://127.0.0.1./", "loopback"),
        ("http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/", "loopback"),
        ("http://%31%32%37.0.0.1/", "loopback"),
        ("http://[::1]/", "loopback"),
        ("http://[0:0:0:0:0:0:0:1]/", "loopback"),
        ("http://[::ffff:127.0.0.1]/", "loopback"),
        ("http://[::ffff:7f00:1]/", "loopback"),
        ("http://[::127.0.0.1]/", "loopback"),
        ("http://[64:ff9b::127.0.0.1]/", "loopback"),
        ("http://[2002:7f00:1::]/", "loopback"),
        ("http://[2002:7f00:0001:abcd::9]/", "loopback"),
        ("http://0.0.0.0/", "this machine"),
        ("http://0/", "this machine"),
        ("http://0.1.2.3/", "this machine"),
        ("http://[::]/", "this machine"),
        ("http://[::ffff:0.0.0.0]/", "this machine"),
        ("http://169.254.169.254/latest/meta-data/", "link-local"),
        ("http://0xa9fea9fe/", "link-local"),
        ("http://[::ffff:169.254.169.254]/", "link-local"),
        ("http://[64:ff9b::a9fe:a9fe]/", "link-local"),
        ("http://[64:ff9b:1::a9fe:a9fe]/", "link-local"),
        ("http://[::ffff:0:a9fe:a9fe]/", "link-local"),
        ("http://[fd00:ec2::254]/", "secrets"),
        ("http://100.100.100.200/", "secrets"),
        ("http://[fe80::1]/", "link-local"),
        ("http://[febf::1]/", "link-local"),
        ("http://224.0.0.1/", "multicast"),
        ("http://239.255.255.250:1900/", "multicast"),
        ("http://[ff02::1]/", "multicast"),
        ("http://255.255.255.255/", "broadcast"),
        ("http://10.62.0.5:8080/", "an instance of a function"),
        ("http://10.62.255.255/", "an instance of a function"),
        ("http://[::ffff:10.62.0.5]/", "an instance of a function"),
        ("http://[2002:a3e:5::]/", "an instance of a function"),
        ("http://10.62.0.1/", "an address of this machine"),
        ("http://10.1.2.3/", "an address of this machine"),
        ("http://10.1.2.3:22/", "an address of this machine"),
        ("http://203.0.113.9:9091/", "an address of this machine"),
        ("http://[::ffff:203.0.113.9]/", "an address of this machine"),
        ("http://[2001:db8::9]/", "an address of this machine"),
    ] {
        let said = said(url, &rules);
        assert!(said.starts_with("no: callbacks to ") && said.contains(why), "{url:?}: {said}");
        assert!(said.contains("callback-allow"), "the next step is named: {said}");
    }
}

#[test]
fn a_name_is_judged_by_the_address_that_is_connected_to() {
    let rules = rules(&[]);
    for (address, refused) in [
        ("127.0.0.1:80", true),
        ("10.1.2.3:8080", true),
        ("10.62.3.4:8080", true),
        ("[::ffff:127.0.0.1]:80", true),
        ("[fe80::1]:80", true),
        ("10.0.0.7:80", false),
        ("198.51.100.1:443", false),
        ("[2001:db8::7]:443", false),
    ] {
        let judged = may(address.parse().unwrap(), "hooks.example.com", &rules);
        assert_eq!(judged.is_err(), refused, "{address}: {judged:?}");
        if let Err(why) = judged {
            assert!(why.contains("hooks.example.com (") && !why.contains('\n'), "{why}");
        }
    }
}

#[test]
fn the_operator_allows_an_address_a_network_or_a_name_with_a_port_or_for_all() {
    for (allow, port, address, host, allowed) in [
        ("127.0.0.1", None, "127.0.0.1:9000", "127.0.0.1", true),
        ("127.0.0.1", Some(9000), "127.0.0.1:9000", "127.0.0.1", true),
        ("127.0.0.1", Some(9000), "127.0.0.1:9001", "127.0.0.1", false),
        ("127.0.0.1", Some(9000), "127.0.0.2:9000", "127.0.0.2", false),
        ("127.0.0.1", None, "[::ffff:127.0.0.1]:9000", "::ffff:127.0.0.1", true),
        ("127.0.0.0/8", None, "127.3.2.1:80", "127.3.2.1", true),
        ("127.0.0.0/8", Some(80), "127.3.2.1:81", "127.3.2.1", false),
        ("::1", None, "[::1]:80", "::1", true),
        ("::1", Some(80), "[::1]:81", "::1", false),
        ("fe80::/10", None, "[fe80::7]:80", "fe80::7", true),
        ("build.local", None, "127.0.0.1:80", "build.local", true),
        ("Build.Local.", None, "127.0.0.1:80", "build.local.", true),
        ("build.local", Some(80), "127.0.0.1:81", "build.local", false),
        ("build.local", None, "127.0.0.1:80", "other.local", false),
        ("10.62.0.0/16", None, "10.62.0.5:8080", "10.62.0.5", true),
        ("10.1.2.3", Some(22), "10.1.2.3:22", "host.example", true),
    ] {
        let judged = may(address.parse().unwrap(), host, &rules(&[(allow, port)]));
        assert_eq!(judged.is_ok(), allowed, "{allow} {address} {host}: {judged:?}");
    }
    assert_eq!(said("http://127.0.0.1:9000/x", &rules(&[("127.0.0.1", Some(9000))])), "to 127.0.0.1 9000");
}
