//! Certificates from an authority, got and renewed by ACME (RFC 8555) while the server runs.
//!
//! It puts nothing into force: it writes files, and who watches the files of certificates loads
//! them. The server never waits for it, and serves with what it has.

mod challenge;
mod failure;
mod http;
pub(crate) mod kept;
mod order;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use twoport_net::clock;
use twoport_net::pump::blocking;
use twoport_proto::text::escape;

use self::failure::Failure;
use self::kept::{Kept, Validity};
use crate::config::names::Domain;
use crate::config::settings;
use crate::serving::Serving;

/// The longest that is slept at a time: clocks are set, and machines are suspended.
const NAP: Duration = Duration::from_secs(3600);

/// Keeps the certificates of all domains fresh for as long as the server serves. Each reload begins
/// anew, so that SIGHUP is the way to try again at once.
pub(crate) async fn run(mut serving: watch::Receiver<Arc<Serving>>) {
    loop {
        let config = Arc::clone(serving.borrow_and_update().shared_config());
        let is_new = |serving: &Arc<Serving>| !Arc::ptr_eq(serving.shared_config(), &config);
        tokio::select! {
            () = keep_fresh(&config.tls) => {}
            reloaded = serving.wait_for(is_new) => if reloaded.is_err() { return },
        }
    }
}

/// What is known of a domain's certificate.
struct Plan<'a> {
    domain: &'a Domain,
    kept: Option<Validity>,
    failures: u32,
    /// When something is to be done, in seconds since 1970.
    due: i64,
}

/// Never ends.
async fn keep_fresh(tls: &settings::Tls) {
    let plan = |domain| Plan { domain, kept: None, failures: 0, due: 0 };
    let mut plans: Vec<_> = tls.acme.iter().map(plan).collect();
    loop {
        let Some(plan) = plans.iter_mut().min_by_key(|plan| plan.due) else {
            return std::future::pending().await;
        };
        match u64::try_from(plan.due - clock::today().seconds) {
            Ok(seconds @ 1..) => sleep(Duration::from_secs(seconds).min(NAP)).await,
            _ => plan.attend(tls).await,
        }
    }
}

impl Plan<'_> {
    /// Asks for a certificate, unless there is a new one: this server's of an earlier life, or that
    /// of another server with the same state directory.
    async fn attend(&mut self, tls: &settings::Tls) {
        let (kept, name) = (Kept::of(tls), self.domain.clone());
        let found = blocking(move || kept.validity(&name)).await;
        if found.is_some() && found != self.kept {
            return self.rest(found);
        }
        let domain = &self.domain.0;
        tracing::info!(target: "twoport", domain, directory = tls.acme_directory.0, "asking for a certificate");
        match order::certificate(tls, self.domain).await {
            Ok(got) => {
                let until = schedule::date(got.end);
                tracing::info!(target: "twoport", domain, until, "a certificate was issued");
                self.rest(Some(got));
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                let pause = schedule::pause(self.failures, schedule::chance());
                self.due = clock::today().seconds.saturating_add_unsigned(pause.as_secs());
                tell(domain, &failure, pause);
            }
        }
    }

    /// Nothing to do until the certificate is to be renewed.
    fn rest(&mut self, kept: Option<Validity>) {
        self.failures = 0;
        self.due = kept.map_or(0, |kept| schedule::renewal(kept, schedule::chance()));
        self.kept = kept;
    }
}

fn tell(domain: &str, failure: &Failure, pause: Duration) {
    let Failure { reason, problem, detail } = failure;
    let (why, problem) = (reason.describe(), problem.as_deref().map(|p| escape(p.as_bytes())));
    let (problem, detail) = (problem.as_deref(), escape(detail.as_bytes()));
    let again_in_s = pause.as_secs();
    tracing::error!(
        target: "twoport", domain, %reason, why, problem, detail, again_in_s,
        "no certificate was issued; the server goes on with what it has"
    );
}
