//! Puts certificates into force whose files have changed, while the server runs.
//!
//! Only new sessions see them: clients compare the certificate of a data connection with that of
//! its control connection. What makes new certificates is no matter of this.

use std::io;
use std::sync::Arc;

use tokio::time::sleep;

use twoport_net::clock;
use twoport_net::pump::blocking;
use twoport_proto::reason::Reason;

use super::Shared;
use crate::tls::Tls;
use crate::tls::watch::{INTERVAL, Step, Watch};

/// Looks at the files for as long as the server serves.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut watch = Watch::default();
    loop {
        sleep(INTERVAL).await;
        if shared.serving.borrow().tls.is_none() {
            continue;
        }
        let shared = Arc::clone(&shared);
        watch = blocking(move || {
            look(&shared, &mut watch);
            watch
        })
        .await;
    }
}

fn look(shared: &Shared, watch: &mut Watch) {
    let serving = Arc::clone(&shared.serving.borrow());
    let Some(tls) = &serving.tls else { return };
    let Step::Load { tell } = watch.look(clock::now(), &tls.stamp, tls.stamp.again()) else {
        return;
    };
    match Tls::load(serving.config(), &serving.accounts) {
        Ok(Some(new)) => {
            let mut fingerprints = new.fingerprints.clone();
            fingerprints.retain(|one| !tls.fingerprints.contains(one));
            // A reload that came in between has read the files itself.
            let renewed = shared.serving.send_if_modified(|now| {
                let is_former = Arc::ptr_eq(now, &serving);
                if is_former {
                    *now = Arc::new(serving.with_tls(new));
                }
                is_former
            });
            if renewed {
                announce(&fingerprints);
            }
        }
        Ok(None) => {}
        Err(error) if tell => {
            watch.refuse();
            refuse(&error);
        }
        Err(_) => {}
    }
}

fn announce(fingerprints: &[String]) {
    if fingerprints.is_empty() {
        tracing::info!(target: "twoport", "the files of TLS have changed and were read again");
    }
    for sha256 in fingerprints {
        tracing::info!(target: "twoport", sha256, "certificate, read again: its file has changed");
    }
}

fn refuse(error: &io::Error) {
    let reason = Reason::CertificateUnusable;
    let why = reason.describe();
    tracing::error!(target: "twoport", %reason, why, %error, "the old certificates stay");
}
