//! A gateway behind TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};

use super::{Person, told};

/// A gateway without functions, and its certificate for this name, which nobody signed.
fn gateway(name: &str) -> (SocketAddr, String) {
    // Somebody may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut connection = ServerConnection::new(config.clone()).unwrap();
            let mut tls = Stream::new(&mut connection, &mut stream);
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && tls.read(&mut byte).is_ok_and(|count| count > 0) {
                head.push(byte[0]);
            }
            // A client that does not trust us is gone by now.
            let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]");
        }
    });
    (address, made.cert.pem())
}

#[actix_web::test]
async fn a_certificate_that_nobody_trusts_is_refused_unless_that_is_what_is_wanted() {
    let (address, certificate) = gateway("127.0.0.1");
    let person = Person::root(address);
    let url = format!("https://{address}");
    let ls = ["ls", "--output", "json", "--gateway", &url];
    let refused = person.actord(&ls).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.err.contains("certificate"), "{}", refused.err);
    let taken = person.actord(&[&ls[..], &["--tls-no-verify"]].concat()).await;
    assert_eq!((taken.code, taken.out.as_str()), (0, "[]\n"), "{taken:?}");

    // Trusted by this machine.
    let store = person.home().join("trusted.pem");
    std::fs::write(&store, certificate).unwrap();
    let trusted = told(person.command(&ls).env("SSL_CERT_FILE", &store).spawn().unwrap()).await;
    assert_eq!((trusted.code, trusted.out.as_str()), (0, "[]\n"), "{trusted:?}");
}

#[actix_web::test]
async fn the_actord_of_this_machine_is_known_by_its_own_certificate_whatever_name_that_is_for() {
    let ((address, certificate), (_, other)) = (gateway("faas.example"), gateway("faas.example"));
    let person = Person::root(address);
    let (own, another) = (person.home().join("own.pem"), person.home().join("another.pem"));
    std::fs::write(&own, certificate).unwrap();
    std::fs::write(&another, other).unwrap();
    let url = format!("https://{address}");
    let ls = ["ls", "--output", "json", "--gateway", &url, "--tls-certificate"];
    let known = person.actord(&[&ls[..], &[own.to_str().unwrap()]].concat()).await;
    assert_eq!((known.code, known.out.as_str()), (0, "[]\n"), "{known:?}");
    for not_it in [another.to_str().unwrap(), "/nonexistent/tls.pem"] {
        let refused = person.actord(&[&ls[..], &[not_it]].concat()).await;
        assert_eq!(refused.code, 3, "{not_it}: {refused:?}");
    }
}
