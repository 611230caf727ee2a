//! The clients that are libraries: a driver for each has one command line, see
//! `tests/clients/README.md`. What a library cannot do, its driver says itself.

use super::{Run, Security, Site};

fn drive(program: &'static str, site: &Site<'_>, operation: &str, args: &[&str]) -> Run {
    let run = Run::new(program)
        .args([site.host(), site.port()])
        .args([site.user, site.password, site.mode.word(), operation])
        .args(args);
    let Some(Security { implicit, version, authority, certificate }) = site.tls else { return run };
    let run = run
        .env("TWOPORT_TLS", if implicit { "implicit" } else { "explicit" })
        .env("TWOPORT_TLS_VERSION", version)
        .env("TWOPORT_TLS_CA", authority);
    match certificate {
        Some((certificate, key)) => {
            run.env("TWOPORT_TLS_CERTIFICATE", certificate).env("TWOPORT_TLS_KEY", key)
        }
        None => run,
    }
}

pub(super) fn ftplib(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    Some(drive("ftplib", site, operation, args))
}

pub(super) fn aioftp(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    Some(drive("aioftp", site, operation, args))
}

pub(super) fn basic_ftp(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    Some(drive("basic-ftp", site, operation, args))
}

pub(super) fn net_ftp(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    Some(drive("net-ftp", site, operation, args))
}

pub(super) fn commons_net(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    Some(drive("commons-net", site, operation, args))
}

pub(super) fn jlaffaye(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    Some(drive("jlaffaye", site, operation, args))
}
