//! Which authorities may vouch for a registry, beside those that the system trusts: PEM files of the operator's.
//!
//! A file is for every registry. A directory is as docker keeps one, `/etc/docker/certs.d`: `<host>/*.crt` and
//! `<host:port>/*.crt` are for that registry alone. Read at every pull, so that a new one needs no restart.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::fault::Untrusted;
use crate::host::HostError;

/// The authorities for `registry` (`host` or `host:port`) in these files and directories. A path that is not there holds
/// none.
///
/// # Errors
/// [`HostError::Image`] names the file that can't be used.
pub(crate) async fn authorities(paths: &[PathBuf], registry: &str) -> Result<Vec<CertificateDer<'static>>, HostError> {
    let (paths, registry) = (paths.to_vec(), registry.to_owned());
    tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        for file in paths.iter().flat_map(|path| files(path, &registry)) {
            found.extend(read(&file).map_err(|why| {
                HostError::Image(format!(
                    "registry {registry}: certificate {}: {why}: put a certificate in PEM there, or take the file away",
                    file.display()
                ))
            })?);
        }
        Ok(found)
    })
    .await
    .map_err(|lost| HostError::Failed(format!("reading certificates: {lost}")))?
}

/// The files of a path that concern a registry, in the order of their names.
fn files(path: &Path, registry: &str) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path.join(registry)).into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "crt")).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| format!("it is not PEM: {error}"))?;
        // One that can't be an authority would only be told of as a broken client.
        RootCertStore::empty().add(certificate.clone()).map_err(|error| error.to_string())?;
        found.push(certificate);
    }
    if found.is_empty() { Err("there is none in it".to_owned()) } else { Ok(found) }
}

/// Why a registry's certificate was refused, with what to do about it.
pub(crate) fn advice(why: &Untrusted, paths: &[PathBuf], registry: &str) -> String {
    let refused = format!("its certificate is refused ({why})");
    match why {
        Untrusted::IsAuthority(_) => {
            return format!("{refused}: it is an authority's own; give the registry one that the authority signed");
        }
        Untrusted::Other(_) => return refused,
        Untrusted::UnknownIssuer(_) => {}
    }
    let is_file =
        |path: &&PathBuf| path.extension().is_some_and(|end| ["crt", "cer", "pem"].iter().any(|one| end == *one));
    let place = match paths.iter().find(|path| !is_file(path)) {
        Some(directory) => directory.join(registry).join("ca.crt").display().to_string(),
        None => "a file that the setting registry-ca names".to_owned(),
    };
    format!("{refused}: put the certificate of the authority that signed it, in PEM, into {place}")
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    fn pem() -> String {
        rcgen::generate_simple_self_signed(vec!["registry.lan".to_owned()]).unwrap().cert.pem()
    }

    async fn count(paths: &[&Path], registry: &str) -> usize {
        let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
        authorities(&paths, registry).await.unwrap().len()
    }

    #[tokio::test]
    async fn a_file_is_for_all_registries_and_a_directory_for_each_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (all, certs) = (dir.path().join("all.pem"), dir.path().join("certs.d"));
        std::fs::create_dir_all(certs.join("registry.lan:5000")).unwrap();
        std::fs::write(certs.join("registry.lan:5000/ca.crt"), pem()).unwrap();
        std::fs::write(certs.join("registry.lan:5000/client.key"), "not for this").unwrap();
        std::fs::write(&all, format!("words before\n{}\n{}", pem(), pem())).unwrap();
        assert_eq!(count(&[&all], "any.lan").await, 2);
        assert_eq!(count(&[&certs, &all], "registry.lan:5000").await, 3);
        assert_eq!(count(&[&certs], "registry.lan").await, 0, "another port is another registry");
        assert_eq!(count(&[Path::new("/nonexistent/certs.d")], "registry.lan").await, 0);
    }

    #[tokio::test]
    async fn a_file_without_a_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let broken = pem().replace("MII", "MIJ");
        for text in ["", "garbage", &key, &broken] {
            let file = dir.path().join("ca.pem");
            std::fs::write(&file, text).unwrap();
            let error = authorities(std::slice::from_ref(&file), "r.lan").await.unwrap_err().to_string();
            assert!(error.contains(file.to_str().unwrap()) && error.contains("r.lan"), "{error}");
        }
    }

    #[test]
    fn the_advice_names_the_file_that_would_help() {
        let paths = ["/etc/ca.pem", "/etc/docker/certs.d"].map(PathBuf::from);
        let why = |error: CertificateError| Untrusted::from(&error);
        let unknown = advice(&why(CertificateError::UnknownIssuer), &paths, "r.lan:5000");
        assert!(unknown.contains("(invalid peer certificate: UnknownIssuer)"), "{unknown}");
        assert!(unknown.ends_with("/etc/docker/certs.d/r.lan:5000/ca.crt"), "{unknown}");
        assert!(advice(&why(CertificateError::UnknownIssuer), &[], "r.lan").contains("registry-ca"));
        assert!(!advice(&why(CertificateError::Expired), &paths, "r.lan").contains("ca.crt"));
    }
}
