use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::super::Tls;
use super::*;

/// A certificate of 2020 to 2030 and its key, as PEM.
fn made() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["faas.example".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Writes both to files that only their owner may read.
fn write(home: &Path, (certificate, key): (&str, &str)) -> Files {
    let files = Files { certificate: home.join("tls.crt"), key: home.join("tls.key") };
    fs::write(&files.certificate, certificate).unwrap();
    fs::write(&files.key, key).unwrap();
    mode(&files, 0o600);
    files
}

fn mode(files: &Files, mode: u32) {
    fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_certificate_says_when_it_is_good() {
    let (home, (certificate, key)) = (tempfile::tempdir().unwrap(), made());
    let looked = look(&write(home.path(), (&certificate, &key))).unwrap();
    // 2020-01-01 and 2030-01-01.
    let validity = Validity { not_before: 1_577_836_800, not_after: 1_893_456_000 };
    assert_eq!(looked, Looked { validity: Some(validity), others_may_read: false });
}

#[test]
fn a_key_that_others_may_read_is_said() {
    let (home, (certificate, key)) = (tempfile::tempdir().unwrap(), made());
    let files = write(home.path(), (&certificate, &key));
    for (bits, is_open) in [(0o600, false), (0o400, false), (0o640, false), (0o644, true), (0o660, true)] {
        mode(&files, bits);
        assert_eq!(look(&files).unwrap().others_may_read, is_open, "{bits:o}");
    }
}

#[test]
fn what_can_not_be_served_is_said_with_the_setting_and_its_file() {
    let (home, (certificate, key), (_, other)) = (tempfile::tempdir().unwrap(), made(), made());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    for (pair, words) in [
        (("", key.as_str()), ["tls-certificate", "tls.crt", "no certificate"]),
        ((&key, &key), ["tls-certificate", "tls.crt", "no certificate"]),
        ((broken, &key), ["tls-certificate", "tls.crt", "PEM"]),
        ((&certificate, ""), ["tls-key", "tls.key", "no private key"]),
        ((&certificate, &certificate), ["tls-key", "tls.key", "no private key"]),
        ((&certificate, encrypted), ["tls-key", "tls.key", "encrypted"]),
        ((&certificate, &other), ["tls-key", "tls-certificate", "is not that of"]),
    ] {
        let said = look(&write(home.path(), pair)).unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
    let files = Files { certificate: home.path().join("none.crt"), key: home.path().join("tls.key") };
    let said = look(&files).unwrap_err().to_string();
    assert!(said.contains("tls-certificate") && said.contains("none.crt") && said.contains("can't read"), "{said}");
}

#[test]
fn a_pair_that_changes_is_served_from_then_on_and_one_that_is_broken_leaves_the_one_before() {
    let (home, (certificate, key), (next, next_key)) = (tempfile::tempdir().unwrap(), made(), made());
    let files = write(home.path(), (&certificate, &key));
    let (tls, registry) = (Tls::open(files).unwrap(), prometheus::Registry::new());
    tls.measure(&registry).unwrap();
    let first = tls.config();
    assert!(!tls.reload().unwrap() && Arc::ptr_eq(&first, &tls.config()), "nothing has changed");
    write(home.path(), (&next, &key));
    tls.reload().unwrap_err();
    assert!(Arc::ptr_eq(&first, &tls.config()), "half of a new pair is none");
    write(home.path(), (&next, &next_key));
    assert!(tls.reload().unwrap() && !Arc::ptr_eq(&first, &tls.config()));
    let page = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(page.contains("actord_tls_certificate_expiry_timestamp_seconds 1893456000"), "{page}");
}
