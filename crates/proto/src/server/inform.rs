//! What the server tells about itself: FEAT, HELP, STAT, SYST, LANG, HOST, NOOP, SITE HELP.
//!
//! None of these needs a job.

use super::Core;
use super::login::LoggedIn;
use crate::code::Code;
use crate::command::{Command, Representation, Site};
use crate::data::Channel;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::verb;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// The SITE commands and how they are used.
const SITE: [(&[u8], &str); 3] = [
    (b"CHMOD", "SITE CHMOD mode path: set the mode, such as 644"),
    (b"HELP", "SITE HELP [command]: this text"),
    (b"UTIME", "SITE UTIME YYYYMMDDHHMMSS path: set the date"),
];

impl Core {
    /// Handles what needs no login, given to a session in any state.
    pub(super) fn inform(&mut self, command: Command, user: Option<&LoggedIn>) {
        let Some(command) = self.set(command).and_then(|command| self.secure(command, user)) else {
            return;
        };
        match command {
            Command::Feat => self.feat(),
            Command::Help(topic) => self.help(topic.as_deref()),
            Command::Host(_) if user.is_some() => self.refuse("HOST", Reason::HostTooLate),
            Command::Host(name) => {
                self.host = Some(name);
                self.line(Code::READY, "Host accepted.");
            }
            Command::Lang(tag) => self.lang(tag.as_deref()),
            Command::Noop => self.line(Code::OK, "I successfully did nothing."),
            Command::Site(Site::Help(topic)) => self.site_help(topic.as_deref()),
            Command::Stat(None) => self.stat(user),
            // The first words are what clients look at to choose a parser for listings.
            Command::Syst => self.line(Code::SYSTEM, "UNIX Type: L8"),
            // Only verbs that need a login are left: the gate has let none of them through here.
            _ => self.refuse("login", Reason::LoginRequired),
        }
    }

    fn feat(&mut self) {
        let fixed = verb::TABLE.iter().filter_map(|row| row.feature);
        let mut lines: Vec<Vec<u8>> = fixed.map(|feature| feature.as_bytes().to_vec()).collect();
        lines.extend(self.features_set());
        lines.extend(self.features_of_tls());
        if let Some(port) = self.dials_from {
            lines.push(alloc::format!("DATA source-port {port}").into_bytes());
        }
        lines.extend([b"TVFS".to_vec(), b"UTF8".to_vec()]);
        if self.policy.data_on_control_port {
            lines.push(b"DATA control-port".to_vec());
        }
        lines.sort();
        self.reply(Reply::block(Code::STATUS, "Features supported:", lines, "End FEAT."));
    }

    fn help(&mut self, topic: Option<&[u8]>) {
        let Some(topic) = topic else {
            let names: Vec<&str> = verb::TABLE.iter().map(|row| row.name).collect();
            let lines = names.chunks(8).map(|line| line.join(" ").into_bytes());
            let reply = Reply::block(
                Code::HELP,
                "The following commands are recognized:",
                lines,
                "Help command successful.",
            );
            return self.reply(reply);
        };
        let word = topic.trim_ascii();
        match (word.split_at_checked(5), verb::find(word)) {
            (_, Some(row)) => self.line(Code::HELP, format_args!("{} ({})", row.help, row.rfc)),
            (Some((site, topic)), None) if site.eq_ignore_ascii_case(b"SITE ") => {
                self.site_help(Some(topic));
            }
            _ => self.refuse("HELP", Reason::HelpUnknown),
        }
    }

    fn site_help(&mut self, topic: Option<&[u8]>) {
        let Some(topic) = topic else {
            let lines = SITE.iter().map(|(_, help)| help.as_bytes().to_vec());
            let reply = Reply::block(
                Code::HELP,
                "The following SITE commands are recognized:",
                lines,
                "Help SITE command successful.",
            );
            return self.reply(reply);
        };
        match SITE.iter().find(|(name, _)| name.eq_ignore_ascii_case(topic.trim_ascii())) {
            Some((_, help)) => self.line(Code::HELP, *help),
            None => self.refuse("SITE", Reason::SiteHelpUnknown),
        }
    }

    fn lang(&mut self, tag: Option<&[u8]>) {
        match tag.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"en" | b"en-us" | b"en-gb" | b"i-default") => {
                self.line(Code::OK, "Responses are in English.");
            }
            Some(_) => self.refuse("LANG", Reason::LanguageUnknown),
        }
    }

    /// The state of the session. A client behind NAT learns its public address here, and whether the
    /// NAT changes its port.
    fn stat(&mut self, user: Option<&LoggedIn>) {
        let mut lines = Vec::new();
        let peer = SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port());
        lines.push(alloc::format!("Connected from {peer}").into_bytes());
        lines.push(alloc::format!("Connected to {}", self.local.ip().to_canonical()).into_bytes());
        lines.push(Self::who(user));
        lines.push(match self.settings.representation {
            Representation::Ascii => b"TYPE: ASCII; STRU: File; MODE: Stream".to_vec(),
            Representation::Image => b"TYPE: Image; STRU: File; MODE: Stream".to_vec(),
        });
        lines.push(match (&self.transfer, self.channel) {
            (Some(transfer), _) => transfer.describe(self.progress).into_bytes(),
            (None, Channel::Idle) => b"No data connection".to_vec(),
            (None, Channel::Offered { arrived: true }) => b"Data connection open".to_vec(),
            (None, Channel::Offered { arrived: false }) => b"Passive port open".to_vec(),
            (None, Channel::Aimed(target)) => {
                alloc::format!("Active mode to {target}").into_bytes()
            }
        });
        let idle = alloc::format!("Idle timeout: {} s", self.policy.idle_timeout.as_secs());
        lines.push(idle.into_bytes());
        self.reply(Reply::block(Code::STATUS, "twoport server status:", lines, "End of status."));
    }
}
