//! The proxy that the environment names: `ftp_proxy` and `all_proxy`, but for the hosts in `no_proxy`,
//! as curl reads them.
//!
//! What a proxy's text means is the client library's business.

use twoport_client::{Error, Proxy, parse_proxy};

/// The proxy for a host, by the variables that `variable` gives.
pub(crate) fn proxy_for(
    host: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, Error> {
    let either = |name: &str| variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
    let set = |name: &str| either(name).filter(|text| !text.is_empty());
    let excepted = set("no_proxy").unwrap_or_default();
    if excepted.split([',', ' ']).any(|word| is_excepted(word, host)) {
        return Ok(None);
    }
    let text = set("ftp_proxy").or_else(|| set("all_proxy"));
    text.map(|text| parse_proxy(&text)).transpose()
}

/// `*` is every host; a name is also all names below it, with or without a dot in front.
fn is_excepted(word: &str, host: &str) -> bool {
    let word = word.trim_start_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let below = || host.strip_suffix(&word).is_some_and(|rest| rest.ends_with('.'));
    word == "*" || !word.is_empty() && (host == word || below())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_by_curl() {
        let read = |host: &str, set: &[(&str, &str)]| {
            let find = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, text)| (*text).to_owned())
            };
            proxy_for(host, find).unwrap().map(|proxy| proxy.name())
        };
        let all = ("all_proxy", "socks5://s");
        let ftp = ("FTP_PROXY", "http://h:3128");
        assert_eq!(read("a", &[]), None);
        assert_eq!(read("a", &[all]).as_deref(), Some("s:1080"));
        assert_eq!(read("a", &[all, ftp]).as_deref(), Some("h:3128"));
        assert_eq!(read("a", &[("ftp_proxy", "")]), None);
        for (list, host, without) in [
            ("*", "a", true),
            ("x, example.org", "ftp.example.org", true),
            (".example.org", "example.org", true),
            ("example.org", "badexample.org", false),
            ("192.0.2.1", "192.0.2.1", true),
        ] {
            assert_eq!(read(host, &[all, ("no_proxy", list)]).is_none(), without, "{list} {host}");
        }
    }
}
