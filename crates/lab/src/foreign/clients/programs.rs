//! The clients that are programs: how the command line or the script of each says an operation.
//!
//! `None` is what a program has no words for. Operations and arguments are those of the drivers.

use super::{Mode, Run, Security, Site};

/// A path as it stands in a URL: everything but letters, digits and a few signs is escaped.
fn url(site: &Site<'_>, path: &str) -> String {
    let scheme = if site.tls.is_some_and(|tls| tls.implicit) { "ftps" } else { "ftp" };
    let mut url = format!("{scheme}://{}/", site.authority());
    for &byte in path.trim_start_matches('/').as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

fn directory(site: &Site<'_>, path: &str) -> String {
    let mut url = url(site, path);
    if !url.ends_with('/') {
        url.push('/');
    }
    url
}

/// In double quotes, with the two signs escaped that mean something there.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name behind a command: one that begins with a dash would be an option.
fn named(text: &str) -> String {
    if text.starts_with('-') { quoted(&format!("./{text}")) } else { quoted(text) }
}

pub(super) fn curl(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    let mode: &[&str] = match site.mode {
        Mode::Default => &[],
        Mode::Epsv => &["--ftp-pasv"],
        Mode::Pasv => &["--disable-epsv"],
        Mode::Eprt => &["--ftp-port", "-"],
        Mode::Port => &["--ftp-port", "-", "--disable-eprt"],
    };
    let login = format!("{}:{}", site.user, site.password);
    let run = Run::new("curl").args(["-q", "-sS", "-g", "--user", &login]).args(mode);
    let run = site.tls.iter().fold(run, curl_tls);
    // Commands go before a listing that is thrown away.
    let quote = |run: Run, commands: &[String]| {
        let commands = commands.iter().flat_map(|command| ["-Q", command]);
        run.args(commands).args(["-l", "-o", "/dev/null", &directory(site, "")])
    };
    Some(match (operation, args) {
        ("list", [path]) => run.args([directory(site, path)]),
        ("nlst", [path]) => run.args(["-l", &directory(site, path)]),
        ("mlsd", [path]) => run.args(["-X", "MLSD", &directory(site, path)]),
        ("get", [remote, local]) => run.args(["-o", *local, &url(site, remote)]),
        ("resume-get", [remote, local]) => run.args(["-C", "-", "-o", *local, &url(site, remote)]),
        ("ascii-get", [remote, local]) => run.args(["-B", "-o", *local, &url(site, remote)]),
        ("put", [local, remote]) => run.args(["-T", *local, &url(site, remote)]),
        ("row", [count, local, prefix]) => {
            // The first -T, -o and URL belong together, and so on: all uploads come first.
            let numbers = 0..count.parse::<u32>().ok()?;
            let url = |number| url(site, &format!("{prefix}{number}"));
            let run = numbers.clone().fold(run.args(["--no-keepalive"]), |run, number| {
                run.args(["-T", local, "-o", "/dev/null", &url(number)])
            });
            numbers.fold(run, |run, number| {
                run.args(["-o", &format!("{local}{number}"), &url(number)])
            })
        }
        ("resume-put", [local, remote]) => run.args(["-C", "-", "-T", *local, &url(site, remote)]),
        ("append", [local, remote]) => run.args(["-a", "-T", *local, &url(site, remote)]),
        ("ascii-put", [local, remote]) => {
            run.args(["-B", "--crlf", "-T", *local, &url(site, remote)])
        }
        ("mkdir", [path]) => quote(run, &[format!("MKD {path}")]),
        ("rmdir", [path]) => quote(run, &[format!("RMD {path}")]),
        ("delete", [path]) => quote(run, &[format!("DELE {path}")]),
        ("rename", [from, to]) => quote(run, &[format!("RNFR {from}"), format!("RNTO {to}")]),
        _ => return None,
    })
}

fn curl_tls(run: Run, tls: &Security<'_>) -> Run {
    let minimum = format!("--tlsv{}", tls.version);
    let run = run.args(["--ssl-reqd", "--cacert", tls.authority]);
    let run = run.args([minimum.as_str(), "--tls-max", tls.version]);
    match tls.certificate {
        Some((certificate, key)) => run.args(["--cert", certificate, "--key", key]),
        None => run,
    }
}

/// In settings: GnuTLS takes its versions as a priority.
fn lftp_tls(tls: &Security<'_>) -> String {
    let certificate = tls.certificate.map_or_else(String::new, |(certificate, key)| {
        format!("set ssl:cert-file {}; set ssl:key-file {};", quoted(certificate), quoted(key))
    });
    format!(
        "set ftp:ssl-allow yes; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; \
         set ftp:ssl-protect-list yes; set ssl:verify-certificate yes; set ssl:check-hostname yes; \
         set ssl:ca-file {}; set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{}; {certificate}",
        quoted(tls.authority),
        tls.version,
    )
}

pub(super) fn lftp(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    let mode = match site.mode {
        Mode::Default => "",
        Mode::Epsv => "set ftp:prefer-epsv on; set ftp:passive-mode on;",
        Mode::Pasv => "set ftp:prefer-epsv off; set ftp:passive-mode on;",
        Mode::Port => "set ftp:passive-mode off;",
        // Over IPv6 it says `EPRT |2|::|port|`, an address of nobody, which servers refuse.
        Mode::Eprt => return None,
    };
    let command = match (operation, args) {
        ("list", [path]) => format!("ls {}", named(path)),
        ("nlst", [path]) => format!("nlist {}", named(path)),
        ("mlsd", [path]) => format!("set ftp:use-mlsd on; cls -1 {}", named(path)),
        ("get", [remote, local]) => format!("get {} -o {}", named(remote), quoted(local)),
        ("row", [count, local, prefix]) => {
            let one = |number: u32| {
                let remote = named(&format!("{prefix}{number}"));
                let back = quoted(&format!("{local}{number}"));
                format!("put {} -o {remote}; get {remote} -o {back}; ", quoted(local))
            };
            (0..count.parse().ok()?).map(one).collect()
        }
        ("resume-get", [remote, local]) => format!("get -c {} -o {}", named(remote), quoted(local)),
        ("ascii-get", [remote, local]) => format!("get -a {} -o {}", named(remote), quoted(local)),
        ("put", [local, remote]) => format!("put {} -o {}", quoted(local), named(remote)),
        ("resume-put", [local, remote]) => format!("put -c {} -o {}", quoted(local), named(remote)),
        ("ascii-put", [local, remote]) => format!("put -a {} -o {}", quoted(local), named(remote)),
        ("mkdir", [path]) => format!("mkdir {}", named(path)),
        ("rmdir", [path]) => format!("rmdir {}", named(path)),
        ("delete", [path]) => format!("rm {}", named(path)),
        ("rename", [from, to]) => format!("mv {} {}", named(from), named(to)),
        ("mirror-get", [remote, local]) => format!("mirror {} {}", named(remote), quoted(local)),
        ("mirror-put", [local, remote]) => format!("mirror -R {} {}", quoted(local), named(remote)),
        ("rmtree", [path]) => format!("rm -r {}", named(path)),
        _ => return None,
    };
    let login = quoted(&format!("{},{}", site.user, site.password));
    let tls = site.tls.as_ref().map_or_else(|| "set ftp:ssl-allow no;".into(), lftp_tls);
    let scheme = if site.tls.is_some_and(|tls| tls.implicit) { "ftps" } else { "ftp" };
    let script = format!(
        "set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; set xfer:clobber on; \
         {tls} {mode} open -u {login} {scheme}://{}; {command}",
        site.authority(),
    );
    Some(Run::new("lftp").args(["--norc", "-c", &script]))
}

/// With a backslash before each sign that could mean something: tnftp's quotes hold no quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

pub(super) fn tnftp(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    let (flag, mode) = match site.mode {
        Mode::Default | Mode::Epsv => ("-p", ""),
        Mode::Pasv => ("-p", "epsv4 off\n"),
        Mode::Eprt => ("-A", ""),
        Mode::Port => ("-A", "epsv4 off\n"),
    };
    let command = match (operation, args) {
        ("list", [path]) => format!("ls {}", escaped(path)),
        ("nlst", [path]) => format!("nlist {}", escaped(path)),
        ("mlsd", [path]) => format!("mlsd {}", escaped(path)),
        ("get", [remote, local]) => format!("get {} {}", escaped(remote), escaped(local)),
        ("resume-get", [remote, local]) => format!("reget {} {}", escaped(remote), escaped(local)),
        ("ascii-get", [remote, local]) => {
            format!("ascii\nget {} {}", escaped(remote), escaped(local))
        }
        ("put", [local, remote]) => format!("put {} {}", escaped(local), escaped(remote)),
        ("append", [local, remote]) => format!("append {} {}", escaped(local), escaped(remote)),
        ("ascii-put", [local, remote]) => {
            format!("ascii\nput {} {}", escaped(local), escaped(remote))
        }
        ("mkdir", [path]) => format!("mkdir {}", escaped(path)),
        ("rmdir", [path]) => format!("rmdir {}", escaped(path)),
        ("delete", [path]) => format!("delete {}", escaped(path)),
        ("rename", [from, to]) => format!("rename {} {}", escaped(from), escaped(to)),
        _ => return None,
    };
    let (host, port, user, password) = (site.host(), site.port(), site.user, site.password);
    let script = format!("user {user} {password}\nbinary\n{mode}{command}\nbye\n");
    let run = Run::new("tnftp").args(["-n", "-i", "-v", flag, &host, &port]);
    Some(Run { stdin: script.into_bytes(), tells_in_replies: true, ..run })
}

pub(super) fn wget(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    let mode: &[&str] = match (site.mode, site.is_ipv6()) {
        (Mode::Default, _) | (Mode::Pasv, false) | (Mode::Epsv, true) => &[],
        (Mode::Port, false) | (Mode::Eprt, true) => &["--no-passive-ftp"],
        _ => return None,
    };
    let (user, password) =
        (format!("--ftp-user={}", site.user), format!("--ftp-password={}", site.password));
    let run = Run::new("wget")
        .args(["--no-config", "-nv", "--tries=1", "--timeout=30", "--no-glob", &user, &password])
        .args(mode);
    Some(match (operation, args) {
        ("list", [path]) => run.args(["-O", "-", &directory(site, path)]),
        ("get", [remote, local]) => run.args(["-O", *local, &url(site, remote)]),
        ("resume-get", [remote, local]) => run.args(["-c", "-O", *local, &url(site, remote)]),
        ("ascii-get", [remote, local]) => {
            run.args(["-O", *local, &format!("{};type=a", url(site, remote))])
        }
        ("mirror-get", [remote, local]) => {
            let local = format!("--directory-prefix={local}");
            run.args(["-r", "-nH", "--cut-dirs=1", &local, &directory(site, remote)])
        }
        _ => return None,
    })
}

/// rclone takes passwords as `rclone obscure` writes them; these are the ones that tests use.
fn obscured(password: &str) -> Option<&'static str> {
    Some(match password {
        "secret" => "ZidKRgVUGRuJdNaB5WGyucqpSmhH2A",
        "wrong" => "nCApqZ4F0p6WYSprW8gkmZ2hcq8S",
        "mail@example.net" => "1sPEa2VpG2WEy8Q79zq3HFwXNshNPztxVpbTlzMIYm8",
        _ => return None,
    })
}

pub(super) fn rclone(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    let epsv_off = match site.mode {
        Mode::Default | Mode::Epsv => "false",
        Mode::Pasv => "true",
        Mode::Eprt | Mode::Port => return None,
    };
    let host = if site.is_ipv6() { format!("[{}]", site.host()) } else { site.host() };
    let remote = |path: &str| format!(":ftp:{path}");
    let mut run = Run::new("rclone")
        .env("RCLONE_FTP_PASS", obscured(site.password)?)
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_CACHE_DIR", "/nonexistent")
        .env("RCLONE_RETRIES", "1")
        .env("RCLONE_LOW_LEVEL_RETRIES", "1")
        .env("RCLONE_FTP_HOST", host)
        .env("RCLONE_FTP_PORT", site.port())
        .env("RCLONE_FTP_USER", site.user)
        .env("RCLONE_FTP_DISABLE_EPSV", epsv_off);
    if let Some(tls) = site.tls {
        // It shows no certificates, and TLS 1.2 is the least that it speaks.
        if tls.certificate.is_some() {
            return None;
        }
        let which = if tls.implicit { "RCLONE_FTP_TLS" } else { "RCLONE_FTP_EXPLICIT_TLS" };
        let only12 = if tls.version == "1.2" { "true" } else { "false" };
        run = run.env(which, "true").env("RCLONE_FTP_DISABLE_TLS13", only12);
        run = run.env("SSL_CERT_FILE", tls.authority);
    }
    run = match (operation, args) {
        ("list", [path]) => run.env("RCLONE_FTP_DISABLE_MLSD", "true").args(["lsf", &remote(path)]),
        ("mlsd", [path]) => run.args(["lsf", &remote(path)]),
        ("get", [from, local]) => run.args(["copyto", &remote(from), *local]),
        ("put", [local, to]) => run.args(["copyto", *local, &remote(to)]),
        ("mkdir", [path]) => run.args(["mkdir", &remote(path)]),
        ("rmdir", [path]) => run.args(["rmdir", &remote(path)]),
        ("delete", [path]) => run.args(["deletefile", &remote(path)]),
        ("rename", [from, to]) => run.args(["moveto", &remote(from), &remote(to)]),
        ("mirror-get", [from, local]) => run.args(["sync", &remote(from), *local]),
        ("mirror-put", [local, to]) => run.args(["sync", *local, &remote(to)]),
        ("rmtree", [path]) => run.args(["purge", &remote(path)]),
        _ => return None,
    };
    Some(run)
}

pub(super) fn busybox(site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Run> {
    if site.mode != Mode::Default {
        return None;
    }
    let (host, port) = (site.host(), site.port());
    let login = ["-u", site.user, "-p", site.password, "-P", &port];
    let get = || Run::new("busybox").args(["ftpget"]).args(login);
    Some(match (operation, args) {
        ("get", [remote, local]) => get().args(["--", &host, *local, *remote]),
        ("resume-get", [remote, local]) => get().args(["-c", "--", &host, *local, *remote]),
        ("put", [local, remote]) => {
            Run::new("busybox").args(["ftpput"]).args(login).args(["--", &host, *remote, *local])
        }
        _ => return None,
    })
}
