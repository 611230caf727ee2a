//! Who a client certificate lets in, and whom it does not: in both versions of TLS.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;

use tempfile::TempDir;
use twoport_client::{
    Class, Config, Error, Fingerprint, Policy, Session, Tls, Trust, Url, Versions,
};
use twoport_lab::foreign::clients::served::{Served, account};
use twoport_lab::foreign::servers::paper::{Paper, Validity};
use twoport_net::tls::connect::certificates;

fn paper(name: &str, validity: Validity) -> (TempDir, Paper) {
    let directory = TempDir::new().unwrap();
    let paper = Paper::valid(directory.path(), [name.to_owned()], validity).unwrap();
    (directory, paper)
}

/// Logs in as `user`, and lists.
async fn enter(
    served: &Served,
    user: &str,
    shown: Option<&Paper>,
    versions: Versions,
) -> Result<(), Error> {
    let certificate = shown.map(|paper| (paper.certificate.clone(), paper.key.clone()));
    let policy = Policy::Required;
    let tls = Tls { policy, trust: Trust::Anybody, certificate, versions };
    let url = format!("ftpes://{user}@{}/", served.addresses().first().unwrap());
    let config = Config { tls, ..Config::default() };
    let mut session = Session::connect(&Url::parse(&url).unwrap(), config).await?;
    assert_eq!(session.list(None).await?.entries.len(), 1);
    session.quit().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_logs_in_its_own_account_and_no_other() {
    let (_ann, ann) = paper("ann.example", Validity::Now);
    let (_camera, camera) = paper("ann.example", Validity::Now);
    let (_stranger, stranger) = paper("ann.example", Validity::Now);
    let (_old, old) = paper("ann.example", Validity::Past);
    let (root, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(root.path().join("a"), b"hello").unwrap();
    let accounts = state.path().join("accounts.toml");
    account(&accounts, "ann", &["--certificate-name", "dns:ann.example"]).unwrap();
    let shown = certificates(&camera.certificate).unwrap();
    let pin = Fingerprint::of(shown.first().unwrap()).unwrap().to_string();
    account(&accounts, "camera", &["--certificate", &pin]).unwrap();
    let file = state.path().join("twoport.toml");
    let text = format!(
        "[server]\nroot = {:?}\nlisten = \"127.0.0.1:0\"\n[accounts]\naccount-file = {accounts:?}\n\
         [tls]\ntls = \"required\"\nstate-directory = {:?}\nclient-ca = {:?}\n\
         client-certificates = \"login\"\n[limits]\nlogin-delay = \"off\"\n",
        root.path(),
        state.path(),
        ann.authority,
    );
    fs::write(&file, text).unwrap();
    let served = Served::start(root.path(), &["--config", file.to_str().unwrap()]).unwrap();
    for versions in [Versions::Only12, Versions::Only13] {
        for user in ["ann:secret", "camera:secret"] {
            enter(&served, user, None, versions).await.unwrap();
        }
        enter(&served, "ann:wrong", Some(&ann), versions).await.unwrap();
        enter(&served, "camera:wrong", Some(&camera), versions).await.unwrap();
        // The name in a certificate that only its fingerprint vouches for counts for nothing.
        for (user, shown) in [
            ("ann:wrong", None),
            ("camera:wrong", Some(&ann)),
            ("ann:wrong", Some(&camera)),
            ("nobody:wrong", Some(&ann)),
        ] {
            let error = enter(&served, user, shown, versions).await.unwrap_err();
            assert_eq!(error.class(), Class::Login, "{user}: {error}");
        }
        enter(&served, "camera:secret", Some(&ann), versions).await.unwrap();
        for refused in [&old, &stranger] {
            enter(&served, "ann:secret", Some(refused), versions).await.unwrap_err();
        }
    }
    let log = served.log();
    // The stranger's authority has the same name and another key.
    for reason in ["certificate-of-another", "certificate-expired", "certificate-invalid"] {
        assert!(log.contains(reason), "{reason}: {log}");
    }
    assert!(!log.contains("wrong") && !log.contains("secret"), "{log}");
}
