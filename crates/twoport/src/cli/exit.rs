//! How the program ends: THE TABLE of exit codes, for scripts that must tell one failure from
//! another.
//!
//! What happened is decided elsewhere; here it gets its number. (A table: nothing else belongs here.)

macro_rules! exits {
    ($($name:ident $code:literal $word:literal $about:literal;)*) => {
        /// How a command ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Exit {
            $(#[doc = $about] $name,)*
        }

        impl Exit {
            /// Every exit, by code.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number that the shell sees.
            pub(crate) const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }

            /// The exit of a code, such as the client library gives.
            pub(crate) fn of(code: u8) -> Self {
                Self::ALL.iter().copied().find(|exit| exit.code() == code).unwrap_or(Self::Failed)
            }

            /// Its name in JSON.
            pub(crate) const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it means: a sentence without full stop.
            pub(crate) const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }
        }
    };
}

// The codes stay: scripts depend on them. 1 and 2 are those of most programs, 130 is the shell's
// for Ctrl-C, and those between are the client library's classes.
exits! {
    Done 0 "confirmed" "Done: every transfer is complete, and the server has confirmed it; a server has stopped in good order";
    Failed 1 "failed" "The program could not go on: a port is in use, or its output cannot be written";
    Usage 2 "usage" "The command line, a URL or a configuration is wrong; nothing was done";
    Connect 3 "connect" "The server's name was not found, there was no connection, or the control connection was lost";
    Login 4 "login" "The server refused the login";
    Refused 5 "refused" "The server refused: no such file, no permission, no space";
    NoData 6 "no-data" "No mode gave a data connection";
    Truncated 7 "truncated" "Data are missing; what arrived is kept for --resume";
    Unconfirmed 8 "unconfirmed" "All data seem to have gone over, but the server did not say so";
    Timeout 9 "timeout" "No answer came, or no byte moved, in time";
    Local 10 "local" "A file or directory of this machine failed";
    Protocol 11 "protocol" "What the server said is not FTP";
    Tls 12 "tls" "TLS was refused or failed, or the server's certificate is not believed";
    Interrupted 130 "interrupted" "Ctrl-C; what arrived is kept for --resume";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_client_librarys_classes_have_the_same_codes_and_names() {
        use twoport_client::Class;
        for class in [
            Class::Usage,
            Class::Connect,
            Class::Login,
            Class::Refused,
            Class::NoData,
            Class::Truncated,
            Class::Unconfirmed,
            Class::Timeout,
            Class::Local,
            Class::Protocol,
            Class::Tls,
        ] {
            assert_eq!(Exit::of(class.exit_code()).word(), class.name());
        }
    }

    #[test]
    fn codes_and_words_are_unique_and_in_order() {
        let codes: Vec<_> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert!(codes.is_sorted());
        let words: BTreeSet<_> = Exit::ALL.iter().map(|exit| exit.word()).collect();
        let unique: BTreeSet<_> = codes.iter().collect();
        assert_eq!((words.len(), unique.len()), (Exit::ALL.len(), codes.len()));
        assert!(Exit::ALL.iter().all(|exit| !exit.about().ends_with('.')));
    }
}
