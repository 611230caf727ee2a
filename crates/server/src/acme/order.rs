//! One order: an account, a proof, a certificate (RFC 8555 §7.4).
//!
//! When it is made, and what follows from a failure, is decided by who asks for it.

use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use twoport_net::pump::blocking;
use twoport_net::tls::connect::{certificates, config};
use twoport_net::tls::trust::Trust;
use twoport_proto::reason::Reason;

use super::challenge::{Proof, listeners, show};
use super::failure::Failure;
use super::http::Https;
use super::kept::{Kept, Validity};
use crate::config::names::Domain;
use crate::config::settings;
use crate::config::words::AcmeChallenge;
use crate::tls::in_file;

/// How the authority is asked whether it is done. Origin: Let's Encrypt takes seconds, and minutes
/// when it is busy.
const ASKING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(180));

/// Gets a certificate for the domain, and keeps it.
///
/// # Errors
/// Why there is none.
pub(super) async fn certificate(tls: &settings::Tls, domain: &Domain) -> Result<Validity, Failure> {
    let kept = Kept::of(tls);
    let account = account(tls, &kept).await?;
    let identifiers = [Identifier::Dns(domain.0.clone())];
    let order = match account.new_order(&NewOrder::new(&identifiers)).await.map_err(Failure::from) {
        Err(failure) if failure.is_account_unknown() => {
            let forgotten = kept.clone();
            blocking(move || forgotten.forget_account()).await?;
            let account = self::account(tls, &kept).await?;
            account.new_order(&NewOrder::new(&identifiers)).await?
        }
        order => order?,
    };
    let (chain, key) = carry_out(order, tls, domain).await?;
    let domain = domain.clone();
    Ok(blocking(move || kept.keep(&domain, &chain, &key)).await?)
}

/// The account that is kept, or a new one.
async fn account(tls: &settings::Tls, kept: &Kept) -> Result<Account, Failure> {
    let (authorities, reader) = (tls.acme_ca.clone(), kept.clone());
    let (http, known) = blocking(move || {
        let trust = match authorities {
            Some(file) => Trust::Authorities(certificates(&file).map_err(in_file(&file))?),
            None => Trust::Platform,
        };
        let https = config(&trust).map(Https::new).map_err(|error| {
            let detail = error.source.map_or_else(String::new, |source| source.to_string());
            Failure::new(error.reason, detail)
        })?;
        Ok::<_, Failure>((https, reader.account()?))
    })
    .await?;
    let builder = Account::builder_with_http(Box::new(http));
    if let Some(known) = known {
        let credentials: AccountCredentials = serde_json::from_str(&known)
            .map_err(|error| Failure::new(Reason::LocalError, format!("account.json: {error}")))?;
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact: Vec<_> = tls.acme_contact.iter().map(|contact| contact.0.as_str()).collect();
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let url = tls.acme_directory.0.clone();
    let (account, credentials) = builder.create(&wanted, url, None).await?;
    let text = serde_json::to_string(&credentials)
        .map_err(|error| Failure::new(Reason::LocalError, error.to_string()))?;
    let writer = kept.clone();
    blocking(move || writer.keep_account(&text)).await?;
    Ok(account)
}

/// Proves what is asked, and gives back the chain and its key, both in PEM form.
async fn carry_out(
    mut order: Order,
    tls: &settings::Tls,
    domain: &Domain,
) -> Result<(String, String), Failure> {
    let showing = prove(&mut order, tls, domain).await?;
    let ready = order.poll_ready(&ASKING).await;
    drop(showing);
    match ready {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(refusal(&mut order, None).await),
        Err(instant_acme::Error::Api(problem)) => {
            return Err(refusal(&mut order, Some(problem.into())).await);
        }
        Err(other) => return Err(other.into()),
    }
    let key = order.finalize().await?;
    Ok((order.poll_certificate(&ASKING).await?, key))
}

/// Shows the proof that the order asks for, until the returned set is dropped.
async fn prove(
    order: &mut Order,
    tls: &settings::Tls,
    domain: &Domain,
) -> Result<JoinSet<()>, Failure> {
    let mut showing = JoinSet::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // One that was proven lately need not be proven again.
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let kind = match tls.acme_challenge {
            AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            AcmeChallenge::Http01 => ChallengeType::Http01,
        };
        let mut challenge = authorization.challenge(kind).ok_or_else(|| {
            Failure::new(Reason::AcmeRefused, "the authority does not offer the kind of challenge")
        })?;
        let secret = challenge.key_authorization();
        let proof = Proof::new(tls.acme_challenge, domain, &challenge.token, &secret)?;
        let listeners: Vec<TcpListener> = listeners(tls.acme_challenge, tls.acme_listen.as_deref())
            .map_err(|error| Failure::new(Reason::AcmePortTaken, error.to_string()))?;
        showing = show(&proof, listeners);
        challenge.set_ready().await?;
    }
    Ok(showing)
}

/// What the authority has against the proof, which stands in the challenge; else `general`.
async fn refusal(order: &mut Order, general: Option<Failure>) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|tried| tried.error.clone()) {
            return problem.into();
        }
    }
    let silent =
        || Failure::new(Reason::AcmeRefused, "the order is not valid, and no reason is given");
    general.unwrap_or_else(silent)
}
